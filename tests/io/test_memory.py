"""Columns of pandas in memory: missing values, categories and times, in DataFrames and dicts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

import flowtuple as ft

ZONE = "Europe/Zurich"
TIMES = pd.date_range("2020-01-01", periods=3, tz=ZONE, unit="ns")
UTC = TIMES.tz_convert(None).to_numpy()

Sources = pytest.mark.parametrize("source", [pd.DataFrame, dict])


def decoded(source: Any, folder: Path) -> Any:
    """Return column `x` after compression; the source passes `inspect` as well."""
    assert ft.inspect(source)["tables"][0]["columns"]
    ft.compress(source, folder / "x.ftup", effort="fast")
    return ft.decompress(folder / "x.ftup")["x"]


@Sources
@pytest.mark.parametrize(
    ("series", "kind"),
    [
        (pd.Series([1, None, 3], dtype="Int64"), "3 * ?int64"),
        (pd.Series([1, None, 3], dtype="UInt8"), "3 * ?uint8"),
        (pd.Series([1.5, None, 3.0], dtype="Float32"), "3 * ?float32"),
        (pd.Series([True, None, False], dtype="boolean"), "3 * ?bool"),
        (pd.Series(["a", None, "bc"], dtype="string"), "3 * ?string"),
        (pd.Series([1, None, 3], dtype="int16[pyarrow]"), "3 * ?int16"),
        (pd.Series(["a", None, "b"], dtype="category"), "3 * ?string"),
        (pd.Series([5, 7, 5], dtype="category"), "3 * int64"),
        (pd.Series([1.5, 2.5, 3.0], dtype="float32"), "3 * float32"),
        (pd.Series([1, 2, 3], dtype="Int16"), "3 * int16"),
    ],
)
def test_missing_values_are_those_of_a_parquet_file(
    source: Callable[..., Any], series: pd.Series, kind: str, tmp_path: Path
) -> None:
    here = decoded(source({"x": series}), tmp_path)
    assert str(here.type) == kind
    values = [None if pd.isna(value) else value for value in series]
    column = pa.array(
        values, pa.type_for_alias(kind.removeprefix("3 * ").removeprefix("?"))
    )
    parquet.write_table(pa.table({"x": column}), tmp_path / "x.parquet")
    there = decoded(tmp_path / "x.parquet", tmp_path)
    assert str(there.type) == kind
    assert here.tolist() == there.tolist()


@Sources
def test_nan_stays_a_number(source: Callable[..., Any], tmp_path: Path) -> None:
    x = decoded(source({"x": pd.Series([1.5, np.nan], dtype="float32")}), tmp_path)
    assert str(x.type) == "2 * float32"
    assert np.array_equal(np.asarray(x), [1.5, np.nan], equal_nan=True)


@Sources
@pytest.mark.parametrize(
    "convert", ["", "category", "object", f"timestamp[ns, {ZONE}][pyarrow]"]
)
def test_times_of_a_zone_are_carried_in_utc_and_named(
    source: Callable[..., Any], convert: str, tmp_path: Path
) -> None:
    times = pd.Series(TIMES + pd.Timedelta(1, "ns"))
    kind = convert.replace(f", {ZONE}", f", tz={ZONE}")
    events = source({"x": times.astype(kind) if convert else times})
    x = decoded(events, tmp_path)
    assert np.array_equal(np.asarray(x), UTC + np.timedelta64(1, "ns"))
    part, *others = ft.info(tmp_path / "x.ftup")["left_out"]
    assert not others
    assert part["name"] == f"events/x (time zone {ZONE})"
    assert part["reason"] == "its times are carried in UTC"
    with pytest.warns(
        UserWarning, match=f"time zone {ZONE}.: its times are carried in UTC"
    ):
        ft.snap(events)


@Sources
@pytest.mark.parametrize("dtype", [None, "object", "timestamp[ns][pyarrow]"])
def test_times_without_a_zone_and_missing_ones(
    source: Callable[..., Any], dtype: str | None, tmp_path: Path
) -> None:
    times = pd.Series([pd.Timestamp(1577836800000000001), pd.NaT])
    x = decoded(source({"x": times.astype(dtype or times.dtype)}), tmp_path)
    assert str(x.type) == "2 * datetime64[ns]"
    assert np.asarray(x).astype(np.int64)[0] == 1577836800000000001
    assert np.isnat(np.asarray(x))[1]
    assert not ft.info(tmp_path / "x.ftup")["left_out"]


def test_arrays_and_indices_of_pandas_in_a_dict(tmp_path: Path) -> None:
    assert decoded({"x": pd.array([1, None], dtype="Int8")}, tmp_path).tolist() == [
        1,
        None,
    ]
    assert decoded({"x": pd.Index([3, 4])}, tmp_path).tolist() == [3, 4]


@Sources
@pytest.mark.parametrize("dtype", ["period[D]", "interval[int64, right]", "object"])
def test_other_types_are_refused_by_column_and_type(
    source: Callable[..., Any], dtype: str
) -> None:
    columns = {
        "period[D]": pd.Series(pd.period_range("2020", periods=2, freq="D")),
        "interval[int64, right]": pd.Series(pd.interval_range(0, 2)),
        "object": pd.Series(
            [pd.Timestamp("2020", tz=zone) for zone in ("UTC", ZONE)], dtype=object
        ),
    }
    with pytest.raises(ft.InvalidArgument) as raised:
        ft.inspect(source({"x": columns[dtype]}))
    message = str(raised.value)
    assert message.startswith(
        f"column 'x': the pandas type {dtype} is none of numbers, text"
    )
    assert message.endswith(
        "; convert it, such as with .astype(str), or leave the column out"
    )


def test_tables_of_other_packages_are_named() -> None:
    with pytest.raises(
        ft.InvalidArgument, match=r"pyarrow's Table cannot be read: .* or a pandas"
    ):
        ft.inspect(pa.table({"x": [1]}))
