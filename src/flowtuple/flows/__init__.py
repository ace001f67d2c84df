"""Flows over rows, on zuko: MAF, MADE, splines, RealNVP, NICE, Glow, flow matching.

A row is an event or an object of one collection. A flow learns the joint density of some columns,
perhaps under conditions, which are other columns of the same rows. It draws and scores rows; it
compresses nothing.

In: `data.rows.Rows` and a `RowFlow` with kind, size, training and preprocessing. Out: a
`RowModel`, which `pack_model` stores as one safetensors file. `RowsModel` offers it to the rest of
the package as tables.

Modules: `bijection` is the contract and `registry` the kinds, which `autoregressive`, `nice`,
`glow`, `made`, `coupling` (of `layers`) and `matching` build from parts of zuko. `train` fits the
preprocessing and calls `fit`, which takes rows from `blocks` and may run in several processes.
`train_state` stores a training between two epochs. `validation` compares drawn rows with others.
`presets` are published flows; `preset_rows` makes the rows that they learn, of branches that
`preset_sources` names, by `matched_objects`. These, `options` and `processes` need no PyTorch,
and only they are imported before a flow is in use.

Used by `benchmark`, `api` and `cli`.

Laws, and the tests in `tests/flows` that check them:

- every kind inverts itself and gives the logarithm of its Jacobian (`test_flows.py`);
- equal rows, options and seeds give equal models on one machine, whether or not the training was
  interrupted (`test_flows.py`);
- the order of batches depends on seed and epoch alone (`test_row_batches.py`), and the batches of
  several processes are parts of those of one (`test_processes.py`);
- activations and normalisations by name obey these laws, and running means are stored
  (`test_residual_layers.py`);
- row k of a seed is the same in any block (`test_flows.py`), and under conditions it follows
  them (`test_conditional.py`);
- the columns of presets are those of loops over objects (`test_preset_rows.py`).

Names of modules and buffers are keys of stored files and never change.
"""
