"""`suyuan scan` of what goes on: a camera or video, a folder, a scanner; until it ends or is told to."""

from __future__ import annotations

from pathlib import Path

from clients.cli.output import shown
from clients.cli.scanning import Place, Scanning, Tally, Tell, now_text
from clients.cli.status import Status
from clients.cli.stopping import Stopped, stoppable
from ledger.errors import BadInput


def follow(session: Scanning, tell: Tell) -> Status:
    """Tell what the source gives that the options name; returns the exit status."""
    tally = Tally(session.count)
    try:
        with stoppable():
            _follow(session, tally, tell)
    except Stopped:
        return Status.USAGE if tally.failed else Status.OK
    except BadInput as error:
        tally.fail(error)
    return tally.status


def _follow(session: Scanning, tally: Tally, tell: Tell) -> None:
    if session.wedge or session.serial is not None:
        from clients.cli.listening import listen_to_keyboard, listen_to_serial  # noqa: PLC0415 - each needs its own

        if session.serial is None:
            listen_to_keyboard(session, tally)
        else:
            listen_to_serial(session, session.serial, tally)
    elif session.watched is not None:
        from clients.cli.dropping import watch_folder  # noqa: PLC0415 - as above

        watch_folder(session, session.watched, tally, lambda path: _read(session, path, tell))
    else:
        from clients.cli.filming import watch_camera, watch_video  # noqa: PLC0415 - OpenCV takes long to load

        if session.video is not None:
            watch_video(session, session.video, tally, tell)
        elif session.camera is not None:
            watch_camera(session, session.camera, tally, tell)


def _read(session: Scanning, path: Path, tell: Tell) -> int:
    """Tell what is on a picture; returns how many symbols there are.

    Raises:
        BadInput: it cannot be read, or not to its end; what could be read was told.
    """
    from clients.pictures import read_file  # noqa: PLC0415 - hand scanners need no readers
    from scanner.identify import identify  # noqa: PLC0415 - as above

    read = read_file(str(path))
    more = {"source": "folder", "at": now_text(), "offset_s": None}
    for number, symbols in enumerate(read.pages, start=1):
        place = Place(str(path), str(path), number if len(read.pages) > 1 else None, more)
        for symbol in symbols:
            tell(session, place, identify(symbol, carrier=session.carrier))
    if read.refusal is not None:
        raise read.refusal
    if not any(read.pages):
        session.out.note(f"{shown(str(path))}: no symbol found")
    return sum(map(len, read.pages))
