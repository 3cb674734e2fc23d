from __future__ import annotations

import json
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.cosignature import COSIGNATURE_TYPES, MAX_TIME_S, Cosigner, _is_signed, cosignatures_of
from ledger.errors import BadInput, BrokenProof, LedgerError, Reason
from ledger.note import (
    COSIGNATURE_ED25519,
    COSIGNATURE_ML_DSA_44,
    NoteSignature,
    NoteSigner,
    SignedNote,
    VerifierKey,
    decode_base64,
)

ORIGIN = "example.com/behind-the-sofa"
TEXT = f"{ORIGIN}\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
NAME = "witness.example/w1"
NOW = 1679315147


def ed25519(seed, name=NAME):
    return Cosigner(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


def ml_dsa(seed, name=NAME):
    return Cosigner(name, MLDSA44PrivateKey.from_seed_bytes(bytes([seed]) * 32))


ED, ML = ed25519(1), ml_dsa(1)
LOG = NoteSigner(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"l" * 32))
NOTE = SignedNote.sign(TEXT, LOG)
BOTH = NOTE.with_signatures(ED.cosign(TEXT, NOW), ML.cosign(TEXT, NOW + 1))
either = pytest.mark.parametrize("cosigner", [ED, ML], ids=["ed25519", "ml-dsa-44"])


def refused(note, *keys):
    with pytest.raises(BrokenProof) as caught:
        cosignatures_of(note, keys)
    assert caught.value.reason is Reason.BAD_NOTE
    return str(caught.value)


# The specification


def example_of(shared):
    """The first example of tlog-cosignature: a checkpoint, signed and cosigned."""
    page = (shared / "tlog/c2sp-specs/tlog-cosignature.md").read_text(encoding="utf-8")
    return page.split("```\n")[1].encode()


def test_the_example_of_the_specification_is_read(shared):
    note = SignedNote.parse(example_of(shared))
    assert note.encode() == example_of(shared)
    log, witness = note.signatures
    assert (log.name, witness.name) == (ORIGIN, "witness.example.com/w1")
    assert note.text == TEXT
    # Its keys are not given, so no more than its shape can be checked: 8 bytes of time and 64 of Ed25519.
    assert len(witness.signature) == 8 + 64
    assert int.from_bytes(witness.signature[:8], "big") == 0x641850CB


def test_an_ed25519_cosignature_is_over_the_text_below_two_lines():
    line = ED.cosign(TEXT, NOW)
    assert line.signature[:8] == NOW.to_bytes(8, "big")
    public = Ed25519PublicKey.from_public_bytes(ED.vkey.public_key)
    public.verify(
        line.signature[8:],
        b"cosignature/v1\n"
        b"time 1679315147\n"
        b"example.com/behind-the-sofa\n"
        b"20852163\n"
        b"CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
    )


def test_an_ml_dsa_44_cosignature_is_over_a_structure():
    line = ML.cosign(TEXT, NOW)
    assert line.signature[:8] == NOW.to_bytes(8, "big")
    ML.private_key.public_key().verify(
        line.signature[8:],
        b"subtree/v1\n\0"  # label
        b"\x12witness.example/w1"
        b"\x00\x00\x00\x00\x64\x18\x50\xcb"  # timestamp
        b"\x1bexample.com/behind-the-sofa"
        + bytes(8)  # start
        + (20852163).to_bytes(8, "big")  # end
        + decode_base64("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="),
    )


@either
def test_key_ids_hash_name_type_and_key(cosigner):
    key = cosigner.vkey
    assert key.key_id == sha256(b"%s\n%c%s" % (NAME.encode(), key.key_type, key.public_key)).digest()[:4]
    assert VerifierKey.parse(str(key)) == key
    assert (
        key.key_type
        == {64: COSIGNATURE_ED25519, 2420: COSIGNATURE_ML_DSA_44}[
            len(cosigner.cosign(TEXT, NOW).signature) - 8
        ]
    )


def test_both_keys_of_a_witness_are_verified_under_one_name():
    found = cosignatures_of(BOTH, [ED.vkey, ML.vkey])
    assert [(one.key, one.time_s, one.signature) for one in found] == [
        (ED.vkey, NOW, BOTH.signatures[1]),
        (ML.vkey, NOW + 1, BOTH.signatures[2]),
    ]


def test_a_log_s_client_sees_no_difference():
    assert open_checkpoint(BOTH.encode(), ORIGIN, [LOG.vkey, ED.vkey]) == Checkpoint.parse(TEXT)


