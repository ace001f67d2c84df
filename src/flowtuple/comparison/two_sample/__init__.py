"""Two-sample tests: do two samples have the same distribution.

Data in: two `data.rows.Rows` with the same columns, rows of one event marked by its number, weights
optional. Data out: `result.Comparison`, one verdict with statistics, p-values and notes. Nothing
here reads files or draws plots.

- `compare_samples` chooses the tests that are possible; `adjusting` adjusts p-values for the number
  of columns by the largest statistic, and for that of tests by Holm's method.
- The tests of one function (in `distributions`, `kernels`, `moments`, `classifier`) prepare both
  samples once, and then compute their statistics for many permutations of the labels at a time
  (`permutations.PreparedTest`). `permutations` draws them: whole events, so that objects of one
  event stay together.
- `relations` and `local` say what betrays a sample: relations that it breaks, and regions, which
  `regions` chooses by one half of the events and the other half judges.
- `ratio` and `auc` score each row by classifiers that were trained on other events.
- `copies` looks for rows that a model has learned by heart.

Imported by `comparison.closure`, `benchmark`, `api` and `cli`. scikit-learn and scipy
are imported when a test runs, and are the extra 'compare'.

Laws, and the tests in tests/comparison/test_two_sample.py and test_local.py that enforce them:

- p-values are uniform if both samples have the same distribution (`TestCalibration`), also where
  rows share a nearest neighbour (`TestCopies`), and 95 % intervals cover (`test_intervals_cover`).
- Statistics equal those of scipy, POT and scikit-learn (`TestAgainstReferences`).
- All permutations are equally likely, and events move whole (`TestPermuting`).
- The seed decides everything (`test_the_seed_decides`), whatever the number of threads
  (`test_the_seed_decides_whatever_the_threads`).
"""
