"""Relations: columns that are functions of others.

Proposals are copies, kinematics by name, references, angles relative to others, and sums found by
regression. A proposal is accepted only if the residuals of a sample cost fewer bits than the
indices.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from types import MappingProxyType

import numpy as np

from flowtuple.data.schema import Array, Column, reference_target
from flowtuple.data.table import Table
from flowtuple.lattice.bins import FIRST_ABSOLUTE, fit_bins
from flowtuple.lattice.context import Parent, Relation, coding_order, collection_of
from flowtuple.lattice.grid import ATOM, Decimal, Uniform
from flowtuple.lattice.lattice import Lattice, resolutions_of
from flowtuple.lattice.prediction import ABSOLUTE, FUNCTIONS, LARGEST, Prediction, Term
from flowtuple.training.curves import curves
from flowtuple.training.event_features import balances
from flowtuple.training.kinematics import kinematic_terms, value_of
from flowtuple.training.partitions import find_partitions
from flowtuple.training.regression import linear_terms
from flowtuple.training.sample import SAMPLE_ROWS, RowSample, as_floats
from flowtuple.training.selection import information

LEAST_GAIN = 0.3  # bits per value; a conditioner learns a relation of less gain as well
LEAST_GAIN_OF_ANGLES = (
    0.03  # a rotated angle still tells a conditioner all that it did before
)
LEAST_INFORMATION = 0.1  # bits that a sum has to tell beyond the best of its summands
OWN_SYMBOL_SHARE = (
    0.02  # share of rows from which on a mispredicted index has its own symbol
)
_TURN = 6.283185307179586
_PAIRS = 2**22  # compared pairs of columns at most, so that time is linear in the columns
_LEAST_REACH = 64
_BINS = 48
_FEWEST_FALLS = 500
_MOST_PAIRED = 32  # columns of a collection whose pairs are tried
_PAIRED_ROWS = 512
_FEWEST_PAIRED = 100
_MOSTLY = 0.7  # share of these rows where rounded values still tell
_CLOSE = 0.2  # a tenth of each may be noise; bits decide
_APART = 0.1

_Proposal = tuple[Column, tuple[Term, ...]]
"""A column and a sum of terms that may predict it."""


_Accepted = tuple[float, Prediction]
"""A relation of a column with its gain in bits per value."""


def find_predictions(
    table: Table,
    lattices: Mapping[str, Lattice],
    external: Set[str] = frozenset(),
    *,
    whole_events: bool = False,
) -> dict[str, Prediction]:
    """Find the relations worth using.

    Args:
        table: Events to search in; the first ones are looked at.
        lattices: Lattice by column name.
        external: Names of columns that are not coded and need no relation.
        whole_events: Propose angles relative to the direction that balances the event so far and
            curves, and predict parts of an energy by what is left of it.

    Returns:
        Predictions by column name, without circles: every column can be decoded in turn.
    """
    sample = RowSample(table, lattices)
    objects = _samples_of_objects(table, lattices) if whole_events else []
    predictions = _acyclic(
        _named_relations(sample, external, objects, whole_events=whole_events)
    )
    earlier = defaultdict[str, list[Column]](list)
    most = reach(len(sample.columns))
    resolutions = resolutions_of(lattices)
    predictions = _after_resolutions(predictions, resolutions)
    for column in decoding_order(sample.columns, predictions, external, resolutions):
        name, candidates = column.name, earlier[collection_of(column)]
        if name not in predictions and name not in external:
            prediction = _find_sum(sample, column, candidates[-most:])
            if prediction is not None:
                predictions[name] = prediction
        if name not in predictions or not predictions[name].is_copy:
            candidates.append(column)
    if whole_events:
        predictions = dict(_by_object_before(sample)) | predictions
        predictions |= {
            name: prediction
            for name, prediction in find_partitions(sample, predictions)
            if name not in external
        }
    return _after_resolutions(predictions, resolutions)


def _after_resolutions(
    predictions: dict[str, Prediction], resolutions: Mapping[str, str]
) -> dict[str, Prediction]:
    """Leave out predictions that read what is decoded only after the predicted column.

    A column comes after its resolution.
    """
    if not resolutions:
        return predictions
    reads = {name: {resolution} for name, resolution in resolutions.items()}
    usable: dict[str, Prediction] = {}
    for name, prediction in predictions.items():
        inputs = {c for p in prediction.inputs for c in p.names} - {name}
        above, more = set[str](), inputs
        while more:
            above |= more
            more = set[str]().union(*(reads.get(n, ()) for n in more)) - above
        if name not in above:
            usable[name] = prediction
            reads.setdefault(name, set()).update(inputs)
    return usable


def _samples_of_objects(table: Table, lattices: Mapping[str, Lattice]) -> list[RowSample]:
    """Return a sample of each collection, of more events where it has few objects."""
    by_key = defaultdict[str, list[str]](list)
    for column in coding_order(table.columns):
        if column.counter is not None:
            by_key[column.counter].append(column.name)
    return [
        RowSample(table.read(names, 0, table.num_entries), lattices)
        for names in by_key.values()
    ]


def reach(columns: int) -> int:
    """Return how many earlier columns each column of a table is compared with.

    Example:
        >>> reach(2000), reach(20_000)
        (2097, 209)
    """
    return max(_LEAST_REACH, _PAIRS // max(1, columns))


def decoding_order(
    columns: Sequence[Column],
    predictions: Mapping[str, Prediction],
    external: Set[str] = frozenset(),
    resolutions: Mapping[str, str] = MappingProxyType({}),
) -> list[Column]:
    """Return columns in an order in which each can be decoded.

    That is schema order with exceptions: external columns come first, references before the other
    columns of their collection, and every column after those that predict it and its resolution.
    """
    in_schema = sorted(coding_order(columns), key=lambda c: c.name not in external)
    by_name = {c.name: c for c in in_schema}
    references = References(in_schema)
    through = {reference.name for c in in_schema for reference, _ in references.of(c)}
    first = defaultdict[str, list[str]](list)
    for column in in_schema:
        if column.name in through:
            first[collection_of(column)].append(column.name)
    order: dict[str, Column] = {}

    def place(name: str) -> None:
        if name in order:
            return
        inputs = predictions[name].inputs if name in predictions else ()
        reads = (*(n for p in inputs for n in p.names), resolutions.get(name, name))
        for needed in reads:
            if needed in by_name and needed != name:
                place(needed)
        order[name] = by_name[name]

    for column in in_schema:
        for name in (*first[collection_of(column)], column.name):
            place(name)
    return coding_order(columns, tuple(order))


class References:
    """The references of a schema, each with the columns of the collection that it points to."""

    def __init__(self, columns: Sequence[Column]) -> None:
        by_stem = defaultdict[str, list[Column]](list)
        for column in columns:
            if column.counter is not None:
                by_stem[column.name.partition("_")[0].lower()].append(column)
        self._by_key = defaultdict[str, list[tuple[Column, list[Column]]]](list)
        for through in columns:
            key = collection_of(through)
            if through.role != "reference" or not key:
                continue  # event columns are decoded before any object
            stem = reference_target(through.name)
            targets = [c for c in by_stem[stem] if collection_of(c) != key]
            if targets:
                self._by_key[key].append((through, targets))

    def of(self, reader: Column) -> Iterator[tuple[Column, list[Column]]]:
        """Return the references of a column's collection but the column itself."""
        for through, targets in self._by_key[collection_of(reader)]:
            if through.name != reader.name:
                yield through, targets


