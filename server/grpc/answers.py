"""What every answer that reads has in common: one snapshot, one checkpoint, proofs against it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

from sqlalchemy import Connection

from ledger.errors import BadInput, Reason, ServiceFault
from server.gathering import Gathering
from server.proofs import Proofs
from server.published import read_published
from server.store import queries
from server.store.queries import StoredEntry, StoredHead
from server.store.records import chunks
from server.store.store import Store
from suyuan.v1 import flags_pb2
from suyuan.v1 import ledger_service_pb2 as pb

T = TypeVar("T")

_PROOFS = 128
"""Proofs that are built together: what their tiles take meanwhile is 1 MiB, however long the answer is."""

_PORTION = 64
"""Events of appends that are answered in one piece."""


class View:
    """The log at one moment."""

    def __init__(
        self, connection: Connection, head: StoredHead, proofs: Proofs, abandoned: threading.Event
    ) -> None:
        self.connection = connection
        self.head = head
        self._proofs = proofs
        self._abandoned = abandoned

    @property
    def size(self) -> int:
        """Entries that there are."""
        return self.head.size

    def go_on(self) -> None:
        """End the work here if nobody waits for the answer any more.

        Raises:
            ServiceFault: `STOPPING`; nobody hears it.
        """
        if self._abandoned.is_set():
            raise ServiceFault(
                Reason.STOPPING, "answer", given="a call that has ended", expected="a caller who waits"
            )

    def checkpoint(self, known_size: int = 0) -> pb.ProvenCheckpoint:
        """The checkpoint, with the proof that it extends the one that the caller knows."""
        return proven_checkpoint(self.head, known_size, self._proofs, self.connection)

    def witnessed_checkpoint(self, known_size: int = 0) -> pb.ProvenCheckpoint:
        """The newest checkpoint that a quorum of the log's witnesses has cosigned, with its proof as above.

        Raises:
            ServiceFault: `NO_QUORUM` if there is none.
        """
        found = read_published(self.connection)
        if found is None or not found.has_quorum:
            raise ServiceFault(
                Reason.NO_QUORUM,
                "checkpoint with cosignatures",
                given="none",
                expected="a quorum of witnesses",
            )
        size = found.checkpoint.size
        proof = self._proofs.consistency(known_size, size, self.connection) if known_size <= size else []
        return pb.ProvenCheckpoint(note=found.note.encode(), consistency_proof=proof)

    def proven(self, entries: Iterable[StoredEntry]) -> list[pb.ProvenEntry]:
        """Entries with their proofs, in their order."""
        proven: list[pb.ProvenEntry] = []
        for some in chunks(entries, _PROOFS):
            self.go_on()
            proofs = self._proofs.inclusions([entry.index for entry in some], self.size, self.connection)
            proven += [shown(entry, proof) for entry, proof in zip(some, proofs, strict=True)]
        return proven

    def proven_at(self, indexes: Iterable[int]) -> list[pb.ProvenEntry]:
        """Entries with their proofs, in the order of the log."""
        return self.proven(queries.entries_at(self.connection, indexes))

    def leaf_hashes(self, entries: Iterable[StoredEntry]) -> list[bytes]:
        """What the tree holds as the leaf hashes of entries."""
        return self._proofs.leaf_hashes([entry.index for entry in entries], self.connection)


class Answers:
    """Makes the answers of methods on worker threads.

    Answers to appends have workers of their own: a receipt does not wait behind long reads.
    """

    def __init__(
        self,
        store: Store,
        proofs: Proofs,
        reading: ThreadPoolExecutor,
        receipts: ThreadPoolExecutor | None = None,
    ) -> None:
        """Args are shared; `receipts` runs the answers to appends, and is by default the pool of the reads."""
        self._store = store
        self._proofs = proofs
        self._reading = reading
        self._receipts = receipts or reading
        self._made = Gathering(_each, self._receipts, threads=1, portion=_PORTION)

    async def read(self, answer: Callable[[View], T], *, of_append: bool = False) -> T:
        """The answer, made from a view of the log as it is now; given up when the call ends before it is made."""
        abandoned = threading.Event()
        workers = self._receipts if of_append else self._reading
        try:
            return await asyncio.get_running_loop().run_in_executor(workers, self._read, answer, abandoned)
        finally:
            abandoned.set()

    async def size(self) -> int:
        """How many entries there are.

        Raises:
            ServiceFault: `STORE_UNAVAILABLE`, `STORE_DAMAGED`.
        """
        return await self.read(lambda view: view.size)

    async def receipts(self, make: Callable[[], T], events: int) -> T:
        """What an append of so many events is answered with, made on a worker thread."""
        return cast("T", await self._made.do(make, events))

    def _read(self, answer: Callable[[View], T], abandoned: threading.Event) -> T:
        with self._store.snapshot() as connection:
            head = queries.head(connection)
            if head is None:
                raise ServiceFault(Reason.STORE_DAMAGED, "log", given="no genesis", expected="a log")
            return answer(View(connection, head, self._proofs, abandoned))


def _each(making: list[Callable[[], object]]) -> list[object]:
    """Each of these answers, or why there is none."""
    made: list[object] = []
    for make in making:
        try:
            made.append(make())
        except Exception as error:  # noqa: BLE001  # of one answer: the others are made nevertheless
            made.append(error)
    return made


def shown(entry: StoredEntry, proof: Sequence[bytes] = ()) -> pb.ProvenEntry:
    """An entry as it goes out."""
    return pb.ProvenEntry(
        index=entry.index,
        entry=entry.data,
        inclusion_proof=proof,
        flags=[flags_pb2.EventFlag.ValueType(flag) for flag in entry.flags],
    )


def proven_checkpoint(
    head: StoredHead, known_size: int, proofs: Proofs, connection: Connection | None = None
) -> pb.ProvenCheckpoint:
    """A head's checkpoint, with the proof that it extends the one that the caller knows.

    A caller that knows a larger one gets no proof, for there is none; the signed note is its evidence of a rollback.
    """
    proof = proofs.consistency(known_size, head.size, connection) if known_size <= head.size else []
    return pb.ProvenCheckpoint(note=head.checkpoint, consistency_proof=proof)


def page_size(asked: int, default: int, most: int = 1_000) -> int:
    """How many items a page has.

    Raises:
        BadInput: `INVALID_REQUEST` if more are asked for than there may be.
    """
    if asked > most:
        raise BadInput(Reason.INVALID_REQUEST, "page_size", given=asked, expected=f"at most {most}")
    return asked or default
