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

import lazy_loader

# `__init__.pyi` lists the names: a module is imported when a name of it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
