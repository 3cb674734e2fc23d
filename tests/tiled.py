"""A log as files, and a server that shows them, honest or not."""

from __future__ import annotations

import gzip
import hashlib
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from world import ORIGIN, City, Log

from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.frontier import Frontier, RightEdge
from ledger.merkle import leaf_hash
from ledger.note import NoteSigner
from ledger.tiles import TILE_WIDTH, TileId, bundles_of, encode_bundle
from suyuan.v1 import event_pb2 as pb

SIGNER = NoteSigner(ORIGIN, Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"log").digest()))
VKEY = str(SIGNER.vkey)


def tiles_for(leaf_hashes: Sequence[bytes]) -> dict[str, bytes]:
    """All tiles of a tree, by their paths: full ones, and the partial ones of this very size."""
    completed: dict[tuple[int, int], bytes] = {}
    Frontier().extend(leaf_hashes, completed)
    _, changed = RightEdge().extend(completed)
    return {TileId(level, index, len(tile) // 32).path(): tile for (level, index), tile in changed.items()}


def bundles_for(leaves: Sequence[bytes]) -> dict[str, bytes]:
    """All bundles of a log, by their paths."""
    return {
        bundle.path(): encode_bundle(leaves[bundle.index * TILE_WIDTH :][: bundle.width])
        for bundle in bundles_of(len(leaves))
    }


def note_for(leaves: Sequence[bytes], *, hashes: Sequence[bytes] | None = None, signer=SIGNER) -> bytes:
    """The signed checkpoint of a log with these entries."""
    hashes = [leaf_hash(data) for data in leaves] if hashes is None else hashes
    root = Frontier().extend(hashes).root()
    return sign_checkpoint(Checkpoint(signer.name, len(hashes), root), signer)


def files_for(leaves: Sequence[bytes]) -> dict[str, bytes]:
    """A whole log as files, by their paths."""
    hashes = [leaf_hash(data) for data in leaves]
    return {
        **tiles_for(hashes),
        **bundles_for(leaves),
        "checkpoint": note_for(leaves, hashes=hashes),
    }


def long_log(size: int) -> list[bytes]:
    """Entries of a town in which tea is sold for ever; longer logs go on where shorter ones end."""
    while len(_LEAVES) < size:
        _LEAVES.extend(entry.data for entry in _TOWN.more())
    return _LEAVES[:size]


@dataclass
class _Town:
    city: City = field(default_factory=City)
    log: Log = field(default_factory=Log)
    sold: int = 0

    def more(self):
        """What is recorded next: the founding, and then one sale after the other, each with its way and its review."""
        if not self.log.entries:
            return self.log.append(*self.city.founding(), self.city.listing()).entries
        self.sold += 1
        buyer = f"buyer {self.sold}"
        sale = self.city.sale(buyer)
        scans = [
            self.city.scan(stage) for stage in (pb.SHIPMENT_STAGE_PICKED_UP, pb.SHIPMENT_STAGE_DELIVERED)
        ]
        life = [
            sale,
            self.city.dispatch(sale),
            *scans,
            self.city.receipt(sale, buyer),
            self.city.review(sale, buyer),
        ]
        # Long after: nothing is recorded before it happens.
        self.log.clock_us += 10 * 60_000_000
        entries = self.log.append(*life).entries
        assert len(entries) == len(life)
        return entries


_TOWN = _Town()
_LEAVES: list[bytes] = []


@dataclass
class Server:
    """Shows files, or misbehaves as it is told."""

    files: dict[str, bytes]
    url: str = ""
    packed: bool = True
    """Whether bundles are compressed."""
    last: bool = False
    """Whether every answer says that no other comes over its connection."""
    asked: list[str] = field(default_factory=list)
    """The paths that were asked for."""
    tricks: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    """What it does instead of showing a file."""
    released: threading.Event = field(default_factory=threading.Event)
    """Set when the server ends: whoever holds an answer back waits for it."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30
    shown: Server

    def do_GET(self):
        path = self.path.lstrip("/")
        self.shown.asked.append(path)
        trick = self.shown.tricks.get(path)
        if trick is not None:
            trick(self)
            return
        found = self.shown.files.get(path)
        if found is None:
            answer(self, b"no such file\n", 404)
        elif self.shown.packed and path.startswith("tile/entries/"):
            answer(self, gzip.compress(found, 1), 200, {"Content-Encoding": "gzip"})
        else:
            answer(self, found)

    def end_headers(self):
        if self.shown.last:
            self.send_header("Connection", "close")
        super().end_headers()

    def log_message(self, *_):
        """Say nothing."""


def answer(handler, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
    """A whole answer."""
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


class _FolderHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def serving(
    files: dict[str, bytes],
    *,
    protocol: str = "HTTP/1.1",
    last: bool = False,
    certificate: tuple[Path, Path] | None = None,
) -> Iterator[Server]:
    """A server of these files on a free port, over TLS if it is given a certificate and its key; ends with the block."""
    shown = Server(files, last=last)
    handler = type("Handler", (_Handler,), {"shown": shown, "protocol_version": protocol})
    with _listening(handler, certificate) as shown.url:
        try:
            yield shown
        finally:
            shown.released.set()


@contextmanager
def serving_folder(folder: Path, files: dict[str, bytes]) -> Iterator[Server]:
    """The same as `python -m http.server` does it, of files in a folder; it notes nothing and plays no tricks."""
    for path, content in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    with _listening(partial(_FolderHandler, directory=str(folder))) as url:
        yield Server(files, url)


@contextmanager
def _listening(
    handler: Callable[..., BaseHTTPRequestHandler], certificate: tuple[Path, Path] | None = None
) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        if certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*certificate)
            # The handshake is for the thread of each connection.
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            port = server.server_address[1]
            yield f"http://127.0.0.1:{port}" if certificate is None else f"https://localhost:{port}"
        finally:
            server.shutdown()
            thread.join()
