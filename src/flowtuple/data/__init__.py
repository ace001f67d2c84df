"""Tables of events: schema, bounds, selection, collections, rows.

A `Column` names a branch with its type, its role and the counter of its objects. A `Table` is a
range of events in memory: NumPy arrays by column, the objects of all events one after another,
and awkward arrays for opaque contents. A `TableSource` reads such ranges: a table itself, a file
of `io`, a compressed file, a simulator. A `Dataset` has the tables of one input by name. What
later packages do with events, they do through these interfaces, so a source of any length is read
in blocks.

- `schema`, `schema_diff`, `globs`, `bounds`: columns, their comparison, their choice, their bounds.
- `bounds_file`, `bounds_presets`: bounds by pattern as TOML, and those of experiments.
- `variations`, `four_vectors`: systematic variations and four-vectors among columns, by name.
- `table`, `awkward`, `awkward_tables`, `event_samples`: events in memory, and samples of them.
- `selection`, `collections`: views of tables, and objects of one kind.
- `rows`, `row_source`, `mapped_rows`: objects or events as rows of numbers.
- `separation`: near pairs of objects in eta and phi, and matches.
- `event_weights`, `expressions`, `kinematics`, `binning`, `memory`: weights, cuts, derived
  quantities, bins, and numbers of events that fit into memory.

Data comes in from `io` and `file`, and goes out to every package of higher rank. This package
imports `errors` and `runtime` only, knows no file format, and never reads more than its caller
asks for.

Laws, and the tests that hold them:

- Contents and schema of a table fit each other, or it is refused (tests/data/test_table.py).
- A bound holds by its own arithmetic: equal bits always hold, NaN, infinities and -0.0 only so; a
  bound's text parses back to the same bound (tests/data/test_bounds.py).
- A glob bounds floats only; integers, ids and weights are bounded by their full names only
  (tests/data/test_bounds.py).
- Bounds that are written as TOML come back in their order, and a fault is named with its line
  (tests/data/test_bounds_file.py).
- Schemas are compared by names, types and shapes; names of hidden counters do not count
  (tests/data/test_schema.py).
- Rows are the same, bit by bit, in memory and in a mapped file (tests/data/test_mapped_rows.py).
- Near pairs and matches are those of loops over all pairs (tests/data/test_separation.py).
- Derived quantities agree with the formulas written out in NumPy (tests/data/test_kinematics.py).
"""
