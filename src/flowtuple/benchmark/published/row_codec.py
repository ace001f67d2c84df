"""The protocol of reference methods: rows into pieces of bytes, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from flowtuple.data.schema import Array


class RowCodec(Protocol):
    """A fitted method.

    `decode(encode(values), n)` is a function of the pieces, the weights and the settings alone.

    Attributes:
        name: Name of the method in files.
        columns: Names of d columns.
        dtypes: NumPy names of their types.
    """

    name: ClassVar[str]

    @property
    def columns(self) -> tuple[str, ...]: ...

    @property
    def dtypes(self) -> tuple[str, ...]: ...

    def settings(self) -> Mapping[str, Any]:
        """Return everything but weights that decoding needs, as JSON."""

    def weights(self) -> bytes:
        """Return the weights that decoding needs."""

    def encode(self, values: Array) -> list[bytes]:
        """Return pieces of rows of shape (n, d)."""

    def decode(self, pieces: Sequence[bytes], rows: int) -> Array:
        """Return rows of shape (n, d), float64, in the columns' types.

        Raises:
            Corrupt: The pieces do not hold so many rows.
            Unsupported: They hold residuals, and this machine's arithmetic is not the writer's.
        """
