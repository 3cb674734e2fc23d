from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from clients.keyfile import read_key
from ledger.errors import BadInput
from ledger.keys import Algorithm


def mode(path):
    return stat.S_IMODE(Path(path).stat().st_mode)


@pytest.mark.parametrize(
    ("word", "algorithm"), [("ed25519", Algorithm.ED25519), ("p256", Algorithm.ECDSA_P256_SHA256)]
)
def test_a_key_without_a_passphrase(suyuan, word, algorithm):
    done = suyuan.json("keygen", "--out", "key.pem", "--no-passphrase", "--algorithm", word)
    assert (done.status, done.err) == (0, "")
    key = read_key("key.pem")
    assert key.public_key.algorithm is algorithm
    assert mode("key.pem") == 0o600
    public = Path("key.pem.pub").read_text()
    spki = load_pem_public_key(public.encode()).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert spki == key.public_key.spki
    assert done.record == {
        "key_file": "key.pem",
        "public_key_file": "key.pem.pub",
        "key_id": key.public_key.key_id.hex(),
        "algorithm": word,
        "encrypted": False,
        "public_key": public,
    }


def test_what_a_person_is_told(suyuan):
    done = suyuan("keygen", "--out", "key.pem", "--no-passphrase")
    key_id = read_key("key.pem").public_key.key_id.hex()
    assert done.out == (
        f"Key {key_id}\n"
        "  key.pem is yours alone, and not encrypted\n"
        "  key.pem.pub goes to who registers you\n" + Path("key.pem.pub").read_text()
    )


def test_the_usual_place(suyuan, tmp_path):
    assert suyuan("keygen", "--no-passphrase").status == 0
    assert mode(tmp_path / "config" / "suyuan" / "key.pem") == 0o600
    assert mode(tmp_path / "config" / "suyuan") == 0o700


def test_the_configured_place(suyuan, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "mine.toml").write_text('key = "keys/till.pem"\n')
    assert suyuan("keygen", "--no-passphrase", "--config", "sub/mine.toml").status == 0
    assert (tmp_path / "sub" / "keys" / "till.pem").exists()


@pytest.mark.parametrize("existing", ["key.pem", "key.pem.pub"])
def test_a_key_is_never_written_over(suyuan, existing):
    Path(existing).write_text("precious")
    done = suyuan("keygen", "--out", "key.pem", "--no-passphrase")
    assert done.status == 2
    assert existing in done.err
    assert [path.name for path in Path().iterdir()] == [existing]
    assert Path(existing).read_text() == "precious"


def test_a_passphrase_from_the_environment(suyuan):
    done = suyuan.json("keygen", "--out", "key.pem", SUYUAN_KEY_PASSPHRASE="茶")
    assert done.record["encrypted"] is True
    assert read_key("key.pem", "茶".encode)
    with pytest.raises(BadInput):
        read_key("key.pem", lambda: b"tea")


def test_a_passphrase_from_a_file(suyuan):
    Path("passphrase").write_bytes(b"tea time\r\nmore\n")
    assert suyuan("keygen", "--out", "key.pem", "--passphrase-file", "passphrase").status == 0
    assert read_key("key.pem", lambda: b"tea time")


def test_a_passphrase_is_asked_for_twice(suyuan, monkeypatch):
    answers = iter(["tea", "tea"])
    monkeypatch.setattr("clients.cli.inputs.getpass", lambda _: next(answers))
    assert suyuan("keygen", "--out", "key.pem", terminal=True).status == 0
    assert read_key("key.pem", lambda: b"tea")


def test_two_different_passphrases(suyuan, monkeypatch):
    answers = iter(["tea", "tee"])
    monkeypatch.setattr("clients.cli.inputs.getpass", lambda _: next(answers))
    done = suyuan("keygen", "--out", "key.pem", terminal=True)
    assert done.status == 2
    assert done.err == (
        "Error: passphrase: given two different ones, expected the same twice [INVALID_REQUEST]\n"
    )
    assert not Path("key.pem").exists()


def test_an_empty_passphrase(suyuan, monkeypatch):
    monkeypatch.setattr("clients.cli.inputs.getpass", lambda _: "")
    done = suyuan("keygen", "--out", "key.pem", terminal=True)
    assert done.status == 2
    assert done.err == "Error: passphrase: given 0 bytes, expected 1 to 1023 bytes [BAD_KEY]\n"
    assert not Path("key.pem").exists()


def test_nobody_to_ask(suyuan):
    done = suyuan("keygen", "--out", "key.pem")
    assert done.status == 2
    assert "given none, and no terminal to ask at" in done.err


def test_the_public_half_of_a_key(suyuan):
    suyuan("keygen", "--out", "key.pem", SUYUAN_KEY_PASSPHRASE="tea")
    public = Path("key.pem.pub").read_text()
    done = suyuan("keygen", "--show", "key.pem", SUYUAN_KEY_PASSPHRASE="tea")
    assert done.status == 0
    assert done.out == f"Key {read_key('key.pem', lambda: b'tea').public_key.key_id.hex()}\n{public}"
    assert suyuan("keygen", "--show", "key.pem", SUYUAN_KEY_PASSPHRASE="tee").status == 2


def test_a_folder_that_can_not_be_made(suyuan):
    Path("file").write_text("")
    done = suyuan("keygen", "--out", "file/key.pem", "--no-passphrase")
    assert done.status == 2
    assert (
        done.err
        == "Error: file file: given File exists, expected a folder that can be made [INVALID_REQUEST]\n"
    )
