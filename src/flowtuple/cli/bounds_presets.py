"""The command that lists presets of bounds: presets."""

from __future__ import annotations

from flowtuple.cli.app import app
from flowtuple.cli.declaring import argument, command
from flowtuple.cli.lines import print_json, warn, write
from flowtuple.cli.options import Json
from flowtuple.cli.terminal import show_facts, show_table
from flowtuple.data.bounds_presets import BoundsPreset, all_presets, bounds_preset


@command(app)
def presets(
    *,
    name: str | None = argument("[NAME[:VERSION]]", "Show the bounds of this one.", None),
    as_json: Json,
) -> None:
    """List presets of bounds, for compress --bounds NAME; with a name its bounds and sources.

    Example: flowtuple presets nanoaod:v13
    """
    if name is None:
        _list_presets(as_json)
        return
    preset = bounds_preset(name)
    if as_json:
        versions = [preset.version, *(other.version for other in preset.others)]
        print_json(preset.to_json() | {"versions": versions})
    else:
        _show(preset)


def _list_presets(as_json: bool) -> None:
    """Show every preset in one line, and what is wrong with those of other packages."""
    listed, faults = all_presets()
    if as_json:
        print_json({"presets": [p.to_json() for p in listed], "faults": faults})
        return
    show_table(
        "Presets of bounds, for compress --bounds NAME",
        "name | version | energy | length | >bounds | for",
        [
            [
                p.name,
                p.version,
                p.energy,
                p.length,
                len(p.by_pattern),
                p.title + (f" (from {p.package})" if p.package else ""),
            ]
            for p in listed
        ],
    )
    for preset in listed:
        for remark in preset.remarks:
            write(f"{preset.text}: {remark}")
    warn(*faults)


def _show(preset: BoundsPreset) -> None:
    """Show a preset with its units, bounds, remarks and sources."""
    versions = ", ".join(other.text for other in preset.others)
    facts = {
        "preset": preset.text,
        "for": preset.title,
        "energies in": preset.energy,
        "lengths in": preset.length,
        "other versions": versions,
        "from": preset.package,
    }
    show_facts({key: value for key, value in facts.items() if value})
    show_table(
        "Bounds",
        "column | bound | remark",
        [
            [pattern, bound, preset.comments.get(pattern, "")]
            for pattern, bound in preset.by_pattern.items()
        ],
    )
    write(*(f"remark: {remark}" for remark in preset.remarks))
    write(*(f"source: {source}" for source in preset.sources))
