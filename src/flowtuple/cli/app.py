"""The command line: arguments in, one function of the library called, results shown."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from flowtuple.cli.arguments import as_options
from flowtuple.cli.commands import COMMANDS
from flowtuple.cli.lines import print_json, say, warn
from flowtuple.cli.old_spellings import current_spelling
from flowtuple.cli.stopping import stopping, streams, undelivered
from flowtuple.errors import FlowtupleError, Refused
from flowtuple.runtime.atomic import is_full

_UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""Base of all usage errors, which typer does not export."""
_NEW_OBJECTS = 50_000  # between two collections; some 10 MB


class CommandLine(TyperGroup):
    """The group of all commands, which also takes the spellings of the last release.

    A command is its line of help until it is called: then its module is imported.
    """

    def __init__(self, **settings):  # type: ignore[no-untyped-def]
        super().__init__(**settings)
        lines = {n: TyperCommand(n, help=entry.help) for n, entry in COMMANDS.items()}
        self.commands = {**lines, **self.commands}

    def resolve_command(self, ctx, args):  # type: ignore[no-untyped-def]
        """Return the command of a command line; old spellings are replaced first."""
        self._load(args[0])
        known = [
            option for command in self.commands.values() for option in command.params
        ]
        valued = [
            word for o in known if not getattr(o, "is_flag", True) for word in o.opts
        ]
        words = current_spelling(args, valued)
        self._load(words[0])
        return super().resolve_command(ctx, words)

    def _load(self, name: str) -> None:
        """Import the module of a command, which makes all commands in it."""
        if name in COMMANDS:
            import_module(f"flowtuple.cli.{COMMANDS[name].module}")
            group = typer.main.get_command(app)
            self.commands.update(group.commands)  # type: ignore[attr-defined]


app = typer.Typer(
    cls=CommandLine,
    help="Compress high-energy-physics ntuples with a bound on every value. ROOT in, ROOT out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from flowtuple import __version__

        sys.stdout.write(f"flowtuple {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Show the version and exit.",
        ),
    ] = False,
) -> None:
    """Compress high-energy-physics ntuples with a bound on every value. ROOT in, ROOT out."""


def main() -> None:
    """Run the command line; an expected error is one line on standard error and exit code 2.

    With `--json`, standard output holds the error and its kind as JSON, and every part that a
    refusal concerns.
    """
    with streams(), stopping(), _library_warnings(), _few_collections():
        try:
            code = app(prog_name="flowtuple", standalone_mode=False)
        except FlowtupleError as error:
            if "--json" in sys.argv[1:]:
                print_json(_to_json(error))
            _fail(str(error))
        except typer.Abort:
            _fail("stopped")
        except _UsageError as error:
            reason = _usage(error)
            if not reason:  # no arguments: the help was shown
                sys.exit(2)
            _fail(reason)
        except MemoryError:
            _fail(
                "not enough memory; take fewer events or columns at a time, "
                "or allow less by --memory"
            )
        except OSError as error:
            if not is_full(error):
                raise
            is_ours = undelivered(sys.stdout) is not None
            stray = (
                "standard output" if is_ours else "standard output or a temporary file"
            )
            where = error.filename or stray
            _fail(
                f"{where}: cannot be written ({error.strerror}); make room or choose another disk"
            )
        sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> None:
    """End with one line on standard error and exit code 2."""
    say(message)
    sys.exit(2)


def _usage(error: BaseException) -> str:
    """Return the fault of a command line and the place of its help; empty where there is none."""
    context = getattr(error, "ctx", None)
    command = "flowtuple" if context is None else str(context.command_path)
    text = error.format_message() if hasattr(error, "format_message") else str(error)
    # typer puts the class of an error before its text
    reason = " ".join(text.split()).rstrip(".").replace(": Value error, ", ": ", 1)
    return f"{reason}; see {command} --help" if reason else ""


def _to_json(error: FlowtupleError) -> dict[str, Any]:
    content: dict[str, Any] = {
        "error": as_options(str(error)),
        "kind": type(error).__name__,
    }
    if isinstance(error, Refused):
        parts = error.parts.items()
        content["refused"] = [
            {"name": n, "reason": as_options(reason)} for n, reason in parts
        ]
    return content


@contextmanager
def _few_collections() -> Iterator[None]:
    """Collect cyclic garbage once for many new objects: imports make them, and no garbage."""
    before = gc.get_threshold()
    gc.set_threshold(_NEW_OBJECTS)
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _Warnings(logging.Handler):
    """Log messages of the library as warnings of the command line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the message on one line."""
        warn(record.getMessage())


@contextmanager
def _library_warnings() -> Iterator[None]:
    """Show log messages and warnings of the library as lines of their own."""
    handler = _Warnings()
    logger = logging.getLogger("flowtuple")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
