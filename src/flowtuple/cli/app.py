"""The command line: arguments in, a workflow called, results shown; no work is done here."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from flowtuple.cli.stopping import stopping, streams
from flowtuple.errors import FlowtupleError, Refused
from flowtuple.runtime.atomic import is_full

app = typer.Typer(
    help="Compress high-energy-physics ntuples with a bound on every value. ROOT in, ROOT out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; an expected error is one line on standard error and exit code 2.

    With `--json`, standard output holds the error and its kind as JSON, and every part that a refusal concerns.
    """
    with streams(), stopping(), _warnings():
        try:
            app()
        except FlowtupleError as error:
            if "--json" in sys.argv[1:]:
                sys.stdout.write(json.dumps(_to_json(error), indent=1) + "\n")
            sys.stderr.write(f"flowtuple: {error}\n")
            sys.exit(2)
        except MemoryError:
            sys.stderr.write(
                "flowtuple: not enough memory; take fewer events or columns at a time, or allow less by --memory\n"
            )
            sys.exit(2)
        except OSError as error:
            if not is_full(error):
                raise
            where = error.filename or "an output"
            sys.stderr.write(
                f"flowtuple: {where}: cannot be written ({error.strerror}); make room or choose another disk\n"
            )
            sys.exit(2)


def _to_json(error: FlowtupleError) -> dict[str, Any]:
    said = {"error": str(error), "kind": type(error).__name__}
    if not isinstance(error, Refused):
        return said
    return said | {
        "refused": [{"name": name, "reason": reason} for name, reason in error.parts.items()]
    }


@contextmanager
def _warnings() -> Iterator[None]:
    """Show what the library logs as lines of their own."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("flowtuple: warning: %(message)s"))
    logger = logging.getLogger("flowtuple")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
