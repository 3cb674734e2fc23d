"""`suyuan scan --watch`: the pictures that somebody drops into a folder, each read once, in this run or another."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from clients.cli.output import shown
from clients.cli.scanning import Scanning, Tally
from clients.pictures_read import PicturesRead
from ledger.errors import BadInput
from scanner.dropped import Drops, pictures_in

_LOOK_S: Final = 0.25
"""Between two looks."""
_SHARE: Final = 4
"""A look at a large folder takes time; so many times that is waited before the next."""

Read: TypeAlias = Callable[[Path], int]
"""Reads a picture and tells what is on it: how many codes.

Raises:
    BadInput: it cannot be read.
"""


def watch_folder(session: Scanning, folder: Path, tally: Tally, read: Read) -> None:
    """Tell what is on the pictures in a folder, as they come, until enough was told.

    Raises:
        BadInput: the folder is not there or vanished, or another process watches it.
    """
    with PicturesRead.of(session.settings.state, folder, from_scratch=session.from_scratch) as memory:
        drops = Drops(memory.known)
        if not session.once:
            session.out.note(f"Watching {shown(str(folder))}; Ctrl-C ends it.")
        while True:
            began_s = time.monotonic()
            for sight in drops.look(pictures_in(folder), began_s):
                path = folder / sight.name
                try:
                    tally.told += read(path)
                except BadInput as error:
                    if not path.exists():
                        # Renamed or taken away since it was seen; under a new name it is seen again.
                        session.out.note(f"{shown(str(path))}: gone before it was read")
                        continue
                    tally.fail(error)
                drops.take(sight)
                memory.add(sight)
                if tally.is_enough:
                    return
            if session.once and not drops.waiting:
                return
            time.sleep(max(_LOOK_S, _SHARE * (time.monotonic() - began_s)))