def test_extension_lines_are_under_an_ed25519_cosignature_and_under_no_ml_dsa_one():
    other = f"{TEXT}extension\n"
    lines = ED.cosign(TEXT, NOW), ML.cosign(TEXT, NOW)
    moved = SignedNote.sign(other, LOG).with_signatures(*lines)
    assert [one.key for one in cosignatures_of(moved, [ML.vkey])] == [ML.vkey]
    assert refused(moved, ED.vkey) == f"cosignature by {ED.vkey.label}: given one that does not verify"


# Other signatures


@either
def test_cosignatures_by_unknown_keys_are_ignored(cosigner):
    assert cosignatures_of(NOTE, [cosigner.vkey]) == ()
    stranger = (ed25519 if cosigner is ED else ml_dsa)(9)
    assert cosignatures_of(BOTH, [stranger.vkey]) == ()
    renamed = Cosigner("witness.example/w2", cosigner.private_key)
    assert cosignatures_of(BOTH, [renamed.vkey]) == ()


@either
def test_the_newest_of_a_key_counts(cosigner):
    lines = [cosigner.cosign(TEXT, time_s) for time_s in (NOW + 1, NOW + 3, NOW + 2)]
    [found] = cosignatures_of(NOTE.with_signatures(*lines), [cosigner.vkey])
    assert (found.time_s, found.signature) == (NOW + 3, lines[1])


@either
def test_a_second_line_that_does_not_verify_spoils_the_first(cosigner):
    good, key = cosigner.cosign(TEXT, NOW), cosigner.vkey
    bad = NoteSignature(good.name, good.key_id, good.signature[:-1] + bytes([good.signature[-1] ^ 1]))
    assert refused(NOTE.with_signatures(good, bad), key) == (
        f"cosignature by {key.label}: given one that does not verify"
    )


@either
def test_signatures_of_another_length(cosigner):
    good, key = cosigner.cosign(TEXT, NOW), cosigner.vkey
    size = len(good.signature)
    for signature in (good.signature[:-1], good.signature + b"\0", good.signature[:8], b"\1"):
        line = NoteSignature(good.name, good.key_id, signature)
        assert refused(NOTE.with_signatures(line), key) == (
            f"cosignature by {key.label}: given {len(signature)} bytes, expected {size} bytes"
        )


@pytest.mark.parametrize("key", [LOG.vkey, VerifierKey(NAME, b"1234", 0x02, b"any")])
def test_keys_that_cosign_nothing(key):
    with pytest.raises(BadInput) as caught:
        cosignatures_of(BOTH, [key])
    assert caught.value.reason is Reason.UNSUPPORTED_ALGORITHM
    assert str(caught.value) == (
        f"key of a witness {key.label}: given type 0x{key.key_type:02x}, "
        "expected 0x04 (Ed25519 cosignature) or 0x06 (ML-DSA-44 cosignature)"
    )


def test_a_log_s_signature_is_no_cosignature_by_the_same_key():
    both = Cosigner(ORIGIN, LOG.private_key)
    assert cosignatures_of(NOTE, [both.vkey]) == ()
    relabelled = NoteSignature(
        ORIGIN, both.vkey.key_id, NOW.to_bytes(8, "big") + NOTE.signatures[0].signature
    )
    assert "does not verify" in refused(NOTE.with_signatures(relabelled), both.vkey)


# Times


@either
@pytest.mark.parametrize("time_s", [0, -1, MAX_TIME_S + 1, 2**64])
def test_no_cosignature_has_such_a_time(cosigner, time_s):
    with pytest.raises(BadInput) as caught:
        cosigner.cosign(TEXT, time_s)
    assert caught.value.reason is Reason.INVALID_REQUEST
    assert str(caught.value) == f"time of a cosignature: given {time_s}, expected 1 to 2**63 - 1 seconds"


@either
@pytest.mark.parametrize("time_s", [0, MAX_TIME_S + 1, 2**64 - 1])
def test_a_line_with_such_a_time(cosigner, time_s):
    good = cosigner.cosign(TEXT, NOW)
    line = NoteSignature(good.name, good.key_id, time_s.to_bytes(8, "big") + good.signature[8:])
    assert refused(NOTE.with_signatures(line), cosigner.vkey) == (
        f"time of the cosignature by {cosigner.vkey.label}: given {time_s}, expected 1 to 2**63 - 1 seconds"
    )


@either
@pytest.mark.parametrize("time_s", [1, MAX_TIME_S])
def test_the_first_and_the_last_time(cosigner, time_s):
    [found] = cosignatures_of(NOTE.with_signatures(cosigner.cosign(TEXT, time_s)), [cosigner.vkey])
    assert found.time_s == time_s


# Texts