def _named_relations(
    sample: RowSample,
    external: Set[str],
    objects: Sequence[RowSample],
    *,
    whole_events: bool,
) -> list[tuple[str, Prediction]]:
    """Return acceptable relations other than sums, the largest gain over all rows first.

    Args:
        sample: Events to search in.
        external: Names of columns that need no relation.
        objects: Samples of one collection each, for curves.
        whole_events: Propose what whole events take.
    """
    proposals = (
        *_copies(sample),
        *kinematic_terms(sample.columns),
        *_by_reference(sample),
        *_by_angle(sample),
        *((*_by_balance(sample), *_by_pairs(sample)) if whole_events else ()),
    )
    proposed = [(sample, *proposal) for proposal in proposals]
    if whole_events:
        proposed += [(own, *proposal) for own in objects for proposal in curves(own)]
    accepted: list[tuple[float, str, Prediction]] = []
    for rows, column, terms in proposed:
        if column.name not in external and (best := _best(rows, column, [terms])):
            gain, prediction = best
            accepted.append((gain * len(sample.q[column.name]), column.name, prediction))
    accepted.sort(key=lambda entry: -entry[0])
    return [(name, prediction) for _, name, prediction in accepted]


def _acyclic(relations: Iterable[tuple[str, Prediction]]) -> dict[str, Prediction]:
    """Take the first relation of each column that closes no circle."""
    taken: dict[str, Prediction] = {}
    ancestors: dict[str, set[str]] = {}
    # the sets of `ancestors` that contain a name
    holders = defaultdict[str, list[set[str]]](list)
    for name, prediction in relations:
        inputs = {c for p in prediction.inputs for c in p.names} - {name}
        above = inputs.union(*(ancestors.get(i, set()) for i in inputs))
        if name in taken or name in above:
            continue
        taken[name] = prediction
        ancestors[name] = above
        for other in above:
            holders[other].append(above)
        # Whatever reads this column now depends on its ancestors, too.
        for reader in list(holders[name]):
            for other in above - reader:
                holders[other].append(reader)
            reader.update(above)
    return taken


