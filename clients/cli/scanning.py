"""Where `suyuan scan` reads from, as its options say, and what it tells of what it reads."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import typer

from clients.cli.given import output_of
from clients.cli.options import CarrierOption, ConfigOption, FormatOption
from clients.cli.output import print_error, utc_text
from clients.cli.session import Local
from clients.cli.settings import Settings
from clients.cli.source_options import (
    AgainOption,
    BaudOption,
    CameraOption,
    CountOption,
    FromScratchOption,
    GapOption,
    OnceOption,
    PrefixOption,
    PreviewOption,
    SerialOption,
    SuffixOption,
    VideoOption,
    WatchOption,
    WedgeOption,
)
from clients.cli.status import Status
from ledger.errors import BadInput, Reason
from ledger.identifiers import printable

if TYPE_CHECKING:
    from scanner.identify import Finding
    from scanner.wedge import Setup

_ESCAPE: Final = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.?))", re.DOTALL)
_ESCAPED: Final = {"r": "\r", "n": "\n", "t": "\t", "\\": "\\"}
_FILMED: Final = ("--camera", "--video")
_GOING_ON: Final = (*_FILMED, "--watch", "--wedge", "--serial")

_NONE: Final = "none"
_MAX_MARK: Final = 32


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

    def require_fitting(self, *, has_pictures: bool) -> None:
        """Refuse several sources, or none, and what does not go with the one.

        Raises:
            typer.BadParameter: saying which.
        """
        sources = ["pictures"] * has_pictures + self.sources
        if len(sources) != 1:
            raise typer.BadParameter(f"read from one source, not from {' and '.join(sources) or 'none'}")
        given = {
            "--count": (self.count, _GOING_ON),
            "--again-after": (self.again_after_s, _FILMED),
            "--preview": (self.preview, _FILMED),
            "--once": (self.once or None, ("--watch",)),
            "--from-scratch": (self.from_scratch or None, ("--watch",)),
        }
        for option, (value, fitting) in given.items():
            if value is not None and sources[0] not in fitting:
                raise typer.BadParameter(f"{option} goes with {' or '.join(fitting)}")

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


@dataclass(frozen=True, slots=True)
class Place:
    """Where a symbol was seen."""

    name: str
    """For people."""
    file: str | None
    page: int | None = None
    """Of a file of several, from 1."""
    more: Mapping[str, object] = field(default_factory=dict)
    """Further fields of the result: `source`, `at` and `offset_s`, where it is not a picture that was named."""


Tell: TypeAlias = "Callable[[Scanning, Place, Finding], None]"
"""Prints a symbol: where it was seen, and what it means."""


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
