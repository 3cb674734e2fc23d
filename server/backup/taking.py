"""Taking a backup while the service goes on.

Entries are never changed once they are there, so no transaction has to last as long as the backup does: the head says
how many entries belong to it, and they are read in pieces. That each is the one which the log has signed, their root
shows in the end; a backup that would not restore is never made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.errors import BadInput, BrokenProof, Reason, ServiceFault
from ledger.frontier import Frontier
from ledger.merkle import leaf_hash
from ledger.note import VerifierKey
from server.backup.format import BackupWriter, Header
from server.backup.new_file import NewFile
from server.published import open_published
from server.rebuild import Progress, no_progress
from server.store import queries
from server.store.store import Store

_CHUNK = 1_000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Backup:
    """What was written."""

    checkpoint: Checkpoint
    """What the log was when it was taken."""
    published: Checkpoint | None
    """What a quorum of witnesses had cosigned."""
    bytes: int
    sha256: str
    """Of the file, as hexadecimal digits."""


def take(store: Store, vkeys: Sequence[VerifierKey], path: Path, progress: Progress = no_progress) -> Backup:
    """Write a log into a new file.

    Args:
        store: the database; it is only read.
        vkeys: the log's keys, one of which has to have signed its head.
        path: of the file, which must not exist.
        progress: is told how far it is.

    Raises:
        BadInput: as `NewFile` says; `NOT_FOUND` if the database holds no log.
        BrokenProof: the head is not signed by any of the keys.
        ServiceFault: `STORE_DAMAGED` if the entries are not those that the log has signed. There is no file then.
    """
    header, published = _header(store, vkeys)
    checkpoint = header.checkpoint
    with NewFile(path) as file:
        writer, frontier = BackupWriter(file, header), Frontier()
        while frontier.size < checkpoint.size:
            with store.snapshot() as connection:
                found = queries.entries_from(
                    connection, frontier.size, min(frontier.size + _CHUNK, checkpoint.size)
                )
            if not found:
                raise ServiceFault(
                    Reason.STORE_DAMAGED, f"entry {frontier.size}", given="none", expected="an entry"
                )
            for entry in found:
                entry.envelope()  # what is no entry may be too long for one
            frontier = frontier.extend([leaf_hash(entry.data) for entry in found])
            writer.add(entry.data for entry in found)
            progress(frontier.size, checkpoint.size)
        if frontier.root() != checkpoint.root:
            raise ServiceFault(
                Reason.STORE_DAMAGED,
                f"root of {checkpoint.size} entries",
                given=frontier.root().hex(),
                expected=f"{checkpoint.root.hex()}, as signed",
            )
        writer.end()
    return Backup(checkpoint, published, file.bytes, file.sha256)


def _header(store: Store, vkeys: Sequence[VerifierKey]) -> tuple[Header, Checkpoint | None]:
    with store.snapshot() as connection:
        head = queries.head(connection)
        if head is None:
            raise BadInput(
                Reason.NOT_FOUND, "log", given="no genesis", expected="a database made by operator init"
            )
        open_checkpoint(head.checkpoint, vkeys[0].name, vkeys)
        try:
            published = open_published(connection, vkeys)
        except BrokenProof as error:
            # It can be had again from the witnesses; the log cannot.
            log.warning("published_left_out", why=str(error))
            published = None
    if published is None or not published.has_quorum:
        return Header.of(head.checkpoint), None
    return Header.of(head.checkpoint, published.note.encode()), published.checkpoint
