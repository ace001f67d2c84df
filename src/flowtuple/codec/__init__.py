"""Indices to bytes and back: frequencies, the entropy coder, packings, columns and whole chunks.

A chunk is a range of consecutive events of one table. Each of its columns is stored by the smallest
of several methods: by the flow and the entropy coder, as one constant, as packed indices or values,
in a frame shared with other small columns, as the buffers of an opaque array, or, for an external
column, as a hash. `encode_chunk` decodes what it wrote and checks every value before it returns.

In: a `Table` and a `TableCoding` (schema, lattices, flow). Out: bytes, in the layout of
docs/format.md, and the table again. `decode_columns` reads only the bytes of the columns that it
needs.

Modules: `varint`, `packing` (methods without a model), `frequencies`, `coder` (the entropy coder),
`column` (one column), `directory` (positions and checksums of columns), `chunk` (all columns).
`file`, `model`, `training`, `baseline` and all above may import them.

Laws, and the tests that hold them:

- Every value decodes within its bound, or nothing is written: `tests/codec/test_codec.py`.
- Decoding repeats the integers of encoding exactly, and calls no libm function:
  `tests/lattice/test_exactness.py`, `tests/lattice/test_network.py`.
- Damaged bytes raise `Corrupt` and nothing else: `tests/file/test_hostile.py`.
- Some columns cost only their blocks: `tests/codec/test_blocks.py`.
- A second reader, written from the format page, decodes the same: `tests/file/test_two_readers.py`.
"""
