"""The options of `suyuan scan` that name another source than pictures, and say how it is set up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

_SOURCES: Final = "Other sources"
_HAND_SCANNERS: Final = "Scanners at hand (--wedge, --serial)"

CameraOption = Annotated[
    int | None,
    typer.Option(
        "--camera",
        min=0,
        max=99,
        metavar="N",
        help="A camera, as the system counts them from 0.",
        rich_help_panel=_SOURCES,
        show_default=False,
    ),
]
VideoOption = Annotated[
    Path | None,
    typer.Option("--video", metavar="FILE", help="A video: AVI, MP4, MKV or WebM.", rich_help_panel=_SOURCES),
]
WatchOption = Annotated[
    Path | None,
    typer.Option(
        "--watch",
        metavar="FOLDER",
        help="Pictures as somebody drops them into a folder; those that were read before are not read again.",
        rich_help_panel=_SOURCES,
    ),
]
WedgeOption = Annotated[
    bool,
    typer.Option(
        "--wedge",
        help="A scanner that poses as a keyboard; or its lines, from a pipe or a file on standard input.",
        rich_help_panel=_SOURCES,
    ),
]
SerialOption = Annotated[
    str | None,
    typer.Option(
        "--serial",
        metavar="PORT",
        help="A scanner at a serial line, such as /dev/ttyACM0 or COM3.",
        rich_help_panel=_SOURCES,
    ),
]
CountOption = Annotated[
    int | None,
    typer.Option(
        "--count",
        min=1,
        max=2**31,
        metavar="N",
        help="Stop after so many codes.",
        rich_help_panel=_SOURCES,
        show_default=False,
    ),
]
AgainOption = Annotated[
    float | None,
    typer.Option(
        "--again-after",
        min=0.1,
        max=86_400.0,
        metavar="SECONDS",
        help="Tell a code again when it comes back into sight after so long; by default each is told once.",
        rich_help_panel=_SOURCES,
        show_default=False,
    ),
]
PreviewOption = Annotated[
    bool | None,
    typer.Option(
        "--preview/--no-preview",
        help="Show in a window what is seen; by default of a camera, where there is a screen.",
        rich_help_panel=_SOURCES,
        show_default=False,
    ),
]
OnceOption = Annotated[
    bool,
    typer.Option(
        "--once",
        help="With --watch, stop when all that is there was read, instead of waiting for more.",
        rich_help_panel=_SOURCES,
    ),
]
FromScratchOption = Annotated[
    bool,
    typer.Option(
        "--from-scratch",
        help="With --watch, forget what was read before, and read it again.",
        rich_help_panel=_SOURCES,
    ),
]
PrefixOption = Annotated[
    str | None,
    typer.Option(
        "--prefix",
        envvar="SUYUAN_SCANNER_PREFIX",
        metavar="TEXT",
        help=r"What the scanner sends before each code, such as '\x02'; by default nothing.",
        rich_help_panel=_HAND_SCANNERS,
    ),
]
SuffixOption = Annotated[
    str | None,
    typer.Option(
        "--suffix",
        envvar="SUYUAN_SCANNER_SUFFIX",
        metavar="TEXT",
        help=r"What it sends after each code, such as '\x03', or none; by default Enter or Tab.",
        rich_help_panel=_HAND_SCANNERS,
    ),
]
GapOption = Annotated[
    str | None,
    typer.Option(
        "--gap",
        envvar="SUYUAN_SCANNER_GAP",
        metavar="MILLISECONDS",
        help="From key to key, on average; what comes more slowly was typed. By default 35.",
        rich_help_panel=_HAND_SCANNERS,
    ),
]
BaudOption = Annotated[
    str | None,
    typer.Option(
        "--baud",
        envvar="SUYUAN_SCANNER_BAUD",
        metavar="RATE",
        help="Of the serial line; by default 9600.",
        rich_help_panel=_HAND_SCANNERS,
    ),
]
