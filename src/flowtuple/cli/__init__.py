"""The command line, one module for each kind of command."""

from flowtuple.cli import (
    coding,
    comparing,
    density,
    files,
    inspecting,
    reference,
    reference_presets,
    reference_report,
    reference_sample,
    training,
)
from flowtuple.cli.app import app, main

__all__ = [
    "app",
    "coding",
    "comparing",
    "density",
    "files",
    "inspecting",
    "main",
    "reference",
    "reference_presets",
    "reference_report",
    "reference_sample",
    "training",
]
