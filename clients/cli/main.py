"""`suyuan`: finds the command, runs it, and turns what went wrong into a message and an exit status."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import Annotated, Final

import typer

from clients.cli.lazy import LazyGroup, Listed
from clients.cli.output import forget_format, note, print_error, shown
from clients.cli.status import EXIT_STATUSES, Status, status_of
from ledger.errors import LedgerError

_PEOPLE: Final = "Commands for each side of a sale"
_TOOLS: Final = "Tools"
_HERE: Final = "clients.cli"


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
    forget_format()
    for stream in (sys.stdout, sys.stderr):
        # A title that the terminal's character set lacks must not end a command half-way.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        app(arguments, prog_name="suyuan")
    except LedgerError as error:
        print_error(error)
        return status_of(error)
    except OSError as error:
        note(f"Error: {shown(str(error))}")
        return Status.USAGE
    except KeyboardInterrupt:
        return Status.INTERRUPTED
    except Exception as error:
        if os.environ.get("SUYUAN_DEBUG"):
            raise
        note(f"Internal error: {type(error).__name__}: {shown(str(error))}\nSet SUYUAN_DEBUG=1 to see where.")
        return Status.INTERNAL
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else Status.OK
    return Status.OK
