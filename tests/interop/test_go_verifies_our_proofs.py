"""Go's golang.org/x/mod/sumdb verifies, entry by entry, what `verify-evidence --extract` writes for other verifiers."""

from __future__ import annotations

import subprocess

import pytest
from evidences import evidence_of
from lying import CITY_SIGNER
from world import TEA, City, Log, signing_key

from clients.cli.main import main
from ledger.note import NoteSigner
from ledger.tlog_proof import TlogProof

pytestmark = pytest.mark.xdist_group("interop")
"""In one process: the program takes long to build."""

ENTRIES = 17


@pytest.fixture
def folder(tmp_path):
    """The proofs of a product's evidence."""
    city, log = City(), Log()
    log.append(*city.founding())
    log.append(*city.life())
    file = tmp_path / "tea.evidence.json"
    file.write_bytes(evidence_of(log, TEA, range(6, 18), (0, 1, 2, 4, 5)).encode())
    proofs = tmp_path / "proofs"
    arguments = ["regulator", "verify-evidence", file, "--vkey", CITY_SIGNER.vkey, "--extract", proofs]
    assert main([str(one) for one in arguments]) == 0
    return proofs


@pytest.fixture
def verify(verifier, folder):
    """Run the program on them; its exit status and what it says."""

    def run(vkey=CITY_SIGNER.vkey):
        done = subprocess.run(
            [verifier, "-proofs", folder, str(vkey)], capture_output=True, text=True, timeout=300, check=False
        )
        assert done.stderr == ""
        return done.returncode, done.stdout.strip()

    return run


def change(path, made):
    """Put other bytes in place of a file's."""
    before = path.read_bytes()
    path.write_bytes(made(before))
    assert path.read_bytes() != before


def test_every_proof_of_an_evidence_file_holds(verify):
    assert verify() == (0, f"OK: {ENTRIES} proofs")


def test_the_line_that_proves_nothing_may_be_there(verify, folder):
    change(folder / "9.tlog-proof", lambda raw: raw.replace(b"\nindex ", b"\nextra AAAA\nindex ", 1))
    assert TlogProof.parse((folder / "9.tlog-proof").read_bytes()).extra == bytes(3)
    assert verify() == (0, f"OK: {ENTRIES} proofs")


def flipped_hash(at):
    """A proof in which one hash has another bit."""

    def made(raw):
        proof = TlogProof.parse(raw)
        hashes = list(proof.hashes)
        hashes[at] = bytes([hashes[at][0] ^ 1]) + hashes[at][1:]
        return TlogProof(proof.index, tuple(hashes), proof.checkpoint).encode()

    return made


@pytest.mark.parametrize(
    ("name", "made", "said"),
    [
        ("9.entry", lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]), "invalid transparency proof"),
        ("9.entry", lambda raw: raw + b"\0", "invalid transparency proof"),
        ("9.tlog-proof", flipped_hash(0), "invalid transparency proof"),
        ("9.tlog-proof", flipped_hash(-1), "invalid transparency proof"),
        ("9.tlog-proof", lambda raw: raw.replace(b"index 9\n", b"index 8\n"), "the proof is of entry 8"),
        (
            "9.tlog-proof",
            lambda raw: raw.replace(b"\n18\n", b"\n17\n"),
            "checkpoint: invalid signature for key ",
        ),
    ],
    ids=[
        "a byte of the entry",
        "a byte more",
        "the lowest hash",
        "the highest hash",
        "the index",
        "the size",
    ],
)
def test_what_was_tampered_with_fails(verify, folder, name, made, said):
    if name.endswith("proof"):
        assert TlogProof.parse((folder / name).read_bytes()).index == 9
    change(folder / name, made)
    status, why = verify()
    assert status == 1
    assert why.startswith("FAILED: 9.entry: ")
    assert said in why


def test_one_entry_with_the_proof_of_another_fails(verify, folder):
    (folder / "9.entry").write_bytes((folder / "8.entry").read_bytes())
    status, why = verify()
    assert (status, why.startswith("FAILED: 9.entry: ")) == (1, True)


def test_another_key_fails(verify):
    other = NoteSigner(CITY_SIGNER.name, signing_key("another log")._key)
    status, why = verify(other.vkey)
    assert (status, why.endswith("note has no verifiable signatures")) == (1, True)
