"""The autoencoder codec: a few float32 numbers a row, and a network that decodes the row.

Without residuals nothing limits its errors. With them every value is within a bound. Only the
decoder is stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from flowtuple.benchmark.published.corrections import (
    add_residuals,
    few_values,
    pack_residuals,
    resolve,
    to_nearest,
)
from flowtuple.benchmark.published.layout import failures_named
from flowtuple.benchmark.published.networks import Pair, VariationalPair, decoder
from flowtuple.benchmark.published.normalisations import autoencoder_recipe, fit_chains
from flowtuple.benchmark.published.numbers import (
    pack_numbers,
    stored_second,
    unpack_numbers,
)
from flowtuple.benchmark.published.options import NETWORKS, Autoencoder
from flowtuple.data.bounds import Bound
from flowtuple.data.rows import Rows
from flowtuple.data.schema import Array
from flowtuple.data.table import ranges
from flowtuple.errors import Corrupt, Unsupported
from flowtuple.flows.blocks import SampledRows
from flowtuple.flows.fit import Fitted, Report, fit
from flowtuple.flows.model import BLOCK, typed
from flowtuple.runtime.torch_threads import torch_threads
from flowtuple.transforms import Chain

_FLOAT = np.dtype("<f4")


@dataclass(frozen=True, eq=False)
class AutoencoderCodec:
    """A fitted autoencoder.

    Attributes:
        columns: Names of d columns.
        dtypes: NumPy names of their types.
        chains: Preprocessing of each column.
        network: Name of the kind of network.
        widths: Widths of columns, hidden layers and latent numbers.
        decoder: Network from latent numbers to columns, in float32.
        encoder: Network from columns to latent numbers; `None` in a codec from a file.
        few: Values of the columns that are rounded to those of the training.
        bounds: Bounds of each column, with residuals; empty without.
        then: Second codec of the latent numbers, if any.
    """

    columns: tuple[str, ...]
    dtypes: tuple[str, ...]
    chains: tuple[Chain, ...]
    network: str
    widths: tuple[int, ...]
    decoder: torch.nn.Module
    encoder: torch.nn.Module | None
    few: Mapping[int, Array]
    bounds: tuple[Bound, ...] = ()
    then: str = ""
    name: ClassVar[str] = "autoencoder"

    @classmethod
    def fit(
        cls,
        rows: Rows,
        options: Autoencoder,
        seed: int,
        report: Report,
        log: str | None = None,
    ) -> tuple[Self, Fitted]:
        """Train both networks on rows; arguments and errors as in `LatentCodec.fit`."""
        settings = options.normalisation, options.unit, options.formulas
        recipes = {name: autoencoder_recipe(name, *settings) for name in rows.columns}
        chains, count = fit_chains(rows, recipes), len(rows.columns)
        widths = (count, *options.widths(count), options.latent)
        if options.variational:
            pair: Pair = VariationalPair(
                options.network, widths, seed, options.variational
            )
        else:
            pair = Pair(options.network, widths, seed)

        def spread(numbers: Array, u: Array) -> Array:
            return _forward(chains, rows.values[numbers])

        sample = SampledRows(spread, (len(rows), count), rows.event, np.ones(len(rows)))
        folder = None if log is None else Path(log)
        fitted = fit(pair, sample, options.training, seed, report, log=folder)
        pair.eval()
        bounds: tuple[Bound, ...] = ()
        if options.residuals:
            columns = zip(rows.values.T, rows.dtypes, strict=True)
            bounds = tuple(resolve(options.residuals, *column) for column in columns)
        return cls(
            rows.columns,
            rows.dtypes,
            chains,
            options.network,
            widths,
            pair.decoder,
            pair.encoder,
            few_values(rows) if options.seen else {},
            bounds,
            options.then,
        ), fitted

    @classmethod
    def restore(cls, settings: Mapping[str, Any], weights: bytes, where: str) -> Self:
        """Return the codec of `settings` and `weights`.

        Raises:
            Corrupt: They do not describe a codec.
        """
        with failures_named(where, "autoencoder", SafetensorError):
            columns, dtypes, widths = (
                tuple(settings[key]) for key in ("columns", "dtypes", "widths")
            )
            chains = tuple(Chain.from_config(config) for config in settings["chains"])
            kind = settings["network"]
            if (
                not len(columns) == len(dtypes) == len(chains) == widths[0]
                or kind not in NETWORKS
            ):
                raise ValueError("columns, types and networks do not fit")
            with torch.device("meta"):  # takes no memory, whatever the widths
                network = decoder(kind, widths)
            network.load_state_dict(load(weights), assign=True)
            return cls(
                columns,
                dtypes,
                chains,
                kind,
                widths,
                network.eval(),
                None,
                {int(k): np.array(x, np.float64) for k, x in settings["seen"].items()},
                tuple(map(Bound.parse, settings["bounds"])),
                stored_second(settings),
            )

    def settings(self) -> Mapping[str, Any]:
        return {
            "columns": self.columns,
            "dtypes": self.dtypes,
            "chains": [chain.config() for chain in self.chains],
            "network": self.network,
            "widths": self.widths,
            "seen": {str(k): values.tolist() for k, values in self.few.items()},
            "bounds": [str(bound) for bound in self.bounds],
            "then": self.then,
        }

    def weights(self) -> bytes:
        return save(
            {
                name: value.contiguous()
                for name, value in self.decoder.state_dict().items()
            }
        )

    def latent(self, values: Array) -> Array:
        """Return float32 numbers of shape (n, z) from rows of shape (n, d).

        Raises:
            Unsupported: The codec was read from a file.
        """
        if self.encoder is None:
            raise Unsupported(
                "an autoencoder that was read from a file has no encoder; fit one to encode"
            )
        return _through(self.encoder, _forward(self.chains, values))

    def reconstruction_error(self, values: Array, *, rounded: bool = False) -> Array:
        """Return the squared error of each row in normalised space, a mean over columns.

        The error, without residuals, is larger for rows unlike those of the training: a score of
        anomalies (Heimel et al., "QCD or what?", 2019).

        Args:
            values: Rows of shape (n, d).
            rounded: Round columns of few values first.

        Returns:
            float64 of shape (n,).

        Raises:
            Unsupported: The codec was read from a file.

        Example:
            >>> from flowtuple.flows.options import Training
            >>> x = np.random.default_rng(0).normal(size=(64, 1))
            >>> rows = Rows("x", ("x",), x, np.arange(64), 64, dtypes=("float32",))
            >>> training = Training(epochs=1)
            >>> options = Autoencoder(1, normalisation="standard", hidden=(4,), training=training)
            >>> codec, _ = AutoencoderCodec.fit(rows, options, 0, lambda share, loss: None)
            >>> score = codec.reconstruction_error(np.array([[0.0], [100.0]]))
            >>> bool(score[1] > score[0])
            True
        """
        latent, y = self.latent(values), _forward(self.chains, values).astype(np.float32)
        made = _through(self.decoder, latent)
        if rounded:
            plain = self._plain(latent)
            for k in self.few:
                made[:, k] = self.chains[k].forward(plain[:, k])
        error: Array = np.square(made - y).mean(axis=1, dtype=np.float64)
        return error

    def encode(self, values: Array) -> list[bytes]:
        """Return latent numbers of rows of shape (n, d), and residuals of each column with a bound.

        Raises:
            Unsupported: The codec was read from a file.
        """
        latent = self.latent(values)
        pieces = [pack_numbers(latent, self.then)]
        if self.bounds:
            base = self._plain(latent)
            columns = zip(values.T, base.T, self.bounds, self.dtypes, strict=True)
            pieces += [pack_residuals(*column) for column in columns]
        return pieces

    def decode(self, pieces: Sequence[bytes], rows: int) -> Array:
        """Return rows of shape (n, d), float64, in the columns' types.

        Raises:
            Corrupt: The pieces do not hold so many rows.
            Unsupported: There are residuals, and this machine's arithmetic is not the writer's.
        """
        if len(pieces) != 1 + len(self.bounds):
            raise Corrupt(
                f"{len(pieces)} pieces are there where {1 + len(self.bounds)} are due"
            )
        base = self._plain(
            unpack_numbers(pieces[0], self.then, rows, self.widths[-1], _FLOAT)
        )
        if not self.bounds:
            return base
        columns = zip(pieces[1:], base.T, self.bounds, self.dtypes, strict=True)
        return np.stack([add_residuals(*column) for column in columns], axis=1)

    def _plain(self, latent: Array) -> Array:
        """Decode rows without residuals."""
        y = _through(self.decoder, latent).astype(np.float64)
        values = [
            typed(chain.inverse(y[:, k]), self.dtypes[k])
            for k, chain in enumerate(self.chains)
        ]
        return to_nearest(np.stack(values, axis=1), self.few)


def _forward(chains: Sequence[Chain], values: Array) -> Array:
    return np.stack(
        [chain.forward(values[:, k]) for k, chain in enumerate(chains)], axis=1
    )


@torch.no_grad()
def _through(network: torch.nn.Module, rows: Array) -> Array:
    """Return the output of a network for rows, block by block in float32."""
    with torch_threads(1):
        x = torch.from_numpy(rows.astype(np.float32))
        return np.concatenate(
            [network(x[start:stop]).numpy() for start, stop in ranges(len(x), BLOCK)]
        )
