"""Parts without events: atomic files, threads, progress, optional packages, compiled functions.

- `atomic`: a context manager that gives a temporary path and renames the file at the end, and
  folders that go again after a failure.
- `threads`: an ordered map over chunks, serial or in threads, with few results waiting.
- `torch_threads`: the number of PyTorch's own threads for the time of a block.
- `progress`: the callback by which long work reports a stage, its share done, and a detail.
- `extras`: import of packages that an extra of flowtuple installs.
- `old_names`: keywords of the last release, which work once more with a note of the new name.
- `notebook`: results as one line in a terminal and as a small table in a notebook.
- `compiled`: functions that numba compiles, with their machine code on disk where that is possible.

Data in and out: paths, functions and names. No array, table or file format is known here.

Modules of rank 2 and above may import this package; it imports `errors` alone.

Laws, and the tests that hold them:

- A write that fails, or a signal, leaves no temporary file, and a file of before as it was
  (`tests/cli/test_world.py`: `TestSignals`, `TestFullDisk`).
- A new file has the permissions and, where that is allowed, the owner of the one that it replaces;
  nobody else can read it while it is written (`tests/cli/test_world.py`: `TestReplacing`).
- A signal does not wait for the threads of the ordered map (`tests/cli/test_world.py`).
- A missing package is one line that names the extra to install (`tests/io/test_formats.py`,
  `tests/test_import_weight.py`).
- Without a folder for machine code, compiled functions work all the same
  (`tests/runtime/test_compiled.py`).
"""
