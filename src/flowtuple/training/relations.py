"""Which columns are functions of others: copies, kinematics by name, and sums found by regression.

Every relation found is only a proposal: it is kept where the residuals of a sample cost fewer bits than the indices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

import numpy as np

from flowtuple.data.schema import Array, Column, reference_target
from flowtuple.data.table import Table
from flowtuple.lattice.bins import fit_bins
from flowtuple.lattice.context import Parent, Relation, coding_order, collection_of
from flowtuple.lattice.grid import ATOM, Decimal, Uniform
from flowtuple.lattice.lattice import Lattice
from flowtuple.lattice.prediction import LARGEST, Prediction, Term
from flowtuple.training.kinematics import kinematic_terms
from flowtuple.training.regression import linear_terms
from flowtuple.training.sample import RowSample, as_floats
from flowtuple.training.selection import information

LEAST_GAIN_OF_ANGLES = 0.03  # turning an angle loses nothing that a conditioner could learn
LEAST_GAIN = 0.3  # bits per value; below, a conditioner that reads the same columns learns the relation as well
LEAST_INFORMATION = 0.1  # bits that a sum has to tell beyond what it reads
KEPT_SHARE = (
    0.02  # of the rows, from which on an index that the relation misses keeps a symbol of its own
)
_TURN = 6.283185307179586
_PAIRS = (
    2**22
)  # of columns that are held against each other: of wide tables each against so many before it that time is linear
_LEAST_REACH = 64


def find_predictions(
    table: Table, lattices: Mapping[str, Lattice], given: Set[str] = frozenset()
) -> dict[str, Prediction]:
    """The relations worth using, by column name, in an order in which every one can be decoded.

    Names missing from the result are predicted by nothing and keep their place in the coding order.
    """
    sample = RowSample.of(table, lattices)
    found = _acyclic(
        sorted((p for p in _proposals(sample) if p[1] not in given), key=lambda p: -p[0])
    )
    earlier: dict[str, list[Column]] = {}
    most = reach(len(sample.columns))
    for column in decoding_order(sample.columns, found, given):
        others = earlier.setdefault(collection_of(column), [])
        if column.name not in found and column.name not in given:
            proposals = list(linear_terms(sample, column, others[-most:]))
            best = _best(sample, column, proposals)
            if best is not None:
                found[column.name] = best[1]
            elif proposals and _tells(sample, column, proposals[0]):
                found[column.name] = Prediction(proposals[0])
        if column.name not in found or not found[column.name].is_copy:
            others.append(column)
    return found


def reach(columns: int) -> int:
    """How many columns before each it is held against, of a table of so many.

    Example:
        >>> reach(2000), reach(20_000)
        (2097, 209)
    """
    return max(_LEAST_REACH, _PAIRS // max(1, columns))


def decoding_order(
    columns: Sequence[Column], predictions: Mapping[str, Prediction], given: Set[str] = frozenset()
) -> list[Column]:
    """Schema order, but given columns first, references before the rest of theirs, every column after what predicts it."""
    in_schema = sorted(coding_order(columns), key=lambda c: c.name not in given)
    by_name = {c.name: c for c in in_schema}
    pointers = Pointers(in_schema)
    early = {through.name for c in in_schema for through, _ in pointers.of(c)}
    first: dict[str, list[str]] = {}
    for column in in_schema:
        if column.name in early:
            first.setdefault(collection_of(column), []).append(column.name)
    order: dict[str, Column] = {}

    def place(name: str) -> None:
        if name in order:
            return
        for parent in predictions[name].inputs if name in predictions else ():
            for needed in (parent.column, parent.through):
                if needed in by_name and needed != name:
                    place(needed)
        order[name] = by_name[name]

    for column in in_schema:
        for name in first.get(collection_of(column), ()):
            place(name)
        place(column.name)
    return coding_order(columns, tuple(order))


def _proposals(sample: RowSample) -> Iterator[tuple[float, str, Prediction]]:
    """Gain in bits over the whole sample, target and relation."""
    for column, terms in (
        *_copies(sample),
        *kinematic_terms(sample.columns),
        *_by_reference(sample),
        *_by_angle(sample),
    ):
        best = _best(sample, column, [terms])
        if best is not None:
            yield best[0] * len(sample.q[column.name]), column.name, best[1]


def _acyclic(proposals: Iterable[tuple[float, str, Prediction]]) -> dict[str, Prediction]:
    """The first proposal for each target that closes no circle."""
    found: dict[str, Prediction] = {}
    reads: dict[str, set[str]] = {}
    holding: dict[str, list[set[str]]] = {}  # those of `reads` that a name is in
    for _, name, prediction in proposals:
        inputs = {c for p in prediction.inputs for c in (p.column, p.through) if c} - {name}
        above = inputs.union(*(reads.get(i, set()) for i in inputs))
        if name in found or name in above:
            continue
        found[name], reads[name] = prediction, above
        for other in above:
            holding.setdefault(other, []).append(above)
        for read in list(holding.get(name, ())):
            for other in above - read:
                holding[other].append(read)
            read.update(above)
    return found


def _copies(sample: RowSample) -> Iterator[tuple[Column, tuple[Term, ...]]]:
    """Columns of one collection that hold the same values, each as a copy of the first."""
    first: dict[tuple[str, bytes], Column] = {}
    for column in sample.columns:
        content = as_floats(sample.context.values[column.name]).tobytes()
        original = first.setdefault((collection_of(column), content), column)
        if original is not column:
            yield column, (Term(1.0, "x", (Parent("row", original.name),)),)


def _by_reference(sample: RowSample) -> Iterator[tuple[Column, tuple[Term, ...]]]:
    """The same quantity of the object that a reference points to: Jet_phi from GenJet_phi by Jet_genJetIdx."""
    pointers = Pointers(sample.columns)
    for column in sample.columns:
        _, _, quantity = column.name.rpartition("_")
        for through, others in pointers.of(column):
            for other in others:
                if other.name.rpartition("_")[2] == quantity and column.is_float:
                    yield (
                        column,
                        (Term(1.0, "x", (Parent("reference", other.name, through.name),)),),
                    )


class Pointers:
    """The references of a schema, each with the columns of the collection that its name points to."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._by_key: dict[str, list[tuple[Column, list[Column]]]] = {}
        by_stem: dict[str, list[Column]] = {}
        for column in columns:
            if column.counter is not None:
                by_stem.setdefault(column.name.partition("_")[0].lower(), []).append(column)
        for through in columns:
            key = collection_of(through)
            if through.role == "reference" and key:  # event columns are decoded before any object
                others = [
                    c
                    for c in by_stem.get(reference_target(through.name), ())
                    if collection_of(c) != key
                ]
                if others:
                    self._by_key.setdefault(key, []).append((through, others))

    def of(self, reader: Column) -> Iterator[tuple[Column, list[Column]]]:
        """Those of a column's collection, without itself."""
        for through, others in self._by_key.get(collection_of(reader), ()):
            if through.name != reader.name:
                yield through, others


