"""Files that may hold pictures: which are looked at, and how one is refused."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Final

from ledger.errors import BadInput, Reason

SUFFIXES: Final = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".heic", ".heif", ".pdf"}
)
"""How the names of those files end that are taken for pictures where only a folder was named."""

MOST_PAGES: Final = 1_000
"""Of one file."""

_EXPECTED: Final = "a PNG, JPEG, WebP, BMP, GIF, TIFF or HEIC picture, or a PDF"


def require_regular_file(name: str) -> None:
    """Refuse what would block or never end when read, such as a pipe, and what holds nothing.

    Raises:
        BadInput: `Reason.INVALID_REQUEST`.
    """
    try:
        status = Path(name).stat()
    except FileNotFoundError:
        raise refusal(name, "no such file") from None
    if stat.S_ISDIR(status.st_mode):
        raise refusal(name, "a folder")
    if not stat.S_ISREG(status.st_mode):
        raise refusal(name, "something that is not a regular file")
    if status.st_size == 0:
        raise refusal(name, "an empty file")


def require_pages(name: str, count: int) -> None:
    """Refuse a file of more pages than anybody scans.

    Raises:
        BadInput: `Reason.INVALID_REQUEST`.
    """
    if count > MOST_PAGES:
        raise refusal(name, f"{count} pages", expected=f"at most {MOST_PAGES}")


def refusal(name: str, given: str, *, expected: str = _EXPECTED) -> BadInput:
    """The error that says what is wrong with the file of that name."""
    return BadInput(Reason.INVALID_REQUEST, f"picture {name!r}", given=given, expected=expected)
