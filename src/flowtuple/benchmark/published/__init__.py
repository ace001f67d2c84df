"""Methods that others published, as they are documented, for comparison with the lattice flow.

They code rows of finite floats, of objects or events, and promise no bound: a latent codec (flow,
erf, integers), autoencoders with optional residuals, and Baler by its own package. All need
PyTorch, which is imported where rows are coded; `options`, `presets`, `layout`, `checking` and
`signature` work without it.

- `options`: options of the methods. `presets`, `variables`, `normalisations`, `filters`: published
  sets of variables with their preprocessing and cuts.
- `fitting`: the fit of a method to rows. `latent`, `autoencoder`: the fitted codecs (`row_codec`),
  with `networks`, `variational`, `erf_codes`, `bits`, `residuals`, `few_values`, `second_codec`.
- `stored`, `layout`: the file of a method. `tables`: that file as an input format.
- `accuracy`: errors of decoded rows. `methods`, `method_codec`, `listing`: methods in a benchmark.

Laws, which `tests/benchmark/test_published*.py` check: the same rows, options and seed give the
same bytes; a file decodes with nothing else, and old files still decode; every byte is counted;
residuals bring every value within the bound, or the reader refuses.
"""
