"""What `suyuan regulator witness` does but serve."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from witnessing import SmallLog

from clients.witness.memory import Memory
from ledger.note import COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44, SignedNote, VerifierKey

NAMED = ("regulator", "witness", "--name", "witness.example/w1")
LOG = SmallLog()


def test_the_first_run_makes_keys_and_database(suyuan):
    done = suyuan(*NAMED, "--ml-dsa-key", "second.pem", "--print-vkey")
    assert done.status == 0, done.err
    one, two = map(VerifierKey.parse, done.out.splitlines())
    assert (one.name, two.name) == ("witness.example/w1", "witness.example/w1")
    assert (one.key_type, two.key_type) == (COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44)
    for file in ("witness.pem", "second.pem"):
        assert Path(file).stat().st_mode & 0o777 == 0o600
        load_pem_private_key(Path(file).read_bytes(), None)
    assert sorted(path.name for path in Path().glob("*.*")) == ["second.pem", "witness.db", "witness.pem"]
    # And the second run finds them.
    again = suyuan.json(*NAMED, "--ml-dsa-key", "second.pem", "--print-vkey")
    assert again.record == {"name": "witness.example/w1", "vkeys": [str(one), str(two)]}


def test_a_key_that_has_lost_its_database(suyuan):
    assert suyuan(*NAMED, "--print-vkey").status == 0
    Path("witness.db").unlink()
    done = suyuan(*NAMED, "--log", LOG.vkey)
    assert done.status == 2
    assert done.err == (
        "Error: database witness.db: given no file, and the key witness.pem, "
        "expected what this key has cosigned, or --new-database for a key that never has [INVALID_REQUEST]\n"
    )
    assert not Path("witness.db").exists()
    # What the key is called can be asked for all the same.
    assert suyuan(*NAMED, "--print-vkey").status == 0


def test_an_encrypted_key(suyuan):
    key = Ed25519PrivateKey.generate()
    Path("witness.pem").touch(0o600)
    Path("witness.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open"))
    )
    done = suyuan(*NAMED, "--print-vkey", SUYUAN_WITNESS_KEY_PASSPHRASE="open")
    assert VerifierKey.parse(done.out.strip()).public_key == key.public_key().public_bytes_raw()
    for environment in ({"SUYUAN_WITNESS_KEY_PASSPHRASE": "shut"}, {}):
        done = suyuan(*NAMED, "--print-vkey", **environment)
        assert done.status == 2
        assert done.err == (
            "Error: key of the witness in witness.pem: given a key that $SUYUAN_WITNESS_KEY_PASSPHRASE does not open, "
            "expected Ed25519PrivateKey as PKCS#8 PEM [BAD_KEY]\n"
        )


def test_a_key_of_the_other_kind(suyuan):
    pem = MLDSA44PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open")
    )
    Path("witness.pem").touch(0o600)
    Path("witness.pem").write_bytes(pem)
    done = suyuan(*NAMED, "--print-vkey", SUYUAN_WITNESS_KEY_PASSPHRASE="open")
    assert done.status == 2
    assert done.err == (
        "Error: key of the witness in witness.pem: given MLDSA44PrivateKey, "
        "expected Ed25519PrivateKey as PKCS#8 PEM [BAD_KEY]\n"
    )


def test_a_key_that_others_may_read(suyuan):
    assert suyuan(*NAMED, "--print-vkey").status == 0
    Path("witness.pem").chmod(0o644)
    done = suyuan(*NAMED, "--print-vkey")
    assert done.status == 2
    assert "file witness.pem: given mode 0644, which lets others read or change it" in done.err


@pytest.mark.parametrize("name", ["", "two words", "a+b", "w" * 256])
def test_a_name_that_no_key_has(name, suyuan):
    done = suyuan("regulator", "witness", "--name", name, "--print-vkey")
    assert done.status == 2
    assert not Path("witness.pem").exists()


def test_without_a_name(suyuan):
    done = suyuan("regulator", "witness", "--log", LOG.vkey)
    assert done.status == 2
    assert "--name is needed" in done.err


def test_half_of_a_certificate(suyuan):
    done = suyuan(*NAMED, "--log", LOG.vkey, "--tls-cert", "cert.pem")
    assert done.status == 2
    assert "--tls-cert and --tls-key go together" in done.err


@pytest.mark.parametrize(
    ("watched", "message"),
    [
        ([], "logs to watch: given none, expected at least one, by --log or in --policy"),
        (["--log", "no key"], "verifier key: given 'no', expected <name>+"),
        (["--log", f"{LOG.vkey} two\nlines"], "origin of a log: given 'two\\nlines', expected a line"),
        (["--policy", "missing"], "file missing: given No such file or directory, expected a policy that"),
        (["--policy", "wrong"], "policy, line 1: line: given 'logs', expected log VKEY [URL]"),
        (["--policy", "empty"], "logs to watch: given none"),
    ],
)
def test_logs_that_cannot_be_watched(watched, message, suyuan):
    Path("wrong").write_text("logs\n")
    Path("empty").write_text("quorum none\n")
    done = suyuan(*NAMED, *watched)
    assert done.status == 2
    assert message in done.err
    # Nothing was made for a witness that cannot be.
    assert not Path("witness.pem").exists()
    assert not Path("witness.db").exists()


def test_evidence_for_people_and_programs(suyuan):
    done = suyuan("regulator", "witness", "--evidence")
    assert (done.status, done.err) == (
        2,
        "Error: file witness.db: given no file, expected the database of a witness [INVALID_REQUEST]\n",
    )
    memory = Memory(Path("witness.db"))
    done = suyuan("regulator", "witness", "--evidence")
    assert (done.status, done.out, done.err) == (0, "", "Nothing was refused that is worth keeping.\n")
    assert suyuan.json("regulator", "witness", "--evidence").records == []
    with memory.writing():
        memory.keep(
            SignedNote.parse(LOG.note(7)), None, conclusive=True, reason="why\x1b[31m", now_s=1_700_000_000
        )
    memory.close()
    assert suyuan.json("regulator", "witness", "--evidence").record == {
        "id": 1,
        "origin": LOG.origin,
        "conclusive": True,
        "seen_at": "2023-11-14T22:13:20.000000Z",
        "reason": "why\x1b[31m",
        "refused": LOG.note(7).decode(),
        "cosigned": None,
    }
    text = suyuan("regulator", "witness", "--evidence").out
    assert text.startswith(
        "Evidence 1 of 2023-11-14T22:13:20.000000Z: the log misbehaved\n  why\\x1b[31m\nRefused:\n"
        f"  {LOG.origin}\n  7\n"
    )


def test_its_help_loads_no_server():
    program = (
        "import sys; from clients.cli.main import main; main(['regulator', 'witness', '--help']);"
        "print([name for name in ('uvicorn', 'starlette', 'grpc', 'structlog', 'urllib3') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "suyuan regulator witness --name witness.example/w1" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
