"""Scores of events under models: likelihoods, ratios, calibrated probabilities, a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from flowtuple.api.calibrations import (
    Fitted,
    Score,
    check_unlearned,
    classifier_features,
    fit_calibration,
    fit_classifier,
    read_calibration,
    read_weights,
    write_calibration,
)
from flowtuple.api.generating import Density, delivered, open_density
from flowtuple.api.inputs import FilePath
from flowtuple.comparison.calibration.calibrate import Calibration
from flowtuple.comparison.calibration.reliability import (
    Reliability,
    measure_reliability,
    probability,
)
from flowtuple.comparison.two_sample.auc import Area, area_under_roc
from flowtuple.data.schema import Array, Column
from flowtuple.data.table import Dataset, Table, TableSource, read_all
from flowtuple.errors import InvalidArgument
from flowtuple.io.source import Source, open_dataset
from flowtuple.reporting.plots import roc_png
from flowtuple.runtime.atomic import atomic_path
from flowtuple.runtime.extras import require
from flowtuple.runtime.lazy_packages import awkward as ak
from flowtuple.runtime.old_names import accepts_old, names_tree

_CALIBRATED = ("probability", "calibrated_log_ratio")
_CLASSIFIER = ("classifier_probability", "classifier_log_ratio")


@names_tree
@accepts_old(by_column="columns")
def score(
    model: FilePath,
    source: Source,
    output: FilePath | None = None,
    *,
    against: FilePath | None = None,
    by_column: bool = False,
    label: str | None = None,
    weight: str | None = None,
    calibrate: Source | None = None,
    calibration: FilePath | None = None,
    classifier: Source | None = None,
) -> ak.Array | None:
    """Return the likelihood of each event under a model.

    A lattice flow has probabilities with respect to counting measure on its lattice: divide by the
    widths of the cells for a density in the columns' units. Ids have no density and do not count. A
    flow over rows scores rows; its densities are in the columns' units, but integers and repeated
    values have probabilities.

    Two densities that learned few events are too bold, and so is their ratio. Calibration on
    labelled events turns it into a probability; the calibration is stored next to the model, and
    later calls use it.

    Args:
        model: A model, or a compressed file; `PATH:TREE` for one of several tables.
        source: Events with the columns of the model.
        output: A path whose suffix names the format; `None` to return the scores.
        against: Another model of the same columns on the same lattices (`train(..., like=model)`),
            for the likelihood ratio.
        by_column: Add the bits of each column and, with `against`, its share of `log_ratio`.
        label: A column of the events to copy to the scores, whether or not the model knows it; see
            `separation`. Rows above the smallest label are signal.
        weight: A column of weights of labelled events, which are copied with the label.
        calibrate: Labelled events that no model has learned, to calibrate the score on: the ratio
            of a background model `model` and a signal model `against`, or the surprise. The events
            of `source` need no label then.
        calibration: The file that stores calibrations of the model; by default it is
            `MODEL.calibration.json` next to the model.
        classifier: Labelled events to train boosted trees on, for a ratio to compare with.

    Returns:
        A record array of `log_prob` (natural logarithm), `bits` (code length) and `surprise`: bits
        above the model's own expectation in standard deviations, which is -log p shifted and
        scaled, and orders events alike. `against` adds `log_ratio` (log p of `model` less log p of
        `against`), `by_column` adds `bits_COLUMN`, objects have `event`, and `label` adds that
        column. A calibration adds `probability` of signal, for as much signal as among the events
        of the calibration, and `calibrated_log_ratio`, which has no such share and the sign of
        `log_ratio`. `classifier` adds `classifier_probability` and `classifier_log_ratio`. With an
        output `None`.

    Raises:
        InvalidArgument: The events lack a column of the model, the models do not share their
            lattices, labels or weights are missing or wrong, or the calibration is of another
            model.
        Corrupt: The stored calibration is damaged.
        MissingExtra: scikit-learn is needed for `classifier`, and is not installed.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "m.flow"
        >>> notes = ft.train({"n": [1, 2, 2, 3, 3, 3] * 50}, path, effort="fast")
        >>> ft.score(path, {"n": [3]})["bits"].to_numpy().round(1).tolist()
        [1.0]
    """
    learning = Learning(label, weight, calibrate, calibration, classifier)
    scored = score_events(model, source, learning, against=against, by_column=by_column)
    return delivered(scored.dataset, output)


@dataclass(frozen=True)
class Learning:
    """Labelled events and what they are for; arguments as of `score`.

    Attributes:
        label: Column of labels.
        weight: Column of weights.
        calibrate: Events to calibrate on.
        calibration: File of calibrations.
        classifier: Events to train trees on.
    """

    label: str | None = None
    weight: str | None = None
    calibrate: Source | None = None
    calibration: FilePath | None = None
    classifier: Source | None = None

    @property
    def learns(self) -> bool:
        """True if there are labelled events to learn from."""
        return self.calibrate is not None or self.classifier is not None

    def check(self) -> None:
        """Raise before long work if an argument lacks another, or a package is missing."""
        users = {
            "calibrate=": self.calibrate,
            "classifier=": self.classifier,
            "weight=": self.weight,
        }
        for name, value in users.items():
            if value is not None and self.label is None:
                raise InvalidArgument(
                    f"`{name}` needs `label=`, the column whose larger values are signal"
                )
        if self.classifier is not None:
            for module in ("sklearn.ensemble", "threadpoolctl"):
                require(module, "compare", "a classifier")


@dataclass(frozen=True)
class ScoredEvents:
    """Scores of events, and the calibration that they have.

    Attributes:
        dataset: The scores, as one table that may be made while it is read.
        calibration: Calibration of the score; `None` without one.
        fitted: Its quality, if it was made by this call.
        path: File that it was stored in, if it was made by this call.
        has_label: Whether the scores have a label.
        learned: Whether events that were learned from are among those that were scored.
    """

    dataset: Dataset
    calibration: Calibration | None = None
    fitted: Fitted | None = None
    path: Path | None = None
    has_label: bool = False
    learned: bool = False


def score_events(
    model: FilePath,
    source: Source,
    learning: Learning,
    *,
    against: FilePath | None = None,
    by_column: bool = False,
) -> ScoredEvents:
    """Score events; arguments and errors as of `score`."""
    learning.check()
    density = open_density(model)
    own = Score(density, _open_rival(density, against))
    dataset = open_dataset(source)
    made = None
    if learning.calibrate is None:
        made = read_calibration(own, model, learning.calibration)
    is_calibrated = made is not None or learning.calibrate is not None
    # Whatever is wrong with the events is said before anything is learned or stored.
    scores = density.scored(dataset, own.rival, by_column=by_column or is_calibrated)
    names = {c.name for table in dataset.tables.values() for c in table.columns}
    has_label = learning.label is not None
    has_label &= learning.label in names or not learning.learns
    added = _labels(density, dataset, learning) if has_label else {}
    added |= _classified(density, dataset, learning)
    fitted, path = None, None
    if learning.calibrate is not None:
        fitted = fit_calibration(
            own, learning.calibrate, str(learning.label), learning.weight
        )
        made = fitted.calibration
        path = write_calibration(own, model, learning.calibration, made)
    if made is not None:
        scores = _Calibrated(own, scores, made, by_column=by_column)
    if added:
        scores = _with_columns(read_all(scores), added)
    whole = Dataset(dataset.description, {"scores": scores})
    learned = _share_a_file(source, learning)
    return ScoredEvents(whole, made, fitted, path, has_label, learned)


def _share_a_file(source: Source, learning: Learning) -> bool:
    """Return whether scored events are in a file of labelled ones."""
    labelled = _files(learning.calibrate) | _files(learning.classifier)
    return bool(_files(source) & labelled)


def _files(source: Source | None) -> set[Path]:
    parts = source if isinstance(source, (list, tuple)) else [source]
    return {Path(part).resolve() for part in parts if isinstance(part, (str, Path))}


def _open_rival(density: Density, against: FilePath | None) -> Any:
    """Return the other model of a ratio, of the same kind."""
    if against is None:
        return None
    rival = open_density(against)
    if type(rival) is not type(density):
        raise InvalidArgument(
            f"{against} against {density.path}: flows of different kinds do not share a measure"
        )
    return rival


def _classified(
    density: Density, dataset: Dataset, learning: Learning
) -> dict[str, Array]:
    """Return the scores of a classifier, if there are events to train it on."""
    label, weight = str(learning.label), learning.weight
    if learning.classifier is None:
        return {}
    trees = fit_classifier(density, learning.classifier, label, weight)
    features = classifier_features(density, dataset, (label, weight or label))[1]
    odds = trees.log_odds(features)
    return dict(zip(_CLASSIFIER, (probability(odds), trees.prior - odds), strict=True))


def _labels(density: Density, dataset: Dataset, learning: Learning) -> dict[str, Array]:
    """Return labels of scored events, and their weights where a column is named."""
    label = str(learning.label)
    check_unlearned(density, label)
    labels = density.labels(dataset, label)
    if learning.weight is None:
        return {"label": labels}
    weights = read_weights(density, dataset, learning.weight, len(labels))
    return {"label": labels, "weight": weights}


def _with_columns(table: Table, added: dict[str, Array]) -> Table:
    columns = tuple(Column(name, str(values.dtype)) for name, values in added.items())
    return replace(
        table, columns=(*table.columns, *columns), data={**table.data, **added}
    )


class _Calibrated:
    """Scores with calibrated ones, a `TableSource` that computes what is read.

    Args:
        score: The score.
        scores: Scores of events, with the shares of columns.
        calibration: Calibration of the score.
        by_column: Whether the shares of columns are among the scores to give.
    """

    def __init__(
        self,
        score: Score,
        scores: TableSource,
        calibration: Calibration,
        *,
        by_column: bool,
    ) -> None:
        self._score = score
        self._scores = scores
        self._calibration = calibration
        self.name = scores.name
        self.num_entries = scores.num_entries
        columns = (
            c
            for c in scores.columns
            if by_column or not c.name.startswith(("bits_", "log_ratio_"))
        )
        self.columns = (*columns, *(Column(name, "float64") for name in _CALIBRATED))

    def read(self, columns: Sequence[str], start: int, stop: int) -> Table:
        """Return the scores of a range of events."""
        chosen = tuple(c for c in self.columns if c.name in columns)
        names = [c.name for c in chosen if c.name not in _CALIBRATED]
        shares = self._score.share_names(self._scores)
        table = self._scores.read(list({*names, *shares}), start, stop)
        data = {name: table.data[name] for name in names}
        if len(names) < len(chosen):
            of_columns = np.stack([table.data[name] for name in shares], axis=1)
            odds = self._calibration.log_odds(self._score.sign * of_columns)
            data["probability"] = probability(odds)
            data["calibrated_log_ratio"] = self._calibration.prior - odds
        return Table(
            self.name, chosen, table.num_entries, {c.name: data[c.name] for c in chosen}
        )


@dataclass(frozen=True, eq=False)
class _Judged:
    """Labelled scores without undefined ones."""

    values: dict[str, Array]
    signal: Array
    weight: Array | None
    event: Array


def _judged(scores: ak.Array, names: Sequence[str]) -> _Judged:
    """Return the named scores, where there are any, of rows in which all are defined.

    Raises:
        InvalidArgument: There is no label.
    """
    if "label" not in scores.fields:
        raise InvalidArgument("the scores have no label; name its column with `label=`")
    known = set(scores.fields)
    values = {
        name: np.asarray(scores[name.removeprefix("-")], np.float64)
        * (-1 if name.startswith("-") else 1)
        for name in names
        if name.removeprefix("-") in known
    }
    labels = np.asarray(scores["label"], np.float64)
    event = np.asarray(scores["event"]) if "event" in known else np.arange(len(scores))
    defined = ~np.isnan(np.stack([labels, *values.values()])).any(axis=0)
    weight = np.asarray(scores["weight"])[defined] if "weight" in known else None
    return _Judged(
        {name: numbers[defined] for name, numbers in values.items()},
        labels[defined] > labels[defined].min(initial=np.inf),
        weight,
        event[defined],
    )


def separation(scores: ak.Array, plot: FilePath | None = None) -> dict[str, Area]:
    """Return the area under the ROC curve of each score, as a classifier of labelled rows.

    Large scores mean unlike the model: `-log_ratio` (optimal, if `against` is a model of the
    signal), `probability` and `classifier_probability` where they are there, `surprise`, and
    `-log_prob`, which mostly counts objects. Rows without a score are left out.

    Args:
        scores: From `score` with a label; rows with a label above the smallest are signal.
        plot: A PNG file for the ROC curves.

    Returns:
        The area, between 0 and 1, with its 95 % interval, by name of the score; the most promising
        first.

    Raises:
        InvalidArgument: There is no label, or all labels are equal.

    Example:
        >>> import awkward as ak
        >>> import numpy as np
        >>> import flowtuple as ft
        >>> draw = np.random.default_rng(0)
        >>> columns = {"log_prob": draw.normal(0, 1, 100), "surprise": np.arange(100.0)}
        >>> scores = ak.Array(columns | {"label": np.arange(100) > 50})
        >>> ft.separation(scores)["surprise"].value
        1.0
    """
    names = ("-log_ratio", "probability", "classifier_probability")
    judged = _judged(scores, (*names, "surprise", "-log_prob"))
    areas = {
        name: area_under_roc(numbers, judged.signal, judged.weight, judged.event)
        for name, numbers in judged.values.items()
    }
    if plot is not None:
        values = {name: area.value for name, area in areas.items()}
        with atomic_path(plot) as temporary:
            temporary.write_bytes(roc_png(judged.values, judged.signal, values))
    return areas


def reliability(scores: ak.Array) -> dict[str, Reliability]:
    """Return how well probabilities say how often labelled rows are signal.

    These are the ratio of two flows as it is (`log_ratio`, with the share of signal among these
    rows), the calibrated `probability`, and `classifier_probability`.

    Args:
        scores: From `score` with a label; rows with a label above the smallest are signal. Rows
            without a score are left out.

    Returns:
        Log-loss, slope, area under the ROC curve and bins, by name of the score.

    Raises:
        InvalidArgument: There is no label or no probability, or all labels are equal.

    Example:
        >>> import awkward as ak
        >>> import flowtuple as ft
        >>> columns = {"probability": [0.25, 0.75] * 4, "label": [0, 1, 0, 1, 0, 1, 1, 0]}
        >>> round(ft.reliability(ak.Array(columns))["probability"].log_loss, 3)
        0.562
    """
    judged = _judged(scores, ("-log_ratio", "probability", "classifier_probability"))
    if not judged.values:
        raise InvalidArgument(
            "the scores have no probability; name labelled events with `calibrate=`"
        )
    weight = np.ones(len(judged.signal)) if judged.weight is None else judged.weight
    _, event = np.unique(judged.event, return_inverse=True)
    share = np.clip(
        weight[judged.signal].sum() / max(weight.sum(), 1e-300), 1e-9, 1 - 1e-9
    )
    out = {}
    for name, values in judged.values.items():
        if name == "-log_ratio":
            odds = values + np.log(share / (1 - share))
        else:
            p = np.clip(values, 1e-15, 1 - 1e-15)
            odds = np.log(p / (1 - p))
        figures = measure_reliability(odds, judged.signal, weight, event)
        out[name.removeprefix("-")] = figures
    return out
