"""Advice on bounds: the widest ones at which an analysis survives, measured on other events.

Data in: an `analysis.demands.Analysis` and a data set. Data out: an `Advice` with bounds by column
and a check of each demand.

- `checks` measures what moved values do to quantities and cuts.
- `allocation` spends the allowed shifts where a bit of a column costs least.
- `choosing` allocates, snaps, measures and tightens, and confirms on other events.

Imported by `api`. Laws, and the tests in tests/advice/test_advice.py that check them:

- An allocation for one demand is the closed form of reverse water-filling.
- Chosen bounds keep each demand on the events that they were chosen with.
"""
