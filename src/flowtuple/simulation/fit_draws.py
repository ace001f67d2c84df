"""Corrections learned from draws: distances of objects, and the width of vectors of the event.

Both compare events of the training with draws from the densities that learned from them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np

from flowtuple.data.schema import Array
from flowtuple.data.table import TableSource
from flowtuple.simulation.recoil import fit_scale
from flowtuple.simulation.sampler import Sampler
from flowtuple.simulation.spacing import Spacing, fit_spacing
from flowtuple.simulation.spec import SimulationSpec
from flowtuple.simulation.step import DrawSource, Step
from flowtuple.simulation.steps import run
from flowtuple.simulation.training_tables import TrainingTargets, read_block

COMPARED = 16384  # events of the training that are drawn


class _Compared:
    """A `DrawSource` that draws, measures distances, and gives the truth.

    Attributes:
        distances: Drawn and true distances by step.
    """

    def __init__(self, truth: DrawSource, drawn: DrawSource) -> None:
        self.distances: dict[str, list[tuple[Array, Array]]] = defaultdict(list)
        self._truth, self._drawn = truth, drawn

    def __call__(self, step: Step) -> dict[str, Array]:
        truth = self._truth(step)
        if step.distance is not None and len(step.event):
            proposed = np.ones(len(step.event), bool)
            drawn = step.distance(self._drawn(step), proposed)
            self.distances[step.name].append((drawn, step.distance(truth, proposed)))
        return truth


def with_spacing(
    spec: SimulationSpec, source: TableSource, sampler: Sampler
) -> SimulationSpec:
    """Return the spec with probabilities to accept objects by their distance to others.

    Args:
        spec: The fitted spec.
        source: Events with all columns, generated and simulated.
        sampler: The densities that learned from them.
    """
    true = read_block(source, spec, 0, min(COMPARED, source.num_entries))
    truth = TrainingTargets(true, spec)
    every = np.arange(true.events)
    compared = _Compared(truth, sampler.source(every, np.zeros_like(every)))
    run(true.without(spec.simulated, spec.generated), spec, compared)
    spacing: dict[str, Spacing] = {}
    for step, pairs in compared.distances.items():
        drawn, real = (np.concatenate(part) for part in zip(*pairs, strict=True))
        fitted = fit_spacing(drawn, real)
        if fitted is not None:
            spacing[step] = fitted
    return replace(spec, spacing=spacing)


def with_scales(
    spec: SimulationSpec, source: TableSource, sampler: Sampler
) -> SimulationSpec:
    """Return the spec with vectors that are as wide in simulated events as in true ones.

    Args:
        spec: The spec with distances.
        source: Events with all columns, generated and simulated.
        sampler: The densities that learned from them.
    """
    true = read_block(source, spec, 0, min(COMPARED, source.num_entries))
    made = true.without(spec.simulated, spec.generated)
    every = np.arange(true.events)
    if spec.recoils:
        run(made, spec, replace(sampler, spec=spec).source(every, np.zeros_like(every)))
    scaled = (replace(r, scale=fit_scale(true, made, spec, r)) for r in spec.recoils)
    return replace(spec, recoils=tuple(scaled))
