"""Where `suyuan scan` reads from, as its options say, and what it tells of what it reads."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from clients.cli.given import output_of
from clients.cli.options import CarrierOption, ConfigOption, FormatOption
from clients.cli.output import print_error, utc_text
from clients.cli.session import Local
from clients.cli.settings import Settings
from clients.cli.status import Status
from ledger.errors import BadInput, Reason
from ledger.identifiers import printable

if TYPE_CHECKING:
    from scanner.wedge import Setup

_SOURCES: Final = "Other sources"
_HAND_SCANNERS: Final = "Scanners at hand (--wedge, --serial)"

_ESCAPE: Final = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.?))", re.DOTALL)
_ESCAPED: Final = {"r": "\r", "n": "\n", "t": "\t", "\\": "\\"}
_NONE: Final = "none"
_MAX_MARK: Final = 32

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


@dataclass
class Scanning(Local):
    """What `suyuan scan` is told beside the pictures."""

    carrier: str | None = None
    camera: int | None = None
    video: Path | None = None
    watched: Path | None = None
    wedge: bool = False
    serial: str | None = None
    count: int | None = None
    again_after_s: float | None = None
    preview: bool | None = None
    once: bool = False
    from_scratch: bool = False
    marks: dict[str, str | None] = field(default_factory=dict)
    """How hand scanners are set up, as it was given: prefix, suffix, gap, baud."""

    @property
    def sources(self) -> list[str]:
        """The options that say to read from somewhere else than from pictures."""
        named = {
            "--camera": self.camera,
            "--video": self.video,
            "--watch": self.watched,
            "--wedge": self.wedge or None,
            "--serial": self.serial,
        }
        return [option for option, value in named.items() if value is not None]

    def setup(self) -> Setup:
        """How the scanner is set up that is listened to.

        Raises:
            BadInput: `INVALID_REQUEST` if what was told cannot be.
        """
        from scanner.wedge import FASTEST_TYPING_S, Setup  # noqa: PLC0415 - few calls need it

        prefix, suffix = (self.marks[name] for name in ("prefix", "suffix"))
        gap_s = _number("--gap", self.marks["gap"], FASTEST_TYPING_S * 1_000, 1, 10_000) / 1_000
        return Setup(
            prefix="" if prefix is None else _mark("--prefix", prefix),
            suffix=None if suffix is None else _mark("--suffix", suffix),
            fastest_typing_s=None if self.serial is not None else gap_s,
        )

    def baud(self) -> int:
        """How fast the serial line is.

        Raises:
            BadInput: `INVALID_REQUEST`.
        """
        from scanner.lines import BAUD, MAX_BAUD  # noqa: PLC0415 - few calls need it

        return int(_number("--baud", self.marks["baud"], BAUD, 50, MAX_BAUD))


def scanning(
    *,
    camera: CameraOption = None,
    video: VideoOption = None,
    watched: WatchOption = None,
    wedge: WedgeOption = False,
    serial: SerialOption = None,
    count: CountOption = None,
    again_after: AgainOption = None,
    preview: PreviewOption = None,
    once: OnceOption = False,
    from_scratch: FromScratchOption = False,
    prefix: PrefixOption = None,
    suffix: SuffixOption = None,
    gap: GapOption = None,
    baud: BaudOption = None,
    carrier: CarrierOption = None,
    output: FormatOption = None,
    config: ConfigOption = None,
) -> Scanning:
    """What `suyuan scan` has."""
    settings = Settings.load(config)
    given = {"prefix": prefix, "suffix": suffix, "gap": gap, "baud": baud}
    return Scanning(
        settings,
        output_of(output, settings),
        carrier=carrier or settings.text("carrier"),
        camera=camera,
        video=video,
        watched=watched,
        wedge=wedge,
        serial=serial,
        count=count,
        again_after_s=again_after,
        preview=preview,
        once=once,
        from_scratch=from_scratch,
        marks={name: value or settings.text(f"scanner_{name}") for name, value in given.items()},
    )


@dataclass
class Tally:
    """What came of a source: how many codes were told, and what went wrong."""

    wanted: int | None
    """Codes after which it is enough."""
    told: int = 0
    failed: bool = False

    @property
    def is_enough(self) -> bool:
        """Whether no more codes are wanted."""
        return self.wanted is not None and self.told >= self.wanted

    @property
    def status(self) -> Status:
        """The exit status where the source ended, or nobody wants more of it."""
        if self.failed:
            return Status.USAGE
        return Status.OK if self.told else Status.NEGATIVE

    def fail(self, error: BadInput) -> None:
        """Say what could not be read; the rest goes on."""
        print_error(error)
        self.failed = True


def now_text(wall_clock: Callable[[], float] = time.time) -> str:
    """When it is, as results have it."""
    return utc_text(int(wall_clock() * 1_000_000))


def _mark(option: str, text: str) -> str:
    r"""What a scanner sends before or behind a code: `\r`, `\n`, `\t` and `\x1d` stand for what cannot be typed, `\\` for `\`."""

    def meant(escape: re.Match[str]) -> str:
        if escape[1]:
            return chr(int(escape[1], 16))
        if escape[2] not in _ESCAPED:
            raise _refusal(
                option, text, r"characters; of \ only \r, \n, \t, \\ and \x with two hexadecimal digits"
            )
        return _ESCAPED[escape[2]]

    if text == _NONE:
        return ""
    mark = _ESCAPE.sub(meant, text)
    if not (mark.isascii() and len(mark) <= _MAX_MARK):
        raise _refusal(option, text, f"at most {_MAX_MARK} ASCII characters")
    return mark


def _number(option: str, text: str | None, otherwise: float, least: int, most: int) -> float:
    if text is None:
        return otherwise
    if not re.fullmatch("[0-9]{1,7}", text) or not least <= int(text) <= most:
        raise _refusal(option, text, f"a whole number, {least} to {most}")
    return int(text)


def _refusal(option: str, given: Any, expected: str) -> BadInput:
    return BadInput(Reason.INVALID_REQUEST, option, given=printable(str(given)), expected=expected)
