"""Comparisons of samples, and of originals with decoded values.

Data in: tables and rows of `data`, never files. Data out: frozen dataclasses of numbers with
`to_json`; plots and pages are made of these by `reporting`, options and files by `api`.

- `fidelity` measures how decoded values differ from their originals, chunk by chunk.
- `verification` is the bound of a value that was compressed several times (`Promise`).
- `momentum_shifts` is what bounds on momenta do to masses, measured on a sample.
- `two_sample` tests whether two samples have the same distribution.
- `closure` compares a simulation with the truth, given generated objects.
- `limits` compares limits on a signal with generated and with simulated background.
- `folds` is the histogram of events that were simulated several times.

Imported by `simulation` (the name of the column `fold`), `reporting`, `benchmark`, `api`, `batch`
and `cli`. It imports `data` and `runtime`, no codec and no model: a comparison knows nothing of
how its samples were made. scipy, scikit-learn and pyhf are imported when a test needs them.

Laws, and the tests that enforce them:

- Merging the fidelity of chunks gives that of the whole (tests/reporting/test_report.py).
- A chain of bounds is never narrower than what its stages can do (tests/cli/test_world.py).
- The shift of a mass is that of the decoded values (tests/comparison/test_momentum_shifts.py).
- Identical folds have the uncertainties of one (tests/comparison/test_folds.py).
- p-values are uniform and figures unbiased (tests/comparison/test_two_sample.py, test_closure.py).
"""
