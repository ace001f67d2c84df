"""What is asked for: part of an input, its bounds, an output."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from flowtuple.data.bounds import Bound
from flowtuple.data.globs import fits_name
from flowtuple.data.selection import select, with_roles
from flowtuple.data.table import Dataset, LeftOut
from flowtuple.errors import InvalidArgument, Refused, name_parts
from flowtuple.io.source import ReadOptions, Source, check_stored_name, open_dataset

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

    Returns:
        The data set; with `drop`, its `left_out` lists the parts that cannot be carried.

    Raises:
        Refused: A selected part cannot be carried, and `drop` is off.
        InvalidArgument: A glob matches nothing, or nothing is left.
    """
    dataset = open_dataset(source, ReadOptions(names=selection.names))
    columns = (*selection.columns, *given) if selection.columns else ()
    refused = {
        n: r
        for n, r in dataset.refused.items()
        if _is_selected(n, dataset.tables, columns, selection.exclude)
    }
    if refused and not selection.drop:
        raise Refused(
            dataset.description,
            "carry {}",
            refused,
            "leave out with --drop, or some with --exclude",
        )
    left_out = (*dataset.left_out, *(LeftOut(name, reason) for name, reason in refused.items()))
    exclude = [pattern for pattern in selection.exclude if not _only_refused(pattern, dataset)]
    dataset = select(replace(dataset, refused={}, left_out=left_out), columns, exclude)
    return with_roles(dataset, selection.roles) if selection.roles else dataset


def left_out_notes(dataset: Dataset) -> tuple[str, ...]:
    """A sentence that counts and names the parts left out of a data set; none where all of it is there."""
    parts = {part.name: part.reason for part in dataset.left_out}
    return (f"left out: {name_parts(parts)}",) if parts else ()


def _is_selected(
    refused: str, trees: Iterable[str], include: Iterable[str], exclude: Iterable[str]
) -> bool:
    """Whether the globs select a part that cannot be carried: `TREE/COLUMN`, a tree or an object.

    Globs of columns choose among columns; trees and objects travel unless they are excluded.
    """
    include = tuple(include) if any(refused.startswith(f"{tree}/") for tree in trees) else ()
    if any(fits_name(pattern, refused) for pattern in exclude):
        return False
    return not include or any(fits_name(pattern, refused) for pattern in include)


def _only_refused(pattern: str, dataset: Dataset) -> bool:
    """Whether a glob matches parts that cannot be carried, and no column."""
    if not any(fits_name(pattern, name) for name in dataset.refused):
        return False
    tables = dataset.tables.items()
    return not any(
        fits_name(pattern, f"{name}/{column.name}")
        for name, table in tables
        for column in table.columns
    )


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
        raise InvalidArgument(
            f"{os.fspath(path)}: is a flow over rows, which codes nothing; train one without --flow"
        )
