"""The referee's work: which tests can be made, their statistics, p-values and one verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from flowtuple.comparison.two_sample import classifier, kernels, moments, one_column, sliced
from flowtuple.comparison.two_sample.p_values import (
    MOST,
    PermutationPValues,
    draw_permutations,
    holm,
    permutations_for,
)
from flowtuple.comparison.two_sample.permutations import Family, PreparedTest, Test
from flowtuple.comparison.two_sample.pooled import Pooled, pool
from flowtuple.comparison.two_sample.result import Comparison, Outcome, SampleSize
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument, nearest
from flowtuple.runtime.progress import Progress, silent

FAMILIES: tuple[Family, ...] = (
    one_column.FAMILY,
    sliced.FAMILY,
    kernels.FAMILY,
    moments.FAMILY,
    *classifier.FAMILIES,
)
TESTS: dict[str, Test] = {test.name: test for family in FAMILIES for test in family.tests}
LEAST_EVENTS = 20
_LEAST_WEIGHT = 5.0  # the sum of mixed weights, in units of its own standard deviation


def compare_samples(
    reference: Rows,
    other: Rows,
    *,
    tests: Sequence[str] = (),
    level: float = 0.01,
    permutations: int | None = None,
    weights: str | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Comparison:
    """Test whether two samples are of one kind.

    Args:
        reference: One sample.
        other: Another with the same columns.
        tests: Names out of `TESTS`; none means all.
        level: Of the verdict.
        permutations: Arrangements to draw; `None` for as many as the number of tests asks for, at most 20,000.
        weights: What the rows' weights are called.
        seed: Of everything random.
        progress: Told of each stage.

    Raises:
        InvalidArgument: A test is not known, columns differ, a sample is too small or its weights add up to nothing.
        MissingExtra: The extra 'compare' is not installed.

    Example:
        >>> draw = np.random.default_rng(1)
        >>> def rows(values):
        ...     return Rows("toy", ("x",), values[:, None], np.arange(len(values)), len(values))
        >>> found = compare_samples(rows(draw.normal(0, 1, 300)), rows(draw.normal(1, 1, 300)), tests=["ks", "w1"])
        >>> found.differ, found.permutations
        (True, 200)
    """
    if permutations is not None and permutations < 1:
        raise InvalidArgument(f"{permutations} permutations give no p-value; ask for 1 or more")
    other = other.like(reference)
    for sample in (reference, other):
        _check_sample(sample)
    negative = any(
        s.weights is not None and bool((s.weights < 0).any()) for s in (reference, other)
    )
    fewer = min(len(reference), len(other))
    wanted, refused = _choose(tests, negative, fewer)
    constant = _constant(reference, other)
    kept = [name for name in reference.columns if name not in constant]
    if not kept:
        raise InvalidArgument(
            f"{reference.source}: every column holds one value, the same in {other.source}; nothing to compare"
        )
    pooled = pool(reference.only(kept), other.only(kept), seed)
    prepared = _prepare(pooled, wanted, seed, progress)
    keys = [key for family in prepared for key in family.keys]
    count = min(MOST, permutations_for(len(keys), level)) if permutations is None else permutations
    found, p = _p_values(pooled, prepared, count, seed, progress)
    return Comparison(
        SampleSize.of(reference),
        SampleSize.of(other),
        columns=tuple(kept),
        constant=constant,
        weights=weights,
        level=level,
        permutations=count,
        seed=seed,
        outcomes=(*_outcomes(prepared, found, p, level), *refused),
        notes=_notes(len(keys), count, level),
    )


def _check_sample(sample: Rows) -> None:
    if sample.events < LEAST_EVENTS or len(sample) < LEAST_EVENTS:
        counts = f"{sample.events} events with {len(sample)} rows" + (
            f" ({sample.dropped} dropped)" if sample.dropped else ""
        )
        raise InvalidArgument(
            f"{sample.source}: has {counts}; a comparison needs {LEAST_EVENTS} of both in each sample"
        )
    if sample.weights is None:
        return
    total, spread = float(sample.weights.sum()), float(np.sqrt(np.square(sample.weights).sum()))
    if total <= (_LEAST_WEIGHT * spread if (sample.weights < 0).any() else 0.0):
        raise InvalidArgument(
            f"{sample.source}: the weights sum to {total:g} +- {spread:g}, too near zero to normalise by"
        )


def _choose(names: Sequence[str], negative: bool, rows: int) -> tuple[list[str], list[Outcome]]:
    """The tests that can be made, and a line for each one that cannot."""
    for name in names:
        if name not in TESTS:
            raise InvalidArgument(f"there is no test {name!r}; {nearest(name, TESTS)}")
    wanted, refused = [], []
    for name, test in TESTS.items():
        if names and name not in names:
            continue
        if negative and not test.negative:
            refused.append(Outcome(name, note="not defined for negative weights"))
        elif rows < test.least:
            refused.append(
                Outcome(name, note=f"needs {test.least} rows in each sample, there are {rows}")
            )
        else:
            wanted.append(name)
    if not wanted:
        raise InvalidArgument(
            "no test can be made: " + "; ".join(f"{o.test} {o.note}" for o in refused)
        )
    return wanted, refused


def _constant(reference: Rows, other: Rows) -> tuple[str, ...]:
    low = np.minimum(reference.values.min(axis=0), other.values.min(axis=0))
    high = np.maximum(reference.values.max(axis=0), other.values.max(axis=0))
    return tuple(name for name, same in zip(reference.columns, low == high, strict=True) if same)


def _prepare(
    pooled: Pooled, wanted: Sequence[str], seed: int, progress: Progress
) -> list[PreparedTest]:
    prepared = []
    for family in FAMILIES:
        names = [test.name for test in family.tests if test.name in wanted]
        if names:
            prepared.append(family.prepare(pooled, names, seed, progress))
    return prepared


def _p_values(
    pooled: Pooled, prepared: Sequence[PreparedTest], count: int, seed: int, progress: Progress
) -> tuple[Array, Array]:
    """Every statistic of the samples as they are, and its p-value."""
    ranking: PermutationPValues | None = None
    done = 0
    for labels in draw_permutations(pooled, count, seed):
        with np.errstate(
            divide="ignore", invalid="ignore"
        ):  # an arrangement may leave a sample without weight
            statistics = np.concatenate([family.statistics(labels) for family in prepared])
        if ranking is None:
            ranking, statistics = PermutationPValues(statistics[:, 0]), statistics[:, 1:]
        ranking.add(statistics)
        done += labels.other.shape[1]
        progress("compare", done / (count + 1), f"{done} of {count + 1} arrangements")
    if ranking is None:
        raise InvalidArgument("there is nothing to permute; ask for 1 permutation or more")
    return ranking.found, ranking.p_values(seed)


def _outcomes(
    prepared: Sequence[PreparedTest], found: Array, p: Array, level: float
) -> list[Outcome]:
    adjusted = holm(p)
    keys = [(*key, family.details.get(key[0], {})) for family in prepared for key in family.keys]
    outcomes = [
        Outcome(
            test,
            column,
            float(found[k]),
            float(p[k]),
            float(adjusted[k]),
            bool(adjusted[k] < level),
            details=details,
        )
        for k, (test, column, details) in enumerate(keys)
    ]
    return [
        replace(o, statistic=None)
        if o.statistic is not None and not np.isfinite(o.statistic)
        else o
        for o in outcomes
    ]


def _notes(tests: int, count: int, level: float) -> tuple[str, ...]:
    smallest = tests / (count + 1)
    if smallest < level:
        return ()
    more = permutations_for(tests, level)
    message = (
        f"{count} permutations of {tests} tests give an adjusted p of {smallest:.3g} at the smallest, which cannot reject at "
        f"{level:g}: draw {more} with --permutations, or name fewer --tests or --columns"
    )
    return (message,)