@either
@pytest.mark.parametrize(
    "text", ["", "no checkpoint\n", f"{TEXT}\n", TEXT[:-1], TEXT.replace("2085", "02085")]
)
def test_only_checkpoints_are_cosigned(cosigner, text):
    with pytest.raises(BrokenProof) as caught:
        cosigner.cosign(text, NOW)
    assert caught.value.reason is Reason.BAD_CHECKPOINT


def test_names_and_origins_that_do_not_fit_an_ml_dsa_message():
    long = Checkpoint("o" * 256, 1, bytes(32)).text()
    with pytest.raises(BrokenProof) as caught:
        ML.cosign(long, NOW)
    assert str(caught.value) == "origin of a checkpoint: given 256 bytes, expected 1 to 255 bytes"
    with pytest.raises(BrokenProof) as caught:
        ml_dsa(1, "证" * 86).cosign(TEXT, NOW)
    assert str(caught.value) == "name of a witness: given 258 bytes, expected 1 to 255 bytes"
    ml_dsa(1, "证" * 85).cosign(Checkpoint("o" * 255, 1, bytes(32)).text(), NOW)
    ED.cosign(long, NOW)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\n"])
def test_a_cosigner_of_a_bad_name(name):
    with pytest.raises(BadInput) as caught:
        ed25519(1, name).cosign(TEXT, NOW)
    assert caught.value.reason is Reason.BAD_KEY


# Whatever is changed

lines = st.text(st.characters(min_codepoint=0x20, exclude_categories=("Cs",)), min_size=1, max_size=60)
checkpoints = st.builds(
    Checkpoint,
    lines,
    st.integers(0, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
    st.lists(lines, max_size=2).map(tuple),
)


@given(checkpoints, st.integers(1, MAX_TIME_S), st.sampled_from([ED, ML]))
@settings(max_examples=60)
def test_what_is_cosigned_verifies(checkpoint, time_s, cosigner):
    text = checkpoint.text()
    note = SignedNote(text, (cosigner.cosign(text, time_s),))
    [found] = cosignatures_of(SignedNote.parse(note.encode()), [cosigner.vkey])
    assert (found.key, found.time_s) == (cosigner.vkey, time_s)


RAW = BOTH.encode()


@given(st.integers(0, len(RAW) - 1), st.integers(1, 255))
@example(RAW.index(b"w1 ") + 4, 1)
@settings(max_examples=400)
def test_no_byte_can_be_changed_unnoticed(place, change):
    raw = RAW[:place] + bytes([RAW[place] ^ change]) + RAW[place + 1 :]
    try:
        note = SignedNote.parse(raw)
        found = cosignatures_of(note, [ED.vkey, ML.vkey])
    except LedgerError:
        return
    # A line may have become that of a key that nobody knows; what still counts is what was said.
    assert note.text == TEXT
    assert {(one.key, one.time_s) for one in found} <= {(ED.vkey, NOW), (ML.vkey, NOW + 1)}
    assert len(found) < 2 or note.signatures[1:] == BOTH.signatures[1:]


# The vectors of others


def test_wycheproof_ml_dsa_44(shared):
    path = shared / "tlog/wycheproof/testvectors_v1/mldsa_44_verify_test.json"
    outcomes = {"valid": 0, "invalid": 0, "key refused": 0, "other context": 0}
    for group in json.loads(path.read_text())["testGroups"]:
        try:
            key = VerifierKey.of(NAME, bytes.fromhex(group["publicKey"]), COSIGNATURE_ML_DSA_44)
        except BadInput:
            assert all("IncorrectPublicKeyLength" in case["flags"] for case in group["tests"])
            outcomes["key refused"] += len(group["tests"])
            continue
        for case in group["tests"]:
            signed = _is_signed(key, bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"]))
            if case.get("ctx"):
                # Cosignatures are made with the empty context, so one for another context is none.
                assert not signed, case["tcId"]
                outcomes["other context"] += 1
            else:
                assert signed == (case["result"] == "valid"), case["tcId"]
                outcomes[case["result"]] += 1
    assert all(outcomes.values()), outcomes
    assert sum(outcomes.values()) == 180


def test_wycheproof_ed25519(shared):
    cases = 0
    for group in json.loads((shared / "tlog/wycheproof/testvectors_v1/ed25519_test.json").read_text())[
        "testGroups"
    ]:
        key = VerifierKey.of(NAME, bytes.fromhex(group["publicKey"]["pk"]), COSIGNATURE_ED25519)
        for case in group["tests"]:
            signed = _is_signed(key, bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"]))
            assert signed == (case["result"] == "valid"), case["tcId"]
            cases += 1
    assert cases > 100


def test_types_of_witnesses():
    assert COSIGNATURE_TYPES == (COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44)
