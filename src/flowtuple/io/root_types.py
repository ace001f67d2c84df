"""Types of fields of an RNTuple that uproot writes under another name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from flowtuple.io.root_private import require

# numbers of their columns' types in the specification of RNTuple
_BYTES = {"std::byte": 1, "char": 2}
_VARIANTS = ("", "multi", "unordered_", "unordered_multi")
_MAPS = [f"std::{kind}map" for kind in _VARIANTS]
_PLAIN = {
    **dict.fromkeys(_BYTES, "std::uint8_t"),
    **dict.fromkeys([f"std::{kind}set" for kind in _VARIANTS], "std::vector"),
    "std::unique_ptr": "std::vector",
    "ROOT::VecOps::RVec": "std::vector",
    "std::pair": "std::tuple",
}
_INTEGERS = [f"std::{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)]
_OTHERS = ["array", "optional", "string", "tuple", "vector"]
_WRITTEN = {"bool", "float", "double", *_INTEGERS, *(f"std::{name}" for name in _OTHERS)}
_NEEDED = (
    "_cascading._footer._header_checksum",
    "_cascading._header._checksum",
    "_cascading._header._column_records",
    "_cascading._header._field_records",
    "_cascading._header._serialize",
    "_cascading._header.generate_field_col_records",
    "_cascading.write",
    "_file.sink",
)
_TEMPLATE = re.compile(r"([\w:]+)<([^<>]*)>")  # one without others in it


def plain_type(name: str) -> str:
    """Return the type that uproot writes for fields of a type; empty where they differ on disk.

    Example:
        >>> plain_type("std::map<char,std::set<float>>"), plain_type("std::bitset<3>")
        ('std::vector<std::tuple<std::uint8_t,std::vector<float>>>', '')
    """
    text = name.replace(" ", "")
    while _TEMPLATE.search(text):
        text = _TEMPLATE.sub(_plain_template, text)
    words = [word for word in re.split("[{},]", text) if word]
    plain = {word: _PLAIN.get(word, word) for word in words if not word.isdecimal()}
    if not _WRITTEN.issuperset(plain.values()):
        return ""
    text = re.sub("[^{},]+", lambda word: plain.get(word[0], word[0]), text)
    return text.replace("{", "<").replace("}", ">")


def _plain_template(match: re.Match[str]) -> str:
    """Return a template in braces; a map as a list of pairs."""
    outer, inner = match.groups()
    return (
        f"std::vector{{std::pair{{{inner}}}}}"
        if outer in _MAPS
        else f"{outer}{{{inner}}}"
    )


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


def set_types(ntuple: Any, types: Mapping[str, str]) -> None:
    """Write the header of an empty RNTuple again, with other types that are equal on disk.

    Args:
        ntuple: The RNTuple that uproot writes.
        types: Types of fields by path, as `types_of` gives them.
    """
    if not types:
        return
    require(ntuple, *_NEEDED)
    cascade = ntuple._cascading
    header, footer = cascade._header, cascade._footer
    fields = header._field_records
    for path, field in _by_path(fields):
        original = types.get(path, "")
        if original and plain_type(original) == field.type_name:
            field.type_name = original
    for column in header._column_records:
        kind = fields[column.field_id].type_name
        column.type_num = _BYTES.get(kind, column.type_num)
    # what `serialize` would list once more
    header.generate_field_col_records = lambda: None
    header._serialize = None
    header.serialize()
    footer._header_checksum = header._checksum
    cascade.write(ntuple._file.sink)
