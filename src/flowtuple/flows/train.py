"""Training of a flow over rows: fit the preprocessing, build the flow, train it, return a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import xxhash

from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument
from flowtuple.flows.bijection import Bijection
from flowtuple.flows.blocks import SampledRows
from flowtuple.flows.fit import Fitted, Report, fit
from flowtuple.flows.model import ContextColumns, RowModel
from flowtuple.flows.options import RowFlow
from flowtuple.flows.registry import build
from flowtuple.flows.rng import RngStream, draw
from flowtuple.flows.validation import ROWS, Validation
from flowtuple.transforms import Chain, OneHot
from flowtuple.transforms.ranks import FEW

MANY = "dequantise,gauss-rank"  # for whole numbers of many values
REAL = "gauss-rank"
CONDITION = (
    "gauss-rank,clip:-5:5"  # a condition far outside of the training reads as its edge
)
ONE_HOT = "one-hot"  # for conditions of few values, one number for each value
MOST_CODED = 64


def train_rows(
    rows: Rows,
    options: RowFlow,
    seed: int,
    report: Report,
    checkpoint: Path | None = None,
    like: RowModel | None = None,
) -> tuple[RowModel, Fitted]:
    """Fit a flow to rows. Several processes that torchrun started all get the same model.

    Args:
        rows: Finite rows with the types of their columns, perhaps with conditions. Weights may be
            negative if their sum is positive.
        options: Kind and size of the flow, training and preprocessing.
        seed: Equal rows, options and seeds give equal models on one machine.
        report: Called after each epoch.
        checkpoint: A folder for the state of the training, from which it can be resumed.
        like: A model whose columns and preprocessing this one takes over.

    Raises:
        InvalidArgument: Rows are too few, or a transform does not fit its column.
    """
    weight = rows.weight
    if like is None:
        chains, context = _preprocessing(rows, options.transforms)
    else:
        rows = _like(rows, like, options)
        chains, context = like.chains, like.context
    flow = build(options.kind, len(rows.columns), options.shape, seed, context.width)
    model = RowModel(
        rows.columns,
        rows.dtypes,
        rows.counter,
        chains,
        options.kind,
        options.shape,
        flow,
        context=context,
    )
    sample = _sample(rows, model, weight / weight.mean())
    training = options.training
    watch = _validation(rows, model, sample, training.held_out, seed)
    log = Path(options.log) if options.log else None
    fitted = fit(
        flow, sample, training, seed, report, checkpoint, log, watch, options.device
    )
    about = {"training": asdict(training), "seed": seed, "rows": len(rows)} | _history(
        fitted
    )
    return replace(model, flow=flow.double(), about=about), fitted


def _sample(rows: Rows, model: RowModel, weight: Array) -> SampledRows:
    """Return rows as training reads them."""

    def spread(numbers: Array, u: Array) -> Array:
        columns = [
            chain.forward(rows.values[:, k][numbers], u[:, k])
            for k, chain in enumerate(model.chains)
        ]
        return np.stack(columns, axis=1)

    context = None
    if rows.conditions is not None:
        context = model.context.forward(rows.context).astype(np.float32)
    configs = [chain.config() for chain in (*model.chains, *model.context.chains)]
    identity = xxhash.xxh3_64(json.dumps(configs).encode())
    for column in (*rows.values.T, *rows.context.T):
        identity.update(np.ascontiguousarray(column).data)
    shape = (len(rows), len(rows.columns))
    return SampledRows(
        spread, shape, rows.event, weight, context, str(identity.hexdigest())
    )


def _history(fitted: Fitted) -> dict[str, object]:
    """Return the course of a training as JSON."""
    return {
        "best_epoch": fitted.best_epoch,
        "history": [[_short(number) for number in row] for row in fitted.history],
        "watched": [
            [epoch, {name: _short(number) for name, number in numbers.items()}]
            for epoch, numbers in fitted.watched
        ],
    }


def _short(number: float) -> float:
    return float(f"{number:.6g}")


def _validation(
    rows: Rows, model: RowModel, sample: SampledRows, share: float, seed: int
) -> Validation | None:
    """Return a comparison of drawn rows with some validation rows.

    It is `None` if the weights of the validation rows do not sum to more than 0.
    """
    validation = np.flatnonzero(sample.validation(share, seed))
    generator = draw(seed, RngStream.VALIDATION_SAMPLE)
    chosen = np.sort(generator.permutation(validation)[:ROWS])
    if not sample.weight[chosen].sum() > 0:
        return None
    context = None
    if rows.conditions is not None:
        context = rows.context[chosen].astype(np.float64)

    def drawn(flow: Bijection) -> Array:
        # A copy in float64 on the processor leaves the flow in training as it is.
        copy = deepcopy(flow).cpu().double()
        return replace(model, flow=copy).draw(seed, 0, len(chosen), context)

    true = rows.values[chosen].astype(np.float64)
    return Validation(rows.columns, true, sample.weight[chosen], drawn, context)


def _like(rows: Rows, model: RowModel, options: RowFlow) -> Rows:
    """Return the rows with the columns of a model; a mapped file with just these stays mapped."""
    if options.transforms:
        raise InvalidArgument(
            "`like=` takes over the transforms of a model; leave out `transforms=`"
        )
    if rows.columns != model.columns:
        rows = rows.only(model.columns)
    given, conditions = model.context.columns, rows.conditions
    if set(given) != set(() if conditions is None else conditions.columns):
        raise InvalidArgument(
            f"{rows.source}: the model of `like=` is given {', '.join(given) or 'nothing'}; "
            "name the same with `given=`"
        )
    return (
        rows if conditions is None else replace(rows, conditions=conditions.only(given))
    )


def _preprocessing(
    rows: Rows, transforms: Mapping[str, str]
) -> tuple[tuple[Chain, ...], ContextColumns]:
    """Fit the preprocessing of columns and conditions; the last matching glob wins."""
    count, given = len(rows.columns), rows.conditions
    names = rows.columns if given is None else rows.columns + given.columns
    recipes = [MANY if _has_many_integers(rows, k) else REAL for k in range(count)]
    recipes += [CONDITION] * (len(names) - count)
    for pattern, recipe in transforms.items():
        matching = [k for k, name in enumerate(names) if fnmatchcase(name, pattern)]
        if not matching:
            raise InvalidArgument(
                f"{rows.source}: no column of these rows matches {pattern!r} of `transforms=`"
            )
        for k in matching:
            recipes[k] = recipe
    chains = tuple(
        _chain(rows.source, *column)
        for column in zip(rows.columns, rows.values.T, recipes[:count], strict=True)
    )
    if given is None:
        return chains, ContextColumns()
    read = tuple(
        _condition(rows.source, *column)
        for column in zip(given.columns, rows.context.T, recipes[count:], strict=True)
    )
    return chains, ContextColumns(given.columns, given.dtypes, read)


def _condition(source: str, column: str, values: Array, recipe: str) -> Chain | OneHot:
    """Fit the preprocessing of a condition, which may be a one-hot code."""
    if recipe.strip() != ONE_HOT:
        return _chain(source, column, values, recipe)
    code = OneHot.fitted(values)
    if len(code.values) > MOST_CODED:
        raise InvalidArgument(
            f"{source}: column {column!r}: {len(code.values)} values are too many for one-hot; "
            f"the most are {MOST_CODED}"
        )
    return code


def _has_many_integers(rows: Rows, k: int) -> bool:
    """Return whether a column has integers of many values."""
    return (
        np.dtype(rows.dtypes[k]).kind in "iu" and len(np.unique(rows.values[:, k])) > FEW
    )


def _chain(source: str, column: str, values: Array, recipe: str) -> Chain:
    if ONE_HOT in (step.strip() for step in recipe.split(",")):
        raise InvalidArgument(
            f"{source}: column {column!r}: {ONE_HOT} is for conditions, which `given=` names, and "
            "has no other step with it; choose other transforms"
        )
    try:
        return Chain.fit(recipe, values)
    except InvalidArgument as error:
        raise InvalidArgument(f"{source}: column {column!r}: {error}") from None
