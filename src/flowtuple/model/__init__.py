"""The model as a density: events are drawn, scored, and mapped to latent numbers and back.

The lattice flow maps each value x to u, its place in the distribution that the columns before it
predict. To sample is to draw u (`draw`, `events`), to score is to measure the width of u's
interval, and the latent table is u itself (`score`). `EventModel` offers all this for
the table of one model; `rules` refuses draws that no event of the training looks like;
`surprise` compares the bits of an event with those that the model expects.

In: a `TableCoding` (schema, lattices, flow) and a `TableSource` of events. Out: tables, made while
they are read. `api`, `simulation`, `flows`, `reporting` and all above may import this package. It
imports `codec` for frequencies, and nothing that reads or writes files.

Laws, and the tests that hold them:

- A draw depends on seed, column, event and object alone, not on blocks or threads:
  `tests/model/test_model.py`.
- Bits are those that the entropy coder takes: `test_bits_are_those_of_the_file`.
- Probabilities add up to 1: `test_probabilities_of_a_column_add_up_to_one`.
- Drawn events obey the rules of their model: `tests/model/test_rules.py`.
- Events come back from their latent table bit for bit: `tests/model/test_latent.py`.
- An event's scores and latent numbers do not depend on other events: both files.
"""
