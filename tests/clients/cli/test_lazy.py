"""Values that are converted without Typer's help come out as Typer would have them, and so do its messages."""

from __future__ import annotations

from enum import StrEnum
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated

import pytest
import typer

from clients.cli import lazy
from clients.cli.lazy import LazyCommands, LazyGroup, Listed, quicken


class Word(StrEnum):
    ONE = "one"
    TWO = "two-and-more"


Number = Annotated[int, typer.Option("--number", min=1, max=5)]
Loud = Annotated[str | None, typer.Option("--loud", callback=lambda value: value and value.upper())]


def make(received):
    app = typer.Typer(rich_markup_mode=None, add_completion=False)

    @app.command()
    def run(
        *,
        words: Annotated[list[Word], typer.Argument()],
        text: Annotated[str | None, typer.Option("--text", envvar="LAZY_TEXT")] = None,
        number: Number = 3,
        free: Annotated[int | None, typer.Option("--free")] = None,
        path: Annotated[Path | None, typer.Option("--path")] = None,
        there: Annotated[Path | None, typer.Option("--there", exists=True)] = None,
        paths: Annotated[list[Path] | None, typer.Option("--paths")] = None,
        flag: Annotated[bool, typer.Option("--flag/--no-flag")] = False,
        loud: Loud = None,
        ratio: Annotated[float, typer.Option("--ratio")] = 0.5,
        word: Annotated[Word, typer.Option("--word")] = Word.ONE,
        careless: Annotated[Word, typer.Option("--careless", case_sensitive=False)] = Word.ONE,
    ) -> None:
        received.append((words, text, number, free, path, there, paths, flag, loud, ratio, word, careless))

    return typer.main.get_command(app)


@pytest.mark.parametrize(
    "arguments",
    [
        "one",
        "one two-and-more one",
        "one --text x --text y",
        "one --number 5",
        "one --number 0",
        "one --number 6",
        "one --number 007",
        "one --number +4",
        "one --number x",
        "one --number ٤",
        "one --number 4.0",
        "one --free -12",
        "one --free 12345678901234567890",
        "one --path a/b",
        "one --there /",
        "one --there /nowhere/at/all",
        "one --paths a --paths b",
        "one --flag",
        "one --no-flag",
        "one --loud quiet",
        "one --ratio 1.5",
        "one --ratio nan",
        "one --ratio x",
        "one --word two-and-more",
        "one --word TWO",
        "one --word two-and-less",
        "one --careless TWO-AND-MORE",
        "",
        "three",
        "one --unknown",
    ],
)
@pytest.mark.parametrize("environment", [None, "from outside"])
def test_as_typer_would(arguments, environment, capsys, monkeypatch):
    if environment:
        monkeypatch.setenv("LAZY_TEXT", environment)
    outcomes = []
    for quick in (False, True):
        received = []
        command = make(received)
        if quick:
            quicken(command)
        try:
            command(arguments.split(), prog_name="run")
        except SystemExit as end:
            outcomes.append((end.code, repr(received), capsys.readouterr()))
    assert len(outcomes) == 2
    assert outcomes[0] == outcomes[1]


def test_help_as_typer_would(capsys):
    told = []
    for quick in (False, True):
        command = make([])
        if quick:
            quicken(command)
        with pytest.raises(SystemExit):
            command(["--help"], prog_name="run")
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    assert "--careless" in told[0]


class Group(LazyGroup):
    listed = (
        Listed("label", "Tools", "Draw.", "clients.cli.label"),
        Listed("absent", "Tools", "Not installed."),
    )


def entry_points(monkeypatch, **points):
    found = [EntryPoint(name, value, lazy.ENTRY_POINTS) for name, value in points.items()]
    monkeypatch.setattr(lazy, "entry_points", lambda group: found if group == lazy.ENTRY_POINTS else [])


def run(group, *arguments):
    app = typer.Typer(cls=group, rich_markup_mode=None, add_completion=False, no_args_is_help=True)

    @app.callback()
    def root() -> None:
        """Does things."""

    try:
        app(arguments, prog_name="many")
    except SystemExit as end:
        return end.code
    return 0


def test_entry_points_bring_commands(monkeypatch, capsys):
    entry_points(monkeypatch, zebra="clients.cli.label:app", apple="nowhere.to.be.found:app")
    assert run(Group, "--help") == 0
    out = capsys.readouterr().out
    assert out.index("Tools:") < out.index("label") < out.index("Further commands:")
    assert out.index("apple") < out.index("zebra")
    assert "absent" not in out, "nobody brings it"
    assert run(Group, "zebra", "--help") == 0
    assert "Usage: many zebra" in capsys.readouterr().out


def test_a_command_that_nobody_brings(monkeypatch, capsys):
    entry_points(monkeypatch)
    assert run(Group, "absent") == 2
    assert "No such command 'absent'" in capsys.readouterr().err


def test_commands_are_a_mapping(monkeypatch):
    entry_points(monkeypatch)
    commands = LazyCommands(Group.listed)
    assert (list(commands), len(commands), "label" in commands, "absent" in commands) == (
        ["label"],
        1,
        True,
        False,
    )
    assert commands["label"] is commands["label"]
    commands["other"] = "command"
    assert commands["other"] == "command"
    del commands["other"], commands["label"]
    assert list(commands) == []
    with pytest.raises(KeyError):
        commands["label"]
