"""Each use of events, models and files as one function."""

from flowtuple.workflow.checking import report, verify
from flowtuple.workflow.comparing import compare
from flowtuple.workflow.compressing import Compressed, compress, train
from flowtuple.workflow.generating import sample, score
from flowtuple.workflow.measuring import bench, demo
from flowtuple.workflow.reading import decompress
from flowtuple.workflow.recompressing import Recompressed, recompress
from flowtuple.workflow.request import Selection
from flowtuple.workflow.snapping import snap

__all__ = [
    "Compressed",
    "Recompressed",
    "Selection",
    "bench",
    "compare",
    "compress",
    "decompress",
    "demo",
    "recompress",
    "report",
    "sample",
    "score",
    "snap",
    "train",
    "verify",
]
