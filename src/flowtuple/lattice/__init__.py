"""Values as integers, and an explicit density on them: grids, bins, network, flow, walk.

A `Lattice` maps the values of a column to int64 indices and back, within a bound that it checks
value by value. A `LatticeFlow` gives each index a probability, column after column: `Bins` turn
indices into symbols, a `Prediction` moves their origin, and a `Network` maps what the column may
read to integer logits. `walk` visits the columns in coding order; encoding, decoding, drawing and
scoring are loops over it.

In: arrays of one dtype, `Column` and `Bound` from `data`. Out: indices, levels and logits as
integer arrays. Nothing here reads or writes files.

Modules, from the small to the large: `arithmetic`, `grid`, `statistics`, `lattice` (values to
indices); `bins`, `tree`, `network`, `prediction`, `flow` (indices to logits); `rows`,
`event_features` (sums, directions and nearest objects of the event so far), `context`, `walk`
(columns to their order); `rules`, which bind drawn events alone. `codec`, `model`, `file`,
`training` and all above may import them.

Laws, and the tests that hold them:

- A value decodes within its bound, or it is an escape: `tests/lattice/test_lattice.py`.
- Logits are the same integers on every machine, for any block of rows: `test_network.py`,
  `test_exactness.py`.
- Elementary functions give the same bits in any layout, near the true value:
  `test_arithmetic.py`.
- `restore` inverts `subtract` for every index that has a residual: `test_prediction.py`.
- Every int64 has a symbol: `test_bins.py`.
- Each relation reads the object that it names: `test_context.py`.
- Features of the event have the same bits when known and when decoded object by object:
  `test_event_features.py`.
- Known values and decoded parts take the same steps on the walk: `test_walk.py`.
"""
