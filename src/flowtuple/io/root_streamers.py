"""Classes of a ROOT file, and the descriptions (TStreamerInfo) that an object needs."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from types import ModuleType
from typing import Any, TypeAlias

from uproot.writing._cascade import RawStreamerInfo

from flowtuple.runtime.lazy_packages import uproot

Streamers: TypeAlias = Mapping[str, Mapping[int, Any]]
"""By class and version, as `uproot.reading.ReadOnlyFile.streamers` has them."""

# ROOT writes the name of a class at its first use in a buffer, and references afterwards.
_NEW_CLASS = re.compile(rb"\xff\xff\xff\xff([A-Za-z_][\x20-\x7e]{0,500})\x00")
# as in the name of a TClonesArray: "TParticle;1"
_CLONES_CLASS = re.compile(rb"([A-Za-z_][\w:<>, ]{0,500});\d+")
_ELSEWHERE = frozenset(
    [
        *("TTree", "TNtuple", "TNtupleD", "TBranch", "TBranchElement", "TBranchObject"),
        *("TBasket", "TDirectory", "TDirectoryFile", "TFile"),
    ]
)


def classes_within(content: bytes) -> set[str]:
    r"""Names of the classes that the bytes of an object spell out.

    Example:
        >>> sorted(classes_within(b"@...\xff\xff\xff\xffTPaveStats\x00..."))
        ['TPaveStats']
    """
    names = [*_NEW_CLASS.findall(content), *_CLONES_CLASS.findall(content)]
    return {name.decode() for name in names}


def points_elsewhere(classname: str, content: bytes, streamers: Streamers) -> bool:
    """Return whether an object needs other parts of its file, as a tree needs its baskets."""
    classes = {name.decode() for name in _NEW_CLASS.findall(content)}
    if classname != "TChain":
        classes.add(classname)

    def bases(name: str) -> Iterator[str]:
        return (base for base, is_base in _mentioned(name, streamers) if is_base)

    return not _ELSEWHERE.isdisjoint(_reached(classes, bases))


def needed(classname: str, content: bytes, streamers: Streamers) -> list[Any]:
    """Return the descriptions that an object needs, ordered by name and version.

    Args:
        classname: C++ class of the object.
        content: Bytes of the object.
        streamers: Descriptions in its file.
    """

    def parts(words: Iterable[str]) -> Iterator[str]:
        return (name for word in words for name in _named_in(word, streamers))

    known = _reached(
        parts([classname, *classes_within(content)]),
        lambda name: parts(word for word, _ in _mentioned(name, streamers)),
    )
    return [
        streamers[name][version]
        for name in sorted(known)
        for version in sorted(streamers[name])
    ]


def _reached(names: Iterable[str], follow: Callable[[str], Iterable[str]]) -> set[str]:
    """Return names and those to which they lead, at any distance."""
    known: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in known:
            known.add(name)
            waiting += follow(name)
    return known


def _mentioned(name: str, streamers: Streamers) -> Iterator[tuple[str, bool]]:
    """Classes of the members of a class, and whether each is a base."""
    for streamer in streamers.get(name, {}).values():
        for element in streamer.elements:
            is_base = isinstance(element, uproot.streamers.Model_TStreamerBase)
            yield (
                (element.name if is_base else element.typename or "").rstrip("*"),
                is_base,
            )


def _named_in(word: str, streamers: Streamers) -> Iterable[str]:
    """Return the classes that a C++ type names: itself, and the arguments of its template."""
    if word in streamers and "<" not in word:
        return (word,)
    return [name for name in streamers if name in word] if "<" in word else ()


@cache
def built_in() -> dict[str, dict[int, Any]]:
    """The descriptions that uproot brings: of trees, histograms and what they are made of."""
    modules = [m for m in vars(uproot.models).values() if isinstance(m, ModuleType)]
    models = (model for module in modules for model in vars(module).values())
    listed = [getattr(model, "class_rawstreamers", None) or () for model in models]
    raw = [RawStreamerInfo(*streamer) for streamers in listed for streamer in streamers]
    buffer = io.BytesIO()
    with uproot.recreate(buffer, compression=None) as file:
        file.file.update_streamers(raw)
        content = buffer.getvalue()
    with uproot.open(io.BytesIO(content)) as file:
        return dict(file.file.streamers)


def is_built_in(streamer: Any) -> bool:
    """Return whether uproot has the same description, so that a file need not carry it."""
    own = built_in().get(streamer.name, {}).get(streamer.class_version)
    return own is not None and own.member("fCheckSum") == streamer.member("fCheckSum")


def with_built_in(streamers: Streamers) -> Streamers:
    """Return the descriptions of a file, and those that uproot brings."""
    both = dict(built_in())
    for name, versions in streamers.items():
        both[name] = {**both.get(name, {}), **versions}
    return both
