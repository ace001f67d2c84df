"""Several byte strings in one: the smallest container for a codec."""

from __future__ import annotations

from collections.abc import Sequence

from flowtuple.codec.varint import Reader, write_unsigned


def join(pieces: Sequence[bytes]) -> bytes:
    """Return each piece after its length.

    Example:
        >>> split(join([b"", b"abc"]))
        [b'', b'abc']
    """
    return b"".join(write_unsigned([len(piece)]) + piece for piece in pieces)


def split(data: bytes) -> list[bytes]:
    """Return the pieces of `join`.

    Raises:
        Corrupt: The bytes end within a piece.
    """
    reader, pieces = Reader(data), []
    while reader.position < len(data):
        pieces.append(reader.take(reader.unsigned()))
    return pieces
