from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from world import City, fields, p256_key, respellings, signing_key, wire

from ledger.envelope import MAX_ENVELOPE_BYTES, PAYLOAD_TYPE, Envelope, pae
from ledger.errors import BadInput, NotAuthorized, Reason
from suyuan.v1 import entry_pb2

KEY = signing_key("a writer")
SEALED = Envelope.seal(b"payload", KEY)
MESSAGE = entry_pb2.Envelope.FromString(SEALED.raw)
RESPELLED = respellings(MESSAGE)
OTHER_ENCODING = "envelope: given another encoding of it, or unknown fields, expected the canonical encoding"


def refusal_of(raw):
    with pytest.raises(BadInput) as refused:
        Envelope.parse(raw)
    assert refused.value.reason is Reason.MALFORMED_ENVELOPE
    return str(refused.value)


def changed(**fields):
    """The envelope with other fields, serialised."""
    signature = {name: fields.pop(name) for name in ("key_id", "algorithm", "signature") if name in fields}
    message = entry_pb2.Envelope()
    message.CopyFrom(MESSAGE)
    for name, value in fields.items():
        setattr(message, name, value)
    for name, value in signature.items():
        setattr(message.signatures[0], name, value)
    return message.SerializeToString()


@pytest.mark.parametrize("key", [KEY, p256_key("a writer")], ids=["ed25519", "p256"])
@given(payload=st.binary(max_size=300))
def test_a_sealed_envelope_is_read_again_and_verifies(key, payload):
    sealed = Envelope.seal(payload, key)
    assert Envelope.parse(sealed.raw) == sealed
    assert (sealed.payload, sealed.key_id) == (payload, key.public_key.key_id)
    assert sealed.algorithm == key.public_key.algorithm
    sealed.verify(key.public_key)


@pytest.mark.parametrize("size", [1, 127, 128, 129, 16_383, 16_384])
@given(cut=st.integers(0, 2), place=st.integers(-110, 60), added=st.binary(max_size=3))
def test_what_is_read_prints_back_to_the_same_bytes(size, cut, place, added):
    raw = Envelope.seal(bytes(size), KEY).raw
    place %= len(raw)
    raw = raw[:place] + added + raw[place + cut :]
    message = entry_pb2.Envelope()
    try:
        message.ParseFromString(raw)
    except DecodeError:
        message.Clear()
    message.DiscardUnknownFields()
    signatures = [(one.key_id, one.algorithm, one.signature) for one in message.signatures]
    is_one = (
        message.payload_type == PAYLOAD_TYPE
        and len(signatures) == 1
        and len(signatures[0][0]) == 32
        and message.SerializeToString() == raw
    )
    if is_one:
        assert Envelope.parse(raw) == Envelope(raw, message.payload, *signatures[0])
    else:
        refusal_of(raw)


def test_the_bytes_of_an_envelope():
    signature = wire(1, KEY.public_key.key_id) + wire(2, 1) + wire(3, SEALED.signature)
    assert SEALED.raw == wire(1, PAYLOAD_TYPE.encode()) + wire(2, b"payload") + wire(3, signature)


@given(st.binary(max_size=300))
def test_what_is_signed_is_the_dsse_encoding(payload):
    encoding = pae(PAYLOAD_TYPE, payload)
    assert encoding == b"DSSEv1 40 application/vnd.suyuan.event.v1+protobuf %d %b" % (len(payload), payload)
    KEY.public_key.verify(Envelope.seal(payload, KEY).signature, encoding)


def test_the_length_in_the_dsse_encoding_counts_bytes():
    assert pae("类型", b"") == "DSSEv1 6 类型 0 ".encode()


# What is no envelope


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (
            b"\x0a",
            "envelope: given bytes that are no protobuf message, expected a serialised suyuan.v1.Envelope",
        ),
        (
            wire(1, b"\xff"),
            "envelope: given bytes that are no protobuf message, expected a serialised suyuan.v1.Envelope",
        ),
        (b"", f"envelope: given payload type '', expected payload type '{PAYLOAD_TYPE}'"),
        (
            changed(payload_type="application/json"),
            f"envelope: given payload type 'application/json', expected payload type '{PAYLOAD_TYPE}'",
        ),
        (
            changed(payload_type="x" * 1000),
            f"envelope: given payload type '{'x' * 80}', expected payload type '{PAYLOAD_TYPE}'",
        ),
        (changed(payload_type=PAYLOAD_TYPE + " "), None),
        (changed(payload_type=PAYLOAD_TYPE.upper()), None),
        (
            wire(1, PAYLOAD_TYPE.encode()) + wire(2, b"payload"),
            "envelope: given 0 signatures, expected 1 signature",
        ),
        (SEALED.raw + wire(*fields(SEALED.raw)[-1]), "envelope: given 2 signatures, expected 1 signature"),
        (changed(key_id=b""), "envelope: given a key id of 0 bytes, expected a key id of 32 bytes"),
        (changed(key_id=bytes(31)), "envelope: given a key id of 31 bytes, expected a key id of 32 bytes"),
        (changed(key_id=bytes(33)), "envelope: given a key id of 33 bytes, expected a key id of 32 bytes"),
        (SEALED.raw + wire(4, 1), OTHER_ENCODING),
        (SEALED.raw + wire(99, b"more"), OTHER_ENCODING),
        (SEALED.raw + SEALED.raw[:42], OTHER_ENCODING),
    ],
)
def test_malformed(raw, message):
    refusal = refusal_of(raw)
    if message is not None:
        assert refusal == message