def references(columns: Sequence[Column], reader: Column) -> Iterator[tuple[Column, list[Column]]]:
    """The references beside a column, each with the columns of the collection that its name points to."""
    yield from Pointers(columns).of(reader)


def _by_angle(sample: RowSample) -> Iterator[tuple[Column, tuple[Term, ...]]]:
    """Angles, counted from the first object of the event or from another angle."""
    angles = [c for c in sample.columns if c.role == "angle"]
    most = reach(len(angles))
    for number, column in enumerate(angles):
        key = collection_of(column)
        if column.counter is not None:
            yield column, (Term(1.0, "x", (Parent("leading", column.name),)),)
        for other in angles[max(0, number - most) : number]:
            if collection_of(other) in ("", key):
                relation: Relation = "row" if collection_of(other) == key else "event"
                yield column, (Term(1.0, "x", (Parent(relation, other.name),)),)
            elif column.counter is not None:
                yield column, (Term(1.0, "x", (Parent("leading", other.name),)),)


def period_of(column: Column, lattice: Lattice, q: Array) -> tuple[int, int] | None:
    """First index and number of indices of a full turn, for angles that fill one."""
    if column.role != "angle" or not isinstance(lattice.grid, (Uniform, Decimal)):
        return None
    ordinary = q[q < ATOM]
    low, high = int(ordinary.min(initial=0)), int(ordinary.max(initial=0))
    cell = (
        2 * lattice.grid.half_width
        if isinstance(lattice.grid, Uniform)
        else 10.0**-lattice.grid.digits
    )
    return (
        (low, high - low + 1)
        if -2 * cell < _TURN - (high - low) * cell < 0.01 * _TURN + 2 * cell
        else None
    )


