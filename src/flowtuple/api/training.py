"""Models of events fitted to events: a lattice flow for compression and generation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flowtuple.api.inputs import (
    EVERYTHING,
    FilePath,
    Selection,
    Tolerance,
    Weighted,
    bounds_by_glob,
    check_request,
    left_out_notes,
    refuse_rows,
    resolved,
)
from flowtuple.api.old_train import takes_all_jobs
from flowtuple.data.event_weights import Weighting
from flowtuple.data.resources import Resources
from flowtuple.data.selection import select
from flowtuple.data.table import Dataset
from flowtuple.errors import InvalidArgument
from flowtuple.file.provenance import provenance
from flowtuple.file.writer import create
from flowtuple.flows.processes import Process
from flowtuple.io.source import Source
from flowtuple.training.fit import with_flows
from flowtuple.training.write_events import write_model


@takes_all_jobs
def train(
    source: Source | Weighted,
    output: FilePath,
    *,
    tolerance: Tolerance | None = None,
    selection: Selection = EVERYTHING,
    given: Iterable[str] = (),
    effort: str = "default",
    seed: int = 0,
    lean: bool = False,
    like: FilePath | None = None,
    resources: Resources = Resources(),
) -> tuple[str, ...]:
    """Fit a model of events, and write it without events: to compress, sample, score and share.

    Args:
        source: A path, URL, list of paths, awkward array, dict of arrays or DataFrame, or any of
            them `Weighted`.
        output: The model, usually `NAME.flow`; it appears whole or not at all.
        tolerance: Bound by column name or glob, or one for all, as in `compress`; the model fixes
            it.
        selection: Part of the input to take.
        given: Names or globs of external columns. Files of this model store only their hash, and
            readers supply them.
        effort: `fast`, `default` or `best`.
        seed: The same input, options and seed give the same model on one machine.
        lean: Leave out what saves no bytes. Such a model can neither `sample` nor `score` all
            columns.
        like: A model whose lattices this one takes over, so that `score` can divide the two.
        resources: Threads, memory, progress, and a checkpoint folder to resume from. In a small
            memory a long input is learned in part.

    Returns:
        Notes for the user, one sentence each.

    Raises:
        InvalidArgument: A name, bound or path is wrong, or there is too little to learn from.
        MissingExtra: PyTorch is not installed.

    Example:
        >>> import pathlib, tempfile
        >>> import flowtuple as ft
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "m.flow"
        >>> ft.train({"n": [1, 2, 2, 3, 3, 3] * 50}, path, effort="fast")
        ()
        >>> sorted(set(ft.sample(path, 1000, seed=1)["n"].tolist()))
        [1, 2, 3]
    """
    check_request(output, effort, seed)
    if Process.here().size > 1:
        raise InvalidArgument(
            "torchrun is for flows over rows; use `train_flow()`, or start without torchrun"
        )
    events, given = Weighted.of(source), tuple(given)
    if like is not None:
        refuse_rows(like)
    if like is not None and given:
        raise InvalidArgument(f"{like}: fixes which columns are given; leave out `given=`")
    dataset, lengths = events.read(selection, given)
    weightings = _weightings(dataset, events, lengths)
    if events.weight:
        dataset = select(dataset, (), (events.weight,))
    with create(output) as writer:
        prepared = resolved(dataset, bounds_by_glob(tolerance), given, like, resources)
        prepared = with_flows(
            prepared, effort, seed, resources, complete=not lean, weightings=weightings
        )
        write_model(writer, prepared, provenance(effort, seed, events.source))
    warnings = [warning for table in prepared for warning in table.warnings]
    return (*left_out_notes(dataset), *warnings)


def _weightings(
    dataset: Dataset, events: Weighted, lengths: Mapping[str, tuple[int, ...]]
) -> dict[str, Weighting] | None:
    """Return the weights of each table's events; `None` where all events count for 1."""
    if events.weight and len(dataset.tables) > 1:
        trees = list(dataset.tables)
        raise InvalidArgument(
            f"{dataset.description}: `weight=` goes with one tree, not with {', '.join(trees)};"
            f" choose one, such as FILE:{trees[0]}"
        )
    if not events.weight and not events.mix:
        return None
    return {
        name: Weighting(table, events.weight or "", lengths[name], tuple(events.mix))
        for name, table in dataset.tables.items()
    }
