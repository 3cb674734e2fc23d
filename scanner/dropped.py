"""A folder into which somebody drops pictures: which of them are whole, and were not read yet.

A fixed camera writes its pictures where we look, by FTP, over a share or from a program beside us, and nobody says when
one is whole. So a picture is taken when it has stayed as it is for a while. It is known by its inode, size and time of
change, so that a new name makes no new picture of it, and by its name, size and time too, for file systems that give
out inodes anew. Written to again, it is another one, and read again.

The folder is looked at now and then, which works everywhere: no system tells of what another machine writes to a share.
Time comes as an argument, in seconds from any beginning.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from ledger.errors import BadInput, Reason
from scanner.picture_file import SUFFIXES

SETTLED_S: Final = 1.0
"""How long a picture has to stay as it is."""

MAX_GONE: Final = 10_000
"""Pictures that are remembered although they are not in the folder any more, beside as many as are in it."""

_EMPTY_S: Final = 10.0
"""How long an empty file has to stay empty before it is taken for one: a picture begins as one."""


class Sight(NamedTuple):
    """A picture file as it was seen in a folder."""

    name: str
    inode: int
    size: int
    """In bytes."""
    changed_ns: int
    """Time of its last change, in nanoseconds since 1970."""

    @property
    def content(self) -> tuple[int, int, int]:
        """What it is, whatever it is called."""
        return self.inode, self.size, self.changed_ns

    @property
    def named(self) -> tuple[str, int, int]:
        """The same where an inode tells nothing."""
        return self.name, self.size, self.changed_ns


class Drops:
    """What is known of a folder's pictures."""

    def __init__(self, read: Iterable[Sight] = ()) -> None:
        """Begin to look.

        Args:
            read: pictures that were read before.
        """
        self._contents: set[tuple[int, int, int]] = set()
        self._names: set[tuple[str, int, int]] = set()
        self._since: dict[tuple[int, int, int], float] = {}
        for sight in read:
            self.take(sight)

    def take(self, sight: Sight) -> None:
        """Note that a picture was read."""
        self._contents.add(sight.content)
        self._names.add(sight.named)

    def knows(self, sight: Sight) -> bool:
        """Whether a picture was read."""
        return sight.content in self._contents or sight.named in self._names

    def look(self, sights: Iterable[Sight], at_s: float) -> list[Sight]:
        """The pictures that are whole and were not read yet, the one that was changed first at the head.

        Args:
            sights: all that are in the folder now.
            at_s: when that is.
        """
        sights = list(sights)
        self._forget_gone(sights)
        fresh = {sight.content: sight for sight in sights if not self.knows(sight)}
        self._since = {content: self._since.get(content, at_s) for content in fresh}
        whole = [
            sight
            for content, sight in fresh.items()
            if at_s - self._since[content] >= (SETTLED_S if sight.size else _EMPTY_S)
        ]
        return sorted(whole, key=lambda sight: (sight.changed_ns, sight.name))

    @property
    def waiting(self) -> bool:
        """Whether there was anything at the last look that was not read yet, whole or not."""
        return not self._since.keys() <= self._contents

    def _forget_gone(self, sights: list[Sight]) -> None:
        """Keep what is remembered bounded where pictures are taken out of the folder. An empty one may be a lost share."""
        if sights and len(self._contents) > 2 * len(sights) + MAX_GONE:
            self._contents &= {sight.content for sight in sights}
            self._names &= {sight.named for sight in sights}


def pictures_in(folder: Path) -> list[Sight]:
    """The picture files in a folder, without those in folders within it; hidden ones are passed over.

    Raises:
        BadInput: `Reason.INVALID_REQUEST`: it is not there, no folder, or may not be read.
    """
    sights: list[Sight] = []
    try:
        with os.scandir(folder) as found:
            for entry in found:
                if entry.name.startswith(".") or Path(entry.name).suffix.lower() not in SUFFIXES:
                    continue
                try:
                    status = entry.stat()
                except OSError:
                    continue  # gone, or a link to nothing
                if stat.S_ISREG(status.st_mode):
                    sights.append(Sight(entry.name, status.st_ino, status.st_size, status.st_mtime_ns))
    except (OSError, ValueError) as error:
        given = error.strerror if isinstance(error, OSError) else "a name that no folder can have"
        raise BadInput(
            Reason.INVALID_REQUEST,
            f"folder {os.fspath(folder)!r}",
            given=given,
            expected="a folder that can be read",
        ) from error
    return sights
