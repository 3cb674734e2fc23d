from __future__ import annotations

import base64
import hashlib
import json
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import example, given
from hypothesis import strategies as st
from world import p256_key, signing_key

from ledger.envelope import pae
from ledger.errors import BadInput, NotAuthorized, Reason
from ledger.keys import Algorithm, PrivateKey, PublicKey, key_id_of

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED25519_SPKI = bytes.fromhex("302a300506032b6570032100")
P256_SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
USABLE = "DER SubjectPublicKeyInfo of an Ed25519 key or an uncompressed P-256 key"
PEM = "PKCS#8 PEM private key, Ed25519 or P-256"
WEAK = (
    "public key: given an Ed25519 point of small order or non-canonical encoding, "
    "expected an Ed25519 point in its canonical encoding, not of small order"
)

ED, EC = signing_key("a key of each kind"), p256_key("a key of each kind")
both = pytest.mark.parametrize("key", [ED, EC], ids=["ed25519", "p256"])


def verifies(key, signature, message):
    """Whether a signature verifies; anything but `BAD_SIGNATURE` goes through."""
    try:
        key.verify(signature, message)
    except NotAuthorized as refused:
        if refused.reason is not Reason.BAD_SIGNATURE:
            raise
        return False
    return True


def refusal_of(call, *arguments):
    with pytest.raises(BadInput) as refused:
        call(*arguments)
    assert refused.value.reason is Reason.BAD_KEY
    return str(refused.value)


# Vectors of others


def wycheproof(shared, name):
    """Each vector of a file with its group; `acceptable` may go either way, and is listed by the caller."""
    groups = json.loads((shared / "tlog/wycheproof/testvectors_v1" / name).read_text())["testGroups"]
    return [(group, vector) for group in groups for vector in group["tests"]]


def test_wycheproof_ed25519(shared):
    vectors = wycheproof(shared, "ed25519_test.json")
    wrong = []
    for group, vector in vectors:
        key = PublicKey.parse(bytes.fromhex(group["publicKeyDer"]))
        verdict = verifies(key, bytes.fromhex(vector["sig"]), bytes.fromhex(vector["msg"]))
        if verdict != (vector["result"] == "valid"):
            wrong.append((vector["tcId"], vector["comment"]))
    assert len(vectors) == 151
    assert wrong == []
    assert {vector["result"] for _, vector in vectors} == {"valid", "invalid"}, "acceptable ones have come"


def raw_of(der):
    """The 64 bytes r || s of a strict DER signature; None where DER or the range of r and s does not hold.

    Our wire form is raw: what has no raw form cannot be sent at all, which refuses it.
    """
    try:
        r, s = decode_dss_signature(der)
    except ValueError:
        return None
    if not (0 <= r < 2**256 and 0 <= s < 2**256):
        return None
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def test_wycheproof_ecdsa_p256(shared):
    vectors = wycheproof(shared, "ecdsa_secp256r1_sha256_test.json")
    wrong, without_raw_form, refused_raw = [], 0, 0
    for group, vector in vectors:
        key = PublicKey.parse(bytes.fromhex(group["publicKeyDer"]))
        raw = raw_of(bytes.fromhex(vector["sig"]))
        without_raw_form += raw is None
        verdict = raw is not None and verifies(key, raw, bytes.fromhex(vector["msg"]))
        refused_raw += raw is not None and not verdict
        if verdict != (vector["result"] == "valid"):
            wrong.append((vector["tcId"], vector["comment"]))
    assert len(vectors) == 484
    assert wrong == []
    assert {vector["result"] for _, vector in vectors} == {"valid", "invalid"}, "acceptable ones have come"
    assert refused_raw > 60, "the decoder refuses what the key should"
    assert without_raw_form + refused_raw == sum(vector["result"] == "invalid" for _, vector in vectors)


def test_cctv_ed25519(shared):
    """Keys of small order and non-canonical ones are refused; the rest behaves as "the most common" column says."""
    vectors = json.loads((shared / "tlog/cctv/ed25519/ed25519vectors.json").read_text())
    accepted = refused_keys = 0
    for vector in vectors:
        flags = set(vector["flags"] or ())
        spki = ED25519_SPKI + bytes.fromhex(vector["key"])
        if flags & {"low_order_A", "non_canonical_A"}:
            assert refusal_of(PublicKey.parse, spki) == WEAK, vector
            refused_keys += 1
            continue
        verdict = verifies(PublicKey.parse(spki), bytes.fromhex(vector["sig"]), vector["msg"].encode())
        assert verdict == (not flags & {"non_canonical_R", "low_order_residue"}), vector
        accepted += verdict
    assert (len(vectors), refused_keys, accepted) == (914, 526, 86)


