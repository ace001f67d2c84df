"""Parts without events: atomic files, threads, progress, optional packages, compiled functions.

- `atomic`: a context manager that gives a temporary path and renames the file at the end, and folders
  that go again after a failure.
- `threads`: an ordered map over chunks, serial or in threads, with few results waiting.
- `progress`: the callback by which long work reports a stage, its share done, and a detail.
- `extras`: import of packages that an extra of flowtuple installs.
- `compiled`: functions that numba compiles, with their machine code on disk where that is possible.

Data in and out: paths, functions and names. No array, table or file format is known here.

Modules of rank 2 and above may import this package; it imports `errors` alone.

Laws, and the tests that hold them:

- A file has its final name only when all of it is on disk; on an error, or when the process is killed,
  the file of before stays (`tests/cli/test_world.py`).
- A new file has the owner and the permissions of the one that it replaces (`tests/cli/test_world.py`).
- Results of the ordered map come in the order of the items, and the first error ends it
  (`tests/cli/test_world.py`).
- A missing package is one line that names the extra to install (`tests/io/test_formats.py`,
  `tests/test_import_weight.py`).
- Without a folder for machine code, compiled functions work all the same
  (`tests/runtime/test_compiled.py`).
"""
