"""The comparison of two samples: the tests that are possible, their p-values, and one verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from flowtuple.comparison.two_sample import (
    classifier,
    distributions,
    kernels,
    local,
    moments,
    relations,
)
from flowtuple.comparison.two_sample.adjusting import PValues, adjusted_p_values
from flowtuple.comparison.two_sample.divergences import ALPHA
from flowtuple.comparison.two_sample.permutations import (
    MOST,
    Permutations,
    Prepare,
    PreparedTest,
    Test,
    permutations_for,
    permuted_statistics,
)
from flowtuple.comparison.two_sample.pooled import EventParts, Pooled, pool, with_objects
from flowtuple.comparison.two_sample.result import (
    Comparison,
    Outcome,
    Picture,
    SampleSize,
)
from flowtuple.data.event_weights import check_sum
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.errors import InvalidArgument, nearest
from flowtuple.runtime.progress import Progress, silent

TESTS = (
    distributions.TESTS
    | kernels.TESTS
    | moments.TESTS
    | classifier.TESTS
    | relations.TESTS
    | local.TESTS
)
_EMPTY = {
    relations.NAME: "no relation holds in the half of the reference that is searched",
    local.NAME: "a half of the events has too few rows to choose regions by",
}
LEAST_EVENTS = 20
_LEAST_WORTH = (
    25.0  # events of weight 1, so that a sum is 5 of its own standard deviations
)


def compare_samples(
    reference: Rows,
    other: Rows,
    *,
    tests: Sequence[str] = (),
    level: float = 0.01,
    permutations: int | None = None,
    weights: str | None = None,
    seed: int = 0,
    parts: tuple[EventParts, EventParts] = (EventParts(), EventParts()),
    progress: Progress = silent,
) -> Comparison:
    """Test whether two samples have the same distribution.

    Args:
        reference: One sample.
        other: Another with the same columns.
        tests: Names out of `TESTS`, or `alpha:A` with a number A, such as `alpha:0.5`; none means
            all of `TESTS`.
        level: Level of the verdict.
        permutations: Random permutations; `None` for as many as the number of tests requires, at
            most 20,000.
        weights: Name of the rows' weights, for the result.
        seed: Seed of all random choices.
        parts: Where the rows are events, the objects of the events of both samples.
        progress: Receives each stage.

    Raises:
        InvalidArgument: A test is not known, columns differ, a sample is too small, or the sum of
            its weights is too near to zero.
        MissingExtra: The extra 'compare' is not installed.

    Example:
        >>> draw = np.random.default_rng(1)
        >>> def rows(mean):
        ...     return Rows("toy", ("x",), draw.normal(mean, 1, (300, 1)), np.arange(300), 300)
        >>> result = compare_samples(rows(0), rows(1), tests=["ks", "w1"])
        >>> result.differ, result.permutations
        (True, 200)
    """
    if permutations is not None and permutations < 1:
        raise InvalidArgument(
            f"{permutations} permutations give no p-value; ask for 1 or more"
        )
    other = other.like(reference)
    negative = [_check_sample(sample, weights) for sample in (reference, other)]
    wanted, refused = _choose(tests, any(negative), min(len(reference), len(other)))
    constant = _constant(reference, other)
    columns = tuple(name for name in reference.columns if name not in constant)
    if not columns:
        raise InvalidArgument(
            f"{reference.source}: every column holds one value, the same in {other.source}; "
            "nothing to compare"
        )
    pooled = pool(reference.only(columns), other.only(columns), seed)
    pooled = with_objects(pooled, *parts)
    if pooled.objects or relations.NAME in wanted:
        progress("compare", 0.0, "looking for relations")
        pooled = relations.with_relations(pooled)
    # One thread: sums in another order would make the result depend on the number of cores.
    with classifier.threads(1):
        prepared = _prepare(pooled, wanted, seed, progress)
        keys = [key for family in prepared for key in family.keys]
        number = len({test for test, _ in keys})
        count = permutations or min(MOST, permutations_for(number, level))

        def statistics(labels: Permutations) -> Array:
            return np.concatenate([family.statistics(labels) for family in prepared])

        empty = [f for f in prepared if not f.columns]
        refused += [Outcome(n, note=_EMPTY[n]) for f in empty for n in f.details]
        if not keys:
            raise InvalidArgument(
                "no test can be made: "
                + "; ".join(f"{o.test}: {o.note}" for o in refused)
            )
        values = permuted_statistics(pooled, statistics, count, seed, progress)
    judged = adjusted_p_values(values, [test for test, _ in keys], seed)
    result = Comparison(
        SampleSize.of(reference),
        SampleSize.of(other),
        columns=columns,
        constant=constant,
        weights=weights,
        level=level,
        permutations=count,
        seed=seed,
        outcomes=(*_outcomes(prepared, judged, level), *refused),
        notes=_notes(number, count, level),
    )
    return replace(result, picture=_picture(result, prepared, pooled))


def _picture(
    result: Comparison, prepared: Sequence[PreparedTest], pooled: Pooled
) -> Picture | None:
    """Return the histograms of the relation or the region that betrays the other sample most."""
    for outcome in result.betrayals[:1]:
        for family in prepared:
            if outcome.test in family.details and outcome.column in family.pictures:
                label, values, event = family.pictures[outcome.column]()
                weight = pooled.by_event(pooled.weight)[event]
                return Picture.of(label, values, weight, pooled.other[event])
    return None


def _check_sample(sample: Rows, column: str | None) -> bool:
    """Return whether a sample has negative weights.

    Raises:
        InvalidArgument: It is too small, or the sum of its weights is too near to zero.
    """
    if sample.events < LEAST_EVENTS or len(sample) < LEAST_EVENTS:
        dropped = f" ({sample.dropped} dropped)" if sample.dropped else ""
        raise InvalidArgument(
            f"{sample.source}: has {sample.events} events with {len(sample)} rows{dropped}; "
            f"a comparison needs {LEAST_EVENTS} of both in each sample"
        )
    if sample.weights is None:
        return False
    check_sum(sample.weights, sample.source, column or "weights", _LEAST_WORTH)
    return bool((sample.weights < 0).any())


def _choose(
    names: Sequence[str], negative: bool, rows: int
) -> tuple[dict[str, Test], list[Outcome]]:
    """Return the tests that are possible, and a line for each one that is not."""
    wanted: dict[str, Test] = {}
    refused: list[Outcome] = []
    for name, test in _named(names).items():
        if negative and not test.negative:
            refused.append(Outcome(name, note="not defined for negative weights"))
        elif rows < test.least:
            note = f"needs {test.least} rows in each sample, there are {rows}"
            refused.append(Outcome(name, note=note))
        else:
            wanted[name] = test
    if not wanted:
        raise InvalidArgument(
            "no test can be made: " + "; ".join(f"{o.test} {o.note}" for o in refused)
        )
    return wanted, refused


def _named(names: Sequence[str]) -> dict[str, Test]:
    """Return the tests of some names, in the order of all; of none all that take no number."""
    known = dict(TESTS)
    wanted = set()
    for name in names:
        key = name
        if name.partition(":")[0] == ALPHA:
            key, known[key] = distributions.alpha_test(name)
        elif name not in TESTS:
            choice = nearest(name, [*TESTS, f"{ALPHA}:0.5"])
            raise InvalidArgument(f"there is no test {name!r}; {choice}")
        wanted.add(key)
    return {name: test for name, test in known.items() if not names or name in wanted}


def _constant(reference: Rows, other: Rows) -> tuple[str, ...]:
    """Return the columns that hold the same single value in both samples."""
    low = np.minimum(reference.values.min(axis=0), other.values.min(axis=0))
    high = np.maximum(reference.values.max(axis=0), other.values.max(axis=0))
    return tuple(
        name for name, same in zip(reference.columns, low == high, strict=True) if same
    )


def _prepare(
    pooled: Pooled, wanted: Mapping[str, Test], seed: int, progress: Progress
) -> list[PreparedTest]:
    """Prepare tests that share their work together."""
    families: dict[Prepare, list[str]] = {}
    for name, test in wanted.items():
        families.setdefault(test.prepare, []).append(name)
    return [prepare(pooled, names, seed, progress) for prepare, names in families.items()]


def _outcomes(
    prepared: Sequence[PreparedTest], judged: PValues, level: float
) -> list[Outcome]:
    keys = [
        (test, column, {**family.details[test], **family.of_column.get(column, {})})
        for family in prepared
        for test, column in family.keys
    ]
    return [
        Outcome(
            test,
            column,
            _finite(judged.statistic[k]),
            float(judged.p[k]),
            float(judged.adjusted[k]),
            bool(judged.adjusted[k] < level),
            _finite(judged.deviations[k]),
            details=details,
        )
        for k, (test, column, details) in enumerate(keys)
    ]


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _notes(tests: int, count: int, level: float) -> tuple[str, ...]:
    smallest = tests / (count + 1)
    if smallest < level:
        return ()
    message = (
        f"{count} permutations of {tests} tests give an adjusted p of {smallest:.3g} "
        f"at the smallest, which cannot reject at {level:g}: draw {permutations_for(tests, level)} "
        "with `permutations=`, or name fewer `tests=` or `columns=`"
    )
    return (message,)
