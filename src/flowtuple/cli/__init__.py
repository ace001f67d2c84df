"""The command line, one module for each kind of command."""

from flowtuple.cli import coding, files, looking
from flowtuple.cli.app import app, main

__all__ = ["app", "coding", "files", "looking", "main"]
