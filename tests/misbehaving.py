"""Witnesses that misbehave: small HTTP servers on free ports of 127.0.0.1, each of which does what a test tells it.

By itself one is honest (C2SP tlog-witness): it keeps the newest checkpoint in memory, checks proofs, and cosigns.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.cosignature import Cosigner
from ledger.errors import BrokenProof
from ledger.merkle import verify_consistency
from ledger.note import SignedNote, VerifierKey, decode_base64

SIZE_TYPE = "text/x.tlog.size"


def eventually(holds: Callable[[], object], what: str = "it") -> None:
    """Wait until something holds; the deadline is only for what never will."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.01)


def seed(name: str) -> bytes:
    """The same in every run."""
    return hashlib.sha256(name.encode()).digest()


def cosigner(name: str) -> Cosigner:
    """An Ed25519 witness key that is the same in every run."""
    return Cosigner(f"{name}.test/witness", Ed25519PrivateKey.from_private_bytes(seed(name)))


def ml_dsa_cosigner(name: str) -> Cosigner:
    """An ML-DSA-44 key under the same name."""
    return Cosigner(f"{name}.test/witness", MLDSA44PrivateKey.from_seed_bytes(seed(name)))


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    old: int
    proof: list[bytes]
    note: bytes

    @classmethod
    def parse(cls, body: bytes) -> Asked:
        """Read a request's body."""
        head, _, note = body.partition(b"\n\n")
        first, *lines = head.decode("ascii").split("\n")
        assert re.fullmatch(r"old (0|[1-9][0-9]*)", first), first
        proof = [decode_base64(line) for line in lines]
        assert all(proof)
        return cls(int(first.removeprefix("old ")), proof, note)

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint, not verified."""
        return Checkpoint.parse(SignedNote.parse(self.note).text)


Reply = tuple[int, str, bytes]
Behaviour = Callable[["ScriptedWitness", BaseHTTPRequestHandler, bytes], None]


class ScriptedWitness:
    """A witness, and what it was asked."""

    def __init__(self, name: str, *log_keys: VerifierKey, post_quantum: bool = False, port: int = 0) -> None:
        self.name = name
        self.cosigners = [cosigner(name), *([ml_dsa_cosigner(name)] if post_quantum else [])]
        self.log_keys = log_keys
        self.newest: Checkpoint | None = None
        self.asked: list[Asked] = []
        self.behave: Behaviour = honest
        self.at_work = 0
        self.most_at_work = 0
        self.let_go = threading.Event()
        self.time_s = 1_800_000_000
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Its submission prefix."""
        return f"http://127.0.0.1:{self.port}/witness"

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_address[1]

    @property
    def vkeys(self) -> list[VerifierKey]:
        """Its keys."""
        return [one.vkey for one in self.cosigners]

    @property
    def line(self) -> str:
        """Its line in a policy; lines, if it has two keys."""
        return "".join(
            f"witness {self.name}{number or ''} {key} {self.url}\n" for number, key in enumerate(self.vkeys)
        )

    def reply(self, body: bytes) -> Reply:
        """What an honest witness answers."""
        asked = Asked.parse(body)
        with self._lock:
            checkpoint = open_checkpoint(asked.note, asked.checkpoint.origin, self.log_keys)
            newest = self.newest or Checkpoint(checkpoint.origin, 0, hashlib.sha256().digest())
            if asked.old != newest.size:
                return 409, SIZE_TYPE, f"{newest.size}\n".encode()
            try:
                verify_consistency(newest.size, newest.root, checkpoint.size, checkpoint.root, asked.proof)
            except BrokenProof:
                return 422, "text/plain", b"no proof\n"
            self.newest = checkpoint
            return 200, "text/plain", self.cosign(SignedNote.parse(asked.note).text)

    def cosign(self, text: str) -> bytes:
        """Its signature lines, each later than those before."""
        self.time_s += 1
        return "".join(f"{one.cosign(text, self.time_s)}\n" for one in self.cosigners).encode()

    def close(self) -> None:
        """End, whatever is going on."""
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        witness = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                assert self.path == "/witness/add-checkpoint"
                with witness._lock:
                    witness.asked.append(Asked.parse(body))
                    witness.at_work += 1
                    witness.most_at_work = max(witness.most_at_work, witness.at_work)
                try:
                    with suppress(OSError):
                        witness.behave(witness, self, body)
                finally:
                    with witness._lock:
                        witness.at_work -= 1

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def send(handler: BaseHTTPRequestHandler, reply: Reply, *more: str) -> None:
    """Answer properly."""
    status, content_type, body = reply
    lines = [
        f"HTTP/1.1 {status} X",
        f"content-type: {content_type}",
        f"content-length: {len(body)}",
        *more,
        "",
        "",
    ]
    handler.wfile.write("\r\n".join(lines).encode() + body)


def honest(witness: ScriptedWitness, handler: BaseHTTPRequestHandler, body: bytes) -> None:
    """As the specification has it."""
    send(handler, witness.reply(body))


def answering(status: int, content_type: str, body: bytes, *more: str) -> Behaviour:
    """The same to everything."""
    return lambda _, handler, __: send(handler, (status, content_type, body), *more)


def hanging(witness: ScriptedWitness, handler: BaseHTTPRequestHandler, _: bytes) -> None:
    """Says nothing until it is let go, and then closes."""
    witness.let_go.wait()
    handler.close_connection = True


def dripping(start: bytes, drop: bytes) -> Behaviour:
    """Begins to answer, and goes on byte by byte for ever."""

    def behave(witness: ScriptedWitness, handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.close_connection = True
        handler.wfile.write(start)
        while not witness.let_go.wait(0.02):
            handler.wfile.write(drop)

    return behave


def closing(_: ScriptedWitness, handler: BaseHTTPRequestHandler, __: bytes) -> None:
    """Closes without an answer."""
    handler.close_connection = True


def signing_as(name: str) -> Behaviour:
    """Cosigns with the key of somebody else."""

    def behave(witness: ScriptedWitness, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        text = SignedNote.parse(Asked.parse(body).note).text
        line = cosigner(name).cosign(text, 1_800_000_000)
        send(handler, (200, "text/plain", f"{line}\n".encode()))

    return behave


@contextmanager
def scripted(*names: str, log_keys: list[VerifierKey]) -> Iterator[list[ScriptedWitness]]:
    """Witnesses of these names; they end with the block."""
    witnesses: list[ScriptedWitness] = []
    try:
        witnesses.extend(ScriptedWitness(name, *log_keys) for name in names)
        yield witnesses
    finally:
        for witness in witnesses:
            witness.close()
