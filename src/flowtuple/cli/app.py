"""The command line: arguments in, a workflow called, results shown; no work is done here."""

from __future__ import annotations

import json
import sys

import typer

from flowtuple.errors import FlowtupleError, Refused

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

    With `--json`, a refusal also lists every part that it concerns, as JSON on standard output.
    """
    try:
        app()
    except FlowtupleError as error:
        if isinstance(error, Refused) and "--json" in sys.argv[1:]:
            parts = [{"name": name, "reason": reason} for name, reason in error.parts.items()]
            sys.stdout.write(json.dumps({"error": str(error), "refused": parts}, indent=1) + "\n")
        sys.stderr.write(f"flowtuple: {error}\n")
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
