"""`suyuan`: finds the command, runs it, and turns what went wrong into a message and an exit status."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import Annotated, Any, Final, cast

import typer

from clients.cli.lazy import LazyGroup, Listed
from clients.cli.output import Format, begin_with, note, print_error, print_failure, shown
from clients.cli.status import EXIT_STATUSES, Status, status_of
from ledger.errors import LedgerError, Reason

_PEOPLE: Final = "Commands for each side of a sale"
_TOOLS: Final = "Tools"
_HERE: Final = "clients.cli"

# What Typer raises about arguments. It keeps Click to itself, and shows of it only what a command may raise.
_USAGE: Final[tuple[type[Exception], ...]] = (cast("type[Exception]", typer.BadParameter.__mro__[1]),)


class CommandLine(LazyGroup):
    """All that `suyuan` can do."""

    listed = (
        Listed("merchant", _PEOPLE, "List, sell, dispatch; answer complaints.", f"{_HERE}.merchant"),
        Listed("courier", _PEOPLE, "Scan parcels on their way and hand them over.", f"{_HERE}.courier"),
        Listed("consumer", _PEOPLE, "Receive, review, complain: with a purchase token.", f"{_HERE}.consumer"),
        Listed("platform", _PEOPLE, "Register merchants; read a product's history.", f"{_HERE}.platform"),
        Listed("regulator", _PEOPLE, "Found a log, register, verify, audit.", f"{_HERE}.regulator"),
        Listed("operator", _PEOPLE, "Make, serve and look after a log."),
        Listed("scan", _TOOLS, "Read the barcodes on pictures.", f"{_HERE}.scan"),
        Listed("identify", _TOOLS, "Say what a text from a scanner means.", f"{_HERE}.identify"),
        Listed("label", _TOOLS, "Draw the label of an identifier.", f"{_HERE}.label"),
        Listed("keygen", _TOOLS, "Make a signing key.", f"{_HERE}.keygen"),
    )


app = typer.Typer(
    cls=CommandLine,
    name="suyuan",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    epilog=EXIT_STATUSES,
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"suyuan {version('suyuan')}")
        raise typer.Exit


@app.callback()
def suyuan(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Trace a product to its source: a ledger of signed events that anybody can verify.

    Example:
      suyuan scan box.jpg
      suyuan platform history 6901234567892
      suyuan regulator verify box.jpg

    Options may also be set by environment variables (SUYUAN_SERVER, SUYUAN_VKEY, SUYUAN_KEY, SUYUAN_PLACE,
    SUYUAN_FORMAT …) and in a file: $SUYUAN_CONFIG, or suyuan/config.toml in $XDG_CONFIG_HOME or ~/.config. Options
    come before the environment, the environment before the file.
    """


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: what follows the program's name; by default that of this process.

    Returns:
        the exit status.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    begin_with(_format_of(arguments))
    for stream in (sys.stdout, sys.stderr):
        # A title that the terminal's character set lacks must not end a command half-way.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        ended = app(arguments, prog_name="suyuan", standalone_mode=False)
    except KeyboardInterrupt:
        return Status.INTERRUPTED
    except Exception as error:
        if os.environ.get("SUYUAN_DEBUG") and not isinstance(error, (LedgerError, OSError, *_USAGE)):
            raise
        return _tell(error)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else Status.OK
    return ended if isinstance(ended, int) else Status.OK


def _tell(error: Exception) -> int:
    """Say what has ended a command; returns the exit status."""
    if isinstance(error, LedgerError):
        print_error(error)
        return status_of(error)
    if isinstance(error, _USAGE):
        usage: Any = error
        if isinstance(usage, typer.BadParameter):
            # The checker of values says first whose error it is; what is wrong comes after.
            usage.message = usage.message.replace("Value error, ", "")
        if not print_failure(Reason.INVALID_REQUEST, usage.format_message()):
            usage.show()
        return Status.USAGE
    if isinstance(error, OSError):
        if not print_failure(None, str(error)):
            note(f"Error: {shown(str(error))}")
        return Status.USAGE
    text = f"Internal error: {type(error).__name__}: {error}"
    if not print_failure(None, text):
        note(f"{shown(text)}\nSet SUYUAN_DEBUG=1 to see where.")
    return Status.INTERNAL


def _format_of(arguments: list[str]) -> Format:
    """How to print errors before a command has read its options, or where it never does."""
    told = os.environ.get("SUYUAN_FORMAT", "")
    for position, argument in enumerate(arguments):
        if argument == "--format":
            told = "".join(arguments[position + 1 : position + 2])
        elif argument.startswith("--format="):
            told = argument.partition("=")[2]
    return Format.JSON if told == Format.JSON else Format.TEXT
