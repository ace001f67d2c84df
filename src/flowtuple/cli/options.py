"""Options that commands share, and the arguments that are made of their texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from flowtuple import api
from flowtuple.cli.declaring import From, argument, option
from flowtuple.data.bounds import CUT_FORM, FORMS, KINDS, Bound
from flowtuple.data.resources import Resources
from flowtuple.errors import InvalidArgument

INPUT, TRAINING, RESOURCES = "Input", "Training", "Resources"  # panels of --help
_LEAST_MEMORY = 256 * 10**6

Inputs = Annotated[
    list[str], argument("FILE[:TREE]...", "Inputs; several, or a glob, are one data set.")
]
Originals = Annotated[
    list[str], argument("ORIGINAL...", "The input or inputs it was made from.")
]
Compressed = Annotated[str, argument("IN.ftup", "A flowtuple file or URL.")]
Tolerances = Annotated[
    list[str],
    option(
        "--tolerance -t GLOB=BOUND",
        f"{FORMS}, and {CUT_FORM} to keep sides of T; the last match wins; a bound alone is for "
        "all.",
        (),
    ),
]
BoundsFile = Annotated[
    str | None,
    option("--bounds NAME", "A preset of flowtuple presets, or a TOML file; -t wins."),
]
Columns = Annotated[
    list[str],
    option("--columns GLOB", "Take only these columns, and their counters.", (), INPUT),
]
Exclude = Annotated[
    list[str], option("--exclude GLOB", "Leave these columns out.", (), INPUT)
]
DROP = option("--drop", "Leave out what cannot be carried instead of refusing.", False)
Drop = Annotated[bool, DROP]
Effort = Annotated[
    str,
    option(
        "--effort", "fast, default or best: training time for bytes.", "default", TRAINING
    ),
]
GivenColumns = Annotated[
    list[str],
    option(
        "--given GLOB",
        "External columns: only their hash is stored, readers supply them.",
        (),
    ),
]
ModelFile = Annotated[
    Path | None, option("--model M.flow", "The model that the file refers to.")
]
CheckpointFolder = Annotated[
    Path | None,
    option(
        "--checkpoint DIR",
        "Store finished parts of the training; run again to resume.",
        None,
        RESOURCES,
    ),
]
Seed = Annotated[int, option("--seed", "Same input, options and seed: same file.", 0)]
Json = Annotated[bool, option("--json", "Print JSON.", False)]
Workers = Annotated[
    int | None,
    option("--workers", "Threads; default: one per core.", None, RESOURCES, min=1),
]
Weight = Annotated[str | None, option("--weight COL", "Column of event weights.")]
Match = Annotated[
    list[str],
    option(
        "--match COL[=COLLECTION]",
        "Index column that matches each object to its generated partner.",
        (),
    ),
]
Output = Annotated[
    Path, option("--output -o OUT", "OUT.root, .parquet, .h5, .npz or .csv[.gz].", ...)
]
CompressedOutput = Annotated[
    Path, option("--output -o OUT.ftup", "The file to write.", ...)
]
ModelOutput = Annotated[Path, option("--output -o M.flow", "The model to write.", ...)]
GivenFile = Annotated[
    list[str], option("--given FILE", "Events with the external columns of the file.", ())
]
PageFolder = Annotated[
    Path, option("--output -o DIR", "The folder for report.html.", ...)
]


def split(text: str) -> tuple[str, ...]:
    """Return words between commas.

    Example:
        >>> split("a, b"), split("")
        (('a', 'b'), ())
    """
    return tuple(word.strip() for word in text.split(",")) if text else ()


def _names(
    names: str = option(
        "--names A,B,...", "Column names for inputs that have none.", "", INPUT
    ),
) -> tuple[str, ...] | None:
    return split(names) or None


Names = Annotated[tuple[str, ...] | None, From(_names)]


def read_memory(
    memory: str = option(
        "--memory SIZE", "Limit, such as 500MB or 4GB; at least 256MB.", "2GB", RESOURCES
    ),
) -> int:
    """Return the bytes of a size such as `2GB`."""
    number = memory.strip().upper().removesuffix("B")
    scale = {"M": 10**6, "G": 10**9}.get(number[-1:], 0)
    try:
        size = int(float(number[:-1]) * scale)
    except (ValueError, OverflowError):
        size = 0
    if size < _LEAST_MEMORY:
        raise InvalidArgument(
            f"--memory {memory!r} is no size from 256MB on, such as 2GB"
        )
    return size


Memory = Annotated[int, From(read_memory)]


def _limits(checkpoint: CheckpointFolder, workers: Workers, memory: Memory) -> Resources:
    return Resources(workers, memory, checkpoint=checkpoint)


Limits = Annotated[Resources, From(_limits)]


def _selection(
    *,
    columns: Columns,
    exclude: Exclude,
    role: list[str] = option(
        "--role GLOB=ROLE", "value, angle, id, weight, label or reference.", (), INPUT
    ),
    names: Names,
    drop: Drop,
) -> api.Selection:
    roles = read_pairs(role, "--role", "GLOB=ROLE", "'*_hash=id'")
    return api.Selection(tuple(columns), tuple(exclude), roles, names, drop)


Selection = Annotated[api.Selection, From(_selection)]


Preset = Annotated[
    str | None,
    option(
        "--preset",
        "Known columns: higgs, jets4, jets24, nanoaod-jets; flashsim-jets, -muons.",
        None,
        INPUT,
    ),
]


Available = Annotated[
    bool,
    option(
        "--available",
        "Leave out columns of the preset whose branches the input lacks.",
        False,
        INPUT,
    ),
]


def _with_preset(
    selection: Selection,
    preset: Preset,
) -> api.Selection:
    """Return the selected part of an input; options win over the preset."""
    if preset is None:
        return selection
    base = api.preset(preset)
    return replace(
        selection,
        columns=selection.columns or base.columns,
        exclude=(*base.exclude, *selection.exclude),
        roles={**(base.roles or {}), **(selection.roles or {})},
        names=selection.names or base.names,
    )


PresetSelection = Annotated[api.Selection, From(_with_preset)]


def read_pairs(
    texts: Sequence[str], option: str, form: str, example: str
) -> dict[str, str]:
    """Return the text right of the last equals sign by the text left of it."""
    pairs: dict[str, str] = {}
    for text in texts:
        left, equals, right = (part.strip() for part in text.rpartition("="))
        if not equals or not left:
            raise InvalidArgument(
                f"{option} {text!r} is not of the form {form}; write for example {example}"
            )
        pairs.pop(left, None)  # the last one is to come last
        pairs[left] = right
    return pairs


def read_sizes(text: str, option: str) -> tuple[int, ...]:
    """Return whole numbers between commas."""
    try:
        return tuple(int(word) for word in split(text))
    except ValueError:
        raise InvalidArgument(
            f"{option} {text!r} is not whole numbers between commas, such as 64,64"
        ) from None


def read_bound(text: str, where: str) -> Bound:
    """Return a bound; an error names where its text stands."""
    try:
        return Bound.parse(text)
    except InvalidArgument as error:
        raise InvalidArgument(f"{where}: {error}") from None


def read_tolerance(tolerance: Tolerances, bounds: BoundsFile) -> Mapping[str, Bound]:
    """Return bounds by glob: those of the TOML file first, then those of the command line."""
    merged: dict[str, Bound] = {}
    form = ("--tolerance", "GLOB=BOUND", "'Jet_*=rel:1e-3'")
    for text in tolerance:
        is_bound = text.replace(",", ":").partition(":")[0] in KINDS
        pairs = {"*": text} if is_bound else read_pairs([text], *form)
        for pattern, bound in pairs.items():
            merged.pop(pattern, None)  # the last match wins, so that it has to come last
            merged[pattern] = read_bound(bound, f"--tolerance {text!r}")
    if not bounds:
        return merged
    from flowtuple.data.bounds_presets import named_bounds  # the other commands need none

    return named_bounds(bounds) | merged


Tolerance = Annotated[Mapping[str, Bound], From(read_tolerance)]


def explicit_options(context: typer.Context) -> dict[str, str]:
    """Return the options that the command line names, by the names of their parameters."""
    options = {
        str(o.name): o.opts[0]
        for o in context.command.params
        if o.param_type_name == "option"
    }
    sources = {name: context.get_parameter_source(name) for name in options}
    named = [name for name, s in sources.items() if s and s.name == "COMMANDLINE"]
    return {name: options[name] for name in named}
