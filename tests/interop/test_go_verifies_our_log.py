"""Go's golang.org/x/mod/sumdb, which shares nothing with us but the specifications, verifies our log over HTTP."""

from __future__ import annotations

import re
import subprocess

import pytest
from interop.tampering_proxy import flipped, tampering_proxy
from raw_log import RawLog
from running import new_log, running_http
from world import signing_key

from ledger.note import NoteSigner, encode_base64

pytestmark = pytest.mark.xdist_group("interop")
"""In one process: what these share takes long to make."""

SIZES = (1, 256, 257, 300, 65_536, 70_000)

UNCHECKED = "downloaded inconsistent tile|entry 0 is not in the tree|invalid transparency proof"
"""What is said of a full tile's hash: golang.org/x/mod before v0.40.0, as Debian has it, finds it out later."""


@pytest.fixture(scope="module")
def log(tmp_path_factory, verifier):
    """A log of 70,000 entries whose head can be set to every size; not made where nothing can verify it."""
    return RawLog.make(tmp_path_factory.mktemp("interop") / "log.db", max(SIZES), SIZES)


@pytest.fixture(scope="module")
def url(log):
    with running_http(log.database, "--vkey", log.signer.vkey) as url:
        yield url


@pytest.fixture
def verify(verifier):
    """Run the program; its exit status and what it says."""

    def run(url, vkey):
        done = subprocess.run(
            [verifier, url, str(vkey)], capture_output=True, text=True, timeout=300, check=False
        )
        assert done.stderr == ""
        return done.returncode, done.stdout.strip()

    return run


@pytest.fixture
def verify_changed(log, url, verify):
    """Run the program on the log of a size, with changes to some files between the two."""

    def run(size, changes):
        log.set_size(size)
        with tampering_proxy(url, changes) as proxy:
            return verify(proxy, log.signer.vkey)

    return run


@pytest.mark.parametrize("size", SIZES)
def test_a_log_of_any_size(log, url, verify, size):
    log.set_size(size)
    root = encode_base64(log.frontier(size).root())
    assert verify(url, log.signer.vkey) == (0, f"OK: {size} entries, root {root}")


def test_a_log_as_the_service_writes_it(tmp_path, verify):
    real = new_log(tmp_path / "log")
    real.flags = ("--http", "127.0.0.1:0")
    try:
        real.start()
        real.append(*real.founding)
        status, said = verify(real.http, real.vkey)
    finally:
        real.stop()
    assert (status, said.partition(",")[0]) == (0, f"OK: {1 + len(real.founding)} entries")


@pytest.mark.parametrize(
    ("size", "path", "change", "said"),
    [
        (300, "/tile/entries/000", flipped(2), "tile/entries/000: entry 0 is not in the tree"),
        (300, "/tile/entries/001.p/44", flipped(-1), "tile/entries/001.p/44: entry 299 is not in the tree"),
        (300, "/tile/entries/001.p/44", lambda body: body[:-1], "ends within entry 299"),
        (300, "/tile/entries/000", lambda body: body + b"\0", "1 bytes behind the last entry"),
        (300, "/tile/0/000", flipped(0), UNCHECKED),
        (300, "/tile/0/001.p/44", flipped(44 * 32 - 1), "downloaded inconsistent tile"),
        (300, "/tile/1/000.p/1", flipped(0), "downloaded inconsistent tile"),
        (300, "/tile/0/001.p/44", lambda _: None, "/tile/0/001.p/44: 404 Not Found"),
        (300, "/tile/entries/001.p/44", lambda _: None, "/tile/entries/001.p/44: 404 Not Found"),
        (70_000, "/tile/2/000.p/1", lambda _: None, "/tile/2/000.p/1: 404 Not Found"),
        (70_000, "/tile/1/000", flipped(8_191), UNCHECKED),
        (300, "/checkpoint", flipped(20), "checkpoint: "),
    ],
    ids=[
        "a byte of a full bundle", "a byte of a partial bundle", "a bundle cut short", "a bundle with more",
        "a hash of a full tile", "a hash of a partial tile", "a hash above", "a missing partial tile",
        "a missing partial bundle", "a missing tile at the top", "a hash of a full tile above", "a byte of the checkpoint",
    ],
)  # fmt: skip
def test_what_was_tampered_with_fails(verify_changed, size, path, change, said):
    status, why = verify_changed(size, {path: change})
    assert (status, why.startswith("FAILED: ")) == (1, True)
    assert re.search(said, why)


def test_the_proxy_by_itself_changes_nothing(verify_changed):
    assert verify_changed(257, {})[0] == 0


def test_another_key_fails(log, url, verify):
    log.set_size(1)
    other = NoteSigner(log.signer.name, signing_key("another log")._key)
    assert verify(url, other.vkey) == (1, "FAILED: checkpoint: note has no verifiable signatures")
