"""Methods that others published, as they are documented, for comparison with the lattice flow.

They code rows of finite floats, of objects or events, and promise no bound: a latent codec (flow,
erf, integers), autoencoders with optional residuals, and Baler by its own package. All need
PyTorch, which is imported where rows are coded; `options`, `presets`, `filters` and `layout` work
without it.

- `options`: options of the methods. `presets`, `normalisations`, `filters`: published sets of
  variables with their preprocessing and cuts.
- `latent`, `autoencoder`: the fitted codecs, with `networks`, `erf_codes`, `numbers` (as bytes) and
  `corrections` (of what networks decode).
- `signature`: the first bytes of the file of a method. `layout`: that file, its check and
  description. `stored`: the fit of a method to rows, rows into its file and back. `tables`: that
  file as an input format.
- `accuracy`: errors of decoded rows. `methods`, `baler`: methods as codecs of a benchmark.

Laws, which `tests/benchmark/test_published*.py` check: the same rows, options and seed give the
same bytes; a file decodes with nothing else, and old files still decode; every byte is counted;
residuals bring every value within the bound, or the reader refuses.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
