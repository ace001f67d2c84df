"""Modules that are imported when they are used."""

from . import layout

__all__ = ["layout"]
