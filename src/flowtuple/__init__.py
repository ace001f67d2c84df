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
    Compressed,
    Decompressed,
    Model,
    Selection,
    bench,
    compare,
    compress,
    decompress,
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
    verify,
)
from flowtuple.comparison.folds import FoldHistogram, fold_histogram
from flowtuple.data.bounds import Bound
from flowtuple.data.table import LeftOut
from flowtuple.errors import (
    BoundViolated,
    Corrupt,
    FlowtupleError,
    InvalidArgument,
    MissingExtra,
    ProcessLost,
    Refused,
    TooNew,
    Truncated,
    Unsupported,
)
from flowtuple.file.file import File
from flowtuple.file.file import File as open  # noqa: A004 (read as ft.open)
from flowtuple.file.merge import merge
from flowtuple.file.recover import recover
from flowtuple.flows.options import RowFlow, Shape, Training
from flowtuple.flows.presets import FlowPreset, flow_preset
from flowtuple.reporting.describe import info

__all__ = [
    "Bound",
    "BoundViolated",
    "Closure",
    "Compressed",
    "Corrupt",
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
    "Refused",
    "RowFlow",
    "Selection",
    "Shape",
    "TooNew",
    "Training",
    "Truncated",
    "Unsupported",
    "__version__",
    "bench",
    "compare",
    "compress",
    "decompress",
    "flow_preset",
    "fold_histogram",
    "info",
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
    "verify",
]
