"""What a reference method is to the rest of the package: rows into pieces of bytes, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from flowtuple.data.schema import Array


class RowCodec(Protocol):
    """A fitted method. `decode(encode(values), n)` is a function of the pieces, the weights and the settings alone.

    Attributes:
        name: Of the method, as files name it.
        columns: Names of d columns.
        dtypes: NumPy names of their types.
    """

    name: ClassVar[str]

    @property
    def columns(self) -> tuple[str, ...]: ...

    @property
    def dtypes(self) -> tuple[str, ...]: ...

    def settings(self) -> Mapping[str, Any]:
        """What decoding needs beside the weights, as JSON."""

    def weights(self) -> bytes:
        """What decoding needs of the model."""

    def encode(self, values: Array) -> list[bytes]:
        """Pieces of rows of shape (n, d)."""

    def decode(self, pieces: Sequence[bytes], rows: int) -> Array:
        """Rows of shape (n, d), float64, as the columns' types hold them.

        Raises:
            Corrupt: The pieces do not hold so many rows.
            Unsupported: They hold residuals, and this machine's arithmetic is not the writer's.
        """
