"""The letters on labels: how wide they are, which there are, and their pixels.

Everything narrow is set in DejaVu Sans Mono, which comes with python-barcode: a machine without any fonts draws the same
pixels. It has no Chinese, and fonts that have are too large to be carried along. So wide characters come from a font of
the machine: the one that the user names, or the first of a few that systems bring. Whichever it is, each character takes
one em, so that lines are broken alike everywhere.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Final
from unicodedata import bidirectional, category, east_asian_width

from PIL import Image, ImageDraw, ImageFont

from ledger.errors import BadInput, Reason
from ledger.identifiers import printable

NARROW: Final = 0.6
"""Ems that a letter of DejaVu Sans Mono takes."""

_SYSTEM_FONTS: Final = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/google-noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/opentype/noto/NotoSerifCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
    "/System/Library/Fonts/PingFang.ttc",
    "/System/Library/Fonts/Hiragino Sans GB.ttc",
    "/System/Library/Fonts/STHeiti Light.ttc",
    "C:/Windows/Fonts/msyh.ttc",
    "C:/Windows/Fonts/simhei.ttf",
    "C:/Windows/Fonts/simsun.ttc",
)
# No font has a glyph for a code point that is none: what is drawn is the mark of what is missing.
_NO_CHARACTER: Final = "\U0010ffff"
_MOST_FACES: Final = 16
_SIMPLIFIED: Final = " SC"
_EXPECTED: Final = "a font file that has it, such as Noto Sans CJK (Debian: fonts-noto-cjk)"


@dataclass(frozen=True, slots=True)
class Typeface:
    """The fonts that a label is set in."""

    wide: Path | None = None
    """The font of wide characters; None where there is none."""

    @classmethod
    def load(cls, font: str | os.PathLike[str] | None = None) -> Typeface:
        """The typeface with the font file that the user names, or else with one of the system's, if it has any.

        Raises:
            BadInput: `Reason.INVALID_REQUEST`: what the user names is no font file.
        """
        if font is None:
            return cls(next((path for path in map(Path, _SYSTEM_FONTS) if _is_font(path)), None))
        path = Path(font)
        if not _is_font(path):
            raise BadInput(
                Reason.INVALID_REQUEST,
                f"font {str(path)!r}",
                given="no font that can be read",
                expected="a TrueType or OpenType file",
            )
        return cls(path)

    def require(self, text: str) -> None:
        """Refuse a text of which a character could not be drawn.

        Raises:
            BadInput: `Reason.INVALID_REQUEST`.
        """
        for character in text:
            if not (_has(None, character) or (self.wide is not None and _has(self.wide, character))):
                given = f"{character if character.isprintable() else printable(character)} in no font that is here"
                raise BadInput(Reason.INVALID_REQUEST, "text on a label", given=given, expected=_EXPECTED)

    def draw(self, image: Image.Image, text: str, left: int, baseline: int, size: int) -> None:
        """Set a line of text in black, its first letter at `left`, into a picture of mode `L`."""
        draw = ImageDraw.Draw(image)
        at = float(left)
        for character in text:
            font = _font(None if _has(None, character) else self.wide, size)
            draw.text((round(at), baseline), character, fill=0, font=font, anchor="ls")
            at += ems(character) * size


def ems(text: str) -> float:
    """How wide a text is, in ems."""
    return sum(1.0 if is_wide(character) else NARROW for character in text)


def is_wide(character: str) -> bool:
    """Whether a character takes a whole em, as Chinese ones do (Unicode, UAX #11)."""
    return east_asian_width(character) in {"W", "F"} or not _has(None, character)


def broken(text: str, room: float) -> list[str]:
    """The lines of `text`, none wider than `room` ems; broken after a blank where there is one, or else anywhere."""
    lines: list[str] = []
    for line in text.splitlines():
        rest = line
        while rest:
            end = _fitting(rest, room)
            blank = rest.rfind(" ", 0, end)
            if end < len(rest) and blank > 0:
                end = blank + 1
            lines.append(rest[:end].rstrip(" ") or rest[:end])
            rest = rest[end:]
    return lines


def _fitting(text: str, room: float) -> int:
    """How many characters of `text` fit, but one at least."""
    width = 0.0
    for count, character in enumerate(text):
        width += ems(character)
        # What was added up by six tenths is a hair more than the room that was multiplied.
        if width > room + 1e-6 and count:
            return count
    return len(text)


@lru_cache(maxsize=20_000)
def _has(path: Path | None, character: str) -> bool:
    """Whether a font has a glyph of its own for a character, one that may simply stand after the one before."""
    if category(character)[0] in "CM" or bidirectional(character) in {"R", "AL"}:
        return False
    if character.isspace():
        return character == " "
    return _mask(path, character) != _mask(path, _NO_CHARACTER)


@cache
def _is_font(path: Path) -> bool:
    try:
        return path.is_file() and ImageFont.truetype(str(path), 16) is not None
    except (OSError, ValueError):
        return False


def _mask(path: Path | None, character: str) -> bytes:
    image = Image.new("L", (48, 48))
    ImageDraw.Draw(image).text((8, 36), character, fill=255, font=_font(path, 24), anchor="ls")
    return image.tobytes()


@cache
def _font(path: Path | None, size: int) -> ImageFont.FreeTypeFont:
    # The basic layout is the same wherever Pillow was built.
    source = io.BytesIO(narrow_font()) if path is None else str(path)
    index = 0 if path is None else _face(path)
    return ImageFont.truetype(source, size, index, layout_engine=ImageFont.Layout.BASIC)


@cache
def _face(path: Path) -> int:
    """Which font of a collection to take: that for simplified Chinese, where one says that it is."""
    for index in range(_MOST_FACES):
        try:
            name = ImageFont.truetype(str(path), 16, index).getname()[0] or ""
        except OSError:
            break
        if name.endswith(_SIMPLIFIED):
            return index
    return 0


@cache
def narrow_font() -> bytes:
    """DejaVu Sans Mono, a TrueType file."""
    return (files("barcode") / "fonts" / "DejaVuSansMono.ttf").read_bytes()
