"""How a command is declared: what it is given, and how its help is laid out.

    @command(app, given=signing)
    def sell(session: Signing, barcode: BarcodeArgument, quantity: QuantityOption = 1) -> None:
        …

The function declares what is its own. `signing` is a function too: its parameters are the options that all signing
commands share, and what it returns is opened, handed to the command first, and closed after it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Concatenate, ParamSpec, TypeVar

import typer
from typer.core import TyperCommand

from clients.cli.help_text import write_help_text

S = TypeVar("S")
P = ParamSpec("P")


class SectionedCommand(TyperCommand):
    """A command whose help lists its own options first, and then those that it shares, section by section."""

    def format_help_text(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - Typer calls it so
        """Write what the command does into the help."""
        write_help_text(formatter, self.help or "")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options into the help."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is None:
                continue
            name, text = record
            if param.param_type_name == "argument":
                # Without the type that follows: what may be given is said in words.
                sections["Arguments"].append((name.partition(" <")[0], text))
            else:
                section = getattr(param, "rich_help_panel", None) or "Options"
                sections.setdefault(section, []).append((name, text))
        for title, rows in sections.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def command(
    app: typer.Typer,
    *,
    given: Callable[..., AbstractContextManager[S]],
    name: str | None = None,
    no_args_is_help: bool = False,
) -> Callable[[Callable[Concatenate[S, P], None]], Callable[Concatenate[S, P], None]]:
    """Make a function a command of an app.

    Args:
        app: where it goes.
        given: makes what the function gets first; its parameters become options too.
        name: what the command is called; by default like the function.
        no_args_is_help: whether without arguments it only shows how to use it, although none of them has to be there.
    """

    def declare(function: Callable[Concatenate[S, P], None]) -> Callable[Concatenate[S, P], None]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        shared = list(inspect.signature(given, eval_str=True).parameters.values())
        shared_names = {parameter.name for parameter in shared}

        def run(**values: Any) -> None:
            options = {name: values.pop(name) for name in shared_names}
            with given(**options) as session:
                function(session, **values)  # type: ignore[call-arg]  # Typer calls with what the signature names

        run.__doc__ = function.__doc__
        run.__name__ = function.__name__
        parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*own, *shared)]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what `inspect` asks for
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        shows_help = no_args_is_help or _needs_arguments(own)
        app.command(name, cls=SectionedCommand, no_args_is_help=shows_help)(run)
        return function

    return declare


def group(help_text: str) -> typer.Typer:
    """An app for the commands of one side."""
    return typer.Typer(help=help_text, no_args_is_help=True, rich_markup_mode=None, add_completion=False)


def _needs_arguments(parameters: list[inspect.Parameter]) -> bool:
    """Whether a command without arguments can only be a question about how to use it."""
    return any(
        isinstance(extra, typer.models.ArgumentInfo) and parameter.default is inspect.Parameter.empty
        for parameter in parameters
        for extra in getattr(parameter.annotation, "__metadata__", ())
    )
