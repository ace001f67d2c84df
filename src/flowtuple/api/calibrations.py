"""Calibrations of models: labelled events, and the file with the calibrations of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flowtuple.api.generating import Density
from flowtuple.api.inputs import FilePath
from flowtuple.comparison.calibration.calibrate import (
    Calibration,
    LabelledScores,
    calibrate,
    check_enough,
)
from flowtuple.comparison.calibration.reliability import Reliability, measure_reliability
from flowtuple.comparison.calibration.stored import Calibrations, Pair
from flowtuple.comparison.calibration.trees import (
    LabelledTrees,
    event_features,
    fit_labelled_trees,
)
from flowtuple.data.event_weights import check_finite
from flowtuple.data.schema import Array
from flowtuple.data.table import Dataset, TableSource, read_all
from flowtuple.errors import InvalidArgument
from flowtuple.file.provenance import fingerprint
from flowtuple.io.location import is_url, split_tree
from flowtuple.io.source import STORED, Source, open_dataset
from flowtuple.model.model import EventModel
from flowtuple.runtime.atomic import atomic_path
from flowtuple.runtime.nearby import nearest_file

SUFFIX = ".calibration.json"
_SHARE = "log_ratio_"


@dataclass(frozen=True)
class Score:
    """A score of events: the surprise under a model, or the likelihood ratio of two.

    Attributes:
        density: The model.
        rival: The model that it is compared with; `None` for the surprise.
    """

    density: Density
    rival: Any = None

    def source(self, dataset: Dataset) -> TableSource:
        """Return the scores of events, with the shares of columns."""
        return self.density.scored(dataset, self.rival, by_column=True)

    def share_names(self, source: TableSource) -> list[str]:
        """Return the columns of scores that add up to the score."""
        if self.rival is None:
            return ["surprise"]
        return [c.name for c in source.columns if c.name.startswith(_SHARE)]

    @property
    def sign(self) -> float:
        """Sign that makes the score large for signal: signal is unlike the model."""
        return 1.0 if self.rival is None else -1.0

    @property
    def pair(self) -> Pair:
        """The table of the model, and the model that it is compared with."""
        if self.rival is None:
            return self.density.name, ""
        return self.density.name, f"{model_hash(self.rival.path)}:{self.rival.name}"

    def __str__(self) -> str:
        if self.rival is None:
            return f"the surprise under {self.density.path}"
        return f"{self.density.path} against {self.rival.path}"


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels and weights of events, or of objects.

    Attributes:
        where: Name of the sample in messages.
        signal: bool, shape (n,).
        weight: Shape (n,).
    """

    where: str
    signal: Array
    weight: Array


def read_labels(
    density: Density, dataset: Dataset, label: str, weight: str | None
) -> Labels:
    """Read labels to learn from: those above the smallest are signal.

    Raises:
        InvalidArgument: A column is missing, labels are NaN or all alike, a weight is negative or
            NaN, or the model has learned the label.
    """
    check_unlearned(density, label)
    labels = density.labels(dataset, label).astype(np.float64)
    where = f"{dataset.description}: column {label!r}"
    undefined = np.flatnonzero(~np.isfinite(labels))
    if len(undefined):
        raise InvalidArgument(
            f"{where}: {len(undefined)} labels are NaN or infinite, the first in row "
            f"{undefined[0]}; leave such events out"
        )
    signal = labels > labels.min(initial=np.inf)
    if not signal.any():
        alike = (
            f"all {len(labels)} labels are {labels[0]:g}" if len(labels) else "is empty"
        )
        raise InvalidArgument(
            f"{where}: {alike}; signal and others are both needed: add events of the other kind, "
            "or name another column with `label=`"
        )
    return Labels(
        dataset.description, signal, read_weights(density, dataset, weight, len(signal))
    )


def check_unlearned(density: Density, label: str) -> None:
    """Raise if a model has learned the label."""
    if label in density.names:
        raise InvalidArgument(
            f"{density.path}: has learned the label {label!r}; train it with `exclude=` {label}"
        )


def read_weights(
    density: Density, dataset: Dataset, name: str | None, rows: int
) -> Array:
    """Read weights from 0 on, 1 where no column is named, shape (rows,).

    Raises:
        InvalidArgument: The column is missing, or a weight is negative, NaN or infinite.
    """
    if name is None:
        return np.ones(rows)
    weights = density.labels(dataset, name, "weights").astype(np.float64)
    check_finite(weights, dataset.description, name)
    negative = np.flatnonzero(weights < 0)
    if len(negative):
        raise InvalidArgument(
            f"{dataset.description}: column {name!r}: {len(negative)} weights are negative, the "
            f"first in row {negative[0]}; a probability needs weights from 0 on: leave such events "
            "out or name another column with `weight=`"
        )
    return weights


@dataclass(frozen=True)
class Fitted:
    """A calibration with its quality on the labelled events.

    Attributes:
        calibration: The calibration.
        cross_fitted: Quality of the calibrated odds, each row by a fit that has not seen it.
        raw: Quality of the ratio as it is; `None` for the surprise.
    """

    calibration: Calibration
    cross_fitted: Reliability
    raw: Reliability | None


