"""WatchEvents: pages of the log as it grows, one after the other, to whoever takes them.

A watcher costs a task and the page that it is being sent. While it waits, for the log to grow or for its reader, it
holds no thread, no transaction and no place in a queue; the writer does not know that it is there. Pages are read on the
threads that answer other calls, a bounded stretch of the log at a time, and watchers take turns there: a few of the
threads at once, so that histories and traces find others free however many watch, and however far behind they are.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from sqlalchemy import Connection

from ledger.errors import BadInput, Reason, ServiceFault
from ledger.selection import Selection
from ledger.state import PartyKey
from server.arrivals import Arrivals
from server.grpc.answers import Answers, View, shown
from server.store import queries
from server.store.damage import damaged
from server.store.queries import StoredEntry
from server.store.records import load
from suyuan.v1 import entry_pb2, event_pb2
from suyuan.v1 import ledger_service_pb2 as pb

PAGE_ENTRIES = 256
"""Entries in one answer."""

PAGE_BYTES = 2 * 1024 * 1024
"""Bytes of entries that are looked at for one answer, and that it holds; one entry may be more."""

STRETCH = 1_024
"""Entries that are read for one answer and looked at here."""

CHAIN_STRETCH = 8_192
"""The same where the database filters by chain, and hands over only what fits."""

HEARTBEAT_S = 10.0
"""Seconds after which a watcher gets an answer although there is nothing to deliver."""

REST_S = 0.02
"""Seconds between two pages for one watcher who is up to date: what is committed meanwhile comes in one page."""

_KEPT_SIGNERS = 50_000


@dataclass(frozen=True, slots=True)
class Page:
    """What a stretch of the log holds for one watcher."""

    next: int
    """All before it was looked at."""
    size: int
    """Of the log when the page was read."""
    answer: pb.WatchEventsResponse | None
    """None if there is nothing to tell."""

    @property
    def is_last(self) -> bool:
        """Whether the log had no more entries."""
        return self.next == self.size


class Watching:
    """Answers calls of WatchEvents. For one event loop."""

    def __init__(self, answers: Answers, arrivals: Arrivals, *, most: int, readers: int) -> None:
        """Nobody watches yet.

        Args:
            answers: reads the log.
            arrivals: tells when it grows.
            most: calls at once.
            readers: threads that may read for watchers at once.
        """
        self._answers = answers
        self._arrivals = arrivals
        self._most = most
        self._turns = asyncio.Semaphore(readers)
        self._signers = _Signers()
        self._watchers = 0

    async def answers(self, request: pb.WatchEventsRequest) -> AsyncGenerator[pb.WatchEventsResponse, None]:
        """The answers to one call; they never end.

        Raises:
            BadInput: as `Selection.parse`; `INVALID_REQUEST` if the log is not that large.
            ServiceFault: `OVERLOADED` if too many watch, `STOPPING`, or what is wrong with the database.
        """
        selection = Selection.parse(request.chains, request.parties, request.kinds)
        start, known_size = request.start, request.known_size
        told_end = False
        told_at = time.monotonic()
        with self._admitted():
            while True:
                self._arrivals.require_going()
                beat_at = told_at + HEARTBEAT_S
                read = _Reading(
                    selection,
                    start,
                    known_size,
                    with_proofs=not request.omit_proofs,
                    tell_end=not told_end,
                    tell_anyway=time.monotonic() >= beat_at,
                )
                async with self._turns:
                    page = await self._answers.read(lambda view, read=read: self._page(view, read))  # type: ignore[misc]
                start = page.next
                if page.answer is not None:
                    yield page.answer
                    known_size, told_at = page.size, time.monotonic()
                    told_end = told_end or page.is_last
                if page.is_last:
                    read_at = time.monotonic()
                    await self._arrivals.beyond(page.size, told_at + HEARTBEAT_S - read_at)
                    await asyncio.sleep(max(0.0, read_at + REST_S - time.monotonic()))

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        if self._watchers >= self._most:
            raise ServiceFault(
                Reason.OVERLOADED, "watchers", given=self._watchers + 1, expected=f"at most {self._most}"
            )
        self._watchers += 1
        try:
            yield
        finally:
            self._watchers -= 1

    def _page(self, view: View, read: _Reading) -> Page:
        """The next stretch of the log. Runs on a thread that reads."""
        if read.start > view.size:
            expected = f"at most {view.size}, the size of the log"
            raise BadInput(Reason.INVALID_REQUEST, "start", given=read.start, expected=expected)
        chosen, beyond = self._stretch(view, read)
        answer = None
        if chosen or read.tell_anyway or (read.tell_end and beyond == view.size):
            answer = pb.WatchEventsResponse(
                entries=view.proven(chosen) if read.with_proofs else map(shown, chosen),
                next=beyond,
                checkpoint=view.checkpoint(read.known_size),
            )
        return Page(beyond, view.size, answer)

    def _stretch(self, view: View, read: _Reading) -> tuple[list[StoredEntry], int]:
        """What is wanted from `start` on, and the index before which nothing else is."""
        selection, chains = read.selection, read.selection.chains or None
        limit = STRETCH if selection.kinds or selection.parties else PAGE_ENTRIES
        stop = min(read.start + (CHAIN_STRETCH if chains else limit), view.size)
        found, beyond = queries.entries_among(
            view.connection, chains, read.start, stop, limit=limit, most_bytes=PAGE_BYTES
        )
        chosen = self._chosen(view.connection, found, selection)
        if len(chosen) > PAGE_ENTRIES:
            beyond = chosen[PAGE_ENTRIES].index
            del chosen[PAGE_ENTRIES:]
        if chains and not found and beyond < view.size:
            # Where the chains lie far apart, the index of chains leads from one entry to the next.
            ahead = queries.next_of_chains(view.connection, chains, beyond)
            beyond = view.size if ahead is None else ahead
        return chosen, beyond

    def _chosen(
        self, connection: Connection, found: list[StoredEntry], selection: Selection
    ) -> list[StoredEntry]:
        if not (selection.kinds or selection.parties):
            return found
        opened = [_opened(entry) for entry in found]
        signers = (
            self._signers.find(connection, {key_id for _, key_id in opened}) if selection.parties else {}
        )
        return [
            entry
            for entry, (event, key_id) in zip(found, opened, strict=True)
            if selection.holds(event, signers.get(key_id, ""))
        ]


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one page is read for."""

    selection: Selection
    start: int
    known_size: int
    """Of the checkpoint that the watcher was sent last."""
    with_proofs: bool
    tell_end: bool
    """Answer also without entries, where the log's end is reached."""
    tell_anyway: bool
    """Answer also without entries."""


