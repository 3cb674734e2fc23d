"""Commands that are imported when they are asked for, so that the command line starts at once.

`suyuan scan` never loads gRPC, `suyuan courier` never the scanner, and `suyuan --help` nothing at all: what it says of
each command stands in a table. Further commands come from other packages through the entry-point group
`suyuan.commands`: the server brings `operator`, which clients must not import.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, get_args, get_origin

import typer
from typer.core import TyperGroup

from clients.cli.help_text import write_help_text

ENTRY_POINTS = "suyuan.commands"
"""The entry-point group of further commands."""

_INTEGER = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Listed:
    """A command as the help lists it."""

    name: str
    section: str
    help: str
    module: str = ""
    """Where its `app` is; empty if an entry point tells."""


class LazyCommands(MutableMapping[str, Any]):
    """Commands by name; one is imported when it is looked up."""

    def __init__(self, listed: tuple[Listed, ...]) -> None:
        self._loaders = {one.name: f"{one.module}:app" for one in listed if one.module}
        self._loaders |= {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """The command; `KeyError` if there is none."""
        if name not in self._loaded:
            module, _, attribute = self._loaders[name].partition(":")
            self._loaded[name] = _command(name, getattr(import_module(module), attribute))
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        """Add a command that is there already."""
        self._loaders[name] = ""
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        """Forget a command."""
        del self._loaders[name]
        self._loaded.pop(name, None)

    def __contains__(self, name: object) -> bool:
        return name in self._loaders

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaders)

    def __len__(self) -> int:
        return len(self._loaders)


class LazyGroup(TyperGroup):
    """The commands of `listed`, and those of entry points."""

    listed: tuple[Listed, ...] = ()

    def __init__(self, **more: Any) -> None:
        more["commands"] = LazyCommands(self.listed)
        super().__init__(**more)

    def get_params(self, ctx: Any) -> list[Any]:
        """Its own options, their values converted here; see `quicken`."""
        return [_quick(param) for param in super().get_params(ctx)]

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - Typer calls it so
        """Names in the order of the help."""
        listed = [one.name for one in self.listed if one.name in self.commands]
        return [*listed, *sorted(name for name in self.commands if name not in listed)]

    def format_help_text(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - Typer calls it so
        """Write what it all is for into the help."""
        write_help_text(formatter, self.help or "")

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - Typer calls it so
        """Write what comes last into the help."""
        write_help_text(formatter, self.epilog or "")

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands into the help, without loading any."""
        known = {one.name: one for one in self.listed}
        sections: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            one = known.get(name, Listed(name, "Further commands", ""))
            sections.setdefault(one.section, []).append((name, one.help))
        width = max(len(name) for name in self.commands)
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), text) for name, text in rows])


def _command(name: str, app: typer.Typer) -> Any:
    """The command of an app, however its makers would have its help look."""
    if len(app.registered_commands) == 1 and app.registered_callback is None and not app.registered_groups:
        app.rich_markup_mode = None
        command = typer.main.get_command(app)
        command.name = name
    else:
        # As part of another app it takes over that one's way of writing help.
        whole = typer.Typer(rich_markup_mode=None, add_completion=False)
        whole.add_typer(app, name=name)
        command = typer.main.get_group(whole).commands[name]
    quicken(command)
    return command


def quicken(command: Any) -> None:
    """Have plain values of a command and its subcommands converted here.

    Typer checks values with pydantic, and importing that takes longer than most of our commands run. Words, numbers,
    paths and choices that are right as they stand need no more than this; all others go Typer's own way, and so do all
    its messages.
    """
    get_params = command.get_params

    def get_quick_params(ctx: Any) -> list[Any]:
        # Only here is the help option among them, which Typer makes when it is first asked for.
        return [_quick(param) for param in get_params(ctx)]

    command.get_params = get_quick_params
    for sub in command.commands.values() if isinstance(command, TyperGroup) else ():
        quicken(sub)


def _quick(param: Any) -> Any:
    descriptor = getattr(param, "type_descriptor", None)
    if descriptor is not None and not isinstance(param.process_value, _Quick):
        param.process_value = _Quick(param, descriptor)
    return param


class _NotPlainError(Exception):
    """The value is for Typer to convert or to refuse."""


class _Quick:
    """Stands in for a parameter's `process_value`."""

    def __init__(self, param: Any, descriptor: Any) -> None:
        self._param = param
        self._rules = descriptor.parameter_info
        self._annotation = descriptor.annotation
        self._many = bool(param.multiple or param.nargs != 1)
        self._process_value = param.process_value

    def __call__(self, ctx: Any, value: Any) -> Any:
        try:
            converted = self._converted(value)
        except _NotPlainError:
            return self._process_value(ctx, value)
        callback = self._param.callback
        return converted if callback is None else callback(ctx, self._param, converted)

    def _converted(self, value: Any) -> Any:
        if value is None or value in ((), []):
            if self._param.required:
                raise _NotPlainError
            return () if self._many else None
        if not self._many:
            return self._one(value, self._annotation)
        if get_origin(self._annotation) is not list or not isinstance(value, list | tuple):
            raise _NotPlainError
        return [self._one(item, get_args(self._annotation)[0]) for item in value]

    def _one(self, value: Any, annotation: Any) -> Any:
        rules = self._rules
        if not isinstance(annotation, type) or rules.parser is not None:
            raise _NotPlainError
        if type(value) is annotation and annotation in (bool, str):
            return value
        if issubclass(annotation, Enum) and rules.case_sensitive:
            return _member(value, annotation)
        if annotation is int and isinstance(value, int | str) and _INTEGER.fullmatch(str(value)):
            return self._in_range(int(value))
        if annotation is Path and isinstance(value, str | Path) and _is_unchecked(rules):
            return Path(value)
        raise _NotPlainError

    def _in_range(self, number: int) -> int:
        low, high = self._rules.min, self._rules.max
        if (low is not None and number < low) or (high is not None and number > high) or self._rules.clamp:
            raise _NotPlainError
        return number


def _member(value: object, choices: type[Enum]) -> Enum:
    try:
        return choices(value)
    except ValueError:
        raise _NotPlainError from None


def _is_unchecked(rules: Any) -> bool:
    """Whether a path may be anything: its user finds out when it opens the file."""
    return not (
        rules.exists
        or rules.writable
        or rules.resolve_path
        or rules.allow_dash
        or rules.path_type
        or not rules.file_okay
        or not rules.dir_okay
    )
