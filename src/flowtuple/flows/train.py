"""`train_rows`: preprocessing fitted, a flow built and trained, a model returned."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import xxhash

from flowtuple.data.rows import Conditions, Rows
from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument, nearest
from flowtuple.flows.bijection import Bijection
from flowtuple.flows.blocks import SampledRows
from flowtuple.flows.fit import Fitted, Report, fit
from flowtuple.flows.model import Given, RowModel
from flowtuple.flows.options import RowFlow
from flowtuple.flows.registry import build
from flowtuple.flows.rng import RngStream, draw
from flowtuple.flows.validation import ROWS, Validation
from flowtuple.transforms import Chain
from flowtuple.transforms.discrete import FEW

MANY = "dequantise,gauss-rank"  # of whole numbers
REAL = "gauss-rank"
CONDITION = (
    "gauss-rank,clip:-5:5"  # what lies far outside of what was learned from reads as its edge
)


def train_rows(
    rows: Rows,
    asked: RowFlow,
    seed: int,
    report: Report,
    checkpoint: Path | None = None,
    like: RowModel | None = None,
) -> tuple[RowModel, Fitted]:
    """Fit a flow to rows; of several processes that torchrun started each gets the same.

    Args:
        rows: Finite, with the types of their columns, perhaps with conditions; weights may be negative where their sum is not.
        asked: Kind and size of the flow, training, preprocessing.
        seed: The same rows, options and seed give the same model on one machine.
        report: Told of each epoch.
        checkpoint: A folder for the state of the training, from which an interrupted one goes on.
        like: A model whose columns and preprocessing this one takes over.

    Raises:
        InvalidArgument: Too few rows, a transform that does not fit its column, weights that sum to nothing.
    """
    weight = np.ones(len(rows)) if rows.weights is None else rows.weights
    if not weight.sum() > 0:
        raise InvalidArgument(
            f"{rows.source}: the weights sum to {weight.sum():g}; a density needs more than 0"
        )
    if like is None:
        chains, given = _fitted(rows, asked.transforms)
    else:
        rows = _like(rows, like, asked)
        chains, given = like.chains, like.given

    def spread(numbers: Array, u: Array) -> Array:
        return np.stack(
            [c.forward(rows.values[:, k][numbers], u[:, k]) for k, c in enumerate(chains)], axis=1
        )

    flow = build(asked.kind, len(rows.columns), asked.shape, seed, len(given.columns))
    context = (
        None
        if rows.conditions is None
        else given.forward(rows.conditions.values).astype(np.float32)
    )
    shape, identity = (len(rows), len(rows.columns)), _identity(rows, (*chains, *given.chains))
    sample = SampledRows(spread, shape, rows.event, weight / weight.mean(), context, identity)
    model = RowModel(
        rows.columns, rows.dtypes, rows.counter, chains, asked.kind, asked.shape, flow, given=given
    )
    log = Path(asked.log) if asked.log else None
    watch = _validation(rows, model, sample, asked.training.held_out, seed)
    fitted = fit(flow, sample, asked.training, seed, report, checkpoint, log, watch, asked.device)
    about = {
        "training": asdict(asked.training),
        "seed": seed,
        "rows": len(rows),
        "best_epoch": fitted.best_epoch,
        "history": [[_short(number) for number in row] for row in fitted.history],
        "watched": [
            [epoch, {name: _short(number) for name, number in found.items()}]
            for epoch, found in fitted.watched
        ],
    }
    return replace(model, flow=flow.double(), about=about), fitted


def _short(number: float) -> float:
    return float(f"{number:.6g}")


def _identity(rows: Rows, chains: Sequence[Chain]) -> str:
    """Stands for the rows and their preprocessing."""
    digest = xxhash.xxh3_64(json.dumps([chain.config() for chain in chains]).encode())
    for column in (*rows.values.T, *(() if rows.conditions is None else rows.conditions.values.T)):
        digest.update(np.ascontiguousarray(column).data)
    return str(digest.hexdigest())


def _validation(
    rows: Rows, model: RowModel, sample: SampledRows, share: float, seed: int
) -> Validation | None:
    """What a flow draws beside rows held out, some of them where there are many; `None` where they count for nothing."""
    held = np.flatnonzero(sample.held_out(share, seed))
    chosen = np.sort(draw(seed, RngStream.VALIDATION).permutation(held)[:ROWS])
    if not sample.weight[chosen].sum() > 0:
        return None
    given = None if rows.conditions is None else rows.conditions.values[chosen].astype(np.float64)

    def drawn(flow: Bijection) -> Array:
        copy = build(model.kind, len(model.columns), model.shape, seed, len(model.given.columns))
        copy.load_state_dict(flow.state_dict())
        return replace(model, flow=copy.double()).draw(seed, 0, len(chosen), given)

    return Validation(
        rows.columns, rows.values[chosen].astype(np.float64), sample.weight[chosen], drawn, given
    )


def _like(rows: Rows, model: RowModel, asked: RowFlow) -> Rows:
    """The rows with a model's columns; those of a mapped file stay there where these are all of them."""
    if asked.transforms:
        raise InvalidArgument("--like takes over the transforms of a model; leave out --transform")
    for name in model.columns:
        if name not in rows.columns:
            raise InvalidArgument(
                f"{rows.source}: lacks column {name!r} of the model; {nearest(name, rows.columns)}"
            )
    given = () if rows.conditions is None else rows.conditions.columns
    if set(given) != set(model.given.columns):
        told = ", ".join(model.given.columns) or "nothing"
        raise InvalidArgument(
            f"{rows.source}: the model of --like is given {told}; name the same with --given"
        )
    conditions = None if rows.conditions is None else rows.conditions.only(model.given.columns)
    return replace(
        rows if rows.columns == model.columns else rows.only(model.columns), conditions=conditions
    )


def _fitted(rows: Rows, asked: Mapping[str, str]) -> tuple[tuple[Chain, ...], Given]:
    """Preprocessing of columns and of conditions, the last match winning."""
    found = rows.conditions or Conditions((), np.empty((len(rows), 0)), ())
    names = (*rows.columns, *found.columns)
    recipes = [MANY if _many(rows, k) else REAL for k in range(len(rows.columns))] + [
        CONDITION
    ] * len(found.columns)
    for pattern, recipe in asked.items():
        hits = [k for k, name in enumerate(names) if fnmatchcase(name, pattern)]
        if not hits:
            raise InvalidArgument(
                f"{rows.source}: no column of these rows matches {pattern!r} of --transform"
            )
        for k in hits:
            recipes[k] = recipe
    values = (*rows.values.T, *found.values.T)
    chains = [_chain(rows.source, *what) for what in zip(names, values, recipes, strict=True)]
    learned = len(rows.columns)
    return tuple(chains[:learned]), Given(found.columns, found.dtypes, tuple(chains[learned:]))


def _many(rows: Rows, k: int) -> bool:
    """Whether a column is of whole numbers, of which there are many."""
    return np.dtype(rows.dtypes[k]).kind in "iu" and len(np.unique(rows.values[:, k])) > FEW


def _chain(source: str, column: str, values: Array, recipe: str) -> Chain:
    try:
        return Chain.fit(recipe, values)
    except InvalidArgument as error:
        raise InvalidArgument(f"{source}: column {column!r}: {error}") from None
