"""Simulated events before a referee: are reconstructed objects right, given the generated ones."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from flowtuple.comparison.closure.result import Closure
from flowtuple.comparison.closure.samples import ClosureSample, layout_of, read_sample
from flowtuple.comparison.closure.verdicts import measure_closure
from flowtuple.io.source import ReadOptions, Source, open_dataset
from flowtuple.reporting.closure_page import write_closure
from flowtuple.runtime.atomic import atomic_path
from flowtuple.runtime.progress import Progress


@dataclass(frozen=True)
class ClosureOptions:
    """What is asked of a closure; as in `flowtuple.compare`.

    Attributes:
        given: Names or globs of generated columns.
        match: Columns that point to partners.
        against: Event columns to draw figures against.
        real: Real events to hold against the reference; `None` for its one half against the other.
        cuts: Conditions of which the shares that pass are compared.
        weights: Event column of weights.
        seed: Of everything random.
    """

    given: tuple[str, ...]
    match: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    real: Source | None = None
    cuts: tuple[str, ...] = ()
    weights: str | None = None
    seed: int = 0

    def compare(
        self,
        reference: Source,
        other: Source,
        options: ReadOptions,
        folder: Path | None,
        progress: Progress,
    ) -> Closure:
        """Hold one sample against the other, and real events against real ones; with a folder that is there, write it down.

        Raises:
            InvalidArgument: A name matches nothing, nothing points to given objects, a sample lacks a column, or given
                columns are not finite.
            MissingExtra: The extra 'compare' is not installed, or 'plots' where a folder is given.
        """
        opened = open_dataset(reference, options)
        layout = layout_of(opened, self.given, self.match, self.against, self.weights)

        def sample(source: Source) -> ClosureSample:
            return read_sample(
                open_dataset(source, options), layout, self.given, opened.description
            )

        right, judged = sample(reference), sample(other)
        pair, beside = right.halves(), f"one half of {right.source} against the other"
        if self.real is not None:
            pair = (right, sample(self.real))
            beside = f"{pair[1].source} against {right.source}"
        found = measure_closure(
            right,
            judged,
            pair,
            layout,
            self.given,
            real_words=beside,
            cuts=self.cuts,
            seed=self.seed,
            progress=progress,
        )
        if folder is not None:
            progress("closure", 1.0, "drawing")
            _write(found, folder)
        return found


def _write(found: Closure, folder: Path) -> None:
    content = found.to_json()
    write_closure(content, folder)
    with atomic_path(folder / "compare.json") as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