def _copies(sample: RowSample) -> Iterator[_Proposal]:
    """Propose columns of one collection with the same values as copies of the first of them."""
    first: dict[tuple[str, bytes], Column] = {}
    for column in sample.columns:
        content = as_floats(sample.context.values[column.name]).tobytes()
        original = first.setdefault((collection_of(column), content), column)
        if original is not column:
            yield column, (value_of(Parent("row", original.name)),)


def _by_reference(sample: RowSample) -> Iterator[_Proposal]:
    """Propose the quantity of a referenced object: Jet_phi from GenJet_phi by Jet_genJetIdx."""
    references = References(sample.columns)
    for column in sample.columns:
        quantity = column.name.rpartition("_")[2]
        for through, targets in references.of(column):
            for target in targets:
                if target.name.rpartition("_")[2] == quantity and column.is_float:
                    yield (
                        column,
                        (value_of(Parent("reference", target.name, through.name)),),
                    )


def _by_angle(sample: RowSample) -> Iterator[_Proposal]:
    """Propose angles relative to the first object of the event or to an earlier angle."""
    angles = [c for c in sample.columns if c.role == "angle"]
    most = reach(len(angles))
    for number, column in enumerate(angles):
        key = collection_of(column)
        if column.counter is not None:
            yield column, (value_of(Parent("leading", column.name)),)
        for other in angles[max(0, number - most) : number]:
            relations: Mapping[str, Relation] = {"": "event", key: "row"}
            relation = relations.get(collection_of(other), "leading")
            if relation != "leading" or column.counter is not None:
                parent = Parent(relation, other.name)
                yield column, (value_of(parent),)


def _by_balance(sample: RowSample) -> Iterator[_Proposal]:
    """Propose angles of objects relative to the direction that balances the event so far."""
    for number, column in enumerate(sample.columns):
        if column.role == "angle" and column.counter is not None:
            for parent in balances(column, sample.columns, sample.columns[:number]):
                yield column, (value_of(parent),)


def _by_pairs(sample: RowSample) -> Iterator[_Proposal]:
    """Propose columns as sqrt(a^2 + b^2) or a / b of two columns of their rows.

    An example is an impact parameter in space by its two components, and its significance.
    """
    by_key = defaultdict[str, list[Column]](list)
    for column in sample.columns:
        if column.is_float and collection_of(column):
            by_key[collection_of(column)].append(column)
    for columns in by_key.values():
        if len(columns) > _MOST_PAIRED:
            continue
        values = {
            c.name: as_floats(sample.context.values[c.name][:_PAIRED_ROWS])
            for c in columns
        }
        for a, b in itertools.permutations(columns, 2):
            for function in ("hypot", "quotient") if a.name < b.name else ("quotient",):
                x, y = values[a.name], values[b.name]
                for column in columns:
                    other = column not in (a, b)
                    if other and _is_made_of(values[column.name], x, y, function):
                        inputs = (Parent("row", a.name), Parent("row", b.name))
                        yield column, (Term(1.0, function, inputs),)


def _is_made_of(values: Array, x: Array, y: Array, function: str) -> bool:
    """Return whether values follow from two others, in rows where both of these matter."""
    with np.errstate(all="ignore"):
        made = FUNCTIONS[function][1](x, y)
        matter = (np.abs(made / x - 1) > _APART) & (np.abs(made / y - 1) > _APART)
        close = np.abs(made - values) <= _CLOSE * np.abs(made)
    rows = int(np.count_nonzero(matter))
    right = int(np.count_nonzero(close & matter))
    return rows >= _FEWEST_PAIRED and right > _MOSTLY * rows


def _by_object_before(sample: RowSample) -> Iterator[tuple[str, Prediction]]:
    """Yield the object before as the prediction of columns by which objects are sorted."""
    for column in sample.columns:
        if column.counter is None or not column.is_float:
            continue
        prediction = Prediction((value_of(Parent("previous", column.name)),))
        values = as_floats(sample.context.values[column.name])
        before, there = sample.values(prediction.inputs[0], column)
        falls = values[there] <= before[there]
        if len(falls) >= _FEWEST_FALLS and falls.all():
            yield column.name, prediction


def _find_sum(
    sample: RowSample, column: Column, others: Sequence[Column]
) -> Prediction | None:
    """Return a sum of other columns that saves bits, or one that tells more than its summands."""
    proposals = list(linear_terms(sample, column, others))
    if best := _best(sample, column, proposals):
        return best[1]
    if proposals and _is_informative(sample, column, proposals[0]):
        return Prediction(proposals[0])
    return None


