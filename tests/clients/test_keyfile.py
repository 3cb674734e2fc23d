from __future__ import annotations

import os
import stat

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from world import p256_key, signing_key

from clients.keyfile import generate, read_key, write_key
from ledger.errors import BadInput, Reason
from ledger.keys import Algorithm


def never():
    raise AssertionError("asked for a passphrase")


@pytest.mark.parametrize("key", [signing_key("k"), p256_key("k")])
@pytest.mark.parametrize("passphrase", [None, b"open sesame", "芝麻开门".encode()])
def test_a_key_comes_back(tmp_path, key, passphrase):
    path = tmp_path / "key.pem"
    write_key(path, key, passphrase)
    again = read_key(path, never if passphrase is None else lambda: passphrase)
    assert again.public_key == key.public_key
    assert again.to_der() == key.to_der()
    assert (b"ENCRYPTED" in path.read_bytes()) == (passphrase is not None)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_new_keys_are_new(algorithm):
    one, other = generate(algorithm), generate(algorithm)
    assert one.public_key.algorithm is algorithm
    assert one.public_key.key_id != other.public_key.key_id
    one.public_key.verify(one.sign(b"text"), b"text")


def test_ed25519_is_the_default():
    assert generate().public_key.algorithm is Algorithm.ED25519


def test_only_the_owner_can_read_it(tmp_path):
    path = tmp_path / "key.pem"
    before = os.umask(0)
    try:
        write_key(path, signing_key("k"), None)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_paths_may_be_text(tmp_path):
    write_key(str(tmp_path / "key.pem"), signing_key("k"), None)
    assert read_key(str(tmp_path / "key.pem")).public_key == signing_key("k").public_key


def refusal(attempt, reason=Reason.INVALID_REQUEST):
    with pytest.raises(BadInput) as caught:
        attempt()
    assert caught.value.reason is reason
    return str(caught.value)


def test_a_key_is_never_written_over(tmp_path):
    path = tmp_path / "key.pem"
    write_key(path, signing_key("first"), None)
    before = path.read_bytes()
    message = refusal(lambda: write_key(path, signing_key("second"), None))
    assert message == f"file {path}: given a file that exists, expected a new file"
    assert path.read_bytes() == before


def test_a_link_to_nowhere_is_not_followed(tmp_path):
    path = tmp_path / "key.pem"
    path.symlink_to(tmp_path / "elsewhere.pem")
    refusal(lambda: write_key(path, signing_key("k"), None))
    assert not (tmp_path / "elsewhere.pem").exists()


def test_a_folder_that_is_not_there(tmp_path):
    path = tmp_path / "missing" / "key.pem"
    message = refusal(lambda: write_key(path, signing_key("k"), None))
    assert message == f"file {path}: given No such file or directory, expected a file that can be written"


def test_an_empty_passphrase_is_none_and_leaves_no_file(tmp_path):
    message = refusal(lambda: write_key(tmp_path / "key.pem", signing_key("k"), b""), Reason.BAD_KEY)
    assert message == "passphrase: given 0 bytes, expected 1 to 1023 bytes"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o660, 0o666, 0o610, 0o601])
def test_a_file_that_others_may_use(tmp_path, mode):
    path = tmp_path / "key.pem"
    write_key(path, signing_key("k"), None)
    path.chmod(mode)
    assert refusal(lambda: read_key(path)) == (
        f"file {path}: given mode {mode:04o}, which lets others read or change it, "
        f"expected mode 0600 (chmod 600 {path})"
    )


def test_a_file_that_even_its_owner_may_only_read(tmp_path):
    path = tmp_path / "key.pem"
    write_key(path, signing_key("k"), None)
    path.chmod(0o400)
    assert read_key(path).public_key == signing_key("k").public_key


def test_no_file(tmp_path):
    path = tmp_path / "key.pem"
    message = refusal(lambda: read_key(path))
    assert message == f"file {path}: given No such file or directory, expected a file that this user may read"


def test_a_folder(tmp_path):
    assert refusal(lambda: read_key(tmp_path)) == (
        f"file {tmp_path}: given something else, expected a regular file"
    )


def test_a_public_key_in_place_of_the_private_one(tmp_path):
    path = tmp_path / "key.pem.pub"
    key = load_der_public_key(signing_key("k").public_key.spki)
    path.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert refusal(lambda: read_key(path), Reason.BAD_KEY) == (
        f"private key in {path}: given a public key, "
        "expected the private key: by `suyuan keygen` the file without .pub"
    )


def test_a_pipe_keeps_nobody_waiting(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path, 0o600)
    assert refusal(lambda: read_key(path)) == f"file {path}: given something else, expected a regular file"


def private(path, content):
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def test_a_file_without_end(tmp_path):
    path = private(tmp_path / "key.pem", bytes(65_537))
    assert refusal(lambda: read_key(path), Reason.BAD_KEY) == (
        f"private key in {path}: given more than 65536 bytes, expected a PEM file"
    )


@pytest.mark.parametrize("content", [b"", b"hello", b"-----BEGIN PRIVATE KEY-----\n"])
def test_a_file_that_holds_no_key(tmp_path, content):
    path = private(tmp_path / "key.pem", content)
    assert refusal(lambda: read_key(path, never), Reason.BAD_KEY) == (
        f"private key in {path}: given something else, expected PKCS#8 PEM private key, Ed25519 or P-256"
    )


def test_an_encrypted_key_and_nobody_to_ask(tmp_path):
    path = tmp_path / "key.pem"
    write_key(path, signing_key("k"), b"open sesame")
    assert refusal(lambda: read_key(path), Reason.BAD_KEY) == (
        f"private key in {path}: given an encrypted key and no passphrase, "
        "expected PKCS#8 PEM private key, Ed25519 or P-256"
    )


def test_another_passphrase(tmp_path):
    path = tmp_path / "key.pem"
    write_key(path, signing_key("k"), b"open sesame")
    assert refusal(lambda: read_key(path, lambda: b"open barley"), Reason.BAD_KEY) == (
        f"private key in {path}: given something else, or another passphrase, "
        "expected PKCS#8 PEM private key, Ed25519 or P-256"
    )
