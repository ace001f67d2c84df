"""Simulation of reconstructed events from generated ones, step by step, with learned densities.

Data in: to learn, events of both levels as a `TableSource` (`training_tables`); to simulate,
generated events alone (`SimulatedTable`). Data out: training tables of conditions and columns to
draw, which `training` or `flows` turn into densities; then a table of simulated events, made while
it is read.

Where a jet's p_T is predicted from its generated jet:

1. `build_spec` pairs `Jet_pt` with `GenJet_pt` of the partner that `Jet_genJetIdx` points to, as a
   `Response` of kind "ratio" (`response.py`). `fit_spec` adds what only events decide: the
   threshold that the ratio is counted from, and cells of equal resolution.
2. `steps.py` is the program. `matched_objects` draws the step "Jet found" (how many jets a
   generated jet has), then "Jet response", in which the ratio stands, then "Jet properties".
3. `conditions.py` lists what the density of that step may read: `partner_conditions`.
4. A density draws the ratio (`sampler.py`), and `Response.inverse` turns it into the jet's p_T.

Other questions: `spec.py` is all of a simulation but its densities, stored in the model as JSON;
`shares.py` relates columns of an object to each other; `recoil.py` is missing p_T; `neighbours.py`
is Delta R; `training_targets.py` is the inverse of the program; `out_of_range.py` looks for
generated values that the training never met.

Imported by `api` alone. Imports `data`, `runtime`, `lattice`, `model` and `comparison`, no PyTorch.

Laws, and the tests in tests/simulation that enforce them:

- The program loses nothing: run on the true draws, it gives the events back
  (`test_the_steps_lose_nothing`, `test_columns_bound_to_bound_columns_come_back`).
- The same seed gives the same bits, in any range of events, by any number of threads
  (`test_same_seed_same_bits`, `test_any_range_is_the_same`).
- Reading simulated events changes nothing (`test_reading_changes_no_count`).
- The first of several folds of an event is that of simulating it once
  (`test_folds_begin_with_the_events_simulated_once`).
- Shares of any draws are parts that add up (`test_shares_add_up_whatever_they_are`).
"""
