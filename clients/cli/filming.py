"""`suyuan scan --camera` and `--video`: frames to codes, each told once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clients.cli.output import Progress, shown
from clients.cli.scanning import Place, Scanning, Tally, Tell, now_text
from ledger.errors import BadInput
from scanner.decode import decode_pixels
from scanner.footage import Footage
from scanner.identify import identify
from scanner.sighting import Agreement, Sightings

if TYPE_CHECKING:
    from scanner.preview import Preview


def watch_camera(session: Scanning, number: int, tally: Tally, tell: Tell) -> None:
    """Tell what a camera sees, until enough was told, or its window was closed.

    Raises:
        BadInput: there is no such camera, or it vanished.
    """
    name = f"camera {number}"
    with Footage.of_camera(number) as footage:
        session.out.note(f"Reading from {name}; Ctrl-C ends it.")
        with _preview(session, name, wanted=session.preview is not False) as preview:
            _follow(session, footage, name, tally, tell=tell, preview=preview)


def watch_video(session: Scanning, path: Path, tally: Tally, tell: Tell) -> None:
    """Tell what a video shows, from its beginning to its end.

    Raises:
        BadInput: it is no video, or cut short; what could be read of it was told.
    """
    with (
        Footage.of_video(path) as footage,
        _preview(session, str(path), wanted=session.preview is True) as preview,
    ):
        _follow(session, footage, str(path), tally, tell=tell, preview=preview)


def _follow(
    session: Scanning, footage: Footage, name: str, tally: Tally, *, tell: Tell, preview: Preview | None
) -> None:
    sightings = Sightings(Agreement(again_after_s=session.again_after_s))
    with _progress(session, footage, name) as progress:
        for number, frame in enumerate(footage.frames(), 1):
            # What one frame hides the next one shows: no further looks are taken at it.
            symbols = decode_pixels(frame.picture, patience_s=0)
            for symbol in sightings.see(symbols, frame.at_s):
                tell(session, _place(footage, name, frame.at_s), identify(symbol, carrier=session.carrier))
                tally.told += 1
                if tally.is_enough:
                    return
            progress(number, max(number, footage.total))
            if preview is not None:
                preview.show(frame.picture, symbols)
                if not preview.is_open:
                    return


def _place(footage: Footage, name: str, at_s: float) -> Place:
    if footage.is_live:
        return Place(name, None, more={"source": name, "at": now_text(), "offset_s": None})
    more = {"source": "video", "at": None, "offset_s": round(at_s, 3)}
    return Place(f"{name} at {at_s:.1f} s", name, more=more)


@contextmanager
def _progress(session: Scanning, footage: Footage, name: str) -> Iterator[Progress]:
    """A bar for what has an end."""
    if footage.is_live:
        yield lambda done, total: None  # noqa: ARG005 - a camera is never done
        return
    with session.out.progress(shown(name)) as progress:
        yield progress


@contextmanager
def _preview(session: Scanning, title: str, *, wanted: bool) -> Iterator[Preview | None]:
    """A window, if one is wanted and can be had."""
    if not wanted:
        yield None
        return
    from scanner.preview import open_preview  # noqa: PLC0415 - few calls need it

    try:
        preview = open_preview(shown(title))
    except BadInput as error:
        session.out.note(f"Note: without a window. {shown(str(error))}")
        yield None
        return
    with closing(preview):
        yield preview
