"""Names that a person may have meant by the path of a file that is missing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from flowtuple.errors import nearest


def nearest_file(path: Path, suffixes: Iterable[str] = ()) -> str:
    """Return a phrase with the files of fitting kinds in the folder of a missing file.

    Hidden files are left out, and so are the temporary ones of `atomic_path`, which are hidden.

    Args:
        path: The missing file.
        suffixes: Suffixes of the kinds that fit, in lower case, besides its own.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("nano.root", "nano.ftup", ".nano.root.0123abcd.part.root"):
        ...     (folder / name).touch()
        >>> nearest_file(folder / "nano2.root")
        'nearest: nano.root'
        >>> nearest_file(Path("nowhere/events.root"))
        'the folder nowhere does not exist either'
    """
    fitting = tuple(dict.fromkeys((*suffixes, path.suffix.lower())))
    try:
        names = sorted(entry.name for entry in path.parent.iterdir())
    except OSError:
        return f"the folder {path.parent} does not exist either"
    return nearest(
        path.name,
        [n for n in names if not n.startswith(".") and n.lower().endswith(fitting)],
    )
