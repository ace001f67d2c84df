"""Events in memory: awkward arrays, dicts of arrays, NumPy arrays and pandas DataFrames."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from flowtuple.data.awkward import from_block
from flowtuple.data.awkward_tables import table_from_awkward
from flowtuple.data.schema import Array
from flowtuple.data.table import Dataset, LeftOut, Table
from flowtuple.errors import InvalidArgument, first_line
from flowtuple.runtime.lazy_packages import awkward as ak

TABLE_NAME = "events"


def is_pandas(source: Any, *names: str) -> bool:
    """Return whether this is of one of pandas' classes, without an import of pandas."""
    classes = [(c.__module__.partition(".")[0], c.__name__) for c in type(source).__mro__]
    return any(("pandas", name) in classes for name in names)


def dataset_from_memory(source: Any, names: Sequence[str] | None = None) -> Dataset:
    """Return a data set with one table, `events`.

    Args:
        source: An awkward array of records, a dict of arrays, a structured or 2-D NumPy array, or a
            DataFrame.
        names: Column names for a NumPy array without any.

    Raises:
        InvalidArgument: Columns differ in length, names are missing or double, or values cannot be
            columns.

    Example:
        >>> import numpy as np
        >>> dataset_from_memory(np.zeros((3, 2)), ["x", "y"]).table("events").num_entries
        3
    """
    if isinstance(source, ak.Array):
        if not source.fields:
            raise InvalidArgument(
                "the awkward array has no fields to become columns: give an array of records"
            )
        table, zones = table_from_awkward(TABLE_NAME, source), {}
    else:
        if isinstance(source, np.ndarray):
            columns: Mapping[str, Any] = _columns_of(source, names)
        else:
            columns = source if isinstance(source, Mapping) else _series_of(source)
        columns = {key: _plain(values) for key, values in columns.items()}
        zones = {key: zone for key, values in columns.items() if (zone := _zone(values))}
        table = table_from_arrays(TABLE_NAME, columns)
    reason = "its times are carried in UTC"
    return Dataset(
        f"{type(source).__name__} in memory",
        {TABLE_NAME: table},
        files=0,
        left_out=tuple(
            LeftOut(f"{TABLE_NAME}/{key} (time zone {zone})", reason)
            for key, zone in zones.items()
        ),
    )


def table_from_arrays(name: str, arrays: Mapping[str, Any]) -> Table:
    """Return a table of named arrays of equal length: NumPy of any dimension, awkward, or lists.

    Raises:
        InvalidArgument: An array has another length than the first, or is no array at all, or two
            names are the same text.

    Example:
        >>> table = table_from_arrays("t", {"x": np.zeros(2), "cov": np.zeros((2, 3, 3))})
        >>> [str(c.shape) for c in table.columns]
        ['()', '(3, 3)']
    """
    fields: dict[str, ak.Array] = {}
    for key, values in arrays.items():
        if str(key) in fields:
            raise InvalidArgument(
                f"{name}: the name {str(key)!r} stands for two columns; rename one"
            )
        fields[str(key)] = _to_awkward(str(key), values)
    lengths = {key: len(values) for key, values in fields.items()}
    check_lengths(name, lengths)
    length = next(iter(lengths.values()), 0)
    layouts = [ak.to_layout(values) for values in fields.values()]
    return table_from_awkward(
        name, ak.Array(ak.contents.RecordArray(layouts, list(fields), length=length))
    )


def check_lengths(where: str, lengths: Mapping[str, int]) -> None:
    """Raise if columns differ in length.

    Raises:
        InvalidArgument: The message names the first column and the first that differs.
    """
    for key, length in lengths.items():
        first, expected = next(iter(lengths.items()))
        if length != expected:
            what = f"{key!r} has {length} values and {first!r} has {expected}"
            raise InvalidArgument(
                f"{where}: {what}; columns of one table need the same length"
            )


def numbered(count: int, names: Sequence[str] | None, where: str) -> list[str]:
    """Return names for columns: the given ones, or `c0`, `c1`, ... where there are none.

    Raises:
        InvalidArgument: There are more or fewer names than columns, or a name twice.
    """
    if names is None:
        return [f"c{i}" for i in range(count)]
    if len(names) != count:
        raise InvalidArgument(
            f"{where}: {len(names)} names for {count} columns; give one name for each"
        )
    doubled = [n for i, n in enumerate(names) if n in names[:i]]
    if doubled:
        raise InvalidArgument(
            f"{where}: the name {doubled[0]!r} stands for two columns; rename one"
        )
    return [str(n) for n in names]


