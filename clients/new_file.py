"""New files, written whole or not at all and never over another; most are for their owner's eyes only."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from ledger.errors import BadInput, Reason


def write_private(path: Path, content: bytes) -> None:
    """Write a new file of mode 0600; when this returns, it is on the disk.

    Raises:
        BadInput: `INVALID_REQUEST` if the file exists or cannot be written.
    """
    write_new(path, content, mode=0o600)


def write_new(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """The same for a file that others may read.

    Raises:
        BadInput: as `write_private`.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):
                path.unlink()
            raise
        _sync_folder(path.parent)
    except FileExistsError:
        raise file_refusal(path, "a file that exists", "a new file") from None
    except OSError as error:
        raise file_refusal(path, error.strerror, "a file that can be written") from error


def ensure_private(path: Path) -> None:
    """Make an empty file of mode 0600 where there is none, for SQLite to fill; the files beside it get that mode too.

    A file that is there, made by an older version or by hand, gets it too.

    Raises:
        OSError: it cannot be made, or is somebody else's and not private.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode) and stat.S_IMODE(mode) & 0o077:
            path.chmod(0o600)


def write_whole(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write a new file, by default one that others may read; nobody ever sees a part of it under its name.

    A crash leaves a draft beside it at worst, which nothing asks for.

    Raises:
        BadInput: as `write_private`.
    """
    draft = path.with_name(f".suyuan-draft-{token_hex(8)}")
    try:
        write_new(draft, content, mode=mode)
    except BadInput as error:
        raise file_refusal(path, error.given, error.expected or "") from error
    try:
        move_to_new(draft, path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def move_to_new(draft: Path, path: Path) -> None:
    """Give a file its name; a file that has this name already is left alone.

    Raises:
        BadInput: `INVALID_REQUEST` if the name is taken, or cannot be given.
    """
    try:
        # A rename would replace what is there.
        os.link(draft, path)
        draft.unlink()
        _sync_folder(path.parent)
    except FileExistsError:
        raise file_refusal(path, "a file that exists", "a new file") from None
    except OSError as error:
        raise file_refusal(path, error.strerror, "a file that can be written") from error


def file_refusal(path: Path, given: str | None, expected: str) -> BadInput:
    """A refusal of a file, to be raised."""
    return BadInput(Reason.INVALID_REQUEST, f"file {path}", given=given or "an error", expected=expected)


def _sync_folder(folder: Path) -> None:
    """Have the folder's own entries on the disk too; where folders cannot be opened there is no way to."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
