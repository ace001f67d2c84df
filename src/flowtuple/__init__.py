"""Learned compression of high-energy-physics ntuples, with a bound on every value.

Example:
    >>> import pathlib, tempfile
    >>> import flowtuple as ft
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "events.ftup"
    >>> result = ft.compress({"Jet_pt": [[50.1, 20.2], []]}, path, tolerance={"*": "rel:1e-3"})
    >>> [round(pt, 1) for pt in ft.decompress(path)["Jet_pt"][0].tolist()]
    [50.1, 20.2]
"""

__version__ = "0.1.0"

from flowtuple.api import (
    Closure,
    ClosureOptions,
    ComparisonOptions,
    Compressed,
    Decompressed,
    Model,
    Recompressed,
    Selection,
    SimulationOptions,
    Verified,
    Weighted,
    bench,
    closure,
    compare,
    compress,
    decompress,
    inspect,
    load,
    preset,
    recompress,
    report,
    sample,
    score,
    separation,
    simulate,
    snap,
    train,
    train_flow,
    train_simulation,
    verify,
)
from flowtuple.benchmark.result import Bench
from flowtuple.comparison.folds import FoldHistogram, fold_histogram
from flowtuple.comparison.two_sample.result import Comparison
from flowtuple.data.bounds import Bound
from flowtuple.data.resources import Resources
from flowtuple.data.table import LeftOut
from flowtuple.errors import (
    BoundViolated,
    Corrupt,
    FlowtupleError,
    InvalidArgument,
    MissingExtra,
    ProcessLost,
    Refused,
    TooLarge,
    TooNew,
    Truncated,
    Unsupported,
)
from flowtuple.file.damage import Damage
from flowtuple.file.file import File
from flowtuple.file.file import File as open  # noqa: A004 (read as ft.open)
from flowtuple.file.merge import merge
from flowtuple.file.recover import Recovered, recover
from flowtuple.flows.options import RowFlow, Shape, Training
from flowtuple.flows.presets import FlowPreset, flow_preset
from flowtuple.io.source import WriteOptions
from flowtuple.reporting.describe import info

__all__ = [
    "Bench",
    "Bound",
    "BoundViolated",
    "Closure",
    "ClosureOptions",
    "Comparison",
    "ComparisonOptions",
    "Compressed",
    "Corrupt",
    "Damage",
    "Decompressed",
    "File",
    "FlowPreset",
    "FlowtupleError",
    "FoldHistogram",
    "InvalidArgument",
    "LeftOut",
    "MissingExtra",
    "Model",
    "ProcessLost",
    "Recompressed",
    "Recovered",
    "Refused",
    "Resources",
    "RowFlow",
    "Selection",
    "Shape",
    "SimulationOptions",
    "TooLarge",
    "TooNew",
    "Training",
    "Truncated",
    "Unsupported",
    "Verified",
    "Weighted",
    "WriteOptions",
    "__version__",
    "bench",
    "closure",
    "compare",
    "compress",
    "decompress",
    "flow_preset",
    "fold_histogram",
    "info",
    "inspect",
    "load",
    "merge",
    "open",
    "preset",
    "recompress",
    "recover",
    "report",
    "sample",
    "score",
    "separation",
    "simulate",
    "snap",
    "train",
    "train_flow",
    "train_simulation",
    "verify",
]


def __dir__() -> list[str]:
    """List the public names alone."""
    return __all__
