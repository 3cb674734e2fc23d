"""Four ways in which whoever holds the database can lie, each done to a copy of it."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from clients.keyfile import read_key
from ledger.entry import Entry
from ledger.envelope import Envelope
from ledger.event import Event, Kind
from ledger.note import NoteSigner
from ledger.sequence import Submission
from server.config import read_log_key
from server.store.store import Store
from server.writer import Writer

CASE = frozenset({Kind.COMPLAINT, Kind.COMPLAINT_REPLY, Kind.COMPLAINT_RESOLUTION})


@dataclass(frozen=True)
class Lie:
    """One way to tamper, and what the audit must say of it."""

    title: str
    tell: Callable[[Path, Path, NoteSigner], None]
    """Writes a tampered copy: original, copy, the log's key."""
    expected: tuple[str, ...]
    """Texts that the audit's report must hold."""
    status: int = 1
    """The audit's exit status: 1 for tampering, 6 where the log has also signed two histories."""


def lies(database: Path) -> list[Lie]:
    """The four, for the log in this database."""
    leaves = _leaves(database)
    complaint = next(index for index, leaf in enumerate(leaves) if _event(leaf).kind is Kind.COMPLAINT)
    return [
        Lie(
            f"one byte of the complaint (entry {complaint}) is changed",
            lambda original, copy, _: _change_byte(original, copy, complaint),
            (f"entry {complaint}: leaf hash", f"entry {complaint}: signature"),
        ),
        Lie(
            f"the complaint (entry {complaint}) is dropped",
            lambda original, copy, _: _drop(original, copy, complaint),
            (f"entry {complaint}: the service cannot show it",),
        ),
        Lie(
            f"entries {complaint} and {complaint + 1} are swapped",
            lambda original, copy, _: _swap(original, copy, complaint, complaint + 1),
            (f"entry {complaint}: leaf hash", f"entry {complaint + 1}: leaf hash"),
        ),
        Lie(
            "history is rewritten without the complaint: all hashes recomputed, the checkpoint signed anew",
            _rewrite,
            (f"root of the first {len(leaves)} entries", "history was rewritten"),
            status=6,
        ),
    ]


def log_signer(log_key: Path, origin: str) -> NoteSigner:
    """The operator's own key, which a lying operator has."""
    return read_log_key(log_key, origin)


def _change_byte(original: Path, copy: Path, index: int) -> None:
    with _copied(original, copy) as connection:
        [data] = connection.execute("SELECT data FROM entries WHERE idx = ?", [index]).fetchone()
        event = _event(data)
        # The last byte of the signed event: what was complained of becomes something else.
        at = data.index(event.raw) + len(event.raw) - 1
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        connection.execute("UPDATE entries SET data = ? WHERE idx = ?", [changed, index])


def _drop(original: Path, copy: Path, index: int) -> None:
    with _copied(original, copy) as connection:
        connection.execute("DELETE FROM entries WHERE idx = ?", [index])


def _swap(original: Path, copy: Path, first: int, second: int) -> None:
    with _copied(original, copy) as connection:
        rows = dict(connection.execute("SELECT idx, data FROM entries WHERE idx IN (?, ?)", [first, second]))
        connection.execute("UPDATE entries SET data = ? WHERE idx = ?", [rows[second], first])
        connection.execute("UPDATE entries SET data = ? WHERE idx = ?", [rows[first], second])


def _rewrite(original: Path, copy: Path, signer: NoteSigner) -> None:
    """Record everything again but the case of the complaint, and some of it twice so that nothing seems shorter."""
    store = Store.create(str(copy))
    writer = Writer(store, signer)
    leaves = [Entry.parse(leaf) for leaf in _leaves(original)]
    for entry in leaves:
        if Event.parse(Envelope.parse(entry.envelope).payload).kind not in CASE:
            writer.write([Submission.read(entry.envelope)], entry.recorded_at_us)
    for submission in _padding(original):
        writer.write([submission], leaves[-1].recorded_at_us)
    store.close()


def _padding(original: Path) -> list[Submission]:
    """Events that a merchant in league with the operator signs, so that the new history is no shorter than the old."""
    merchant = read_key(original.parent / "merchant.pem")
    listing = next(event for event in map(_event, _leaves(original)) if event.kind is Kind.LISTING)
    submissions = []
    for number in range(len(CASE) + 1):
        again = Event.write(
            listing.chain,
            listing.body,
            occurred_at=listing.occurred_at,
            nonce=hashlib.sha256(b"padding %d" % number).digest()[:16],
        )
        submissions.append(Submission.read(Envelope.seal(again.raw, merchant).raw))
    return submissions


@contextmanager
def _copied(original: Path, copy: Path) -> Iterator[sqlite3.Connection]:
    """A copy of a database, open; committed at the end."""
    with closing(sqlite3.connect(original)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        with target:
            yield target


def _leaves(database: Path) -> list[bytes]:
    with closing(sqlite3.connect(database)) as connection:
        return [data for (data,) in connection.execute("SELECT data FROM entries ORDER BY idx")]


def _event(leaf: bytes) -> Event:
    return Event.parse(Envelope.parse(Entry.parse(leaf).envelope).payload)
