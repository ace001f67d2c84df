"""Options that commands share, and the parsing of their texts."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from flowtuple.data.bounds import FORMS, KINDS, Bound
from flowtuple.data.resources import Resources
from flowtuple.errors import InvalidArgument
from flowtuple.runtime.nearby import nearest_file
from flowtuple.runtime.progress import Progress

INPUT, TRAINING, RESOURCES = "Input", "Training", "Resources"  # panels of --help

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE[:TREE]...", help="Inputs; several, or a glob, are one data set."
    ),
]
Tolerances = Annotated[
    list[str],
    typer.Option(
        "--tolerance",
        "-t",
        metavar="GLOB=BOUND",
        help=f"{FORMS}; the last match wins; a bound alone is for all.",
    ),
]
BoundsFile = Annotated[
    Path | None,
    typer.Option(
        "--bounds", metavar="TOML", help="Bounds by glob, in a table named tolerance."
    ),
]
Columns = Annotated[
    list[str],
    typer.Option(
        "--columns",
        metavar="GLOB",
        help="Take only these columns, and their counters.",
        rich_help_panel=INPUT,
    ),
]
Exclude = Annotated[
    list[str],
    typer.Option(
        "--exclude", metavar="GLOB", help="Leave these columns out.", rich_help_panel=INPUT
    ),
]
Roles = Annotated[
    list[str],
    typer.Option(
        "--role",
        metavar="GLOB=ROLE",
        help="value, angle, id, weight, label or reference.",
        rich_help_panel=INPUT,
    ),
]
Names = Annotated[
    str,
    typer.Option(
        "--names",
        metavar="A,B,...",
        help="Column names for inputs that have none.",
        rich_help_panel=INPUT,
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help="Known columns: higgs, jets4, jets24, nanoaod-jets; flashsim-jets, -muons.",
        rich_help_panel=INPUT,
    ),
]
Drop = Annotated[
    bool, typer.Option("--drop", help="Leave out what cannot be carried instead of refusing.")
]
EffortOption = Annotated[
    str,
    typer.Option(
        "--effort",
        help="fast, default or best: training time for bytes.",
        rich_help_panel=TRAINING,
    ),
]
GivenColumns = Annotated[
    list[str],
    typer.Option(
        "--given",
        metavar="GLOB",
        help="External columns: only their hash is stored, readers supply them.",
    ),
]
GivenFile = Annotated[
    list[str],
    typer.Option(
        "--given", metavar="FILE", help="Events with the external columns of the file."
    ),
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
        help="Store finished parts of the training; run again to resume.",
        rich_help_panel=RESOURCES,
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="Same input, options and seed: same file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Compressed = Annotated[
    str, typer.Argument(metavar="IN.ftup", help="A flowtuple file or URL.")
]
Originals = Annotated[
    list[str],
    typer.Argument(metavar="ORIGINAL...", help="The input or inputs it was made from."),
]
Memory = Annotated[
    str,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help="Limit, such as 500MB or 4GB; at least 256MB.",
        rich_help_panel=RESOURCES,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, help="Threads; default: one per core.", rich_help_panel=RESOURCES
    ),
]
Weight = Annotated[
    str | None, typer.Option("--weight", metavar="COL", help="Column of event weights.")
]
Output = Annotated[
    Path,
    typer.Option(
        "--output", "-o", metavar="OUT", help="OUT.root, .parquet, .h5, .npz or .csv[.gz]."
    ),
]
CompressedOutput = Annotated[
    Path, typer.Option("--output", "-o", metavar="OUT.ftup", help="The file to write.")
]
ModelOutput = Annotated[
    Path, typer.Option("--output", "-o", metavar="M.flow", help="The model to write.")
]

_LEAST_MEMORY = 256 * 10**6


def resources(
    progress: Progress,
    workers: int | None = None,
    memory: str = "2GB",
    checkpoint: Path | None = None,
) -> Resources:
    """Return what a command may use."""
    return Resources(workers, read_memory(memory), progress, checkpoint)


def one_or_many(source: list[str]) -> Any:
    """Return one input by itself, several as a list."""
    return source[0] if len(source) == 1 else source


def split_names(names: str) -> tuple[str, ...] | None:
    """Return names between commas; `None` without any."""
    return tuple(n.strip() for n in names.split(",")) if names else None


def make_selection(
    columns: list[str],
    exclude: list[str],
    roles: list[str],
    names: str,
    drop: bool,
    preset: str | None = None,
) -> Any:
    """Return the selected part of an input; options win over the preset."""
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
    """Return the text right of the last equals sign by the text left of it."""
    pairs: dict[str, str] = {}
    for left, right in (_pair(text, option, form, example) for text in texts):
        pairs.pop(left, None)  # the last one is to come last
        pairs[left] = right
    return pairs


def read_mix(sources: list[str]) -> tuple[list[str], tuple[float, ...]]:
    """Return inputs, and the factor of each where one has a factor: `A.root B.root:0.3`."""
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
    """Return whole numbers between commas."""
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


def read_bound(text: str, where: str) -> Bound:
    """Return a bound; an error names where its text stands."""
    try:
        return Bound.parse(text)
    except InvalidArgument as error:
        raise InvalidArgument(f"{where}: {error}") from None


def read_tolerance(tolerance: list[str], bounds: Path | None) -> dict[str, Bound]:
    """Return bounds by glob: those of the TOML file first, then those of the command line."""
    merged = _read_bounds(bounds) if bounds else {}
    for text in tolerance:
        pattern, bound = ("*", text) if _is_bound(text) else _bound_pair(text)
        merged.pop(pattern, None)  # the last match wins, so that it has to come last
        merged[pattern] = read_bound(bound, f"--tolerance {text!r}")
    return merged


def _bound_pair(text: str) -> tuple[str, str]:
    return _pair(text, "--tolerance", "GLOB=BOUND", "'Jet_*=rel:1e-3'")


def _is_bound(text: str) -> bool:
    return text.partition(":")[0] in KINDS


def _read_bounds(path: Path) -> dict[str, Bound]:
    try:
        table = tomllib.loads(path.read_text())["tolerance"]
        return {
            pattern: read_bound(str(bound), f"{path}: {pattern!r}")
            for pattern, bound in table.items()
        }
    except FileNotFoundError:
        raise InvalidArgument(
            f"{path}: no such file; {nearest_file(path, ['.toml'])}"
        ) from None
    except OSError as error:
        raise InvalidArgument(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{path}: is not TOML ({error})") from None
    except (KeyError, AttributeError):
        raise InvalidArgument(
            f"{path}: has no table [tolerance] with lines such as 'Jet_*' = 'rel:1e-3'"
        ) from None


def read_entries(text: str) -> tuple[int | None, int | None]:
    """Return the first event and the event after the last of `A:B`."""
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
    """Return the bytes of a size such as `2GB`."""
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
    """Return the options that the command line names, by the names of their parameters."""
    named = {}
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if (
            source is not None
            and source.name == "COMMANDLINE"
            and parameter.param_type_name == "option"
        ):
            named[str(parameter.name)] = parameter.opts[0]
    return named


def print_json(content: Any) -> None:
    """Print indented JSON on standard output."""
    json.dump(content, sys.stdout, indent=1, default=str)
    sys.stdout.write("\n")
