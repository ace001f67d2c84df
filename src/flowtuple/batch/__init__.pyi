"""Modules that are imported when they are used."""

from . import histograms, jobs, run, tasks

__all__ = ["histograms", "jobs", "run", "tasks"]
