"""Commands by name: the module of each, and its line of help, known before anything is imported.

`tests/cli/test_commands.py` compares the lines with the docstrings.
"""

from __future__ import annotations

from typing import NamedTuple


class CommandEntry(NamedTuple):
    """A command.

    Attributes:
        module: Name of its module in `flowtuple.cli`.
        help: The first sentence of its docstring.
    """

    module: str
    help: str


COMMANDS = {
    "advise": CommandEntry(
        "advising",
        "Choose the widest bounds at which an analysis survives, for compress --bounds.",
    ),
    "presets": CommandEntry(
        "bounds_presets",
        "List presets of bounds, for compress --bounds NAME; with a name its bounds and "
        "sources.",
    ),
    "compress": CommandEntry(
        "coding",
        "Compress events into one self-contained file; every value keeps its bound.",
    ),
    "decompress": CommandEntry(
        "coding", "Write the events back as ROOT, Parquet, HDF5, npz or CSV."
    ),
    "recompress": CommandEntry(
        "coding",
        "Compress a file again to wider bounds; each adds to the bound that the values "
        "already have.",
    ),
    "compare": CommandEntry(
        "comparing", "Test whether two samples are of one distribution."
    ),
    "closure": CommandEntry(
        "comparing",
        "Compare real and simulated objects, given generated ones: efficiency, fakes, response.",
    ),
    "sample": CommandEntry(
        "density", "Draw whole events from a model; the same seed gives the same events."
    ),
    "simulate": CommandEntry(
        "density", "Simulate generated events; the same seed gives the same events."
    ),
    "verify": CommandEntry(
        "files",
        "Check every value against its original and bound; exit code 1 if one fails.",
    ),
    "info": CommandEntry(
        "files", "Show schema, bounds, sizes, model, checksums and provenance of a file."
    ),
    "report": CommandEntry(
        "files",
        "Write a self-contained HTML page about a file (bounds, sizes, histograms) or about "
        "a model.",
    ),
    "merge": CommandEntry(
        "files",
        "Join files that were compressed with one model, without coding anything again.",
    ),
    "recover": CommandEntry(
        "files",
        "Save the intact parts of a damaged file and list the others; exit code 1 if there "
        "are some.",
    ),
    "demo": CommandEntry(
        "inspecting",
        "Train, compress, decompress, verify and report on the embedded sample of jets.",
    ),
    "inspect": CommandEntry(
        "inspecting",
        "Show types, roles, ranges, special values and lattices of columns; predict sizes.",
    ),
    "bench": CommandEntry(
        "inspecting",
        "Measure size, error, speed and memory of codecs at the same bounds.",
    ),
    "limits": CommandEntry(
        "limiting",
        "Compare limits on a signal with generated and with simulated background, by pyhf.",
    ),
    "preset-rows": CommandEntry(
        "presets",
        "Make the columns that the flow of a preset learns, of NanoAOD or a like file.",
    ),
    "score": CommandEntry(
        "scoring",
        "Write the likelihood of each event under a model: log-density, bits, surprise.",
    ),
    "train": CommandEntry(
        "training",
        "Fit a model of events: to compress many files with, to sample, to score.",
    ),
    "train-flow": CommandEntry(
        "training",
        "Fit a flow over rows (events, or objects of one collection): to sample and to score.",
    ),
    "train-simulation": CommandEntry(
        "training", "Fit a simulation: reconstructed objects, given generated ones."
    ),
    "reference": CommandEntry(
        "reference",
        "Published methods, as they are documented: rows of floats, without a bound.",
    ),
}
