"""Calibration of scores: from the score of an event to the odds that it is signal.

Data in: the score of each labelled event, as the shares of columns that add up to it, and the
label. Data out: frozen dataclasses of numbers with `to_json`. Only NumPy is needed, but for
`trees`, which imports scikit-learn.

- `reliability` measures probabilities: log-loss, slope, area under the ROC curve, bins.
- `curves` are the maps from a score to log-odds: logistic and isotonic.
- `calibrate` fits and chooses a curve by the log-loss of events in folds; `stored` writes and
  checks the JSON of several.
- `trees` is the classifier that a calibrated ratio is compared with.

Laws, and the tests that check them (`tests/comparison/test_calibration.py`):

- A curve is monotone, and no odds exceed those that the number of labelled events allows.
- Probabilities that are calibrated have slope 1, and the log-loss of the truth.
- What is stored gives the same odds when it is read again, and damage is refused.
"""
