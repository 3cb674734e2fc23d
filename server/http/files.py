"""What the log's URLs stand for, read from the database: the checkpoint, tiles and entry bundles (C2SP tlog-tiles).

A file is there as soon as the newest committed head needs it, so whatever the published checkpoint needs is there too:
it is that head's own or an earlier one's. A partial tile of any width is the beginning of the tile as it is by now, so
those of every size that the log has ever had can be served, and are.

Tiles and bundles are told to caches as never changing. What would not verify must therefore not leave the house: a
bundle is compared with its tile, a full tile with the hash above it, and a checkpoint with the head.
"""

from __future__ import annotations

import gzip
import threading
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import Connection

from ledger.checkpoint import Checkpoint
from ledger.errors import BrokenProof, Conflict, LedgerError, Reason, ServiceFault
from ledger.frontier import Frontier
from ledger.merkle import HASH_SIZE, leaf_hash
from ledger.note import SignedNote
from ledger.tiles import (
    MAX_ENTRY_SIZE,
    TILE_HEIGHT,
    TILE_SIZE,
    TILE_WIDTH,
    BundleId,
    TileId,
    encode_bundle,
)
from server.store import queries
from server.store.queries import StoredHead, damaged_entry
from server.store.store import Store

KEPT_BYTES = 64 * 1024 * 1024
"""Bytes of full tiles and bundles that are kept in memory: what all auditors ask for."""

GZIP_LEVEL = 1
"""Signatures and hashes do not compress, names and keys do: higher levels cost more and save next to nothing."""


@dataclass(frozen=True, slots=True)
class File:
    """A tile or a bundle.

    Attributes:
        data: as it is kept, compressed if `gzipped`.
        gzipped: whether it is worth compressing.
        digest: SHA-256 of the file as such, never of its compressed form; hexadecimal.
    """

    data: bytes
    gzipped: bool
    digest: str

    def plain(self) -> bytes:
        """The file as such."""
        return gzip.decompress(self.data) if self.gzipped else self.data


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the log stands at one moment."""

    note: SignedNote
    """What is published: the newest checkpoint that a quorum of witnesses has cosigned, or the head's if there is none."""
    checkpoint: Checkpoint
    """What the note says."""
    head: StoredHead
    """The newest head, which may be further on."""


class LogFiles:
    """The files of one log. Safe to share among threads; each call blocks on the database."""

    def __init__(self, store: Store, *, kept_bytes: int = KEPT_BYTES) -> None:
        self._store = store
        self._kept = _Kept(kept_bytes)

    def standing(self) -> Standing:
        """Where the log stands now.

        Raises:
            ServiceFault: `STORE_DAMAGED` if there is no log, or what is published is none of its checkpoints;
                `STORE_UNAVAILABLE`.
        """
        with self._store.snapshot() as connection:
            head = _head(connection)
            raw = queries.published_checkpoint(connection)
        try:
            note = SignedNote.parse(queries.as_bytes(head.checkpoint if raw is None else raw))
            checkpoint = Checkpoint.parse(note.text)
            if checkpoint.size > head.size or (checkpoint.size == head.size and checkpoint.root != head.root):
                raise BrokenProof(
                    Reason.BAD_CHECKPOINT,
                    "published checkpoint",
                    given=f"size {checkpoint.size}, root {checkpoint.root.hex()}",
                    expected=f"one of the log whose head has size {head.size}, root {head.root.hex()}",
                )
        except LedgerError as error:
            raise ServiceFault(
                Reason.STORE_DAMAGED,
                "checkpoint",
                given=str(error),
                expected="a checkpoint as the service wrote it",
            ) from error
        return Standing(note, checkpoint, head)

    def file(self, name: TileId | BundleId) -> File:
        """The tile or bundle of this name.

        Raises:
            Conflict: `NOT_FOUND` if the log has not grown so far.
            ServiceFault: `STORE_DAMAGED` if it would not verify; `STORE_UNAVAILABLE`.
        """
        # A full one never changes, and was compared with the tree before it was kept.
        kept = self._kept.get(name)
        if kept is not None:
            return kept
        with self._store.snapshot() as connection:
            _require_there(name, _head(connection).size)
            made = _tile(connection, name) if isinstance(name, TileId) else _bundle(connection, name)
        if name.width == TILE_WIDTH:
            self._kept.put(name, made)
        return made


