"""The fit of a reference method to rows."""

from __future__ import annotations

from flowtuple.benchmark.published.autoencoder import AutoencoderCodec
from flowtuple.benchmark.published.latent import LatentCodec
from flowtuple.benchmark.published.options import Autoencoder, Latent
from flowtuple.data.rows import Rows
from flowtuple.errors import InvalidArgument
from flowtuple.flows.fit import Fitted, Report


def fit_codec(
    rows: Rows,
    options: Latent | Autoencoder,
    seed: int,
    report: Report,
    log: str | None = None,
) -> tuple[LatentCodec | AutoencoderCodec, Fitted]:
    """Fit the method of the options.

    Args:
        rows: Finite rows, with the types of their columns.
        options: Options of the method.
        seed: The same rows, options and seed give the same codec on one machine.
        report: Called after each epoch.
        log: A folder for TensorBoard.

    Raises:
        InvalidArgument: Too few rows, or values outside the domain of their preprocessing.
    """
    if not len(rows):
        raise InvalidArgument(
            f"{rows.source}: has no row without NaN or infinite values; nothing can be encoded"
        )
    if isinstance(options, Latent):
        return LatentCodec.fit(rows, options, seed, report, log)
    return AutoencoderCodec.fit(rows, options, seed, report, log)
