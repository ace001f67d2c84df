"""Limits on a signal with a generated background in place of a simulated one.

Data in: values and weights of an observable for signal, simulated background and generated
background. Data out: `result.Limits`, figures with uncertainties, and one verdict. Nothing here
draws plots or writes files.

- `observable` reads a number of each event.
- `templates` fills histograms, and counts generated events as no more than their training allows;
  `samples` holds those of the three samples.
- `profile` is the profile likelihood of binned counts in closed form, for thousands of fits.
- `histfactory` states the same likelihood as a HistFactory model of pyhf, which gives the reported
  CLs.
- `measure` runs everything: expected CLs and limits, spurious signal, coverage, bootstrap.

Imported by `api`, `reporting` and `cli`. pyhf is imported when limits are measured.

Laws, and the tests in tests/comparison/test_limits.py that enforce them:

- The closed form agrees with pyhf (`test_profile_agrees_with_pyhf`), and one bin with the counting
  experiment (`test_one_bin_is_a_counting_experiment`).
- Generated events have no smaller variance than the training (`test_training_limits_statistics`),
  and errors of the bootstrap are right (`test_errors_are_right`).
- An injected difference comes out as spurious signal (`test_injected_signal_is_spurious`), and a
  generator of the same distribution passes (`test_same_distribution_passes`).
"""
