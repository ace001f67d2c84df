"""A look into an input before it is compressed."""

from __future__ import annotations

from typing import Any

from flowtuple.api.forecast import forecast
from flowtuple.api.inputs import Tolerance, bounds_by_glob
from flowtuple.data.resources import Resources
from flowtuple.errors import InvalidArgument
from flowtuple.io.source import ReadOptions, Source, open_dataset
from flowtuple.reporting.describe import inspect_dataset


def inspect(
    source: Source,
    *,
    names: tuple[str, ...] | None = None,
    tolerance: Tolerance | None = None,
    gain: bool = False,
    resources: Resources = Resources(),
) -> dict[str, Any]:
    """Return types, roles, ranges, special values and lattices of the columns of an input.

    Args:
        source: A path, URL, list of paths, awkward array, dict of arrays or DataFrame.
        names: Column names for inputs that have none.
        tolerance: Bound by column name or glob, or one for all, for the predicted sizes.
        gain: Predict sizes in bytes from a short training.
        resources: Its `progress` is called at each stage.

    Returns:
        Plain numbers and text: `tables` with their `columns`, `carried` objects, `refused` parts
            with the reason, and `gain`, where wanted.

    Raises:
        InvalidArgument: A name, bound or path is wrong, or bounds come without `gain`.

    Example:
        >>> import flowtuple as ft
        >>> [column["high"] for column in ft.inspect({"x": [0.5, 2.0]})["tables"][0]["columns"]]
        [2.0]
    """
    bounds = bounds_by_glob(tolerance)
    if bounds and not gain:
        raise InvalidArgument(
            "`tolerance=` says nothing to inspect without `gain=`; add `gain=` or leave it out"
        )
    dataset = open_dataset(source, ReadOptions(names=names))
    content = inspect_dataset(dataset, resources.progress, bounds)
    if gain:
        predicted = forecast(dataset, bounds, resources.progress)
        content["gain"] = [table.to_json() for table in predicted]
    return content