def test_dsse_vector(shared):
    vector = json.loads((shared / "tlog/derived/dsse_vector.json").read_text())
    message = pae(vector["payloadType"], vector["payload"].encode())
    assert message == vector["pae"].encode()

    key = PrivateKey.of(ec.derive_private_key(int(vector["d"]), ec.SECP256R1()))
    point = int(vector["x"]).to_bytes(32, "big") + int(vector["y"]).to_bytes(32, "big")
    assert key.public_key.spki == P256_SPKI + b"\x04" + point
    assert base64.b64encode(key.sign(message)).decode() == vector["envelope"]["signatures"][0]["sig"]


# Public keys


@both
def test_a_public_key_is_its_spki(key):
    spki = key.public_key.spki
    parsed = PublicKey.parse(spki)
    assert parsed == key.public_key
    assert parsed.spki == spki
    assert parsed.key_id == key_id_of(spki) == hashlib.sha256(spki).digest()


def test_algorithms_are_those_of_the_contract():
    assert ED.public_key.algorithm is Algorithm.ED25519
    assert EC.public_key.algorithm is Algorithm.ECDSA_P256_SHA256
    assert [*Algorithm] == [1, 2]


def spki_of(private):
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@cache
def rsa_key():
    return rsa.generate_private_key(65537, 2048)


OTHER_KINDS = {
    "RSAPublicKey": rsa_key,
    "X25519PublicKey": x25519.X25519PrivateKey.generate,
    "Ed448PublicKey": ed448.Ed448PrivateKey.generate,
    "a key on the curve secp384r1": lambda: ec.generate_private_key(ec.SECP384R1()),
    "a key on the curve secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
}


def no_key(spki):
    return f"public key: given {len(spki)} bytes {spki[:16].hex()}…, expected {USABLE}"


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_public_keys_of_other_kinds_are_refused(kind):
    spki = spki_of(OTHER_KINDS[kind]())
    assert refusal_of(PublicKey.parse, spki) == no_key(spki)


def test_keys_that_the_library_warns_of_do_not_reach_it():
    """Warnings are errors here: a hostile Diffie-Hellman key must not get so far as to cause one."""
    spki = bytes.fromhex("301b301306092a864886f70d0103013006020117020105030400020108")
    assert refusal_of(PublicKey.parse, spki) == no_key(spki)


POINT = EC.public_key.spki[len(P256_SPKI) :]
ODD = POINT[-1] & 1
EXPLICIT_CURVE = bytes.fromhex(
    "3082014b3082010306072a8648ce3d02013081f7020101302c06072a8648ce3d0101022100ffffffff000000010000000000000000"
    "00000000ffffffffffffffffffffffff305b0420ffffffff00000001000000000000000000000000fffffffffffffffffffffffc"
    "04205ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b031500c49d360886e704936a6678e1139d26"
    "b7819f7e900441046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a"
    "7c0f9e162bce33576b315ececbb6406837bf51f5022100ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc"
    "632551020101034200"
)


@pytest.mark.parametrize(
    "spki",
    {
        "compressed point": P256_SPKI.replace(b"\x30\x59", b"\x30\x39").replace(b"\x42\x00", b"\x22\x00")
        + bytes([2 | ODD])
        + POINT[1:33],
        "hybrid point": P256_SPKI + bytes([6 | ODD]) + POINT[1:],
        "explicit curve": EXPLICIT_CURVE + POINT,
    }.items(),
    ids=lambda item: item[0],
)
def test_other_encodings_of_a_good_point_are_refused(spki):
    assert refusal_of(PublicKey.parse, spki[1]) == no_key(spki[1])


