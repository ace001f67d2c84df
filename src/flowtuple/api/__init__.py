"""Each use of events, models and files as one function.

What goes in: a `Source` (path, URL, glob, list of paths, awkward array, dict of arrays or
DataFrame), a flowtuple file or a model, and options. What comes out: a file, a page in a folder,
an awkward array, or a frozen result with its figures.

A name of an argument means the same in every function:

- `source` is an input; where there are two, their names say which: `original` of a file,
  `reference` and `other` of a comparison, `real` for its scale. `path` is an existing file,
  `output` the file to write, `folder` a folder for pages; `PATH:TREE` chooses one of several
  tables.
- `selection` takes part of an input, `tolerance` bounds its columns, `given` names external
  columns or conditions, `weight` a column of weights, `model` a trained model.
- `resources` says what the work may use: threads, memory, progress, a checkpoint folder. No result
  depends on it.
- `seed` decides everything random: the same input, options and seed give the same result.
- Rarer settings are in an options class: `ComparisonOptions`, `ClosureOptions`,
  `LimitOptions`, `SimulationOptions`, `WriteOptions`.

Laws, with the tests that check them:

- An output appears whole or not at all, and a bad request leaves nothing behind
  (`tests/cli/test_cli.py`).
- The file does not depend on `workers`, and every value keeps its bound (`tests/api/test_api.py`).
- `snap` gives the values that `decompress` gives (`tests/api/test_snap.py`).
- Errors name arguments in backquotes, such as `given=`; `cli` shows options instead
  (`tests/cli/test_spellings.py`).
- Keywords of the last release give the same files, with a note (`tests/api/test_old_names.py`).

Modules are named by what their functions do: `compressing`, `reading`, `training`, ... `batch` and
`cli` import this package; users import `flowtuple`, which has its public names.
"""

from flowtuple.api.checking import Verified, report, verify
from flowtuple.api.comparing import ClosureOptions, ComparisonOptions, closure, compare
from flowtuple.api.compressing import Compressed, Recompressed, compress, recompress, snap
from flowtuple.api.generating import Model, load, sample, write
from flowtuple.api.inputs import EVERYTHING, Selection, Weighted, preset
from flowtuple.api.limiting import limits
from flowtuple.api.measuring import bench, demo, inspect
from flowtuple.api.presets import PresetRows, prepared_for, preset_rows
from flowtuple.api.reading import Decompressed, decompress
from flowtuple.api.reference import decode_rows, encode_rows, report_rows, sample_rows
from flowtuple.api.scoring import reliability, score, separation
from flowtuple.api.simulating import SimulationOptions, simulate, train_simulation
from flowtuple.api.training import train, train_flow
from flowtuple.comparison.closure.result import Closure
from flowtuple.comparison.limits.options import LimitOptions
from flowtuple.comparison.limits.result import Limits

__all__ = [
    "EVERYTHING",
    "Closure",
    "ClosureOptions",
    "ComparisonOptions",
    "Compressed",
    "Decompressed",
    "LimitOptions",
    "Limits",
    "Model",
    "PresetRows",
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
