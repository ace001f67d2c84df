"""Checks of an analysis as a table of the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from flowtuple.advice.checks import DemandCheck
from flowtuple.cli.terminal import show_table


def show_checks(title: str, checks: Sequence[DemandCheck]) -> None:
    """Show checks of demands as a table."""
    show_table(
        title,
        "name | demand | >value | >sigma | >limit | >rows | >undefined | label | status",
        [
            [
                check.name,
                check.demand,
                check.value,
                check.error,
                check.limit,
                check.rows,
                check.undefined,
                check.label,
                "FAILED" if check.failed else "ok",
            ]
            for check in checks
        ],
    )
