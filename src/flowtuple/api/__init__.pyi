"""Types of the functions of this package, and where each is."""

from .advising import Advice, advise, check_analysis
from .calibrations import calibration_path
from .checking import Verified, report, verify
from .comparing import ClosureOptions, ComparisonOptions, closure, compare
from .compressing import Compressed, Recompressed, compress, recompress, snap
from .generating import Model, load, sample, write
from .inputs import EVERYTHING, Selection, Weighted, preset
from .limiting import limits
from .measuring import bench, demo, inspect
from .presets import PresetRows, prepared_for, preset_rows
from .reading import Decompressed, decompress
from .reference import decode_rows, encode_rows, report_rows, sample_rows
from .scoring import reliability, score, separation
from .simulating import SimulationOptions, simulate, train_simulation
from .training import train, train_flow

__all__ = [
    "EVERYTHING",
    "Advice",
    "ClosureOptions",
    "ComparisonOptions",
    "Compressed",
    "Decompressed",
    "Model",
    "PresetRows",
    "Recompressed",
    "Selection",
    "SimulationOptions",
    "Verified",
    "Weighted",
    "advise",
    "bench",
    "calibration_path",
    "check_analysis",
    "closure",
    "compare",
    "compress",
    "decode_rows",
    "decompress",
    "demo",
    "encode_rows",
    "inspect",
    "limits",
    "load",
    "prepared_for",
    "preset",
    "preset_rows",
    "recompress",
    "reliability",
    "report",
    "report_rows",
    "sample",
    "sample_rows",
    "score",
    "separation",
    "simulate",
    "snap",
    "train",
    "train_flow",
    "train_simulation",
    "verify",
    "write",
]
