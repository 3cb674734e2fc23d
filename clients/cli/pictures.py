"""Which picture files a user means: files, folders with all that is in them, patterns such as `in/**/*.jpg`."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from ledger.errors import BadInput, Reason
from scanner.picture_file import SUFFIXES


@dataclass(slots=True)
class Pictures:
    """The files that arguments name."""

    paths: list[str] = field(default_factory=list)
    """In the order of the arguments; within a folder by name."""
    refusals: list[BadInput] = field(default_factory=list)
    """What named nothing, or could not be looked into."""

    @classmethod
    def named(cls, arguments: Iterable[Path]) -> Self:
        """All files that the arguments name; a file that was named itself need not look like a picture, nor exist."""
        pictures = cls()
        for argument in arguments:
            pictures._add(str(argument))
        return pictures

    def _add(self, name: str) -> None:
        # A name that no file can have is for whoever opens it to refuse.
        if "\0" in name or not glob.has_magic(name) or os.path.lexists(name):
            self._add_path(name)
            return
        matches = sorted(glob.iglob(name, recursive=True))  # noqa: PTH207 - names may be any bytes
        if not matches:
            self._refuse(name, "a pattern that no file matches", "one that matches some")
        for match in matches:
            self._add_path(match)

    def _add_path(self, name: str) -> None:
        if "\0" in name or not os.path.isdir(name):  # noqa: PTH112 - likewise
            self.paths.append(name)
            return
        before = len(self.paths), len(self.refusals)
        for folder, folders, files in os.walk(name, onerror=self._unreadable):
            # Neither hidden ones, which other programs keep there, nor links, which may lead round in circles.
            folders[:] = sorted(one for one in folders if not one.startswith("."))
            self.paths += [
                os.path.join(folder, file)  # noqa: PTH118 - likewise
                for file in sorted(files)
                if Path(file).suffix.lower() in SUFFIXES and not file.startswith(".")
            ]
        if before == (len(self.paths), len(self.refusals)):
            self._refuse(name, "a folder without pictures", f"files such as {', '.join(sorted(SUFFIXES))}")

    def _unreadable(self, error: OSError) -> None:
        name = os.fsdecode(error.filename or "")
        self._refuse(name, f"a folder that cannot be read ({error.strerror})", "one that can be read")

    def _refuse(self, name: str, given: str, expected: str) -> None:
        self.refusals.append(
            BadInput(Reason.INVALID_REQUEST, f"picture {name!r}", given=given, expected=expected)
        )
