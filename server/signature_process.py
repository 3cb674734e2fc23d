"""A process that checks signatures, and the language in which it is asked (`server.verifying` asks).

A question is the number of its claims and of its bytes, then for each claim the lengths of its key and of its event,
the key, the signature and the event. An answer is a byte 1, then a byte 1 or 0 for each claim. Both are between two
processes of one installation, so that numbers are as the machine has them.

Little is imported here: it is how long the process takes to start.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from ledger.envelope import signed_bytes
from ledger.errors import LedgerError
from ledger.keys import SIGNATURE_BYTES, PublicKey

Claim: TypeAlias = tuple[bytes, bytes, bytes]
"""DER SubjectPublicKeyInfo, signature of 64 bytes, and the event that it is said to be over."""

_HEAD = struct.Struct("=II")
_LENGTHS = struct.Struct("=HH")


def ask(sends: int, hears: int, claims: Sequence[Claim]) -> list[bool]:
    """Ask a process whether each signature holds.

    Args:
        sends: the pipe to it.
        hears: the pipe from it.
        claims: what is claimed.

    Raises:
        OSError: it has ended.
    """
    parts: list[bytes] = []
    for spki, signature, payload in claims:
        parts += (_LENGTHS.pack(len(spki), len(payload)), spki, signature, payload)
    body = b"".join(parts)
    _write(sends, _HEAD.pack(len(claims), len(body)) + body)
    return [answer == 1 for answer in _read(hears, 1 + len(claims))[1:]]


def main() -> None:
    """Answer questions on standard input until there are no more."""
    hears, answers = sys.stdin.fileno(), sys.stdout.fileno()
    while True:
        try:
            count, size = _HEAD.unpack(_read(hears, _HEAD.size))
            held = bytes(map(_holds, _claims(count, _read(hears, size))))
            _write(answers, b"\1" + held)
        except OSError:  # the service has ended
            return


def _claims(count: int, body: bytes) -> Iterator[Claim]:
    place = 0
    for _ in range(count):
        key, payload = _LENGTHS.unpack_from(body, place)
        signature_at = place + _LENGTHS.size + key
        payload_at = signature_at + SIGNATURE_BYTES
        end = payload_at + payload
        yield body[place + _LENGTHS.size : signature_at], body[signature_at:payload_at], body[payload_at:end]
        place = end


def _holds(claim: Claim) -> bool:
    spki, signature, payload = claim
    try:
        PublicKey.parse(spki).verify(signature, signed_bytes(payload))
    except LedgerError:
        return False
    return True


def _write(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _read(file: int, size: int) -> bytes:
    """So many bytes.

    Raises:
        OSError: the other end is gone.
    """
    data = b""
    while len(data) < size:
        part = os.read(file, size - len(data))
        if not part:
            raise BrokenPipeError(0, "the process has ended")
        data += part
    return data


if __name__ == "__main__":
    main()
