"""Events as rows of numbers: what their objects are together, and what they are to one another.

Data in: a `data.table.Dataset`. Data out: `event_sample.EventSample`, one row an event with a
column for each number, the objects of each collection with their events, and how often known
relations of columns are broken.

- `objects` holds the objects of a collection in the order of p_T, with their momenta.
- `features` makes the numbers of events from objects: leading ones, sums, pairs.
- `relations` finds what columns are to one another in one sample, and counts objects of another
  that break it.
- `event_sample` reads events and objects from a data set.

Imported by `comparison.two_sample` and `api`. Needs NumPy, and scipy (extra 'compare') for
relations.

Laws, and the tests in tests/comparison/test_events.py that enforce them:

- Numbers of events equal those of a slow reference, object by object (`TestFeatures`).
- Relations are those that were put in, and none in independent columns (`TestRelations` in
  test_local.py).
"""
