"""Which process this is, so that another one on the same machine can tell whether it is still there.

A number alone does not say: it is given away again, and means something else in another container or after a restart.
So an identity also holds the machine's boot, the namespace that the number belongs to, and when the process began, as
Linux tells them (proc(5), pid_namespaces(7)). Elsewhere it is empty, and of nobody is it said that he is gone.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_PROC = Path("/proc")

_IDENTITY = re.compile(r"([0-9a-f-]{36}/[0-9]{1,20})/([1-9][0-9]{0,8})/([0-9]{1,20})")

_DEAD = frozenset("ZX")
"""States of processes that have ended, and of which only the number is left."""


def process_identity() -> str:
    """This process: `boot/namespace/number/beginning`; empty where the system does not tell."""
    try:
        return f"{_place()}/{os.getpid()}/{_began(os.getpid())}"
    except (OSError, ValueError):
        return ""


def is_gone(identity: str) -> bool:
    """Whether a process has ended for certain. Of one on another machine or in another container nobody knows here."""
    found = _IDENTITY.fullmatch(identity)
    try:
        if found is None or found[1] != _place():
            return False
        number = int(found[2])
        if not _exists(number):
            return True
        # None for one that has ended, though its parent has not noticed; another time if the number was given away.
        return _began(number) != int(found[3])
    except (OSError, ValueError):
        return False  # it is there, and may not be looked at


def _place() -> str:
    boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}/{(_PROC / 'self/ns/pid').stat().st_ino}"


def _exists(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's
    return True


def _began(number: int) -> int | None:
    """When a process began, in ticks since the boot; None if it has ended."""
    # The second field is a name in brackets, which may hold blanks and brackets itself.
    state, *fields = (_PROC / str(number) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    return None if state in _DEAD else int(fields[18])