def test_a_public_key_that_is_none_is_shown_by_its_beginning():
    for spki, shown in [
        (b"", "0 bytes"),
        (b"\x30\x00", "2 bytes 3000"),
        (bytes(16), f"16 bytes {bytes(16).hex()}"),
        (bytes(17), f"17 bytes {bytes(16).hex()}…"),
        (ED.public_key.spki + b"\0", "45 bytes 302a300506032b6570032100dc74e196…"),
        (ED.public_key.spki[:-1], "43 bytes 302a300506032b6570032100dc74e196…"),
        (EC.public_key.spki + b"\0", "92 bytes 3059301306072a8648ce3d020106082a…"),
        # Not on the curve.
        (
            EC.public_key.spki[:-1] + bytes([EC.public_key.spki[-1] ^ 1]),
            "91 bytes 3059301306072a8648ce3d020106082a…",
        ),
        # The point at infinity.
        (
            bytes.fromhex("3019301306072a8648ce3d020106082a8648ce3d03010703020000"),
            "27 bytes 3019301306072a8648ce3d020106082a…",
        ),
        # Parameters where RFC 8410 §3 has none.
        (
            bytes.fromhex("302c300706032b65700500032100") + ED.public_key.spki[-32:],
            "46 bytes 302c300706032b65700500032100dc74…",
        ),
    ]:
        assert refusal_of(PublicKey.parse, spki) == f"public key: given {shown}, expected {USABLE}"


SMALL_ORDER = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_all_encodings_of_points_of_small_order_are_refused(point):
    assert refusal_of(PublicKey.parse, ED25519_SPKI + bytes.fromhex(point)) == WEAK


@pytest.mark.parametrize("y", range(2**255 - 19, 2**255))
def test_a_coordinate_not_below_the_field_prime_is_refused(y):
    assert refusal_of(PublicKey.parse, ED25519_SPKI + y.to_bytes(32, "little")) == WEAK


@given(st.sampled_from([ED, EC]), st.data())
def test_one_key_has_one_encoding(key, data):
    """Whatever is changed in the encoding of a key, it is refused or another key: never another spelling."""
    spki = bytearray(key.public_key.spki)
    position = data.draw(st.integers(0, len(spki) - 1))
    spki[position] ^= data.draw(st.integers(1, 255))
    try:
        changed = PublicKey.parse(bytes(spki))
    except BadInput as refused:
        if refused.reason is not Reason.BAD_KEY:
            raise
    else:
        assert changed.spki == bytes(spki)
        assert changed.key_id != key.public_key.key_id
        assert not verifies(changed, key.sign(b"message"), b"message")


@given(st.binary(max_size=200))
@example(P256_SPKI)
@example(EXPLICIT_CURVE)
def test_bytes_that_are_no_key_are_refused(junk):
    refusal_of(PublicKey.parse, junk)


# Signatures


@both
@given(message=st.binary(max_size=200))
def test_signatures_are_64_bytes_deterministic_and_verify(key, message):
    signature = key.sign(message)
    assert len(signature) == 64
    assert key.sign(message) == signature
    key.public_key.verify(signature, message)
    assert not verifies(key.public_key, signature, message + b"\0")


@both
def test_every_flipped_bit_of_a_signature_is_refused(key):
    signature = key.sign(b"message")
    for bit in range(512):
        flipped = bytearray(signature)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not verifies(key.public_key, bytes(flipped), b"message"), bit


@both
def test_what_is_no_signature_is_told_with_its_length_and_the_key(key):
    good = key.sign(b"message")
    name, key_id = key.public_key.algorithm.name, key.public_key.key_id.hex()
    for signature in (b"", good[:63], good + b"\0", good + good, bytes(64), b"\xff" * 64):
        with pytest.raises(NotAuthorized) as refused:
            key.public_key.verify(signature, b"message")
        assert refused.value.reason is Reason.BAD_SIGNATURE
        assert str(refused.value) == (
            f"signature: given {len(signature)} bytes that do not verify, expected {name} signature by key {key_id}"
        )


@both
def test_the_signature_of_another_key_is_refused(key):
    assert not verifies(key.public_key, signing_key("another").sign(b"message"), b"message")
    assert not verifies(key.public_key, p256_key("another").sign(b"message"), b"message")


def test_a_der_signature_is_refused():
    der = EC._key.sign(b"message", ec.ECDSA(ec.hashes.SHA256()))
    assert not verifies(EC.public_key, der, b"message")


def test_r_and_s_are_from_1_to_the_order_less_1():
    signature = EC.sign(b"message")
    r, s = signature[:32], signature[32:]
    order, zero = P256_ORDER.to_bytes(32, "big"), bytes(32)
    for raw in (zero + s, r + zero, order + s, r + order):
        assert not verifies(EC.public_key, raw, b"message")


def test_r_and_s_have_32_bytes_each():
    """A number may be written with more zeros, or fewer, and is the same number: one signature has one length."""
    signature = next(raw for n in range(5_000) if (raw := EC.sign(b"%d" % n))[32] == 0)
    message = next(b"%d" % n for n in range(5_000) if EC.sign(b"%d" % n) == signature)
    r, s = signature[:32], signature[32:]
    assert verifies(EC.public_key, r + s, message)
    for other in (r + b"\0" + s, r + s[1:], b"\0" + r + s, r + s + b"\0"):
        assert not verifies(EC.public_key, other, message)


