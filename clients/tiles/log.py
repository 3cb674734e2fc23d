"""A log as its tiles tell it: the checkpoint, the hashes of its tree, its entries.

Source: C2SP tlog-tiles. Where a partial tile or bundle is gone because the full one has come, the full one is fetched
and cut. Nothing of what is read here is believed: the hashes have to lead to a signed root.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, TypeVar

from clients.tiles.fetch import CONNECTIONS, Site, Wanted
from ledger.errors import BrokenProof, Conflict, LedgerError, Reason
from ledger.merkle import HASH_SIZE, NodeReader
from ledger.note import MAX_NOTE_SIZE
from ledger.tiles import (
    MAX_ENTRY_SIZE,
    TILE_HEIGHT,
    TILE_SIZE,
    TILE_WIDTH,
    BundleId,
    TileId,
    TileNodes,
    decode_bundle,
)

MAX_BUNDLE_SIZE: Final = TILE_WIDTH * (MAX_ENTRY_SIZE + 2)
"""Bytes of the longest bundle."""

_AHEAD: Final = 12
"""Sections that are fetched before they are asked for: hides the way, and bounds the memory."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Section:
    """The entries of one bundle, or of a part of it, and what the tree holds of them.

    What could not be had, or is no bundle or tile at all, is told by the error in its place.
    """

    begin: int
    """Index of the first entry."""
    entries: list[bytes] | LedgerError
    hashes: list[bytes] | LedgerError
    """Leaf hashes, as the tile of level 0 has them."""


class TiledLog:
    """Reads a log at a site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    @property
    def url(self) -> str:
        """Where it is."""
        return self._site.url

    def checkpoint(self) -> bytes:
        """The newest checkpoint, a signed note that nobody has verified yet.

        Raises:
            Conflict: `NOT_FOUND`.
            ServiceFault, BrokenProof: as `Site.get`.
        """
        return self._get("checkpoint", MAX_NOTE_SIZE, Reason.BAD_NOTE)

    def tile(self, tile: TileId) -> bytes:
        """The hashes of a tile, one after the other.

        Raises:
            Conflict: `NOT_FOUND`.
            BrokenProof: it is not as long as it has to be (`BAD_INCLUSION_PROOF`), or as `Site.get` says.
            ServiceFault: as `Site.get`.
        """
        reason = Reason.BAD_INCLUSION_PROOF
        whole = TileId(tile.level, tile.index)
        found, is_whole = self._partial_or_whole(tile.path(), whole.path(), TILE_SIZE, reason)
        width = whole.width if is_whole else tile.width
        if len(found) != width * HASH_SIZE:
            raise BrokenProof(
                reason,
                f"size of {self.url}/{(whole if is_whole else tile).path()}",
                given=f"{len(found)} bytes",
                expected=f"{width * HASH_SIZE} bytes",
            )
        return found[: tile.width * HASH_SIZE]

    def bundle(self, bundle: BundleId) -> list[bytes]:
        """The entries of a bundle.

        Raises:
            Conflict: `NOT_FOUND`.
            BrokenProof: it is no bundle of so many entries (`BAD_ENTRY`), or as `Site.get` says.
            ServiceFault: as `Site.get`.
        """
        whole = BundleId(bundle.index)
        found, is_whole = self._partial_or_whole(
            bundle.path(), whole.path(), MAX_BUNDLE_SIZE, Reason.BAD_ENTRY
        )
        try:
            return decode_bundle(found, whole.width if is_whole else bundle.width)[: bundle.width]
        except BrokenProof as error:
            subject = f"{self.url}/{(whole if is_whole else bundle).path()}: {error.subject}"
            raise BrokenProof(error.reason, subject, given=error.given, expected=error.expected) from None

    def nodes(self, size: int) -> NodeReader:
        """The hashes of complete subtrees, from the tiles of the tree of `size` leaves."""

        def read(level: int, index: int) -> bytes:
            width = min((size >> TILE_HEIGHT * level) - index * TILE_WIDTH, TILE_WIDTH)
            return self.tile(TileId(level, index, width))

        return TileNodes(read)

    def sections(self, begin: int, end: int) -> Generator[Section, None, None]:
        """The entries from `begin` up to `end`, which a checkpoint vouches for, bundle by bundle.

        Several are under way at any time. Close the iterator to let go of them.

        Raises:
            ServiceFault: as `Site.get`.
        """
        if begin >= end:
            return
        waiting: deque[Future[Section]] = deque()
        threads = _Threads(CONNECTIONS)
        try:
            number = begin // TILE_WIDTH
            while number * TILE_WIDTH < end or waiting:
                while number * TILE_WIDTH < end and len(waiting) < _AHEAD:
                    width = min(end - number * TILE_WIDTH, TILE_WIDTH)
                    skipped = max(begin - number * TILE_WIDTH, 0)
                    waiting.append(threads.submit(partial(self._section, number, width, skipped)))
                    number += 1
                yield waiting.popleft().result()
        finally:
            threads.dismiss()

    def _section(self, index: int, width: int, skipped: int) -> Section:
        """One bundle and its tile, without the first entries; that nobody answers is raised."""
        entries: list[bytes] | LedgerError
        hashes: list[bytes] | LedgerError
        try:
            entries = self.bundle(BundleId(index, width))[skipped:]
        except (BrokenProof, Conflict) as error:
            entries = error
        try:
            tile = self.tile(TileId(0, index, width))
            hashes = [tile[place : place + HASH_SIZE] for place in range(0, len(tile), HASH_SIZE)][skipped:]
        except (BrokenProof, Conflict) as error:
            hashes = error
        return Section(index * TILE_WIDTH + skipped, entries, hashes)

    def _partial_or_whole(self, part: str, whole: str, most: int, wrong: Reason) -> tuple[bytes, bool]:
        """A file and whether it is the whole one, which takes the place of a partial one that is gone."""
        if part == whole:
            return self._get(whole, most, wrong), True
        found = self._site.get(Wanted(part, most, wrong))
        if found is not None:
            return found, False
        return self._get(whole, most, wrong, f"HTTP status 404, and before that for {part}"), True

    def _get(self, path: str, most: int, wrong: Reason, missing: str = "HTTP status 404") -> bytes:
        found = self._site.get(Wanted(path, most, wrong))
        if found is None:
            raise Conflict(Reason.NOT_FOUND, f"{self.url}/{path}", given=missing, expected="a file")
        return found


class _Threads:
    """Threads that fetch. None of them keeps the process from ending, whatever it is waiting for."""

    def __init__(self, number: int) -> None:
        self._waiting: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads = [Thread(target=self._work, name="tiles", daemon=True) for _ in range(number)]
        for thread in self._threads:
            thread.start()

    def submit(self, fetch: Callable[[], T]) -> Future[T]:
        """Have one of them fetch something."""
        future: Future[T] = Future()
        self._waiting.put((future, fetch))
        return future

    def dismiss(self) -> None:
        """Let them end; what is fetched by then is nobody's concern."""
        while not self._waiting.empty():
            self._waiting.get()
        for _ in self._threads:
            self._waiting.put(None)

    def _work(self) -> None:
        while (task := self._waiting.get()) is not None:
            future, fetch = task
            try:
                future.set_result(fetch())
            except BaseException as error:  # noqa: BLE001 - whoever waits for it is told
                future.set_exception(error)
