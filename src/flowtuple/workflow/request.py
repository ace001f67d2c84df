"""What is asked for: part of an input, its bounds, an output."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from flowtuple.errors import InvalidArgument, Unsupported
from flowtuple.events.source import ReadOptions, Source, check_stored_name
from flowtuple.schema import Bound
from flowtuple.selection import select, with_roles
from flowtuple.table import Dataset
from flowtuple.workflow.decoding import open_input

Tolerance = Mapping[str, "str | Bound"]


@dataclass(frozen=True)
class Selection:
    """What part of an input to take, and how to understand it.

    Attributes:
        columns: Globs of which a column must match one; none means all.
        exclude: Globs of which a column may match none.
        roles: Role by glob, where the name suggests the wrong one.
        names: Column names for inputs that carry none.
        drop: Leave out what cannot be carried instead of refusing.
    """

    columns: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    roles: Mapping[str, str] | None = None
    names: tuple[str, ...] | None = None
    drop: bool = False


EVERYTHING = Selection()


def read(source: Source, selection: Selection, given: tuple[str, ...] = ()) -> Dataset:
    """The selected part of a source, given columns in any case.

    Raises:
        Unsupported: It holds something that cannot be carried, and `drop` is off.
    """
    dataset = open_input(source, ReadOptions(names=selection.names))
    if dataset.refused and not selection.drop:
        name, reason = next(iter(dataset.refused.items()))
        more = f" (and {len(dataset.refused) - 1} more)" if len(dataset.refused) > 1 else ""
        raise Unsupported(f"{dataset.description}: cannot carry {name}: {reason}{more}; leave it out with --drop")
    columns = (*selection.columns, *given) if selection.columns else ()
    dataset = select(dataset, columns, selection.exclude)
    return with_roles(dataset, selection.roles) if selection.roles else dataset


def check_request(path: str | os.PathLike[str], effort: str, seed: int) -> None:
    """What can be refused before anything is read."""
    from flowtuple.training.plan import check_effort

    check_effort(effort)
    check_seed(seed)
    check_stored_name(path)


def check_seed(seed: int) -> int:
    """The seed, if it is one.

    Raises:
        InvalidArgument: It is not.
    """
    if not 0 <= seed < 2**63:
        raise InvalidArgument(f"the seed {seed} is not a whole number from 0 to 2^63 - 1")
    return seed


def is_of_rows(path: str | os.PathLike[str]) -> bool:
    """Whether a model is one of a flow over rows: a safetensors file, whose JSON begins behind 8 bytes of its length."""
    try:
        with open(path, "rb") as stream:
            return stream.read(9)[8:] == b"{"
    except OSError:
        return False  # a URL, or something to complain of when it is opened


def refuse_rows(path: str | os.PathLike[str]) -> None:
    """Of a model that is to code events.

    Raises:
        InvalidArgument: It is a flow over rows.
    """
    if is_of_rows(path):
        raise InvalidArgument(f"{os.fspath(path)}: is a flow over rows, which codes nothing; train one without --flow")
