"""Simulation of reconstructed events from generated ones, step by step, with learned densities.

Data in: to learn, events of both levels as a `TableSource` (`training_tables`); to simulate,
generated events alone (`SimulatedTable`). Data out: training tables of conditions and columns to
draw, which `training` or `flows` turn into densities; then a table of simulated events, made while
it is read.

Where a jet's p_T is predicted from its generated jet:

1. `build_spec` pairs `Jet_pt` with `GenJet_pt` of the partner that `Jet_genJetIdx` points to, as a
   `Response` of kind "ratio" (`response.py`). `fit_spec` adds what only events decide: the
   threshold that the ratio is counted from, and cells of equal resolution.
2. `steps.py` is the program, `making.py` its part that makes the objects of a collection: the step
   "Jet found" (how many jets a generated jet has), then "Jet response", in which the ratio stands,
   by falling p_T of the generated jets, then "Jet extra axes" for jets without a partner, and at
   last "Jet properties".
3. `conditions.py` lists what the density of that step may read of events and partners, `made.py`
   what it may read of the objects made before.
4. A density draws the ratio (`sampler.py`), and `Response.inverse` turns it into the jet's p_T.

Other questions: `spec.py` is all of a simulation but its densities, stored in the model as JSON;
`shares.py` relates columns of an object to each other, `counting.py` draws them so that they obey;
`flag_rules.py` explains flags of events by their objects; `spacing.py` and `fit_draws.py` decide
how near objects come to each other; `recoil.py` and `blend.py` are missing p_T; `neighbours.py` is
Delta R; `training_targets.py` is the inverse of the program; `out_of_range.py` looks for generated
values that the training never met.

Imported by `api` alone. Imports `data`, `runtime`, `lattice`, `model` and `comparison`, no PyTorch.

Laws, and the tests in tests/simulation that enforce them:

- The program loses nothing: run on the true draws, it gives the events back
  (`test_the_steps_lose_nothing`, `test_columns_bound_to_bound_columns_come_back`).
- The same seed gives the same bits, in any range of events, by any number of threads
  (`test_same_seed_same_bits`, `test_any_range_is_the_same`).
- Reading simulated events changes nothing (`test_reading_changes_no_count`).
- The first of several folds of an event is that of simulating it once
  (`test_folds_begin_with_the_events_simulated_once`).
- Shares of any draws are parts that add up (`test_shares_add_up_whatever_they_are`), and that are
  zero exactly where their counts are (`test_shares_never_contradict_counts`).
- A flag with a rule is that rule in every event
  (`test_models_say_their_rules_and_events_obey_them`),
  and no rule is contradicted in training (`test_rules_that_break_later_are_dropped_and_counted`).
- A place that distances refuse is drawn again, alike in any block
  (`test_draws_too_near_are_drawn_again_in_any_block`).
- Specs of earlier versions are made as they were
  (`test_specs_of_earlier_versions_make_objects_at_once`).
"""
