"""Types of fields of an RNTuple that uproot writes under another name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from uproot.writing import _cascadentuple

from flowtuple.io.root_private import private, require

_BYTES = {
    "std::byte": 1,
    "char": 2,
}  # numbers of their columns' types in the specification of RNTuple
_SETS = [f"std::{kind}set" for kind in ("", "multi", "unordered_", "unordered_multi")]
_MAPS = [f"std::{kind}map" for kind in ("", "multi", "unordered_", "unordered_multi")]
_LISTS = (*_SETS, "std::unique_ptr", "ROOT::VecOps::RVec")
_INTEGERS = [f"std::{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)]
_WRITTEN = (
    "std::vector",
    "std::tuple",
    "std::array",
    "std::optional",
    "std::string",
    "bool",
    "float",
    "double",
    *_INTEGERS,
)


def plain_type(name: str) -> str:
    """Return the type that uproot writes for fields of a type; empty where they differ on disk.

    Example:
        >>> plain_type("std::map<char,std::set<float>>"), plain_type("std::bitset<3>")
        ('std::vector<std::tuple<std::uint8_t,std::vector<float>>>', '')
    """
    outer, arguments = _split(name)
    inner = [
        argument if argument.isdecimal() else plain_type(argument) for argument in arguments
    ]
    if outer in _MAPS:
        outer = "std::vector"
        inner = [f"std::tuple<{','.join(inner)}>" if all(inner) else ""]
    plain = (
        "std::uint8_t" if outer in _BYTES else "std::tuple" if outer == "std::pair" else outer
    )
    plain = "std::vector" if outer in _LISTS else plain
    if plain not in _WRITTEN or not all(inner):
        return ""
    return f"{plain}<{','.join(inner)}>" if inner else plain


def _split(name: str) -> tuple[str, list[str]]:
    """Return the name of a template, and its arguments."""
    outer, _, rest = name.partition("<")
    arguments = [""]
    depth = 0
    for letter in rest.removesuffix(">"):
        depth += (letter == "<") - (letter == ">")
        if letter == "," and not depth:
            arguments.append("")
        else:
            arguments[-1] += letter
    return outer, [argument.strip() for argument in arguments if argument]


def _by_path(records: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Yield the dotted path and the description of each field."""
    paths: list[str] = []
    for number, field in enumerate(records):
        above = field.parent_field_id
        paths.append(
            field.field_name if above == number else f"{paths[above]}.{field.field_name}"
        )
        yield paths[-1], field


def types_of(ntuple: Any, fields: Iterable[str]) -> dict[str, str]:
    """Return the types, by path, of the fields for which uproot writes another type.

    Args:
        ntuple: The RNTuple that uproot reads.
        fields: Names of top-level fields.
    """
    names = set(fields)
    types = {path: field.type_name for path, field in _by_path(ntuple.field_records)}
    return {
        path: kind
        for path, kind in types.items()
        if path.split(".")[0] in names and kind and plain_type(kind) != kind
    }


def set_types(ntuple: Any, form: Any, types: Mapping[str, str]) -> None:
    """Write the header of an empty RNTuple again, with other types that are equal on disk.

    Args:
        ntuple: The RNTuple that uproot writes.
        form: Its awkward form.
        types: Types of fields by path, as `types_of` gives them.
    """
    if not types:
        return
    cascade = private(ntuple, "_cascading")
    require(
        cascade,
        "_footer._header_checksum",
        "write",
        "_header._name",
        "_header._ntuple_description",
    )
    header = _TypedHeader(cascade._header, form, types)
    cascade._header = header
    cascade._footer._header_checksum = header._checksum
    cascade.write(private(ntuple, "_file.sink"))


class _TypedHeader(_cascadentuple.NTuple_Header):  # type: ignore[misc]
    """A header like another, with other types of fields."""

    def __init__(self, like: Any, form: Any, types: Mapping[str, str]) -> None:
        self._types = types
        super().__init__(None, like._name, like._ntuple_description, form)

    def generate_field_col_records(self) -> None:
        super().generate_field_col_records()
        for path, field in _by_path(self._field_records):
            original = self._types.get(path, "")
            if original and plain_type(original) == field.type_name:
                field.type_name = original
        for column in self._column_records:
            column.type_num = _BYTES.get(
                self._field_records[column.field_id].type_name, column.type_num
            )
