"""Declaration of commands: options written as help shows them, and arguments made of several.

A function that makes an argument, such as a selection of columns, declares its options itself.
Commands that need the argument annotate it with `From` this function, and have its options.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
    """Annotation of an argument that a function, or a class of settings, makes of options.

    Attributes:
        function: The function, called with the options.
        options: Declarations by parameter, for a function that does not declare its own. Its other
            parameters keep their defaults, and so do options without a default.
    """

    function: Callable[..., Any]
    options: Mapping[str, Any] | None = None

    def parameters(self) -> Iterator[tuple[Parameter, Any]]:
        """Yield parameters with their declarations; the context of a command has none."""
        for name, parameter in signature(self.function, eval_str=True).parameters.items():
            metadata = getattr(parameter.annotation, "__metadata__", ())
            if self.options is not None:
                if name in self.options:
                    yield parameter, self.options[name]
            elif isinstance(parameter.default, Declared):
                yield parameter, parameter.default
            else:
                yield parameter, next(iter(metadata), None)

    def declared(self) -> dict[str, Parameter]:
        """Return all options by name, with those of arguments that are made of some."""
        options: dict[str, Parameter] = {}
        for parameter, declared in self.parameters():
            named = parameter.replace(kind=Parameter.KEYWORD_ONLY)
            if isinstance(declared, From):
                options |= declared.declared()
            elif isinstance(declared, Declared):
                default = declared.default
                is_plain = not isinstance(parameter.default, Declared)
                if self.options is not None and default is None and is_plain:
                    default = parameter.default
                options[named.name] = named.replace(
                    annotation=Annotated[parameter.annotation, declared.info],
                    default=default,
                )
            else:
                options[named.name] = named
        return options

    def call(self, values: Mapping[str, Any]) -> Any:
        """Return the result of the function for the values of all options."""
        arguments = {
            p.name: declared.call(values)
            if isinstance(declared, From)
            else values[p.name]
            for p, declared in self.parameters()
        }
        return self.function(**arguments)


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
        made = From(function)

        @wraps(function)
        def call(**values: Any) -> None:
            made.call(values)

        parameters = list(made.declared().values())
        call.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {}
        app.command(name)(call)
        return function

    return register
