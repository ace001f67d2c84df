"""Which codecs take part, by name: the rivals, then flowtuple; the reference methods where they are named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flowtuple.benchmark.codecs.listing import RIVALS
from flowtuple.benchmark.codecs.rival import Rival, is_available
from flowtuple.benchmark.flowtuple_codec import NAME, Flowtuple
from flowtuple.benchmark.published.listing import REFERENCES
from flowtuple.benchmark.settings import Settings
from flowtuple.errors import InvalidArgument, MissingExtra, nearest

_DEFAULT = Settings()


def codec(name: str, settings: Settings = _DEFAULT) -> Rival:
    """One codec by name.

    Raises:
        InvalidArgument: There is none of that name.

    Example:
        >>> codec("zstd-19").promise, codec("latent-13").promise
        ('lossless', 'none')
    """
    codecs: dict[str, Rival] = {rival.name: rival for rival in RIVALS}
    codecs[NAME] = Flowtuple(settings.effort, settings.threads, settings.model, settings.progress)
    codecs |= {
        rival.name: replace(rival, method=rival.method.in_unit(settings.unit))
        for rival in REFERENCES
    }
    if name not in codecs:
        raise InvalidArgument(f"no codec {name!r}; {nearest(name, codecs, limit=len(codecs))}")
    return codecs[name]


def choose(names: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """The codecs that take part, each once, and a note on each that cannot.

    Args:
        names: Codecs asked for; `None` for all that are installed and keep what they promise, which leaves the reference
            methods out: they promise nothing, and train for minutes.

    Raises:
        InvalidArgument: A name is unknown, or there is none.
        MissingExtra: A codec asked for is not installed.
    """
    if names is None:
        everyone = [*RIVALS, codec(NAME)]
        notes = [
            f"{rival.name} is left out: {_missing(rival)}"
            for rival in everyone
            if not is_available(rival)
        ]
        return [rival.name for rival in everyone if is_available(rival)], notes
    for rival in map(codec, names):
        if not is_available(rival):
            raise _missing(rival)
    if not names:
        raise InvalidArgument(
            f"no codec is named; {nearest('', [*(r.name for r in RIVALS), NAME], limit=20)}"
        )
    return list(dict.fromkeys(names)), []


def _missing(rival: Rival) -> MissingExtra:
    module, extra = rival.requires or ("", "")
    return MissingExtra(extra, f"the codec {rival.name} ({module})")
