"""Other codecs for the same columns at the same bounds, behind one protocol.

A codec writes tables of events into one file and reads them back. `table_codec.TableCodec` is the
protocol: its name, its promise, the package that it needs, and four methods. Most codecs compress
each column alone; `ColumnCodec` makes one of those from a name and two functions, compress(values,
bound) and decompress(bytes, dtype, bound). `listing.CODECS` is the table of all.

- `raw`: bytes under gzip, LZMA, Zstandard, Blosc2; pcodec; rounded mantissas under LZMA.
- `grids`: indices on the grid of a bound under LZMA and pcodec. quantise+pcodec is the codec that
  every result is compared with.
- `absolute`: SZ3 and ZFP, which bound the absolute error of finite floats, made to keep any bound.
- `root_lzma`: a ROOT file, every byte of which counts.
- `exceptions`: values that a method cannot keep within their bound, stored exactly.

A decoder gets everything about a table but its values for free (`TableLayout`), which favours
codecs without a header.

Laws, which `tests/benchmark/test_benchmark.py` checks for every codec and kind of bound: a
`lossless` codec returns every bit, a `bounded` one every float within its bound and everything
else exactly, NaN and infinities included; and tables without events come back. On two samples,
where an independent definition of quantise+pcodec is there, it takes at most half a percent more
bytes than that, and under `std` at most half a percent fewer.
"""