class _Signers:
    """Whose keys these are. Safe to share among threads.

    A key has one holder for ever, and an entry in the log has a key that was introduced before it, so that what was
    found once stays true.
    """

    def __init__(self) -> None:
        self._parties: dict[bytes, str] = {}
        self._lock = threading.Lock()

    def find(self, connection: Connection, key_ids: set[bytes]) -> dict[bytes, str]:
        """The party of each key; empty for a buyer's.

        Raises:
            ServiceFault: `STORE_DAMAGED` if the record of one is.
        """
        with self._lock:
            found = {key_id: self._parties[key_id] for key_id in key_ids if key_id in self._parties}
        missing = key_ids - found.keys()
        if missing:
            records = load(connection, PartyKey, missing)
            new = {key_id: records[key_id].party if key_id in records else "" for key_id in missing}
            found |= new
            with self._lock:
                if len(self._parties) + len(new) > _KEPT_SIGNERS:
                    self._parties.clear()
                self._parties |= new
        return found


def _opened(entry: StoredEntry) -> tuple[event_pb2.Event, bytes]:
    """The event of an entry and the id of the key that signed it: read, and not judged again.

    Raises:
        ServiceFault: `STORE_DAMAGED` if these are not the bytes of an entry.
    """
    try:
        envelope = entry_pb2.Envelope.FromString(entry_pb2.Entry.FromString(entry.data).envelope)
        [signature] = envelope.signatures
        return event_pb2.Event.FromString(envelope.payload), signature.key_id
    except (DecodeError, ValueError) as error:
        raise damaged(f"entry {entry.index}", "something else", "the bytes of an entry") from error
