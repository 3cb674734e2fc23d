"""Labels: drawn, read back, and only then handed out.

What a label says is in `scanner.label_content`, how it is printed in `scanner.encode` and `scanner.artwork`. Here each
label is given to the scanner first, and what the scanner reads must be what was asked for.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Final

from PIL import Image

from ledger.errors import BadInput, Reason
from ledger.identifiers import printable
from scanner.artwork import TEXT_SIZES, Artwork, Box
from scanner.encode import encode_sizes
from scanner.label_content import LabelContent
from scanner.pdf import pixels_of_pdf, to_pdf
from scanner.print_size import millimetres
from scanner.read_back import require_reads_as
from scanner.symbol import Symbology
from scanner.typeface import Typeface

SUFFIXES: Final = (".png", ".svg", ".pdf")
"""Of the files that labels are written to."""
LONGEST_TITLE: Final = 120
"""Characters of what stands above a symbol."""
PROOF_DPI: Final = 300
"""What a PDF is read back at: coarser than it will be printed."""


@dataclass(frozen=True, slots=True)
class Room:
    """What there is of white paper for a label, in dots."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Label:
    """Something to print, and the symbols that are on it."""

    contents: tuple[LabelContent, ...]
    artwork: Artwork

    @classmethod
    def compose(
        cls,
        text: str,
        symbology: Symbology | None = None,
        *,
        title: str = "",
        resolution: int = 300,
        room: Room | None = None,
        text_sizes: tuple[float, ...] = TEXT_SIZES,
    ) -> Label:
        """The label of `text`, in the usual size or as large as there is room for.

        Args:
            text: as `draw_label` takes it.
            symbology: the same.
            title: what is to stand above the symbol, such as the product's name.
            resolution: of the printer, one of `scanner.print_size.RESOLUTIONS`.
            room: what the label must fit into.
            text_sizes: millimetres of an em, from the usual to the least.

        Raises:
            BadInput: as `LabelContent.parse`; and `Reason.INVALID_REQUEST`: another resolution; a title that is too
                long or has what can't be printed; no room for the least size that GS1 gives the symbol.
        """
        content = LabelContent.parse(text, symbology)
        require_title(title)
        artworks = _artworks(content, title, resolution, room, text_sizes)
        artwork = next(artworks)
        if room is None:
            return cls((content,), artwork)
        while artwork.width > room.width or artwork.height > room.height:
            smaller = next(artworks, None)
            if smaller is None:
                raise _refusal(
                    f"room for a label of {content.symbology} with its text",
                    _size(room.width, room.height, resolution),
                    f"{_size(artwork.width, artwork.height, resolution)}, less text, or a symbology that takes less",
                )
            artwork = smaller
        return cls((content,), artwork)

    def require_read_back(self, typeface: Typeface | None = None) -> Image.Image:
        """The label as pixels, which the scanner has read.

        Raises:
            BadInput: `Reason.INVALID_REQUEST`: it does not read back; or no font has one of the characters.
        """
        image = self.artwork.to_pixels(typeface)
        require_reads_as(self.contents, image)
        return image

    def to_file(self, suffix: str, typeface: Typeface | None = None) -> bytes:
        """The label as a file of that suffix, one of `SUFFIXES`, which the scanner has read.

        A PDF is read from itself, an SVG by the pixels that the same artwork gives. The same label gives the same
        bytes.

        Raises:
            BadInput: as `require_read_back`; and `Reason.INVALID_REQUEST`: another suffix.
        """
        require_suffix(Path(f"label{suffix}"))
        if suffix == ".pdf":
            whole = Box(0, 0, self.artwork.width, self.artwork.height)
            page = Page(self.artwork, ((whole, self.contents),))
            return proved_pdf([page], typeface or Typeface(), title="Label")
        if suffix == ".svg":
            # Whoever shows it brings the letters.
            require_reads_as(self.contents, replace(self.artwork, lines=()).to_pixels())
            return self.artwork.to_svg().encode()
        image = self.require_read_back(typeface)
        stream = BytesIO()
        image.save(stream, format="PNG", dpi=(self.artwork.resolution, self.artwork.resolution))
        return stream.getvalue()


@dataclass(frozen=True, slots=True)
class Page:
    """A page to print, and what is to be read on each part of it."""

    artwork: Artwork
    parts: tuple[tuple[Box, tuple[LabelContent, ...]], ...]


