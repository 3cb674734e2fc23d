"""Growing a log to measure on, and the events that come next in its town, signed before any clock starts.

The log is written by the service's own writer, under the rules, with all views; only signatures are not checked again,
for this program has just made them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from benchmarks.report import say
from benchmarks.town import ORIGIN, Town, entries, secret_of
from ledger.entry import Entry
from ledger.keys import PrivateKey
from ledger.note import NoteSigner
from ledger.sequence import Sequenced, Submission
from server.store.store import Store
from server.writer import Writer

LEAST_ENTRIES = 1_000
"""A log has its founding behind it."""

SIGNER = NoteSigner(ORIGIN, secret_of("log"))

_FEWEST_SHOPS, _MOST_SHOPS, _TURNS_OF_A_SHOP = 16, 128, 80
_MOST_OF_A_SHOP = 1_000
_COURIERS = 200
_BATCH = 2_000
_LATE_US = 60 * 1_000_000
_LENGTH_BYTES = 4


@dataclass(frozen=True)
class Upcoming:
    """What the town says next, in a file: envelopes, each behind its length."""

    file: Path

    def envelopes(self) -> Iterator[bytes]:
        """All of them, in order."""
        with self.file.open("rb") as file:
            while length := file.read(_LENGTH_BYTES):
                yield file.read(int.from_bytes(length, "big"))

    def write(self, envelopes: Iterable[bytes]) -> None:
        """Write them."""
        with self.file.open("wb") as file:
            for envelope in envelopes:
                file.write(len(envelope).to_bytes(_LENGTH_BYTES, "big") + envelope)


def write_log_key(file: Path) -> None:
    """The key that signs the log's checkpoints, which is the same in every run."""
    pem = secret_of("log").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
        opened.write(pem)


def grow(database: str, count: int, upcoming: Upcoming, further: int, jobs: int) -> None:
    """Make a log of `count` entries in an empty database, and sign `further` events that come next.

    Args:
        database: as `operator init --database` takes it.
        count: `LEAST_ENTRIES` or more.
        upcoming: where to write the further events.
        further: how many.
        jobs: processes that sign.
    """
    town = town_of(count + further)
    envelopes = (Entry.parse(data).envelope for part in entries(town, count + further, jobs) for data in part)
    with closing(Store.create(database)) as store:
        writer = Writer(store, SIGNER)
        writer.load()
        started = time.monotonic()
        for done in range(0, count, _BATCH):
            batch = [next(envelopes) for _ in range(min(_BATCH, count - done))]
            _record(writer, batch, town.start_us + (done + len(batch)) * town.step_us)
            say(
                f"\rgrowing the log: {done + len(batch)} of {count} entries, {time.monotonic() - started:.0f} s "
            )
    say(f"\nsigning {further} events\n")
    upcoming.write(envelopes)


def town_of(total: int) -> Town:
    """A busy town that has said so much by now.

    Its clock goes at such a step that nothing is ever said after it is recorded.
    """
    # As many shops at once as keep what depends on each other further apart than messages that are in flight.
    shops = min(max(total // _TURNS_OF_A_SHOP, _FEWEST_SHOPS), _MOST_SHOPS)
    rounds = -(-total // (shops * _MOST_OF_A_SHOP))
    town = Town(
        entries_of_a_shop=-(-total // (shops * rounds)),
        shops_at_once=shops,
        couriers=_COURIERS,
        busy=True,
    )
    return replace(town, start_us=time.time_ns() // 1_000 - total * town.step_us - _LATE_US)


def _record(writer: Writer, envelopes: list[bytes], now_us: int) -> None:
    submissions = [Submission.read(raw) for raw in envelopes]
    for submission in submissions:
        submission.verified_by = replace(_ANY_KEY, key_id=submission.envelope.key_id)
    for verdict in writer.write(submissions, now_us).batch.verdicts:
        if not isinstance(verdict, Sequenced):
            raise SystemExit(f"the log cannot be grown: {verdict}")


_ANY_KEY = PrivateKey.of(secret_of("any")).public_key
