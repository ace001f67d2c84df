"""Declaration of commands: options written as help shows them, and arguments made of several.

A function that makes an argument, such as a selection of columns, declares its options itself.
Commands that need the argument annotate it with `From` this function, and have its options.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, TypeVar

import typer
from typer.models import ParameterInfo

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Declared:
    """Option or argument of a command line, with its default."""

    info: ParameterInfo
    default: Any


@dataclass(frozen=True)
class From:
    """Annotation of an argument that a function makes of options of its own."""

    function: Callable[..., Any]


def option(
    words: str,
    help: str,  # noqa: A002 (as typer calls it)
    default: Any = None,
    panel: str | None = None,
    *,
    min: int | None = None,  # noqa: A002
) -> Any:
    """Return an option, as the default of a parameter or as an annotation.

    Args:
        words: Its spellings and the name of its value, such as `--output -o OUT`.
        help: A line for `--help`.
        default: Its value where a command line does not name it; `...` for none.
        panel: Heading in `--help`.
        min: Smallest number.

    Example:
        >>> option("--tolerance -t GLOB=BOUND", "Bounds.", ()).info.metavar
        'GLOB=BOUND'
    """
    names = [word for word in words.split() if word.startswith("-")]
    value = " ".join(words.split()[len(names) :]) or None
    info = typer.Option(*names, metavar=value, help=help, rich_help_panel=panel, min=min)
    return Declared(info, default)


def argument(metavar: str, help: str, default: Any = ...) -> Any:  # noqa: A002
    """Return an argument that is named by its place."""
    return Declared(typer.Argument(metavar=metavar, help=help), default)


def command(app: typer.Typer, name: str | None = None) -> Callable[[Function], Function]:
    """Return a decorator that makes a function of declared arguments a command."""

    def register(function: Function) -> Function:
        @wraps(function)
        def call(**values: Any) -> None:
            _called(function, values)

        options = list(_options_of(function).values())
        call.__signature__ = Signature(options)  # type: ignore[attr-defined]
        call.__annotations__ = {}
        app.command(name)(call)
        return function

    return register


def _declaration(parameter: Parameter) -> Any:
    """Return how a parameter is declared: by its default, or by its annotation."""
    if isinstance(parameter.default, Declared):
        return parameter.default
    return next(iter(getattr(parameter.annotation, "__metadata__", ())), None)


def _options_of(function: Callable[..., Any]) -> dict[str, Parameter]:
    """Return the options of a function by name, with those of its arguments."""
    options: dict[str, Parameter] = {}
    for name, parameter in signature(function, eval_str=True).parameters.items():
        declared = _declaration(parameter)
        if isinstance(declared, From):
            options |= _options_of(declared.function)
        elif isinstance(declared, Declared):
            options[name] = Parameter(
                name,
                Parameter.KEYWORD_ONLY,
                default=declared.default,
                annotation=Annotated[parameter.annotation, declared.info],
            )
        else:
            options[name] = parameter.replace(kind=Parameter.KEYWORD_ONLY)
    return options


def _called(function: Callable[..., Any], values: Mapping[str, Any]) -> Any:
    """Return the result of a function for the values of its options."""
    arguments = {}
    for name, parameter in signature(function, eval_str=True).parameters.items():
        declared = _declaration(parameter)
        made = isinstance(declared, From)
        arguments[name] = _called(declared.function, values) if made else values[name]
    return function(**arguments)