def _best(
    sample: RowSample, column: Column, proposals: Iterable[tuple[Term, ...]]
) -> tuple[float, Prediction] | None:
    """The proposal with the largest gain in bits per value, if any gains enough."""
    q, lattice = sample.q[column.name], sample.lattices[column.name]
    period, own, best = period_of(column, lattice, q), None, None
    classes = np.minimum(sample.context.rows(collection_of(column)).number, 3)
    for terms in proposals:
        prediction = Prediction(terms, period)
        r = residuals(
            q, prediction.index(lambda parent: sample.values(parent, column), lattice), prediction
        )
        if r is None:
            continue
        own = class_bits(q, classes) if own is None else own
        gain = own - class_bits(r, classes)
        if (
            gain > max(LEAST_GAIN_OF_ANGLES if period else LEAST_GAIN, best[0] if best else 0.0)
            or (r == r[0]).all()
        ):
            best = gain, prediction
    return best


def _tells(sample: RowSample, column: Column, terms: tuple[Term, ...]) -> bool:
    """Whether a sum tells clearly more about a column than anything that it reads: the energy that is left to share."""
    q, lattice = sample.q[column.name], sample.lattices[column.name]
    levels = fit_bins(q, 48).level
    alone = [(Term(1.0, "x", (parent,)),) for parent in Prediction(terms).inputs]
    whole = [
        Prediction(some).index(lambda parent: sample.values(parent, column), lattice)
        for some in (terms, *alone)
    ]
    bits = information(levels(q), np.stack([levels(np.broadcast_to(w, len(q))) for w in whole]))
    return bool(bits[0] > bits[1:].max() + LEAST_INFORMATION)


def worth_subtracting(q: Array, r: Array, classes: Array) -> bool:
    """Whether residuals cost clearly fewer bits than the indices, without any conditioner."""
    return class_bits(q, classes) - class_bits(r, classes) > LEAST_GAIN


def residuals(q: Array, predicted: Array, prediction: Prediction) -> Array | None:
    """Residuals with frequent indices kept that the prediction misses; `None` where indices are out of its reach."""
    values, counts = np.unique(q[q < ATOM], return_counts=True)
    frequent = values[(counts >= KEPT_SHARE * len(q)) & (np.abs(values) <= LARGEST)]
    kept = [v for v in frequent.tolist() if np.mean(predicted[q == v] == v) < 0.5]
    return prediction.residual(q, predicted, np.array(kept, np.int64))


def class_bits(q: Array, classes: Array) -> float:
    """Bits per index of tables of frequencies over bins, one table for each class of rows."""
    parts = [q[classes == k] for k in np.unique(classes)]
    return sum(len(part) * marginal_bits(part) for part in parts) / len(q)


def marginal_bits(q: Array, bins: int = 48) -> float:
    """Bits per index of a table of frequencies over bins."""
    fitted = fit_bins(q, bins)
    symbols = fitted.symbol(q)
    share = np.bincount(symbols, minlength=fitted.symbols)[symbols] / len(q)
    return float((np.log2(fitted.spans.astype(np.float64) + 1)[symbols] - np.log2(share)).mean())
