"""The command line: arguments in, workflow called, results shown; no work is done here."""

from __future__ import annotations

import json
import shlex
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from flowtuple.errors import FlowtupleError, InvalidArgument, nearest
from flowtuple.evaluate.report import format_bytes, format_number
from flowtuple.schema import Bound
from flowtuple.terminal import show_bench, show_demonstration, show_fidelity, show_info, show_inspection, shown_progress, warn

app = typer.Typer(
    help="Compress high-energy-physics ntuples with a bound on every value. ROOT in, ROOT out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Inputs = Annotated[list[str], typer.Argument(metavar="FILE[:TREE]...", help="Inputs; several, or a glob, are one data set.")]
Tolerances = Annotated[
    list[str],
    typer.Option("--tolerance", "-t", metavar="GLOB=BOUND", help="lossless, abs:E, rel:R, std:S or bits:B; last match wins."),
]
BoundsFile = Annotated[Path | None, typer.Option("--bounds", metavar="TOML", help="Bounds by glob in a table [tolerance].")]
Columns = Annotated[list[str], typer.Option("--columns", metavar="GLOB", help="Take only these columns, and their counters.")]
Exclude = Annotated[list[str], typer.Option("--exclude", metavar="GLOB", help="Leave these columns out.")]
Roles = Annotated[list[str], typer.Option("--role", metavar="GLOB=ROLE", help="value, angle, id, weight, label or reference.")]
Names = Annotated[str, typer.Option("--names", metavar="A,B,...", help="Column names for inputs that have none.")]
Drop = Annotated[bool, typer.Option("--drop", help="Leave out what cannot be carried instead of refusing.")]
EffortOption = Annotated[str, typer.Option("--effort", help="fast, default or best: training time for bytes.")]
GivenColumns = Annotated[
    list[str], typer.Option("--given", metavar="GLOB", help="Columns not to store: whoever reads supplies them.")
]
GivenFile = Annotated[
    list[str], typer.Option("--given", metavar="FILE", help="Has the columns that were given at compression.")
]
ModelFile = Annotated[Path | None, typer.Option("--model", metavar="M.flow", help="The model that the file refers to.")]
CheckpointFolder = Annotated[
    Path | None, typer.Option("--checkpoint", metavar="DIR", help="Keep finished parts of the training; run again to resume.")
]
Seed = Annotated[int, typer.Option("--seed", help="Same input, options and seed: same file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Compressed = Annotated[str, typer.Argument(metavar="IN.ftup", help="A flowtuple file or URL.")]
Originals = Annotated[list[str], typer.Argument(metavar="ORIGINAL...", help="The input or inputs it was made from.")]


def main() -> None:
    """Run the command line; an expected error is one line on standard error and exit code 2."""
    try:
        app()
    except FlowtupleError as error:
        sys.stderr.write(f"flowtuple: {error}\n")
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the files go.")] = Path("flowtuple-demo"),
    effort: EffortOption = "default",
) -> None:
    """Train, compress, decompress, verify and report on the embedded sample of jets.

    Example: flowtuple demo -o demo
    """
    from flowtuple import workflow

    with shown_progress() as progress:
        made = workflow.demo(output, effort=effort, progress=progress)
    show_demonstration(made.rows, made.totals, made.report)
    if made.violations:
        raise typer.Exit(1)


@app.command()
def inspect(
    source: Inputs,
    names: Names = "",
    gain: Annotated[bool, typer.Option("--gain", help="Predict sizes from a short training, before a long one.")] = False,
    tolerance: Tolerances = [],  # noqa: B006
    bounds: BoundsFile = None,
    as_json: Json = False,
) -> None:
    """Show columns, types, roles, ranges, special values and the lattice each column lies on; predict sizes.

    Example: flowtuple inspect nano.root:Events --gain -t '*=rel:1e-3'
    """
    from flowtuple.describe import inspect_dataset
    from flowtuple.events.source import ReadOptions, open_dataset

    asked = _read_tolerance(tolerance, bounds)
    if asked and not gain:
        raise InvalidArgument("--tolerance says nothing to inspect without --gain; add --gain or leave it out")
    dataset = open_dataset(_one_or_many(source), ReadOptions(names=_split_names(names)))
    with shown_progress() as progress:
        found = inspect_dataset(dataset, progress)
        if gain:
            from flowtuple.forecast import forecast

            found["gain"] = [table.to_json() for table in forecast(dataset, asked, progress)]
    if as_json:
        _print_json(found)
        return
    show_inspection(found)


@app.command()
def compress(
    source: Inputs,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT.ftup", help="The file to write.")],
    tolerance: Tolerances = [],  # noqa: B006 (typer reads it once)
    bounds: BoundsFile = None,
    columns: Columns = [],  # noqa: B006
    exclude: Exclude = [],  # noqa: B006
    role: Roles = [],  # noqa: B006
    names: Names = "",
    drop: Drop = False,
    effort: EffortOption = "default",
    given: GivenColumns = [],  # noqa: B006
    model: Annotated[Path | None, typer.Option("--model", metavar="M.flow", help="Use and embed this model.")] = None,
    refer: Annotated[
        bool, typer.Option("--model-ref", help="Keep only the hash of --model; readers then need it, too.")
    ] = False,
    seed: Seed = 0,
    checkpoint: CheckpointFolder = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Default: one per core.")] = None,
    as_json: Json = False,
) -> None:
    """Compress events into one self-contained file; every value keeps its bound.

    Example: flowtuple compress nano.root -o nano.ftup -t 'Jet_*=rel:1e-3' -t 'Jet_phi=abs:1e-3'
    """
    from flowtuple import workflow

    with shown_progress() as progress:
        result = workflow.compress(
            _one_or_many(source),
            output,
            tolerance=_read_tolerance(tolerance, bounds),
            selection=_selection(columns, exclude, role, names, drop),
            given=given,
            effort=effort,
            model=model,
            refer=refer,
            seed=seed,
            checkpoint=checkpoint,
            workers=threads,
            progress=progress,
        )
    for message in result.warnings:
        warn(message)
    if as_json:
        _print_json(vars(result) | {"bits_per_value": result.bits_per_value})
        return
    ratio = format_number(result.raw_bytes / result.file_bytes)
    sys.stdout.write(
        f"{result.path}: {format_bytes(result.file_bytes)} for {result.events} events, {ratio} times smaller than "
        f"{format_bytes(result.raw_bytes)} raw, {format_number(result.bits_per_value)} bits per value "
        f"(model {format_bytes(result.model_bytes)} included)\n"
    )


@app.command()
def train(
    source: Inputs,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="M.flow", help="The model to write.")],
    tolerance: Tolerances = [],  # noqa: B006
    bounds: BoundsFile = None,
    columns: Columns = [],  # noqa: B006
    exclude: Exclude = [],  # noqa: B006
    role: Roles = [],  # noqa: B006
    names: Names = "",
    drop: Drop = False,
    given: GivenColumns = [],  # noqa: B006
    effort: EffortOption = "default",
    seed: Seed = 0,
    checkpoint: CheckpointFolder = None,
) -> None:
    """Fit a model alone, to be shared across files by compress --model.

    Example: flowtuple train run1.root -o jets.flow -t 'Jet_*=rel:1e-3'
    """
    from flowtuple import workflow

    with shown_progress() as progress:
        workflow.train(
            _one_or_many(source),
            output,
            tolerance=_read_tolerance(tolerance, bounds),
            selection=_selection(columns, exclude, role, names, drop),
            given=given,
            effort=effort,
            seed=seed,
            checkpoint=checkpoint,
            progress=progress,
        )
    sys.stdout.write(f"{output}: {format_bytes(output.stat().st_size)}\n")