def fit_calibration(
    score: Score, events: Source, label: str, weight: str | None
) -> Fitted:
    """Calibrate a score on labelled events; rows without a score are left out.

    Raises:
        InvalidArgument: Labels or weights are missing or wrong, or there are too few events.
    """
    dataset = open_dataset(events)
    labels = read_labels(score.density, dataset, label, weight)
    source = score.source(dataset)
    names = score.share_names(source)
    has_event = "event" in {c.name for c in source.columns}
    table = read_all(source, [*names, "event"] if has_event else names)
    shares = score.sign * np.stack([table[name] for name in names], axis=1)
    event = table["event"] if has_event else np.arange(len(shares))
    _, event = np.unique(event, return_inverse=True)
    labelled = LabelledScores(labels.where, shares, labels.signal, labels.weight, event)
    labelled = labelled.some(np.isfinite(shares.sum(axis=1)))
    columns = tuple(name.removeprefix(_SHARE) for name in names)
    made, cross_fitted = calibrate(labelled, columns)
    raw = None
    if score.rival is not None:
        odds = labelled.shares.sum(axis=1) + made.prior
        parts = labelled.signal, labelled.weight, labelled.event
        raw = measure_reliability(odds, *parts)
    return Fitted(made, cross_fitted, raw)


def fit_classifier(
    density: Density, events: Source, label: str, weight: str | None
) -> LabelledTrees:
    """Fit boosted trees to labelled events, on the columns of a model.

    Raises:
        InvalidArgument: Labels or weights are missing or wrong, or there are too few events.
        MissingExtra: The extra 'compare' is not installed.
    """
    dataset = open_dataset(events)
    labels = read_labels(density, dataset, label, weight)
    names, values = classifier_features(density, dataset, (label, weight or label))
    event = np.arange(len(values))
    check_enough(
        LabelledScores(labels.where, values, labels.signal, labels.weight, event),
        "a classifier",
    )
    return fit_labelled_trees(names, values, labels.signal, labels.weight)


def classifier_features(
    density: Density, dataset: Dataset, without: Sequence[str]
) -> tuple[list[str], Array]:
    """Return names and values of what a classifier reads: the columns of a model."""
    if isinstance(density, EventModel):
        names, values = event_features(density.whole(dataset), without)
    else:
        rows = density.rows(dataset)
        names = list(density.names)
        values = np.concatenate([rows.values, rows.context], axis=1)
    return names, np.where(np.isfinite(values), values, np.nan)


def model_hash(path: str) -> str:
    """Return the XXH3 of a model's bytes.

    Raises:
        InvalidArgument: It is no local file.
    """
    if is_url(path):
        raise InvalidArgument(
            f"{path}: a calibration belongs to the bytes of a local file; copy the model here"
        )
    return str(fingerprint(Path(path))["xxh3"])


def calibration_path(model: FilePath, named: FilePath | None = None) -> Path | None:
    """Return the file of a model's calibrations: the named one, or the one next to the model.

    Example:
        >>> print(calibration_path("jets.flow:events"))
        jets.flow.calibration.json
        >>> print(calibration_path("https://example.org/jets.flow"))
        None
    """
    if named is not None:
        return Path(named)
    name = split_tree(str(model), STORED)[0]
    return None if is_url(name) else Path(f"{name}{SUFFIX}")


def read_calibration(
    score: Score, model: FilePath, named: FilePath | None
) -> Calibration | None:
    """Return the stored calibration of a score; `None` without one, unless a file is named.

    Raises:
        InvalidArgument: The file is of another model, or a named one lacks this score.
        Corrupt: The file is damaged, or is something else.
    """
    path = calibration_path(model, named)
    if path is None or (named is None and not path.exists()):
        return None
    stored = _read(path)
    if stored.model != model_hash(score.density.path):
        raise InvalidArgument(
            f"{path}: calibrates another model than {score.density.path}, or one since trained "
            "again; calibrate with `calibrate=`, or remove the file"
        )
    made = stored.by_pair.get(score.pair)
    if made is None and named is not None:
        raise InvalidArgument(
            f"{path}: has no calibration of {score}; calibrate with `calibrate=`"
        )
    return made


def write_calibration(
    score: Score, model: FilePath, named: FilePath | None, made: Calibration
) -> Path:
    """Store a calibration with those of other scores of the same model, and return the file.

    Raises:
        InvalidArgument: The model is no local file, or a named file is of another model.
        Corrupt: The file is something else.
    """
    own, path = model_hash(score.density.path), calibration_path(model, named)
    if path is None:
        raise InvalidArgument(f"{model}: name a file with `calibration=`")
    stored = Calibrations(own)
    if path.exists():
        earlier = _read(path)
        if earlier.model == own:
            stored = earlier
        elif named is not None:
            raise InvalidArgument(
                f"{path}: calibrates another model than {score.density.path}; name another file "
                "with `calibration=`"
            )
    pairs = dict(stored.by_pair) | {score.pair: made}
    with atomic_path(path) as temporary:
        temporary.write_text(Calibrations(own, pairs).to_text(), encoding="utf-8")
    return path


def _read(path: Path) -> Calibrations:
    try:
        return Calibrations.from_text(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        problem = f"no such file; {nearest_file(path, ['.json'])}"
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    except UnicodeDecodeError:
        problem = "is no calibration of a model; name another file with `calibration=`"
    raise InvalidArgument(f"{path}: {problem}")
