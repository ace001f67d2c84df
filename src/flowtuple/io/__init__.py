"""File formats behind a registry: files become data sets, and data sets become files.

The way in is `source.open_dataset`: a path, URL, glob or list of paths, or arrays in memory, become
a `Dataset` of tables. The way out is `source.write_dataset`: a `Dataset` becomes one file in the
format that its suffix names. `formats` knows the formats: ROOT, Parquet, HDF5, npz and text are
built in, and other packages add theirs as entry points (docs/formats.md). A format's module is
imported only when a file needs it.

Data in and out: a `TableSource` reads ranges of events of some columns. Values have the types of
the file: flat arrays for numbers, one after another for lists with a counter, awkward arrays for
other types. Opening reads metadata, and values only where the schema depends on them; npz and text
are read whole. `Dataset.storage` has notes, as JSON, by which a writer of the same format makes the
layout of the input again: records, matrices, comments, types of fields.

Modules of rank 4 and above may import this package; it imports `data`, `runtime` and `errors`.

Laws, and the tests that hold them:

- Every type and shape that a format can hold reads back bit for bit (`tests/io/test_formats.py`,
  `test_root.py`, `test_root_writing.py`).
- What a format cannot hold is refused with its name and reason, or left out and listed; nothing is
  lost without a word (`test_formats.py`, `test_left_out.py`).
- Layouts of files of other origin come back, or the change is one sentence
  (`test_format_edges.py`).
- Equal data makes equal files, in every format but ROOT, which stores times and ids
  (`test_formats.py`).
- Nothing in a file is run: no pickle is opened (`test_formats.py`).
- An output appears whole or not at all, on a full disk too (`tests/cli/test_world.py`).
- Damage, a server that fails and a broken package of a format are one line each
  (`test_formats.py`, `test_root_reading.py`, `test_format_plugins.py`).
- A server that is busy or silent is asked three times, each for 30 seconds without a byte at most;
  one that tells no size or ignores ranges works or is named (`test_patience.py`).
- Several files of one schema read as one table (`test_formats.py`).
"""
