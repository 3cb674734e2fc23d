"""One witness process for one database.

Two would never cosign a fork: what each does is a transaction of the database that both share. But nobody means to run
two, and one that was forgotten answers with its own list of logs, and with keys that may be other ones.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clients.new_file import file_refusal
from ledger.errors import BadInput, Reason

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


@contextmanager
def alone(database: Path) -> Iterator[None]:
    """Be the only process that serves a database, for as long as the block runs.

    The lock is on a file of its own beside it, as SQLite would lose its locks on the database if we opened that. The
    file stays: what counts is the lock, which the system takes back from a process however it ends.

    Raises:
        BadInput: `INVALID_REQUEST` if another process serves it, or the file cannot be locked.
    """
    path = database.with_name(f"{database.name}-lock")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise file_refusal(path, error.strerror, "a file that can be locked") from error
    try:
        try:
            if sys.platform == "win32":
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise BadInput(
                Reason.INVALID_REQUEST,
                f"database {database}",
                given="one that another witness process serves",
                expected="one process for each; stop the other first",
            ) from error
        except OSError as error:
            raise file_refusal(path, error.strerror, "a file that can be locked") from error
        yield
    finally:
        os.close(descriptor)