@pytest.mark.parametrize("name", RESPELLED)
def test_every_other_encoding_of_an_envelope_is_refused(name):
    assert entry_pb2.Envelope.FromString(RESPELLED[name]) == MESSAGE, "a lenient reader takes it for the same"
    assert refusal_of(RESPELLED[name]) == OTHER_ENCODING


@pytest.mark.parametrize("more", [wire(4, 1), wire(99, b"more"), wire(1, 5)])
def test_an_unknown_field_in_a_signature_is_refused(more):
    signature = fields(SEALED.raw)[-1][1]
    raw = SEALED.raw.removesuffix(wire(3, signature)) + wire(3, signature + more)
    assert refusal_of(raw) == OTHER_ENCODING


def test_every_beginning_of_an_envelope_is_refused():
    for length in range(len(SEALED.raw)):
        refusal_of(SEALED.raw[:length])


def test_no_flipped_bit_gives_an_envelope_that_verifies():
    for bit in range(8 * len(SEALED.raw)):
        raw = bytearray(SEALED.raw)
        raw[bit // 8] ^= 1 << bit % 8
        with pytest.raises((BadInput, NotAuthorized)):
            Envelope.parse(bytes(raw)).verify(KEY.public_key)


@given(st.binary(max_size=200))
def test_random_bytes_are_no_envelope(junk):
    refusal_of(junk)


def test_the_longest_envelope():
    room = MAX_ENVELOPE_BYTES - len(Envelope.seal(bytes(60_000), KEY).raw)
    longest = Envelope.seal(bytes(60_000 + room), KEY)
    assert len(longest.raw) == MAX_ENVELOPE_BYTES
    assert Envelope.parse(longest.raw) == longest

    with pytest.raises(BadInput) as refused:
        Envelope.parse(Envelope.seal(bytes(60_001 + room), KEY).raw)
    assert refused.value.reason is Reason.EVENT_TOO_LARGE
    assert str(refused.value) == "envelope: given 65001 bytes, expected at most 65000 bytes"


# What does not verify


def test_the_key_must_be_the_one_that_is_named():
    other = signing_key("another").public_key
    with pytest.raises(NotAuthorized) as refused:
        SEALED.verify(other)
    assert refused.value.reason is Reason.UNKNOWN_KEY
    assert str(refused.value) == (
        f"signing key: given {KEY.public_key.key_id.hex()}, expected {other.key_id.hex()}"
    )


@pytest.mark.parametrize(
    ("number", "given"),
    [
        (0, "algorithm 0"),
        (2, "ECDSA_P256_SHA256"),
        (3, "algorithm 3"),
        (99, "algorithm 99"),
        (-1, "algorithm -1"),
    ],
)
def test_the_algorithm_must_be_that_of_the_key(number, given):
    envelope = Envelope.parse(changed(algorithm=number))
    with pytest.raises(BadInput) as refused:
        envelope.verify(KEY.public_key)
    assert refused.value.reason is Reason.UNSUPPORTED_ALGORITHM
    assert str(refused.value) == f"signature algorithm: given {given}, expected ED25519"


@pytest.mark.parametrize("length", [0, 63, 65, 10_000])
def test_a_signature_has_64_bytes(length):
    envelope = Envelope.parse(changed(signature=bytes(length)))
    with pytest.raises(NotAuthorized) as refused:
        envelope.verify(KEY.public_key)
    assert refused.value.reason is Reason.BAD_SIGNATURE
    assert str(refused.value) == f"signature: given {length} bytes, expected 64 bytes"


@pytest.mark.parametrize("change", [{"payload": b"payloae"}, {"payload": b""}, {"signature": bytes(64)}])
def test_a_signature_must_hold(change):
    envelope = Envelope.parse(changed(**change))
    with pytest.raises(NotAuthorized) as refused:
        envelope.verify(KEY.public_key)
    assert refused.value.reason is Reason.BAD_SIGNATURE
    assert str(refused.value) == (
        "signature: given 64 bytes that do not verify, "
        f"expected ED25519 signature by key {KEY.public_key.key_id.hex()}"
    )


def test_a_signature_over_the_bare_payload_is_refused():
    """Without the payload type in front, signed bytes could be taken for something else."""
    envelope = Envelope.parse(changed(signature=KEY.sign(b"payload")))
    with pytest.raises(NotAuthorized):
        envelope.verify(KEY.public_key)


def test_envelopes_of_events_are_read_again():
    city = City()
    for envelope in city.founding() + city.life():
        assert Envelope.parse(envelope.raw) == envelope
