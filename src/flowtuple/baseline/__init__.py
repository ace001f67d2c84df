"""Quantised values under pcodec: the codec that every result is compared with.

The package turns values into plain numbers on the coarsest grid that a bound allows, compresses
them with pcodec at level 8, and counts the bytes. The report and the forecast of sizes use it in
this process; `benchmark/codecs/grids.py` makes a complete codec of it, with exceptions.

- `quantise`: values to numbers and back, for `abs`, `rel`, `bits` and `lossless`; a `std` bound
  has to be resolved first. `narrow` and `round_mantissa` serve other codecs, too.
- `packing`: several byte strings in one, pcodec of one flat array, and exceptions.
- `sizes`: bytes of every column of a table raw, under gzip and under quantise+pcodec.

In: tables of events in memory and bounds by column. Out: arrays, bytes, and numbers of bytes.
Packages of higher rank may import it (`reporting`, `benchmark`, `api`); it imports `codec`, `data`
and `errors`, and no PyTorch.

Laws: a value that `restore` returns lies within the bound, but for rounding to its type and for
values that no grid can represent; every simplification of `sizes` favours the codecs that
flowtuple is compared with. `tests/reporting/test_report.py` compares the grids with slow obvious
references. `tests/benchmark/test_benchmark.py` compares the bytes with an independent definition,
where that and the larger samples are there.
"""
