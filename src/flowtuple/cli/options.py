"""Options that commands share, and their texts as values."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from flowtuple.data.bounds import FORMS, Bound
from flowtuple.errors import InvalidArgument, nearest

Inputs = Annotated[
    list[str],
    typer.Argument(metavar="FILE[:TREE]...", help="Inputs; several, or a glob, are one data set."),
]
Tolerances = Annotated[
    list[str],
    typer.Option(
        "--tolerance",
        "-t",
        metavar="GLOB=BOUND",
        help=f"{FORMS}; last match wins.",
    ),
]
BoundsFile = Annotated[
    Path | None,
    typer.Option("--bounds", metavar="TOML", help="Bounds by glob in a table [tolerance]."),
]
Columns = Annotated[
    list[str],
    typer.Option("--columns", metavar="GLOB", help="Take only these columns, and their counters."),
]
Exclude = Annotated[
    list[str], typer.Option("--exclude", metavar="GLOB", help="Leave these columns out.")
]
Roles = Annotated[
    list[str],
    typer.Option(
        "--role", metavar="GLOB=ROLE", help="value, angle, id, weight, label or reference."
    ),
]
Names = Annotated[
    str, typer.Option("--names", metavar="A,B,...", help="Column names for inputs that have none.")
]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset", help="Known columns: higgs, jets4, jets24, nanoaod-jets; flashsim-jets, -muons."
    ),
]
Drop = Annotated[
    bool, typer.Option("--drop", help="Leave out what cannot be carried instead of refusing.")
]
EffortOption = Annotated[
    str, typer.Option("--effort", help="fast, default or best: training time for bytes.")
]
GivenColumns = Annotated[
    list[str],
    typer.Option(
        "--given",
        metavar="GLOB",
        help="Columns that whoever reads supplies; of simulations the generated ones.",
    ),
]
GivenFile = Annotated[
    list[str],
    typer.Option("--given", metavar="FILE", help="Has the columns that were given at compression."),
]
ModelFile = Annotated[
    Path | None,
    typer.Option("--model", metavar="M.flow", help="The model that the file refers to."),
]
CheckpointFolder = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        metavar="DIR",
        help="Keep finished parts of the training; run again to resume.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="Same input, options and seed: same file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Compressed = Annotated[str, typer.Argument(metavar="IN.ftup", help="A flowtuple file or URL.")]
Originals = Annotated[
    list[str], typer.Argument(metavar="ORIGINAL...", help="The input or inputs it was made from.")
]
Memory = Annotated[
    str,
    typer.Option(
        "--memory", metavar="SIZE", help="To keep within, such as 500MB or 4GB; at least 256MB."
    ),
]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="Default: one per core.")]

_LEAST_MEMORY = 256 * 10**6


def one_or_many(source: list[str]) -> Any:
    """One input by itself, several as a list."""
    return source[0] if len(source) == 1 else source


def split_names(names: str) -> tuple[str, ...] | None:
    """Names between commas; `None` without any."""
    return tuple(n.strip() for n in names.split(",")) if names else None


def make_selection(
    columns: list[str],
    exclude: list[str],
    roles: list[str],
    names: str,
    drop: bool,
    preset: str | None = None,
) -> Any:
    """What part of an input to take; what is said in full goes before the preset."""
    from flowtuple import api

    base = api.EVERYTHING if preset is None else api.preset(preset)
    assigned = read_pairs(roles, "--role", "GLOB=ROLE", "'*_hash=id'")
    return api.Selection(
        tuple(columns) or base.columns,
        (*base.exclude, *exclude),
        {**(base.roles or {}), **assigned},
        split_names(names) or base.names,
        drop,
    )


def read_pairs(texts: list[str], option: str, form: str, example: str) -> dict[str, str]:
    """What stands right of the last equals sign by what stands left of it."""
    pairs: dict[str, str] = {}
    for left, right in (_pair(text, option, form, example) for text in texts):
        pairs.pop(left, None)  # the last one is to come last
        pairs[left] = right
    return pairs


def read_mix(sources: list[str]) -> tuple[list[str], tuple[float, ...]]:
    """Inputs, and what the events of each count for where one of them says so: `A.root B.root:0.3`."""
    split = [text.rpartition(":") for text in sources]
    factors = [_factor(right) if colon else None for _, colon, right in split]
    if all(factor is None for factor in factors):
        return sources, ()
    paths = [
        text if factor is None else left
        for text, factor, (left, _, _) in zip(sources, factors, split, strict=True)
    ]
    return paths, tuple(1.0 if factor is None else factor for factor in factors)


def _factor(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None  # a tree


def read_sizes(text: str, option: str) -> tuple[int, ...]:
    """Whole numbers between commas."""
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise InvalidArgument(
            f"{option} {text!r} is not whole numbers between commas, such as 64,64"
        ) from None


def _pair(text: str, option: str, form: str, example: str) -> tuple[str, str]:
    left, equals, right = (part.strip() for part in text.rpartition("="))
    if not equals or not left:
        raise InvalidArgument(
            f"{option} {text!r} is not of the form {form}; write for example {example}"
        )
    return left, right


def _bound(text: str, where: str) -> Bound:
    try:
        return Bound.parse(text)
    except InvalidArgument as error:
        raise InvalidArgument(f"{where}: {error}") from None


def read_tolerance(tolerance: list[str], bounds: Path | None) -> dict[str, Bound]:
    """Bounds of the TOML file first, those of the command line after them: the last match wins."""
    merged = _read_bounds(bounds) if bounds else {}
    for text in tolerance:
        pattern, bound = _pair(text, "--tolerance", "GLOB=BOUND", "'Jet_*=rel:1e-3'")
        merged.pop(pattern, None)
        merged[pattern] = _bound(bound, f"--tolerance {text!r}")
    return merged


def _read_bounds(path: Path) -> dict[str, Bound]:
    try:
        table = tomllib.loads(path.read_text())["tolerance"]
        return {
            pattern: _bound(str(bound), f"{path}: {pattern!r}") for pattern, bound in table.items()
        }
    except FileNotFoundError:
        names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise InvalidArgument(f"{path}: no such file; {nearest(path.name, names)}") from None
    except OSError as error:
        raise InvalidArgument(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{path}: is not TOML ({error})") from None
    except (KeyError, AttributeError):
        raise InvalidArgument(
            f"{path}: has no table [tolerance] with lines such as 'Jet_*' = 'rel:1e-3'"
        ) from None


def read_entries(text: str) -> tuple[int | None, int | None]:
    """First event and event after the last of `A:B`."""
    if not text:
        return None, None
    start, colon, stop = text.partition(":")
    try:
        if not colon:
            raise ValueError
        return (int(start) if start else None), (int(stop) if stop else None)
    except ValueError:
        raise InvalidArgument(
            f"--entries {text!r} is not of the form A:B, such as 0:1000"
        ) from None


def read_memory(text: str) -> int:
    """Bytes of a size such as `2GB`."""
    number = text.strip().upper().removesuffix("B")
    scale = {"M": 10**6, "G": 10**9}.get(number[-1:], 0)
    try:
        size = int(float(number[:-1]) * scale)
    except (ValueError, OverflowError):
        size = 0
    if size < _LEAST_MEMORY:
        raise InvalidArgument(f"--memory {text!r} is no size from 256MB on, such as 2GB")
    return size


def explicit_options(context: typer.Context) -> dict[str, str]:
    """The options that the command line names, by the names of their parameters: those that it leaves out are not there."""
    found = {}
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if (
            source is not None
            and source.name == "COMMANDLINE"
            and parameter.param_type_name == "option"
        ):
            found[str(parameter.name)] = parameter.opts[0]
    return found


def print_json(content: Any) -> None:
    """Indented JSON on standard output."""
    json.dump(content, sys.stdout, indent=1, default=str)
    sys.stdout.write("\n")
