"""Fields of record arrays as columns: numbers, lists of numbers, or opaque contents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from flowtuple.data.schema import OPAQUE, Array
from flowtuple.runtime.lazy_packages import awkward as ak


def leaves(
    name: str, values: ak.Array, fields: tuple[str, ...] = ()
) -> Iterator[tuple[str, tuple[str, ...], ak.Array]]:
    """Yield the columns of one field: name, record fields that lead to it, values.

    The values are without idle options (see `without_idle_options`).

    Example:
        >>> met = ak.Array([{"pt": 31.5, "phi": 0.5}])
        >>> [(name, fields) for name, fields, _ in leaves("MET", met)]
        [('MET_pt', ('pt',)), ('MET_phi', ('phi',))]
    """
    values = values if fields else without_idle_options(values)
    layout = values.layout
    record = (
        layout.content
        if layout.is_list and layout.parameter("__array__") is None
        else layout
    )
    if record.is_record and record.fields:
        for inner in record.fields:
            yield from leaves(f"{name}_{inner}", values[inner], (*fields, inner))
    else:
        yield name, fields, values


def without_idle_options(values: ak.Array) -> ak.Array:
    """Return the values packed, of a plain type wherever an option type has no missing value.

    Example:
        >>> str(without_idle_options(ak.Array([1, None, 3])[[0, 2]]).type)
        '2 * int64'
    """

    def project(layout: Any, continuation: Any, **_: Any) -> Any:
        if not layout.is_option:
            return None
        inner = continuation()
        return (
            inner
            if np.asarray(layout.mask_as_bool(valid_when=False)).any()
            else inner.project()
        )

    return ak.transform(project, ak.to_packed(ak.Array(values, behavior={})))


def same_values(left: ak.Array, right: ak.Array) -> bool:
    """Return True if two arrays have the same values of the same types, NaN included.

    The ways in which they store missing values may differ.

    Example:
        >>> same_values(ak.Array([1, None]), ak.mask([1, 2], [True, False]))
        True
    """
    one, other = indexed_options(left), indexed_options(right)
    return bool(ak.array_equal(one, other, equal_nan=True))


def indexed_options(values: ak.Array) -> ak.Array:
    """Return the values packed, with nothing stored in place of missing values.

    Example:
        >>> indexed_options(ak.mask([1, 2], [True, False])).layout.content.to_list()
        [1]
    """

    def index_options(layout: Any, continuation: Any, **_: Any) -> Any:
        return continuation().to_IndexedOptionArray64() if layout.is_option else None

    return ak.to_packed(ak.transform(index_options, ak.to_packed(values)))


def from_block(block: Array) -> ak.Array:
    """Return a rectangular NumPy array as an awkward array of regular lists.

    Unlike `ak.from_numpy`, it takes axes of length 0, too.

    Example:
        >>> str(from_block(np.zeros((2, 3, 0))).type)
        '2 * 3 * 0 * float64'
    """
    return ak.Array(ak.contents.NumpyArray(np.ascontiguousarray(block)).to_RegularArray())


def kind_of(values: ak.Array) -> tuple[str, tuple[int, ...], bool]:
    """Return a leaf's dtype, its fixed shape, and True if it is lists of numbers.

    Anything but numbers is opaque.

    Example:
        >>> kind_of(ak.Array([[1.5], []])), kind_of(ak.Array(["a"]))
        (('float64', (), True), ('opaque', (), False))
    """
    return kind_of_form(values.layout.form)


def kind_of_form(form: Any) -> tuple[str, tuple[int, ...], bool]:
    """Return the same of values of an awkward form."""
    if block := number_block(form):
        return (*block, False)
    is_plain_list = form.is_list and form.parameter("__array__") is None
    block = number_block(form.content) if is_plain_list else None
    return (*block, True) if block and not block[1] else (OPAQUE, (), False)


def number_block(form: Any) -> tuple[str, tuple[int, ...]] | None:
    """Return dtype and inner shape of a block of plain numbers, `None` for other layouts."""
    shape: tuple[int, ...] = ()
    while form.is_regular and form.parameter("__array__") is None:
        form, shape = form.content, (*shape, form.size)
    if not form.is_numpy or form.parameter("__array__") is not None:
        return None
    dtype = ak.types.numpytype.primitive_to_dtype(form.primitive)
    if dtype.kind not in "fiub" or dtype.itemsize > 8:
        return None
    return dtype.name, (*shape, *form.inner_shape)
