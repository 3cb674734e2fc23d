"""Real witnesses for tests: processes of their own on free ports of 127.0.0.1."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import preloaded
import urllib3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clients.witness.keys import cosigners
from clients.witness.memory import Memory
from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.merkle import consistency_proof, leaf_hash, root_of
from ledger.note import NoteSigner, VerifierKey
from ledger.witness import AddCheckpoint

WITNESS = "witness.example/w1"

_SUYUAN = "import sys; from clients.cli.main import main; sys.exit(main())"
_STARTUP_S = 60


class SmallLog:
    """A log whose leaves are made up, and which a test signs for.

    Args:
        origin: its name.
        since: from this leaf on its leaves are those of `branch`, and unlike those of any other branch.
        branch: names the leaves.
        seed: makes the signing key; the same seed, the same key.
        size: how many leaves there are to sign for.
    """

    def __init__(
        self,
        origin: str = "log.example/small",
        *,
        since: int = 0,
        branch: str = "",
        seed: int = 1,
        size: int = 100,
    ) -> None:
        self.origin = origin
        self.signer = NoteSigner(origin, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))
        self.leaves = [leaf_hash(f"{branch if n >= since else ''} {n}".encode()) for n in range(size)]
        self._roots: dict[tuple[int, int], bytes] = {}
        self._notes: dict[int, bytes] = {}

    @property
    def vkey(self) -> VerifierKey:
        """What to give a witness."""
        return self.signer.vkey

    def checkpoint(self, size: int) -> Checkpoint:
        """The head of the tree of so many leaves."""
        return Checkpoint(self.origin, size, self._root(0, size))

    def note(self, size: int) -> bytes:
        """The same, signed."""
        if size not in self._notes:
            self._notes[size] = sign_checkpoint(self.checkpoint(size), self.signer)
        return self._notes[size]

    def proof(self, old: int, new: int) -> tuple[bytes, ...]:
        """The consistency proof between two sizes."""
        return tuple(
            consistency_proof(old, new, lambda level, at: self._root(at << level, (at + 1) << level))
        )

    def _root(self, begin: int, end: int) -> bytes:
        if (begin, end) not in self._roots:
            self._roots[begin, end] = root_of(self.leaves[begin:end])
        return self._roots[begin, end]

    def request(self, old: int, new: int) -> bytes:
        """The body of a request to cosign `new` leaves, after `old`."""
        return AddCheckpoint(old, self.proof(old, new), self.note(new)).encode()


def post(url: str, body: bytes) -> urllib3.BaseHTTPResponse:
    """Ask a witness to cosign; every call has a connection of its own."""
    with urllib3.PoolManager(retries=False, timeout=60) as http:
        return http.request("POST", f"{url}/add-checkpoint", body=body)


@dataclass
class RunningWitness:
    """A witness process; its key and database are in `folder`."""

    folder: Path
    flags: tuple[str, ...]
    url: str = ""
    """Its submission prefix, which is its monitoring prefix too; another port after every start."""
    vkeys: tuple[VerifierKey, ...] = ()
    program: str = _SUYUAN
    """What Python runs; by default the command `suyuan`."""
    ready: str = "ready"
    """Name of its ready file; one for each process in the same folder."""
    process: preloaded.Process | subprocess.Popen[str] | None = None

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.folder / "witness.db"

    @property
    def vkey(self) -> VerifierKey:
        """The Ed25519 key."""
        return self.vkeys[0]

    def run(self, *args: object) -> subprocess.CompletedProcess[str]:
        """Run the command to its end."""
        return preloaded.run(*self._command(*args))

    def begin(self, *args: object) -> preloaded.Process | subprocess.Popen[str]:
        """Start the command, whatever comes of it."""
        return preloaded.start(*self._command(*args))

    def start(self) -> None:
        """Start the process and wait until it answers."""
        ready = self.folder / self.ready
        ready.unlink(missing_ok=True)
        with (self.folder / "witness.log").open("ab") as log:
            self.process = preloaded.start(
                *self._command("--listen", "127.0.0.1:0", "--ready-file", ready, "--json-logs"), log=log
            )
        deadline = time.monotonic() + _STARTUP_S
        while not (ready.exists() and ready.read_text().endswith("\n")):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the witness did not start:\n{self.log()}")
            time.sleep(0.02)
        self.url = ready.read_text().strip()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal the process and wait for its end; returns its exit status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(30)
        self.process = None
        return status

    def log(self) -> str:
        """What the process has logged."""
        return (self.folder / "witness.log").read_text()

    def _command(self, *args: object) -> list[str]:
        return [
            "-c", self.program, "regulator", "witness", "--key", str(self.folder / "witness.pem"),
            "--database", str(self.database), *self.flags, *map(str, args),
        ]  # fmt: skip


def new_witness(
    folder: Path,
    *flags: str,
    logs: Iterable[str | VerifierKey] = (),
    name: str = WITNESS,
    ready: str = "ready",
) -> RunningWitness:
    """A witness with its keys, not yet served.

    Args:
        folder: made if there is none; what the witness keeps goes there.
        flags: further options of `suyuan regulator witness`.
        logs: vkeys of the logs to watch, as `--log` takes them.
        name: the witness's name.
        ready: name of the ready file; a second process in the same folder needs another.
    """
    folder.mkdir(parents=True, exist_ok=True)
    watched = (part for log in logs for part in ("--log", str(log)))
    witness = RunningWitness(folder, ("--name", name, *watched, *flags), ready=ready)
    Memory(witness.database).close()  # without it a key that is there already would be refused
    second = Path(flags[flags.index("--ml-dsa-key") + 1]) if "--ml-dsa-key" in flags else None
    witness.vkeys = tuple(one.vkey for one in cosigners(name, folder / "witness.pem", second))
    return witness


@contextmanager
def running_witness(
    folder: Path, *flags: str, logs: Iterable[str | VerifierKey] = (), name: str = WITNESS
) -> Iterator[RunningWitness]:
    """A witness that answers; ends with the block. See `new_witness`."""
    witness = new_witness(folder, *flags, logs=logs, name=name)
    try:
        witness.start()
        yield witness
    finally:
        if os.environ.get("SUYUAN_TEST_LOGS"):
            sys.stderr.write(witness.log())
        witness.stop()
