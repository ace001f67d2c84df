"""Every codec measured on the same events at the same bounds, each run in a fresh process.

`run.run` takes a data set, bounds and names of codecs. It writes the columns of numbers once, then
starts for each codec and bound one process that encodes and one that decodes (`child`), so that
neither inherits memory or caches from another, and returns a `result.Bench` with a row for each:
bytes, errors, seconds, rates and peak memory. `pages` writes it as JSON, Markdown and a drawing.

- `registry`: codecs by name, and which are installed.
- `codecs`: the codecs of other tools. `flowtuple_codec`: flowtuple itself, its training included.
- `published`: learned methods of others, which promise no bound; they need PyTorch and are
  measured only where they are named. Their files are an input format of their own.
- `inputs`, `memory`, `machine`: what the processes share, and on what they ran.

In: a data set and text. Out: plain numbers. `api` and the scripts of `bench/` may import the
package.

Laws, with the tests that hold them: every codec keeps its promise on every kind of column and
bound, and every byte that decoding needs counts (`tests/benchmark/test_benchmark.py`); a codec
without a bound is never called the smallest (`test_published_codecs.py`); files of published
methods decode to the same bits on the same machine, and damage is named (`test_published.py`); a
codec that fails is a row with its message, and does not stop the others.
"""