def draw_label(text: str, symbology: Symbology | None = None) -> Image.Image:
    """The label of `text`, a picture of mode `L` for a printer of 300 dpi.

    Args:
        text: a chain key; a GTIN of 8, 12, 13 or 14 digits; GS1 element strings in brackets, as in `(01)…(10)…`; a
            web address; a waybill number, also with its carrier as in `zto:75312345678901`; or anything else.
        symbology: EAN_13, EAN_8, UPC_A, ITF_14, CODE_128, GS1_128, GS1_DATA_MATRIX or QR_CODE. When not told the text
            decides, as it does in `scanner.label_content`; what looks like no identifier goes into a Code 128 if it
            is ASCII and short, and else into a QR code.

    The text stands beneath the symbol, unless it has characters beyond ASCII, which the font may lack.

    Raises:
        BadInput: `Reason.INVALID_REQUEST`: no text for a label, not for this symbology, or it does not read back;
            `Reason.BAD_IDENTIFIER`, `Reason.BAD_CHAIN_KEY`: it has the looks of an identifier and is a wrong one;
            `Reason.AMBIGUOUS_CODE`: digits that can be several things.
    """
    return Label.compose(text, symbology).require_read_back()


def write_label(path: str | os.PathLike[str], text: str, symbology: Symbology | None = None) -> None:
    """Draw the label of `text` into the file at `path`, whose suffix is one of `SUFFIXES`; see `draw_label`.

    The file is there as a whole or not at all, and replaces one that was there before. The same text gives the same
    bytes.

    Raises:
        BadInput: as `draw_label`; and `Reason.INVALID_REQUEST`: another suffix, or a place that can't be written to.
    """
    target = Path(path)
    suffix = require_suffix(target)
    _write_whole(target, Label.compose(text, symbology).to_file(suffix))


def require_suffix(target: Path) -> str:
    """The suffix of a file that a label is to be written to, in small letters.

    Raises:
        BadInput: `Reason.INVALID_REQUEST`: none of `SUFFIXES`.
    """
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        expected = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        raise _file_refusal(target, f"suffix {suffix}" if suffix else "no suffix", expected)
    return suffix


def require_title(title: str) -> None:
    """Refuse what can't stand above a symbol.

    Raises:
        BadInput: `Reason.INVALID_REQUEST`: too long, or not printable.
    """
    if len(title) > LONGEST_TITLE:
        raise _refusal("title of a label", f"{len(title)} characters", f"at most {LONGEST_TITLE}")
    if not title.isprintable():
        raise _refusal("title of a label", printable(title), "printable characters")


def proved_pdf(
    pages: Sequence[Page],
    typeface: Typeface,
    *,
    title: str,
    progress: Callable[[int], object] = lambda done: None,  # noqa: ARG005 - nobody is watching
) -> bytes:
    """A PDF of those pages, which the scanner has read from what was written, part by part.

    Args:
        pages: what is printed.
        typeface: the letters.
        title: what the document is called.
        progress: is told how many parts have been read.

    Raises:
        BadInput: as `Label.require_read_back`.
    """
    written = to_pdf([page.artwork for page in pages], typeface, title=title)
    done = 0
    for page, image in zip(pages, pixels_of_pdf(written, PROOF_DPI), strict=True):
        scale = PROOF_DPI / page.artwork.resolution
        for box, contents in page.parts:
            left, top = round(box.x * scale), round(box.y * scale)
            right, bottom = round((box.x + box.width) * scale), round((box.y + box.height) * scale)
            require_reads_as(contents, image.crop((left, top, right, bottom)))
            done += 1
            progress(done)
    return written


def _artworks(
    content: LabelContent, title: str, resolution: int, room: Room | None, text_sizes: tuple[float, ...]
) -> Iterator[Artwork]:
    """The label in every size that it may have, the usual first."""
    for bars in encode_sizes(content.symbology, content.text, resolution):
        for text_size in text_sizes:
            yield Artwork.compose(
                bars.boxes,
                width=bars.width,
                height=bars.height,
                caption=content.caption,
                title=title,
                resolution=resolution,
                text_size=text_size,
                room=None if room is None else room.width,
            )


def _write_whole(target: Path, content: bytes) -> None:
    """Write beside the target and rename: a crash leaves the file as it was, and at worst a `.part` beside it."""
    draft = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with draft.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except OSError as error:
        raise _file_refusal(target, error.strerror, "a place that can be written to") from error
    except ValueError:
        raise _file_refusal(target, "a name that no file can have", "a file name") from None
    finally:
        with suppress(OSError, ValueError):
            draft.unlink()


def _size(width: int, height: int, resolution: int) -> str:
    return f"{millimetres(width, resolution):.1f} x {millimetres(height, resolution):.1f} mm"


def _refusal(subject: str, given: str, expected: str) -> BadInput:
    return BadInput(Reason.INVALID_REQUEST, subject, given=given, expected=expected)


def _file_refusal(target: Path, given: str | None, expected: str) -> BadInput:
    return _refusal(f"label file {str(target)!r}", given or "an error", expected)
