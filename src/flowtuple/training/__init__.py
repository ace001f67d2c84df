"""Training of lattice flows, and the sections of the files that they go into.

In: tables of events with the bounds that a user requests. Out: for each table a `ResolvedTable`
with lattices and a trained `LatticeFlow`, and its sections in a file.

The steps, each a module:

1. `lattices` resolves bounds to lattices in one pass, or takes both from a model; `shared_grids`
   gives copies one grid; `preset_bounds` chooses the bounds of a preset by the values.
2. `fit` reads events to learn from. `relations` finds columns that are functions of others, with
   `kinematics` for relations by name, `regression` for sums, `partitions` for parts of an energy,
   and `sample` for encoded tables.
3. `plan` chooses bins and parents, with `selection` for the information that parents tell and
   the cost of reading them, and `event_features` for what may be read of the event so far.
4. `train` and `conditioners` train the networks of each collection with PyTorch and make them
   integer; `checkpoint` stores finished parts; `linear_basis` speeds the training up.
5. `trees` corrects the networks of models of whole events by a few cuts each. `choose` takes the
   shortest code of each column, or the likeliest.
6. `rules` finds what no training event violates, and `rates` what is rarer than it is drawn.
7. `write_events` encodes the chunks and writes the file.

Used by `reporting`, `benchmark` and `api`. Only `train`, `conditioners` and `linear_basis` import
PyTorch, and `fit` imports them only if there is something to train.

Laws, and the tests in `tests/training` that check them:

- equal seeds give equal bytes, whatever the number of threads (`test_training.py`);
- the integer network costs almost nothing over the float network (`test_training.py`);
- a training that continues from a checkpoint ends with the same model, and a damaged part is
  trained again (`test_checkpoint.py`);
- relations are found where they exist and nowhere else (`test_relations.py`);
- a preset changes no value of a file that is rounded as it says (`test_preset_bounds.py`);
- a shared grid is never wider than the requested bound (`test_shared_grids.py`).
"""