def test_of_an_ecdsa_signature_the_twin_with_the_other_s_verifies_too():
    """FIPS 186-5 has both, and browsers make both: an event's id is therefore the hash of what was signed."""
    signature = EC.sign(b"message")
    twin = P256_ORDER - int.from_bytes(signature[32:], "big")
    assert verifies(EC.public_key, signature[:32] + twin.to_bytes(32, "big"), b"message")


def test_an_r_that_begins_with_zeros_keeps_them():
    short = next(raw for n in range(5_000) if (raw := EC.sign(b"%d" % n))[0] == 0)
    assert len(short) == 64


# Private keys


@both
@pytest.mark.parametrize("passphrase", [None, b"x", "茉莉 with blanks".encode(), b"x" * 1023])
def test_a_private_key_comes_back_from_its_pem(key, passphrase):
    pem = key.to_pem(passphrase)
    kind = b"PRIVATE KEY" if passphrase is None else b"ENCRYPTED PRIVATE KEY"
    assert pem.startswith(b"-----BEGIN " + kind + b"-----\n")
    again = PrivateKey.from_pem(pem, passphrase)
    assert again.public_key == key.public_key
    assert again.sign(b"message") == key.sign(b"message")


@both
def test_der_is_what_the_plain_pem_holds(key):
    body = b"".join(key.to_pem().splitlines()[1:-1])
    assert base64.b64decode(body) == key.to_der()


@both
@pytest.mark.parametrize(
    ("written", "read", "given"),
    [
        (b"right", b"wrong", "something else, or another passphrase"),
        (b"right", None, "an encrypted key and no passphrase"),
        (None, b"right", "a passphrase and a plain key"),
    ],
)
def test_a_passphrase_must_be_the_one(key, written, read, given):
    refusal = refusal_of(PrivateKey.from_pem, key.to_pem(written), read)
    assert refusal == f"private key: given {given}, expected {PEM}"


@both
@pytest.mark.parametrize("length", [0, 1024])
def test_a_passphrase_has_1_to_1023_bytes(key, length):
    message = f"passphrase: given {length} bytes, expected 1 to 1023 bytes"
    assert refusal_of(key.to_pem, b"x" * length) == message
    assert refusal_of(PrivateKey.from_pem, key.to_pem(), b"x" * length) == message


def pem_of(private, form=PrivateFormat.PKCS8):
    return private.private_bytes(Encoding.PEM, form, NoEncryption())


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_private_keys_of_other_kinds_are_refused(kind):
    given = kind.replace("Public", "Private")
    expected = "Ed25519 or P-256" if kind.startswith("a key on the curve") else PEM
    message = f"private key: given {given}, expected {expected}"
    assert refusal_of(PrivateKey.from_pem, pem_of(OTHER_KINDS[kind]())) == message


def test_of_refuses_another_curve():
    key = ec.generate_private_key(ec.SECP521R1())
    message = "private key: given a key on the curve secp521r1, expected Ed25519 or P-256"
    assert refusal_of(PrivateKey.of, key) == message


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"not a key",
        ED.to_pem()[:-30],
        ED.to_pem().replace(b"M", b"*", 1),
        ED.to_der(),
        ED._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        pem_of(ED._key, PrivateFormat.OpenSSH),
    ],
    ids=["empty", "text", "cut", "not base64", "DER", "public", "OpenSSH"],
)
def test_what_is_no_private_key_is_refused(pem):
    assert refusal_of(PrivateKey.from_pem, pem) == f"private key: given something else, expected {PEM}"


def test_the_older_form_of_elliptic_curve_keys_is_read():
    older = pem_of(EC._key, PrivateFormat.TraditionalOpenSSL)
    assert older.startswith(b"-----BEGIN EC PRIVATE KEY-----")
    assert PrivateKey.from_pem(older).public_key == EC.public_key


def test_pem_of_others_is_read():
    theirs = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    encrypted = theirs.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word"))
    assert PrivateKey.from_pem(encrypted, b"word").public_key.spki == spki_of(theirs)


@both
def test_no_repr_tells_the_secret(key):
    secret = key.to_der()[-32:]
    for shown in (repr(key), str(key)):
        assert secret.hex() not in shown
        assert repr(secret) not in shown
