"""The command line, one module for each kind of command."""

from flowtuple.cli import coding, density, files, looking
from flowtuple.cli.app import app, main

__all__ = ["app", "coding", "density", "files", "looking", "main"]