class _Kept:
    """The files used last, as many as fit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._files: OrderedDict[TileId | BundleId, File] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: TileId | BundleId) -> File | None:
        with self._lock:
            file = self._files.get(name)
            if file is not None:
                self._files.move_to_end(name)
            return file

    def put(self, name: TileId | BundleId, file: File) -> None:
        with self._lock:
            there = self._files.pop(name, None)
            self._bytes += len(file.data) - (len(there.data) if there else 0)
            self._files[name] = file
            while self._bytes > self._limit:
                _, oldest = self._files.popitem(last=False)
                self._bytes -= len(oldest.data)


def _head(connection: Connection) -> StoredHead:
    head = queries.head(connection)
    if head is None:
        raise ServiceFault(Reason.STORE_DAMAGED, "log", given="no genesis", expected="a log")
    return head


def _require_there(name: TileId | BundleId, size: int) -> None:
    level = name.level if isinstance(name, TileId) else 0
    width = (size >> TILE_HEIGHT * level) - name.index * TILE_WIDTH
    if name.width > width:
        raise Conflict(
            Reason.NOT_FOUND, "file", given=name.path(), expected=f"one of the log's {size} entries so far"
        )


def _tile(connection: Connection, tile: TileId) -> File:
    data = _hashes(connection, tile)
    if tile.width == TILE_WIDTH:
        # The tree has a full tile's hash in the tile above from the moment that it is full.
        index, place = divmod(tile.index, TILE_WIDTH)
        above = _hashes(connection, TileId(tile.level + 1, index, place + 1))[-HASH_SIZE:]
        given = Frontier().extend(_split(data)).root()
        if given != above:
            raise ServiceFault(
                Reason.STORE_DAMAGED,
                f"hash over tile {tile.level}/{tile.index}",
                given=given.hex(),
                expected=above.hex(),
            )
    return File(data, gzipped=False, digest=sha256(data).hexdigest())


def _bundle(connection: Connection, bundle: BundleId) -> File:
    first = bundle.index * TILE_WIDTH
    entries = queries.entries_from(
        connection, first, first + bundle.width, most_bytes=TILE_WIDTH * MAX_ENTRY_SIZE
    )
    if len(entries) != bundle.width:
        raise ServiceFault(
            Reason.STORE_DAMAGED, f"entry {first + len(entries)}", given="none", expected="an entry"
        )
    leaf_hashes = _split(_hashes(connection, TileId(0, bundle.index, bundle.width)))
    for entry, expected in zip(entries, leaf_hashes, strict=True):
        given = leaf_hash(entry.data)
        if given != expected:
            raise ServiceFault(
                Reason.STORE_DAMAGED,
                f"hash of entry {entry.index}",
                given=given.hex(),
                expected=f"{expected.hex()}, as in its tile",
            )
    try:
        data = encode_bundle([entry.data for entry in entries])
    except LedgerError as error:
        raise damaged_entry(first, error) from error
    # With the time left out, equal bundles have equal bytes.
    return File(gzip.compress(data, GZIP_LEVEL, mtime=0), gzipped=True, digest=sha256(data).hexdigest())


def _hashes(connection: Connection, tile: TileId) -> bytes:
    """The first `width` hashes of a tile that the log has."""
    data = queries.tile_reader(connection)(tile.level, tile.index)
    length = tile.width * HASH_SIZE
    if not length <= len(data) <= TILE_SIZE or len(data) % HASH_SIZE:
        raise ServiceFault(
            Reason.STORE_DAMAGED,
            f"tile {tile.level}/{tile.index}",
            given=f"{len(data)} bytes",
            expected=f"{length} to {TILE_SIZE} bytes, a multiple of {HASH_SIZE}",
        )
    return data[:length]


def _split(hashes: bytes) -> list[bytes]:
    return [hashes[begin : begin + HASH_SIZE] for begin in range(0, len(hashes), HASH_SIZE)]
