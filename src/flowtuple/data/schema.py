"""The schema of a table: `Column`, with the roles that names suggest."""

from __future__ import annotations

import re
from collections.abc import Container, Hashable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from flowtuple.errors import InvalidArgument

Array: TypeAlias = NDArray[Any]
Role = Literal["value", "angle", "id", "weight", "label", "counter", "reference"]
ROLES: tuple[Role, ...] = get_args(Role)
OPAQUE = "opaque"
MAX_AXES = 31  # of a fixed shape: NumPy before 2 has 32, one of which is the events

_ID = re.compile(
    r"run(number)?|(event|evt)(number)?|luminosityblock|lumi(block)?|ls", re.IGNORECASE
)
_ANGLE = re.compile(r"(^|[_. ])phi\d*$|Phi\d*$", re.IGNORECASE)
_REFERENCE = re.compile(r"Idx[G\d]*$")
_LABEL = re.compile(r"^(class_)?labels?$|^target$", re.IGNORECASE)


def infer_role(name: str, dtype: str) -> Role:
    """Return the role that a branch's name suggests; only the structure of a table shows counters.

    Example:
        >>> infer_role("Jet_phi", "float32"), infer_role("genWeight", "float32")
        ('angle', 'weight')
        >>> infer_role("run", "uint32")
        'id'
    """
    if _ID.fullmatch(name) and dtype != "bool":
        return "id"
    if "weight" in name.lower() and dtype.startswith("float"):
        return "weight"
    if _REFERENCE.search(name) and "int" in dtype:
        return "reference"
    if _LABEL.search(name):
        return "label"
    if _ANGLE.search(name) and dtype.startswith("float"):
        return "angle"
    return "value"


def reference_target(name: str) -> str:
    """Return the name, in lower case, of the collection that a column of references points to.

    Example:
        >>> reference_target("Jet_genJetIdx"), reference_target("Electron_jetIdx")
        ('genjet', 'jet')
    """
    return name.rpartition("_")[2].split("Idx")[0].lower()


@dataclass(frozen=True)
class Column:
    """One branch: its name, type and place in the event.

    Attributes:
        name: The branch name, unique within its table.
        dtype: A NumPy dtype name (`"float32"`, `"uint8"`, `"bool"`), or `"opaque"` for contents
            that are carried as they are: strings, deeper nesting.
        role: The meaning of the values; ids and weights stay lossless under globs.
        title: The branch's documentation string.
        counter: Name of the column that holds this one's number of objects per event; `None` for
            one value (or one fixed array) per event.
        shape: The fixed array shape per event, `()` for scalars.
        hidden: True for a counter that the source has implicitly (`std::vector<T>`, awkward lists).

    Raises:
        InvalidArgument: The name is empty, or the shape has more than `MAX_AXES` axes.
    """

    name: str
    dtype: str
    role: Role = "value"
    title: str = ""
    counter: str | None = None
    shape: tuple[int, ...] = ()
    hidden: bool = False

    def __post_init__(self) -> None:
        if not self.name:
            raise InvalidArgument(
                f"a column of type {self.dtype} has no name; give it one"
            )
        if len(self.shape) > MAX_AXES:
            raise InvalidArgument(
                f"column {self.name!r} has {len(self.shape)} axes per event; "
                f"reshape it to {MAX_AXES} or fewer"
            )

    @property
    def is_opaque(self) -> bool:
        return self.dtype == OPAQUE

    @property
    def is_float(self) -> bool:
        return self.dtype.startswith("float")

    @property
    def is_integer(self) -> bool:
        return "int" in self.dtype

    @property
    def is_event_number(self) -> bool:
        """True for one number an event: no list, no array, nothing opaque."""
        return self.counter is None and not self.is_opaque and not self.shape

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that `from_json` turns back into this column, without defaults."""
        out = {f.name: getattr(self, f.name) for f in fields(self)}
        out = {f.name: out[f.name] for f in fields(self) if out[f.name] != f.default}
        return out | ({"shape": list(self.shape)} if self.shape else {})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Column:
        """Return the column of a JSON object that `to_json` made."""
        optional = {
            key: data[key]
            for key in ("role", "title", "counter", "hidden")
            if key in data
        }
        return cls(
            data["name"], data["dtype"], shape=tuple(data.get("shape", ())), **optional
        )


def bit_patterns(values: Array) -> Array:
    """Return the values as unsigned integers of the same width: equality means the same bits."""
    values = np.ascontiguousarray(values)
    patterns: Array = values.view(f"u{values.dtype.itemsize}")
    return patterns


def unused(name: str, taken: Container[str], *, numbered: bool = False) -> str:
    """Return the name, with underscores or a number behind it if it is taken.

    Example:
        >>> unused("x", {"x", "x_"}), unused("y", {"x"})
        ('x__', 'y')
        >>> unused("x", {"x", "x_2"}, numbered=True)
        'x_3'
    """
    number = 1
    free = name
    while free in taken:
        number += 1
        free = f"{name}_{number}" if numbered else f"{free}_"
    return free


def with_hidden_counters(
    columns: Iterable[tuple[Column, Hashable | None]], taken: Container[str]
) -> tuple[Column, ...]:
    """Return columns, with a hidden counter before the first of those that share lengths.

    Args:
        columns: Columns, each with a key of the lengths of its lists; `None` where a column needs
            no hidden counter.
        taken: Names of all columns.

    Example:
        >>> lists = [(Column(name, "int8"), "2, 0, 1") for name in ("x", "y")]
        >>> [column.name for column in with_hidden_counters(lists, ("x", "y"))]
        ['n(x)', 'x', 'y']
    """
    whole: list[Column] = []
    counters: dict[Hashable, str] = {}
    for column, lengths in columns:
        if lengths is not None and lengths not in counters:
            counters[lengths] = unused(f"n({column.name})", taken)
            whole.append(Column(counters[lengths], "int64", "counter", hidden=True))
        counter = column.counter if lengths is None else counters[lengths]
        whole.append(replace(column, counter=counter))
    return tuple(whole)
