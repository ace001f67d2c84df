"""Closure of a simulation: reconstructed objects against the truth, given the generated ones.

Data in: data sets with reconstructed objects, a column that points to their generated partners,
and the generated columns; the same layout for the reference, the simulated sample and real events.
Data out: `result.Closure`, figures with uncertainties, and one verdict. Nothing here draws plots
or writes files.

- `layout` chooses the columns from the reference's schema, `samples` reads them.
- `axes` are the binnings, `bootstrap` the figures of a bin with their uncertainties, and `curves`
  the figures of two samples: efficiency, objects without a partner, median and width of the
  response.
- `verdicts` runs all of this for two pairs of samples: simulated and reference, real and real. The
  second is the best that a simulation can reach. Columns are compared one by one, and all of them
  together by `two_sample.ratio`.

Imported by `api` and `cli`. Plots are drawn by `reporting` from its JSON.

Laws, and the tests in tests/comparison/test_closure.py that enforce them:

- Known efficiencies and responses come out within their errors, wrong ones are flagged
  (`test_what_is_known_comes_out`, `test_what_is_wrong_is_flagged`).
- 4.6 % of the bins of equal samples lie beyond 2 sigma (`test_two_sigma_is_two_sigma`).
- Rows of one event move together in the bootstrap (`test_rows_of_one_event_move_together`).
- K identical folds of an event give the figures and errors of one
  (`test_identical_folds_give_the_figures_of_one`, `test_distances_and_cuts_count_events_once`).
"""
