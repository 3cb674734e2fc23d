from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from world import p256_key, signing_key

from clients.purchase_token import PREFIX, PurchaseToken
from ledger.errors import BadInput, Reason

SALE = hashlib.sha256(b"sale").digest()
TOKEN = PurchaseToken(SALE, signing_key("buyer"))
TEXT = (
    "suyuan-purchase-v1:"
    + urlsafe_b64encode(
        (content := SALE + signing_key("buyer").to_der())
        + hashlib.sha256(PREFIX.encode() + content).digest()[:4]
    ).decode()
)


def test_the_text_of_a_token():
    assert TOKEN.text() == TEXT
    assert len(TEXT) == 131


@given(st.binary(min_size=32, max_size=32), st.text(max_size=8))
def test_round_trip(sale, name):
    token = PurchaseToken.parse(PurchaseToken(sale, signing_key(name)).text())
    assert token.sale == sale
    assert token.key.public_key == signing_key(name).public_key


def test_blanks_around_it():
    assert PurchaseToken.parse(f" \t{TEXT}\r\n").sale == SALE


def test_printing_a_token_does_not_show_it():
    assert "key" not in repr(TOKEN)
    assert TEXT[30:60] not in repr(TOKEN) + str(TOKEN)


@given(st.integers(0, len(TEXT) - 1), st.sampled_from("AZaz09-_:. é１"))
def test_every_slip_is_found(place, character):
    slipped = f"{TEXT[:place]}{character}{TEXT[place + 1 :]}"
    if slipped == TEXT:
        return
    with pytest.raises(BadInput) as caught:
        PurchaseToken.parse(slipped)
    assert caught.value.reason is Reason.BAD_KEY
    assert TEXT[40:60] not in str(caught.value)


def resealed(content):
    sealed = content + hashlib.sha256(PREFIX.encode() + content).digest()[:4]
    return PREFIX + urlsafe_b64encode(sealed).decode().rstrip("=")


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("", "0 characters that begin otherwise"),
        (TEXT[1:], "130 characters that begin otherwise"),
        (TEXT.upper(), "131 characters that begin otherwise"),
        (TEXT.replace("-v1:", "-v2:"), "suyuan-purchase-v2:"),
        (TEXT[:-1], "111 characters after its prefix"),
        (TEXT + "A", "113 characters after its prefix"),
        (TEXT[:-1] + "=", "112 characters after its prefix"),
        (resealed(SALE + bytes(48)), "a key that cannot be read"),
        (resealed(SALE + signing_key("x").to_der()[:-1] + b""), "111 characters after its prefix"),
    ],
)
def test_texts_that_are_no_token(text, given):
    with pytest.raises(BadInput) as caught:
        PurchaseToken.parse(text)
    assert caught.value.given == given


def test_another_kind_of_key():
    with pytest.raises(BadInput, match="characters after its prefix"):
        PurchaseToken.parse(PurchaseToken(SALE, p256_key("buyer")).text())


def test_a_key_that_does_not_sign():
    der = X25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(
        BadInput, match="given another kind of key, expected the PKCS#8 DER of an Ed25519 key"
    ):
        PurchaseToken.parse(resealed(SALE + der))


@given(st.integers(0, 47), st.integers(1, 255))
def test_every_other_encoding_of_the_key(place, change):
    der = bytearray(signing_key("buyer").to_der())
    der[place] ^= change
    try:
        token = PurchaseToken.parse(resealed(SALE + bytes(der)))
    except BadInput:
        return
    assert token.key.to_der() == der