@app.command()
def decompress(
    path: Annotated[str, typer.Argument(metavar="IN.ftup[:TREE]", help="A flowtuple file or URL.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="OUT.root, .parquet, .h5, .npz or .csv[.gz].")],
    columns: Columns = [],  # noqa: B006
    entries: Annotated[str, typer.Option("--entries", metavar="A:B", help="Events A to B, B left out.")] = "",
    compression: Annotated[str | None, typer.Option("--compression", metavar="NAME:LEVEL", help="Of ROOT output.")] = None,
    basket: Annotated[int, typer.Option("--basket", min=1, help="Events per basket or row group.")] = 16384,
    drop: Drop = False,
    given: GivenFile = [],  # noqa: B006
    model: ModelFile = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Default: one per core.")] = None,
) -> None:
    """Write the events back as ROOT, Parquet, HDF5, npz or CSV; needs neither PyTorch nor the original.

    Example: flowtuple decompress nano.ftup -o nano.root --entries 0:1000
    """
    from flowtuple import workflow
    from flowtuple.events.source import WriteOptions

    options = WriteOptions(compression=compression, step=basket, drop=drop)
    workflow.decompress(
        path,
        output,
        columns=columns,
        entries=_read_entries(entries),
        given=_one_or_many(given) if given else None,
        model=model,
        workers=threads,
        options=options,
    )


@app.command()
def verify(original: Originals, path: Compressed, names: Names = "", model: ModelFile = None, as_json: Json = False) -> None:
    """Check every value against its bound; exit code 1 where one fails.

    Example: flowtuple verify nano.root nano.ftup
    """
    from flowtuple import workflow

    with shown_progress() as progress:
        found = workflow.verify(_one_or_many(original), path, names=_split_names(names), model=model, progress=progress)
    violations = sum(column.violations for column in found)
    if as_json:
        _print_json({"violations": violations, "columns": [column.to_json() for column in found]})
    else:
        show_fidelity(f"{path} against {', '.join(original)}", found)
    if violations:
        raise typer.Exit(1)


@app.command()
def info(path: Compressed, model: ModelFile = None, as_json: Json = False) -> None:
    """Show schema, bounds, sizes per column and section, model, checksums and provenance.

    Example: flowtuple info nano.ftup
    """
    from flowtuple.describe import info as describe

    found = describe(path, model)
    if as_json:
        _print_json(found)
        return
    show_info(found)


@app.command()
def report(
    original: Originals,
    path: Compressed,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder for report.html.")],
    names: Names = "",
    model: ModelFile = None,
) -> None:
    """Write a self-contained HTML page: bounds, sizes against rivals, histograms with ratios.

    Example: flowtuple report nano.root nano.ftup -o report
    """
    from flowtuple import workflow

    with shown_progress() as progress:
        page = workflow.report(_one_or_many(original), path, output, names=_split_names(names), model=model, progress=progress)
    sys.stdout.write(f"{page}\n")


@app.command()
def bench(
    source: Inputs,
    tolerance: Tolerances = [],  # noqa: B006
    bounds: BoundsFile = None,
    scan: Annotated[str, typer.Option("--scan", metavar="BOUND,...", help="Measure at each of these bounds for '*'.")] = "",
    columns: Columns = [],  # noqa: B006
    exclude: Exclude = [],  # noqa: B006
    role: Roles = [],  # noqa: B006
    names: Names = "",
    drop: Drop = False,
    codecs: Annotated[str | None, typer.Option("--codecs", metavar="A,B,...", help="Default: all that are installed.")] = None,
    effort: EffortOption = "default",
    threads: Annotated[int, typer.Option("--threads", min=1, help="That each codec may use.")] = 1,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="DIR", help="For the tables and a plot.")] = None,
    as_json: Json = False,
) -> None:
    """Measure size, error, speed and memory beside other codecs at the same bounds.

    Example: flowtuple bench nano.root -t '*=std:1e-3' -o bench
    """
    from flowtuple import workflow

    with shown_progress() as progress:
        found = workflow.bench(
            _one_or_many(source),
            tolerance=_read_tolerance(tolerance, bounds),
            scan=[_bound(text.strip(), f"--scan {scan!r}") for text in scan.split(",")] if scan else [],
            selection=_selection(columns, exclude, role, names, drop),
            codecs=None if codecs is None else [name.strip() for name in codecs.split(",")],
            effort=effort,
            threads=threads,
            folder=output,
            command=shlex.join(["flowtuple", *sys.argv[1:]]),
            progress=progress,
        )
    if as_json:
        _print_json(found.to_json())
        return
    show_bench(found)
    if output:
        sys.stdout.write(f"{output}\n")


