"""Many files, each a task of its own: in this process, or on a cluster of Dask.

A `Task` is an input and the path of its output. A `Job` is a frozen dataclass that is called with a
task: `Compress`, `Decompress`, `Verify`, `Simulate`, `Sample`, `Examine` and `Score` call the
functions of `api` with one thread, and return facts to report. `run` does a job for each task
that is not yet done, in this process or on a cluster, and notes the outcome of each in a manifest
next to the outputs. `compare_histograms` compares two samples of many files by sums that add up
over files, so no value travels to this process.

- `tasks`: tasks from paths, URLs and globs, and from ranges of events.
- `jobs`: the jobs, and the keys under which the manifest knows them.
- `run`, `manifest`: the loop over tasks, here or on a cluster, and its record.
- `histograms`: sums over files, and the comparison of two samples by them.

Inputs and outputs are files; `cli` alone imports this package. Dask is an extra (`dask`), which is
imported only if a cluster is requested.

Laws, which tests/batch/test_batch.py holds:

- Outputs do not depend on where tasks run: a cluster writes the bytes that one process writes.
- A second run does only tasks that are missing, failed, or whose input, model or options changed.
- A file that fails is named, with its reason, and does not stop the others.
- No output replaces an input, no two tasks have one output, no two processes do one job in a
  folder.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
