"""Each use of events, models and files as one function."""

from flowtuple.closure.result import Closure
from flowtuple.workflow.checking import report, verify
from flowtuple.workflow.comparing import compare
from flowtuple.workflow.compressing import Compressed, compress
from flowtuple.workflow.generating import Model, load, sample, score, separation, write
from flowtuple.workflow.measuring import bench, demo
from flowtuple.workflow.presets import preset
from flowtuple.workflow.reading import Decompressed, decompress
from flowtuple.workflow.recompressing import Recompressed, recompress
from flowtuple.workflow.reference import decode_rows, encode_rows, sample_rows
from flowtuple.workflow.reference_report import report_rows
from flowtuple.workflow.request import EVERYTHING, Selection
from flowtuple.workflow.simulating import simulate
from flowtuple.workflow.snapping import snap
from flowtuple.workflow.training import train

__all__ = [
    "EVERYTHING",
    "Closure",
    "Compressed",
    "Decompressed",
    "Model",
    "Recompressed",
    "Selection",
    "bench",
    "compare",
    "compress",
    "decode_rows",
    "decompress",
    "demo",
    "encode_rows",
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
    "verify",
    "write",
]
