"""Types of the public names, and where each is; `__init__.py` imports a name when it is used."""

from .advice.checks import DemandCheck
from .api.advising import Advice, advise, check_analysis
from .api.checking import Verified, report, verify
from .api.comparing import ClosureOptions, ComparisonOptions, closure, compare
from .api.compressing import Compressed, Recompressed, compress, recompress, snap
from .api.generating import Model, load, sample
from .api.inputs import Selection, Weighted, preset
from .api.limiting import limits
from .api.measuring import bench, inspect
from .api.presets import PresetRows, preset_rows
from .api.reading import Decompressed, decompress
from .api.scoring import reliability, score, separation
from .api.simulating import SimulationOptions, simulate, train_simulation
from .api.training import train, train_flow
from .benchmark.result import Bench, Measurement
from .comparison.calibration.reliability import Bin, Reliability
from .comparison.closure.result import Closure
from .comparison.folds import FoldHistogram, fold_histogram
from .comparison.limits.options import LimitOptions
from .comparison.limits.result import Limits
from .comparison.momentum_shifts import MassShift, MomentumShift
from .comparison.two_sample.auc import Area
from .comparison.two_sample.result import Comparison, Outcome
from .data.bounds import Bound
from .data.bounds_file import Bounds, read_bounds, write_bounds
from .data.bounds_presets import BoundsPreset, bounds_preset
from .data.resources import Resources
from .data.table import LeftOut
from .errors import (
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
from .file.damage import Damage
from .file.file import File, open  # noqa: A004 (read as ft.open)
from .file.merge import merge
from .file.recover import Recovered, recover
from .flows.options import RowFlow, Shape, Training
from .flows.presets import FlowPreset, flow_preset
from .io.source import WriteOptions
from .reporting.describe import info

__version__: str

__all__ = [
    "Advice",
    "Area",
    "Bench",
    "Bin",
    "Bound",
    "BoundViolated",
    "Bounds",
    "BoundsPreset",
    "Closure",
    "ClosureOptions",
    "Comparison",
    "ComparisonOptions",
    "Compressed",
    "Corrupt",
    "Damage",
    "Decompressed",
    "DemandCheck",
    "File",
    "FlowPreset",
    "FlowtupleError",
    "FoldHistogram",
    "InvalidArgument",
    "LeftOut",
    "LimitOptions",
    "Limits",
    "MassShift",
    "Measurement",
    "MissingExtra",
    "Model",
    "MomentumShift",
    "Outcome",
    "PresetRows",
    "ProcessLost",
    "Recompressed",
    "Recovered",
    "Refused",
    "Reliability",
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
    "advise",
    "bench",
    "bounds_preset",
    "check_analysis",
    "closure",
    "compare",
    "compress",
    "decompress",
    "flow_preset",
    "fold_histogram",
    "info",
    "inspect",
    "limits",
    "load",
    "merge",
    "open",
    "preset",
    "preset_rows",
    "read_bounds",
    "recompress",
    "recover",
    "reliability",
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
    "write_bounds",
]
