"""Analyses: what must survive compression, read from TOML, and quantities evaluated on events.

Data in: the text of an analysis, and a `data.table.Table`. Data out: an `Analysis`, and the values
of its quantities.

- `demands` reads an analysis: quantities, resolutions and cuts with what each may move.
- `evaluation` evaluates expressions over columns, collections and their objects.

Imported by `advice` and `api`. Laws, and the tests in tests/advice/test_advice.py that check them:

- A fault of an analysis is one line that names file, table, key and the nearest valid name.
- Masses, sums and distances equal those of a slow reference.
"""