def _one_or_many(source: list[str]) -> Any:
    return source[0] if len(source) == 1 else source


def _split_names(names: str) -> tuple[str, ...] | None:
    return tuple(n.strip() for n in names.split(",")) if names else None


def _selection(columns: list[str], exclude: list[str], roles: list[str], names: str, drop: bool) -> Any:
    from flowtuple.workflow import Selection

    assigned = dict(_pair(text, "--role", "GLOB=ROLE", "'*_hash=id'") for text in roles)
    return Selection(tuple(columns), tuple(exclude), assigned, _split_names(names), drop)


def _pair(text: str, option: str, form: str, example: str) -> tuple[str, str]:
    left, equals, right = (part.strip() for part in text.rpartition("="))
    if not equals or not left:
        raise InvalidArgument(f"{option} {text!r} is not of the form {form}; write for example {example}")
    return left, right


def _bound(text: str, where: str) -> Bound:
    try:
        return Bound.parse(text)
    except InvalidArgument as error:
        raise InvalidArgument(f"{where}: {error}") from None


def _read_tolerance(tolerance: list[str], bounds: Path | None) -> dict[str, Bound]:
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
        return {pattern: _bound(str(bound), f"{path}: {pattern!r}") for pattern, bound in table.items()}
    except FileNotFoundError:
        names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise InvalidArgument(f"{path}: no such file; {nearest(path.name, names)}") from None
    except OSError as error:
        raise InvalidArgument(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{path}: is not TOML ({error})") from None
    except (KeyError, AttributeError):
        raise InvalidArgument(f"{path}: has no table [tolerance] with lines such as 'Jet_*' = 'rel:1e-3'") from None


def _read_entries(text: str) -> tuple[int | None, int | None]:
    if not text:
        return None, None
    start, colon, stop = text.partition(":")
    try:
        if not colon:
            raise ValueError
        return (int(start) if start else None), (int(stop) if stop else None)
    except ValueError:
        raise InvalidArgument(f"--entries {text!r} is not of the form A:B, such as 0:1000") from None


def _print_json(content: Any) -> None:
    json.dump(content, sys.stdout, indent=1, default=str)
    sys.stdout.write("\n")
