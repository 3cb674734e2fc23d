"""The test vectors are what scripts/vectors makes, and the page's worked example follows from what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from world import fields, wire

ROOT = Path(__file__).parent.parent
ORIGIN = "ledger.test/city"
PAYLOAD_TYPE = "application/vnd.suyuan.event.v1+protobuf"


def digest(*parts: bytes) -> bytes:
    return sha256(b"".join(parts)).digest()


def secret(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(digest(name.encode()))


def blocks() -> list[str]:
    """The insides of the worked example's fences."""
    page = (ROOT / "docs" / "format.md").read_text(encoding="utf-8")
    _, _, example = page.partition("<!-- vectors begin -->\n")
    return re.findall(
        r"^```\n(.*?)^```$", example.partition("<!-- vectors end -->")[0], re.MULTILINE | re.DOTALL
    )


def values(block: str) -> dict[str, bytes]:
    """Names and bytes of a block; each name says how many bytes there are."""
    found = {}
    for name, size, digits in re.findall(
        r"^(\S.*) \((\d+) bytes\)\n((?:    [0-9a-f]+\n)+)", block, re.MULTILINE
    ):
        found[name] = bytes.fromhex("".join(digits.split()))
        assert len(found[name]) == int(size), name
        # Nothing in the block is left unread.
        block = block.replace(f"{name} ({size} bytes)\n{digits}", "")
    assert not block
    return found


def written(*parts: tuple[int, int | bytes]) -> bytes:
    """A message by §1."""
    return b"".join(wire(number, value) for number, value in parts if value not in {0, b""})


def test_the_files_are_as_scripts_vectors_makes_them():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "vectors", "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("number", [0, 1])
def test_the_entries_of_the_worked_example(number):
    given = values(blocks()[number])
    event, signer = given["event"], secret("regulator")
    spki = bytes.fromhex("302a300506032b6570032100") + signer.public_key().public_bytes_raw()
    signed = b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(event), event)
    signature = signer.sign(signed)
    envelope = written(
        (1, PAYLOAD_TYPE.encode()), (2, event), (3, written((1, digest(spki)), (2, 1), (3, signature)))
    )
    recorded_at = dict(fields(given["entry"]))[3]
    entry = written((3, recorded_at), (4, envelope))
    assert given == {
        "event": event,
        "event id": digest(event),
        "signed bytes (PAE)": signed,
        "key": spki,
        "key id": digest(spki),
        "signature": signature,
        "envelope": envelope,
        "entry": entry,
        "entry hash": digest(b"\0", entry),
    }
    said = dict(fields(event))
    assert written(*fields(event)) == event
    courier = bytes.fromhex("302a300506032b6570032100") + secret("courier").public_key().public_bytes_raw()
    chain, body, key = [(b"ledger", 16, (6, spki)), (b"party/91440300708461136T", 18, (3, courier))][number]
    assert said[1] == chain
    assert key in fields(said[body])


def test_the_checkpoint_of_the_worked_example():
    first, second, root, vkey, note = blocks()
    leaves = [digest(b"\0", values(block)["entry"]) for block in (first, second)]
    assert values(root) == {"root": digest(b"\1", *leaves)}
    signer = secret("log")
    material = b"\1" + signer.public_key().public_bytes_raw()
    key_id = digest(ORIGIN.encode(), b"\n", material)[:4]
    assert vkey == f"{ORIGIN}+{key_id.hex()}+{b64encode(material).decode()}\n"
    text = f"{ORIGIN}\n2\n{b64encode(digest(bytes([1]), *leaves)).decode()}\n"
    signature = b64encode(key_id + signer.sign(text.encode())).decode()
    assert note == f"{text}\n— {ORIGIN} {signature}\n"
