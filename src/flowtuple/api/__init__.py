"""Each use of events, models and files as one function."""

from flowtuple.api.checking import Verified, report, verify
from flowtuple.api.closing import ClosureOptions, closure
from flowtuple.api.comparing import ComparisonOptions, compare
from flowtuple.api.compressing import Compressed, compress
from flowtuple.api.generating import Model, load, sample, score, separation, write
from flowtuple.api.inputs import EVERYTHING, Selection, Weighted
from flowtuple.api.inspecting import inspect
from flowtuple.api.measuring import bench, demo
from flowtuple.api.presets import preset
from flowtuple.api.reading import Decompressed, decompress
from flowtuple.api.recompressing import Recompressed, recompress
from flowtuple.api.reference import decode_rows, encode_rows, sample_rows
from flowtuple.api.reference_report import report_rows
from flowtuple.api.simulating import simulate
from flowtuple.api.snapping import snap
from flowtuple.api.training import train
from flowtuple.api.training_flow import train_flow
from flowtuple.api.training_simulation import SimulationOptions, train_simulation
from flowtuple.comparison.closure.result import Closure

__all__ = [
    "EVERYTHING",
    "Closure",
    "ClosureOptions",
    "ComparisonOptions",
    "Compressed",
    "Decompressed",
    "Model",
    "Recompressed",
    "Selection",
    "SimulationOptions",
    "Verified",
    "Weighted",
    "bench",
    "closure",
    "compare",
    "compress",
    "decode_rows",
    "decompress",
    "demo",
    "encode_rows",
    "inspect",
    "load",
    "preset",
    "recompress",
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
