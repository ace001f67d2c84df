"""Integers in as few bytes as they need: LEB128, signed numbers zigzagged."""

from __future__ import annotations

from collections.abc import Iterable

from flowtuple.errors import Corrupt

_LONGEST = 10  # bytes of a 64-bit number


def write_unsigned(numbers: Iterable[int]) -> bytes:
    """Return numbers in seven bits a byte, lowest first; the high bit says that more follow.

    Example:
        >>> write_unsigned([1, 300]).hex()
        '01ac02'
    """
    out = bytearray()
    for number in numbers:
        rest = number
        while rest >= 0x80:
            out.append(rest & 0x7F | 0x80)
            rest >>= 7
        out.append(rest)
    return bytes(out)


def write_signed(numbers: Iterable[int]) -> bytes:
    """Return signed numbers: 0, -1, 1, -2, ... as 0, 1, 2, 3, ..."""
    return write_unsigned(2 * n if n >= 0 else -2 * n - 1 for n in numbers)


class Reader:
    """Reads numbers one after another from bytes.

    Example:
        >>> reader = Reader(write_signed([5, -7]))
        >>> reader.signed(), reader.signed(), reader.position
        (5, -7, 2)
    """

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data = data
        self.position = position

    def unsigned(self) -> int:
        """Return the next number.

        Raises:
            Corrupt: The bytes end within it, or it is longer than any 64-bit number.
        """
        number = 0
        for k in range(_LONGEST):
            if self.position >= len(self.data):
                raise Corrupt("a number runs past the end of its section")
            byte = self.data[self.position]
            self.position += 1
            number |= (byte & 0x7F) << (7 * k)
            if byte < 0x80 and number < 2**64:
                return number
        raise Corrupt("a number is longer than 64 bits")

    def signed(self) -> int:
        number = self.unsigned()
        return number >> 1 if number % 2 == 0 else -(number >> 1) - 1

    def end(self, what: str, than: str = "its columns") -> None:
        """Check that no bytes are left.

        Raises:
            Corrupt: There are some.
        """
        if self.position != len(self.data):
            raise Corrupt(
                f"{what} has {len(self.data) - self.position} bytes more than {than}"
            )

    def take(self, length: int) -> bytes:
        """Return the next `length` bytes.

        Raises:
            Corrupt: There are fewer.
        """
        if not 0 <= length <= len(self.data) - self.position:
            raise Corrupt(f"a block of {length} bytes runs past the end of its section")
        self.position += length
        return self.data[self.position - length : self.position]