def _best(
    sample: RowSample, column: Column, proposals: Iterable[tuple[Term, ...]]
) -> _Accepted | None:
    """Return the proposal of the largest gain in bits per value, if any gains enough."""
    q = sample.q[column.name]
    period = period_of(column, sample.lattices[column.name], q)
    least = LEAST_GAIN_OF_ANGLES if period else LEAST_GAIN
    classes = sample.classes(column)
    own_bits: float | None = None
    best: _Accepted | None = None
    for terms in proposals:
        prediction = Prediction(terms, period)
        r = residuals(q, sample.predicted(prediction, column), prediction)
        if r is None:
            continue
        if own_bits is None:
            own_bits = class_bits(q, classes)
        gain = own_bits - class_bits(r, classes)
        if gain > max(least, best[0] if best else 0.0) or (r == r[0]).all():
            best = gain, prediction
    return best


def period_of(column: Column, lattice: Lattice, q: Array) -> tuple[int, int] | None:
    """Return first index and number of indices of a full turn, for angles that fill one."""
    grid = lattice.grid
    if column.role != "angle" or not isinstance(grid, (Uniform, Decimal)):
        return None
    ordinary = q[q < ATOM]
    low, high = int(ordinary.min(initial=0)), int(ordinary.max(initial=0))
    cell = 2 * grid.half_width if isinstance(grid, Uniform) else 10.0**-grid.digits
    gap = _TURN - (high - low) * cell
    return (low, high - low + 1) if -2 * cell < gap < 0.01 * _TURN + 2 * cell else None


def _is_informative(sample: RowSample, column: Column, terms: tuple[Term, ...]) -> bool:
    """Return whether a sum tells clearly more about a column than any of its summands.

    An example is the energy of an event less that of some objects, which is left for the others.
    """
    q = sample.q[column.name]
    levels = fit_bins(q, _BINS).level
    alone = [(value_of(parent),) for parent in Prediction(terms).inputs]
    predicted = [sample.predicted(Prediction(some), column) for some in (terms, *alone)]
    bits = information(levels(q), np.stack([levels(indices) for indices in predicted]))
    return bool(bits[0] > bits[1:].max() + LEAST_INFORMATION)


def windowed(q: Array, r: Array, classes: Array) -> Array:
    """Return residuals, with large ones replaced by indices that stand for themselves.

    A part of an energy is all that is left, to rounding, or some of it. What it is then is told
    better from zero than from the rest. The limit of the residuals is the one of fewest bits.

    Args:
        q: Indices, shape (n,).
        r: Their residuals, shape (n,).
        classes: Class of each row, for `class_bits`, shape (n,).
    """
    stride = max(1, len(q) // SAMPLE_ROWS)
    best = r
    least = class_bits(r[::stride], classes[::stride])
    for power in range(1, 14):
        inside = (np.abs(r) <= 1 << power) | (r >= FIRST_ABSOLUTE)
        tried = np.where(inside, r, ABSOLUTE + q)
        bits = class_bits(tried[::stride], classes[::stride])
        if not inside.all() and bits < least:
            best, least = tried, bits
    return best


def worth_subtracting(q: Array, r: Array, classes: Array) -> bool:
    """Return whether residuals cost clearly fewer bits than indices, without a conditioner."""
    return class_bits(q, classes) - class_bits(r, classes) > LEAST_GAIN


def residuals(q: Array, predicted: Array, prediction: Prediction) -> Array | None:
    """Return the residuals of indices, `None` if an index is out of reach of its prediction.

    A frequent index that the prediction misses stands for itself and gets its own symbol.
    """
    values, counts = np.unique(q[q < ATOM], return_counts=True)
    frequent = values[(counts >= OWN_SYMBOL_SHARE * len(q)) & (np.abs(values) <= LARGEST)]
    missed = [v for v in frequent.tolist() if np.mean(predicted[q == v] == v) < 0.5]
    return prediction.residual(q, predicted, np.array(missed, np.int64))


def class_bits(q: Array, classes: Array) -> float:
    """Return bits per index under one table of bin frequencies for each class of rows."""
    parts = [q[classes == k] for k in np.unique(classes)]
    return sum(len(part) * marginal_bits(part) for part in parts) / len(q)


def marginal_bits(q: Array, bins: int = _BINS) -> float:
    """Return bits per index under a table of bin frequencies."""
    fitted = fit_bins(q, bins)
    symbols = fitted.symbol(q)
    share = np.bincount(symbols, minlength=fitted.symbols)[symbols] / len(q)
    return float(
        (np.log2(fitted.spans.astype(np.float64) + 1)[symbols] - np.log2(share)).mean()
    )