def _to_awkward(name: str, values: Any) -> ak.Array:
    if isinstance(values, ak.Array):
        return values
    try:
        if is_pandas(values, "Series"):
            return _from_series(name, values)
        if isinstance(values, np.ma.MaskedArray) and not np.ma.getmaskarray(values).any():
            values = np.ma.getdata(values)
        is_masked = isinstance(values, np.ma.MaskedArray)
        if not isinstance(values, np.ndarray) or values.dtype.kind == "O":
            return ak.from_iter(values.tolist() if is_masked else list(values))
        if values.ndim == 0:
            raise InvalidArgument(f"{name!r} is one number, not a column; give an array")
        native = values.astype(values.dtype.newbyteorder("="), copy=False)
        if native.dtype.kind in "biuf" and not is_masked:
            return from_block(native)
        return ak.from_numpy(native, regulararray=True)
    except InvalidArgument:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidArgument(f"column {name!r}: {_obstacle(values, error)}") from None


def _obstacle(values: Any, error: Exception) -> str:
    """Return the reason why values are no column, and the next step."""
    if _has_surrogates(values):
        what = "holds text that is no Unicode (a lone surrogate)"
        return f"{what}; encode it, or leave the column out"
    what = f"{type(values).__name__} is no array of numbers, lists or text"
    advice = "convert it, or leave the column out"
    if is_pandas(values, "Series"):
        what = f"the pandas type {values.dtype} is none of numbers, text, times or lists"
        advice = "convert it, such as with .astype(str), or leave the column out"
    return f"{what} ({first_line(error)}); {advice}"


def _has_surrogates(values: Any) -> bool:
    """Return whether the values have text, however deep, that UTF-8 cannot encode."""
    if isinstance(values, str):
        return any("\ud800" <= letter <= "\udfff" for letter in values)
    if isinstance(values, Mapping):
        return any(_has_surrogates(inner) for inner in values.values())
    if isinstance(values, np.ndarray) or is_pandas(values, "Series"):
        values = values.tolist()
    return isinstance(values, (list, tuple)) and any(map(_has_surrogates, values))


def _columns_of(array: Array, names: Sequence[str] | None) -> dict[str, Any]:
    if array.dtype.names is not None:
        return {name: array[name] for name in array.dtype.names}
    if array.ndim not in (1, 2):
        what = f"a NumPy array of shape {array.shape} is no table"
        raise InvalidArgument(f"{what}: give (events, columns), or a dict of arrays")
    matrix = array[:, None] if array.ndim == 1 else array
    return {
        name: matrix[:, i]
        for i, name in enumerate(numbered(matrix.shape[1], names, "array"))
    }


def _series_of(frame: Any) -> dict[str, Any]:
    """Return the columns of a DataFrame and its named index; row numbers are no column."""
    index = [name for name in frame.index.names if name is not None]
    for name in index:
        if name in frame.columns:
            what = f"the name {str(name)!r} stands for a column and for the index"
            raise InvalidArgument(f"DataFrame: {what}; rename one")
    if index:
        frame = frame.reset_index()
    labels = [
        "_".join(map(str, label)) if isinstance(label, tuple) else str(label)
        for label in frame.columns
    ]
    numbered(len(labels), labels, "DataFrame")
    return {label: frame.iloc[:, i] for i, label in enumerate(labels)}


def _plain(values: Any) -> Any:
    """Return a column of pandas as a Series without categories or objects of times."""
    if not is_pandas(values, "Series", "Index", "ExtensionArray"):
        return values
    pandas: Any = importlib.import_module("pandas")
    series = pandas.Series(values)
    if series.dtype.name == "category":
        categories = series.cat.categories.dtype
        return series.astype(categories if categories.kind in "mM" else object)
    is_times = series.dtype == object and isinstance(
        next(iter(series.dropna()), None), (datetime, timedelta)
    )
    # a list of objects would lose their nanoseconds
    return series.infer_objects() if is_times else series


def _zone(values: Any) -> Any:
    """Return the time zone of a Series of times, `None` for others."""
    if not is_pandas(values, "Series"):
        return None
    return getattr(getattr(values.dtype, "pyarrow_dtype", values.dtype), "tz", None)


def _from_series(name: str, series: Any) -> ak.Array:
    """Return a Series as an array, of option types where a value is missing."""
    if _zone(series):
        series = series.dt.tz_convert(None)
    inner = getattr(series.dtype, "numpy_dtype", series.dtype)
    kind = inner.kind if isinstance(inner, np.dtype) else "O"
    missing = series.isna().to_numpy(dtype=bool)
    if kind in "mM" or (inner is series.dtype and kind != "O"):
        return _to_awkward(name, series.to_numpy(dtype=inner))
    if not len(series) and series.dtype.name in ("str", "string"):
        return _to_awkward(name, np.array([], "U1"))
    if kind not in "biuf":
        pairs = zip(missing, series.to_list(), strict=True)
        return ak.from_iter([None if gone else value for gone, value in pairs])
    values = series.fillna(inner.type(0).item()).to_numpy(dtype=inner)
    return (
        ak.mask(ak.from_numpy(values), ~missing) if missing.any() else from_block(values)
    )
