from __future__ import annotations

import base64
import json
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import BadInput, BrokenProof, LedgerError, Reason
from ledger.note import (
    COSIGNATURE_ED25519,
    COSIGNATURE_ML_DSA_44,
    ED25519,
    MAX_NOTE_SIZE,
    MAX_SIGNATURES,
    NoteSignature,
    NoteSigner,
    SignedNote,
    VerifierKey,
    decode_base64,
    encode_base64,
)

TEXT = "The first line.\n\nThe last line: 溯源.\n"


def signer(name="example.com/log", seed=1):
    return NoteSigner(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


LOG, WITNESS, STRANGER = signer(), signer("example.com/witness", 2), signer("example.com/stranger", 3)
NOTE = SignedNote.sign(TEXT, LOG, WITNESS)
LOG_ONLY = NOTE.signatures[:1]
NOT_VERIFIED = "signature of the note by example.com/log+{}: given one that does not verify"


def note_of(line):
    return f"text\n\n{line}\n".encode()


def spelt(*parts):
    return base64.b64encode(b"".join(parts)).decode()


def refused(note):
    with pytest.raises(BrokenProof) as caught:
        SignedNote.parse(note)
    assert caught.value.reason is Reason.BAD_NOTE
    return str(caught.value)


# The vectors of others


@pytest.fixture(scope="module")
def vectors(shared):
    return json.loads((shared / "tlog/derived/signed_note_vectors.json").read_text())


def test_note_vectors(vectors):
    outcomes = []
    for case in vectors["notes"]:
        note, key = case["note"].encode(), VerifierKey.parse(case["vkey"])
        assert str(key) == case["vkey"]
        if case["valid"]:
            parsed = SignedNote.parse(note)
            assert parsed.verify([key]) == (key,)
            assert parsed.encode() == note
        else:
            with pytest.raises(BrokenProof) as caught:
                SignedNote.parse(note).verify([key])
            assert caught.value.reason is Reason.BAD_NOTE
        outcomes.append((case["name"], case["valid"]))
    assert [name for name, valid in outcomes if valid] == [
        "x/mod sumdb/note ExampleSign",
        "C2SP signed-note example",
    ]
    assert len(outcomes) == 9


def test_signing_reproduces_a_note_of_others(vectors):
    case = vectors["notes"][0]
    name, _, seed = case["skey"].removeprefix("PRIVATE+KEY+").split("+", 2)
    private_key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(seed)[1:])
    one = NoteSigner(name, private_key)
    assert str(one.vkey) == case["vkey"]
    text = case["note"][: case["note"].rindex("\n\n") + 1]
    assert SignedNote.sign(text, one).encode() == case["note"].encode()


def test_bad_vkey_vectors(vectors):
    messages = []
    for vkey in vectors["bad_vkeys"]:
        with pytest.raises(BadInput) as caught:
            VerifierKey.parse(vkey)
        messages.append((caught.value.reason, str(caught.value)))
    assert messages == [
        (
            Reason.BAD_KEY,
            (
                "verifier key: given 'PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10…', "
                "expected <name>+<8 lowercase hexadecimal digits>+<base64>"
            ),
        ),
        (
            Reason.UNSUPPORTED_ALGORITHM,
            "type of verifier key 'PeterNeumann': given 0x65, expected 0x01, 0x02, 0x04, 0x05, 0x06, 0xff",
        ),
    ]


def test_checkpoints_of_the_specifications_are_notes(shared):
    for name in ("tlog-checkpoint.md", "tlog-cosignature.md"):
        text = (shared / "tlog/c2sp-specs" / name).read_text()
        begin = text.index("```\nexample.com/behind-the-sofa") + 4
        note = text[begin : text.index("```", begin)].encode()
        assert SignedNote.parse(note).encode() == note


# Base64


@given(st.binary(max_size=80))
def test_base64_round_trips(value):
    assert decode_base64(encode_base64(value)) == value == base64.b64decode(encode_base64(value))


@pytest.mark.parametrize(
    ("defect", "text"),
    [
        ("bits left over", "QR=="),
        ("bits left over in three", "QUF="),
        ("no padding", "QQ"),
        ("too much padding", "QUI=="),
        ("padding within", "QQ==QQ=="),
        ("URL alphabet", "-_8="),
        ("blank", "QU I="),
        ("newline", "QUI=\n"),
        ("full-width letter", "ＱUI="),
    ],
)
def test_other_spellings_of_base64(defect, text):
    assert decode_base64(text) is None, defect


# Verifier keys


def test_key_id_follows_the_specification():
    public_key = LOG.private_key.public_key().public_bytes_raw()
    for key_type in (ED25519, COSIGNATURE_ED25519):
        key = VerifierKey.of("example.com/log", public_key, key_type)
        expected = sha256(b"example.com/log\n" + bytes([key_type]) + public_key).digest()[:4]
        assert key.key_id == expected
        assert str(key) == f"example.com/log+{expected.hex()}+{spelt(bytes([key_type]), public_key)}"
        assert VerifierKey.parse(str(key)) == key
        assert key.label == f"example.com/log+{expected.hex()}"
    assert LOG.vkey == VerifierKey.of("example.com/log", public_key)


names = st.text(min_size=1, max_size=20).filter(
    lambda name: not any(letter.isspace() or letter == "+" or letter < " " for letter in name)
)


@settings(deadline=None)
@given(names, st.binary(min_size=32, max_size=32), st.binary(min_size=4, max_size=4), st.binary(max_size=99))
def test_vkeys_round_trip(name, public_key, key_id, material):
    keys = [VerifierKey.of(name, public_key, key_type) for key_type in (ED25519, COSIGNATURE_ED25519)]
    keys += [VerifierKey(name, key_id, key_type, material) for key_type in (0x02, 0x05, 0xFF)]
    keys.append(VerifierKey.of(name, public_key * 41, COSIGNATURE_ML_DSA_44))
    for key in keys:
        assert VerifierKey.parse(str(key)) == key


GOOD_VKEY = str(LOG.vkey)
KEY_ID, MATERIAL = GOOD_VKEY.split("+", 2)[1:]


@pytest.mark.parametrize(
    ("defect", "vkey"),
    [
        ("empty", ""),
        ("no name", f"+{KEY_ID}+{MATERIAL}"),
        ("no key", f"example.com/log+{KEY_ID}"),
        ("empty key", f"example.com/log+{KEY_ID}+"),
        ("blank in the name", f"example.com /log+{KEY_ID}+{MATERIAL}"),
        ("no-break space in the name", f"example.com\u00a0/log+{KEY_ID}+{MATERIAL}"),
        ("line separator in the name", f"example.com\u2028/log+{KEY_ID}+{MATERIAL}"),
        ("next line in the name", f"example.com\u0085/log+{KEY_ID}+{MATERIAL}"),
        ("control character in the name", f"example.com\x07/log+{KEY_ID}+{MATERIAL}"),
        ("lone surrogate in the name", f"example.com\ud800/log+{KEY_ID}+{MATERIAL}"),
        ("another name", f"example.com/other+{KEY_ID}+{MATERIAL}"),
        ("plus in the name", f"example.com+log+{KEY_ID}+{MATERIAL}"),
        ("id in capitals", f"example.com/log+{KEY_ID.upper()}+{MATERIAL}"),
        ("id of another key", f"example.com/log+00000000+{MATERIAL}"),
        ("id of seven digits", f"example.com/log+{KEY_ID[1:]}+{MATERIAL}"),
        ("id with full-width digit", f"example.com/log+１{KEY_ID[1:]}+{MATERIAL}"),
        ("key not base64", f"example.com/log+{KEY_ID}+{MATERIAL}="),
        ("key with bits left over", "example.com/log+00000000+AkF="),
        ("trailing newline", f"{GOOD_VKEY}\n"),
        ("leading blank", f" {GOOD_VKEY}"),
    ],
)
def test_bad_vkeys(defect, vkey):
    with pytest.raises(BadInput) as caught:
        VerifierKey.parse(vkey)
    assert caught.value.reason is Reason.BAD_KEY, defect


def test_bad_keys_are_told():
    public_key = LOG.vkey.public_key
    for make, message in [
        (
            lambda: VerifierKey.parse("x"),
            "verifier key: given 'x', expected <name>+<8 lowercase hexadecimal digits>+<base64>",
        ),
        (
            lambda: VerifierKey.parse(f"example.com/log+00000000+{MATERIAL}"),
            f"id of verifier key 'example.com/log': given 00000000, expected {KEY_ID}",
        ),
        (
            lambda: VerifierKey.of("a b", public_key),
            (
                "name of a verifier key: given 'a b', "
                "expected a name without blanks, plus signs and control characters"
            ),
        ),
        (
            lambda: VerifierKey("a", b"123", ED25519, public_key),
            "id of verifier key 'a': given 3 bytes, expected 4 bytes",
        ),
        (
            lambda: VerifierKey.of("a", public_key + b"x"),
            "Ed25519 key 'a': given 33 bytes, expected 32 bytes",
        ),
        (
            lambda: VerifierKey.of("a", public_key, COSIGNATURE_ML_DSA_44),
            "ML-DSA-44 cosignature key 'a': given 32 bytes, expected 1312 bytes",
        ),
    ]:
        with pytest.raises(BadInput) as caught:
            make()
        assert str(caught.value) == message
        assert caught.value.reason is Reason.BAD_KEY


def test_keys_whose_id_does_not_follow_from_them():
    for key_type in (0x02, 0x03, 0x05, 0xFF, 300):
        with pytest.raises(BadInput) as caught:
            VerifierKey.of("a", bytes(32), key_type)
        assert caught.value.reason is Reason.UNSUPPORTED_ALGORITHM


# Signing and verifying


def test_sign_encode_parse_verify():
    assert SignedNote.parse(NOTE.encode()) == NOTE
    assert NOTE.encode().decode() == f"{TEXT}\n{NOTE.signatures[0]}\n{NOTE.signatures[1]}\n"
    assert NOTE.verify([LOG.vkey]) == (LOG.vkey,)
    assert NOTE.verify([WITNESS.vkey, LOG.vkey, STRANGER.vkey]) == (WITNESS.vkey, LOG.vkey)
    assert NOTE.verify([LOG.vkey, LOG.vkey]) == (LOG.vkey,)
    assert NOTE.signatures_of(LOG.vkey) == NOTE.signatures[:1]
    assert NOTE.signatures_of(STRANGER.vkey) == ()


def test_signatures_by_unknown_keys_are_ignored():
    _, by_witness = NOTE.signatures
    broken = NoteSignature(by_witness.name, by_witness.key_id, b"rubbish")
    note = SignedNote(TEXT, (broken, NOTE.signatures[0]))
    assert note.verify([LOG.vkey]) == (LOG.vkey,)
    # Neither the same name nor the same id alone makes it a known key's.
    same_name = NoteSignature(LOG.name, by_witness.key_id, bytes(64))
    same_id = NoteSignature("example.com/other", LOG.vkey.key_id, bytes(64))
    assert NOTE.with_signatures(same_name, same_id).verify([LOG.vkey]) == (LOG.vkey,)


@pytest.mark.parametrize(
    ("defect", "signature"),
    [
        ("zeros", bytes(64)),
        ("too short", NOTE.signatures[0].signature[:-1]),
        ("too long", NOTE.signatures[0].signature + b"\x00"),
        ("of one byte", b"x"),
        ("over another text", LOG.sign("another text\n").signature),
        ("by another key", NOTE.signatures[1].signature),
    ],
)
def test_one_bad_signature_of_a_known_key_refuses_the_note(defect, signature):
    bad = NoteSignature(LOG.name, LOG.vkey.key_id, signature)
    for signatures in [
        (bad,),
        (NOTE.signatures[1], bad),
        (NOTE.signatures[0], bad),
        (bad, NOTE.signatures[0]),
    ]:
        with pytest.raises(BrokenProof) as caught:
            SignedNote(TEXT, signatures).verify([WITNESS.vkey, LOG.vkey])
        assert str(caught.value) == NOT_VERIFIED.format(KEY_ID), defect
        assert caught.value.reason is Reason.BAD_NOTE


def test_a_note_that_no_known_key_signed():
    with pytest.raises(BrokenProof) as caught:
        NOTE.verify([STRANGER.vkey])
    assert str(caught.value) == (
        f"signatures of the note: given 2 by unknown keys, expected one by {STRANGER.vkey.label}"
    )
    with pytest.raises(BrokenProof) as caught:
        NOTE.verify([])
    assert str(caught.value) == (
        "signatures of the note: given 2 by unknown keys, expected one by a known key, but no key was given"
    )


def test_keys_that_cannot_verify_a_note():
    cosigner = VerifierKey.of("example.com/witness", WITNESS.vkey.public_key, COSIGNATURE_ED25519)
    with pytest.raises(BadInput) as caught:
        NOTE.verify([LOG.vkey, cosigner])
    assert str(caught.value) == (
        f"verifying a note with {cosigner.label}: "
        "given key type 0x04 (Ed25519 cosignature), expected 0x01 (Ed25519)"
    )
    assert caught.value.reason is Reason.UNSUPPORTED_ALGORITHM


def test_two_keys_of_one_name_and_id_are_refused():
    # A true collision of 32 bits takes minutes to find; a class without the check stands in for it.
    other = object.__new__(VerifierKey)
    for field, value in {
        "name": LOG.name,
        "key_id": LOG.vkey.key_id,
        "key_type": ED25519,
        "public_key": WITNESS.vkey.public_key,
    }.items():
        object.__setattr__(other, field, value)
    with pytest.raises(BadInput) as caught:
        NOTE.verify([LOG.vkey, other])
    assert str(caught.value) == (
        f"verifying a note with {LOG.vkey.label}: given two different keys of this name and id, expected one"
    )
    assert caught.value.reason is Reason.BAD_KEY


def test_every_flipped_bit_breaks_the_note():
    note = NOTE.encode()
    keys = [LOG.vkey, WITNESS.vkey]
    for position in range(len(note)):
        for bit in range(8):
            changed = note[:position] + bytes([note[position] ^ 1 << bit]) + note[position + 1 :]
            try:
                parsed = SignedNote.parse(changed)
                verified = parsed.verify(keys)
            except BrokenProof as error:
                assert error.reason is Reason.BAD_NOTE  # noqa: PT017 - which of two calls raises is beside the point
                continue
            # What survives is a signature line that is now by an unknown key.
            assert parsed.text == TEXT
            assert len(verified) == 1


def test_adding_signatures_leaves_the_rest_as_it_is():
    grown = NOTE.with_signatures(STRANGER.sign(TEXT))
    assert grown.encode() == NOTE.encode() + f"{STRANGER.sign(TEXT)}\n".encode()
    assert grown.verify([STRANGER.vkey, LOG.vkey]) == (STRANGER.vkey, LOG.vkey)
    assert len(NOTE.signatures) == 2


def test_signature_lines_round_trip():
    for signature in NOTE.signatures:
        assert NoteSignature.parse(str(signature)) == signature


@settings(deadline=None)
@given(
    st.text(max_size=80),
    st.lists(st.tuples(names, st.binary(min_size=5, max_size=99)), min_size=1, max_size=5),
)
def test_notes_round_trip(text, lines):
    text = "".join(letter for letter in text if letter >= " " or letter == "\n") + "\n"
    note = SignedNote(text, tuple(NoteSignature(name, blob[:4], blob[4:]) for name, blob in lines))
    assert SignedNote.parse(note.encode()) == note
    signed = note.with_signatures(LOG.sign(text))
    if all(name != LOG.name for name, _ in lines):
        assert SignedNote.parse(signed.encode()).verify([LOG.vkey]) == (LOG.vkey,)


# Limits


def test_as_many_signatures_as_the_limit_says():
    strangers = [
        NoteSignature(f"example.com/{number}", b"1234", bytes(5000)) for number in range(MAX_SIGNATURES)
    ]
    for count in (1, 16, MAX_SIGNATURES - 1):
        note = SignedNote(TEXT, (*strangers[:count], *LOG_ONLY))
        assert SignedNote.parse(note.encode()).verify([LOG.vkey]) == (LOG.vkey,)
    with pytest.raises(BrokenProof) as caught:
        SignedNote(TEXT, (*strangers, *LOG_ONLY))
    assert str(caught.value) == "signatures of a note: given 101, expected 1 to 100"
    lines = "".join(f"{stranger}\n" for stranger in strangers)
    full = f"text\n\n{lines}".encode()
    assert len(SignedNote.parse(full).signatures) == MAX_SIGNATURES
    assert refused(full + f"{strangers[0]}\n".encode()) == str(caught.value)
    assert refused(b"\n\n" + b"x\n" * 400_000) == "signatures of a note: given 400000, expected 1 to 100"


def test_as_long_as_the_limit_says():
    rest = len(SignedNote("\n", LOG_ONLY).encode())
    text = "x" * (MAX_NOTE_SIZE - rest) + "\n"
    note = SignedNote.sign(text, LOG)
    assert len(note.encode()) == MAX_NOTE_SIZE
    assert SignedNote.parse(note.encode()).verify([LOG.vkey]) == (LOG.vkey,)
    with pytest.raises(BrokenProof) as caught:
        SignedNote.sign("x" + text, LOG)
    assert str(caught.value) == "size of a note: given 1000001 bytes, expected at most 1000000 bytes"
    assert refused(bytes(MAX_NOTE_SIZE + 1)) == str(caught.value)


# Strictness


LINE = str(NOTE.signatures[0])
NAME, BLOB = LINE.split(" ")[1:]


@pytest.mark.parametrize(
    ("defect", "note"),
    [
        ("empty", b""),
        ("one newline", b"\n"),
        ("two newlines", b"\n\n"),
        ("no text at all", f"\n{LINE}\n".encode()),
        ("no signatures", b"text\n\n"),
        ("no empty line", f"text\n{LINE}\n".encode()),
        ("no newline at the end", f"text\n\n{LINE}".encode()),
        ("empty line after the signatures", f"text\n\n{LINE}\n\n".encode()),
        ("carriage returns", f"text\r\n\r\n{LINE}\r\n".encode()),
        ("carriage return at the end", note_of(f"{LINE}\r")),
        ("tab in the text", f"te\txt\n\n{LINE}\n".encode()),
        ("NUL in the text", f"te\x00xt\n\n{LINE}\n".encode()),
        ("unit separator in the text", f"te\x1fxt\n\n{LINE}\n".encode()),
        ("not UTF-8", b"te\xffxt\n\n" + f"{LINE}\n".encode()),
        ("surrogate in UTF-8", b"te\xed\xa0\x80xt\n\n" + f"{LINE}\n".encode()),
        ("overlong UTF-8", b"te\xc0\xafxt\n\n" + f"{LINE}\n".encode()),
        ("hyphen for the dash", note_of(f"- {NAME} {BLOB}")),
        ("en dash for the em dash", note_of(f"– {NAME} {BLOB}")),
        ("no blank after the dash", note_of(f"—{NAME} {BLOB}")),
        ("two blanks after the dash", note_of(f"—  {NAME} {BLOB}")),
        ("two blanks after the name", note_of(f"— {NAME}  {BLOB}")),
        ("no-break space", note_of(f"—\u00a0{NAME} {BLOB}")),
        ("leading blank", note_of(f" {LINE}")),
        ("trailing blank", note_of(f"{LINE} ")),
        ("no name", note_of(f"—  {BLOB}")),
        ("no signature", note_of(f"— {NAME} ")),
        ("name only", note_of(f"— {NAME}")),
        ("plus in the name", note_of(f"— a+b {BLOB}")),
        ("ideographic space in the name", note_of(f"— a\u3000b {BLOB}")),
        ("line separator in the name", note_of(f"— a\u2028b {BLOB}")),
        ("id without signature", note_of(f"— {NAME} {spelt(b'1234')}")),
        ("less than an id", note_of(f"— {NAME} {spelt(b'123')}")),
        ("signature without padding", note_of(f"— {NAME} {BLOB.rstrip('=')}")),
        ("signature in URL alphabet", note_of(f"— {NAME} -_{BLOB[2:]}")),
        ("bits left over", note_of(f"— {NAME} MTIzNDV=")),
        ("a good and a bad line", f"text\n\n{LINE}\nrubbish\n".encode()),
    ],
)
def test_bytes_that_are_no_note(defect, note):
    assert refused(note), defect


def test_what_looks_odd_but_is_a_note():
    for text in ("\n", "\n\n", "a\n\nb\n", f"text\n\n{LINE}\n", "\u2028\u0085\x7f\n", "\ufeffa\n"):
        note = SignedNote.sign(text, LOG).encode()
        parsed = SignedNote.parse(note)
        assert parsed.text == text
        assert parsed.encode() == note
        assert parsed.verify([LOG.vkey]) == (LOG.vkey,)


def test_refusals_name_what_is_wrong():
    assert refused(b"text\n") == (
        "form of a note: given 'text\\n', "
        "expected text, an empty line and at least one signature line, each ending in a newline"
    )
    assert refused(b"\xff") == "encoding of a note: given invalid start byte at byte 0, expected UTF-8"
    assert refused(note_of("rubbish")) == ("signature line: given 'rubbish', expected — <key name> <base64>")
    assert refused(note_of(f"— a {spelt(b'1234')}")) == (
        "signature by 'a': given 4 and 0 bytes, expected a key id of 4 bytes and a signature"
    )
    assert refused(f"a\tb\n\n{LINE}\n".encode()) == (
        "text of a note: given '\\t', expected no control characters but newlines, the last of them at the end"
    )
    assert len(refused(note_of("x" * 100_000))) < 200
    assert len(refused(note_of(f"— {'+' * 100_000} {BLOB}"))) < 250


@pytest.mark.parametrize("text", ["", "no newline", "a\x00\n", "a\rb\n", "\ud800\n"])
def test_texts_that_cannot_be_signed(text):
    for sign in (
        lambda: LOG.sign(text),
        lambda: SignedNote(text, LOG_ONLY),
        lambda: SignedNote.sign(text, LOG),
    ):
        with pytest.raises(BrokenProof) as caught:
            sign()
        assert caught.value.reason is Reason.BAD_NOTE


def test_notes_need_a_signature_and_signers_a_name():
    with pytest.raises(BrokenProof, match="signatures of a note: given 0, expected 1 to 100"):
        SignedNote.sign(TEXT)
    for name in ("", "a b", "a+b", "a\nb", "\ud800"):
        with pytest.raises(BadInput, match="name of a verifier key"):
            signer(name).sign(TEXT)
        with pytest.raises(BrokenProof, match="key name of a signature"):
            NoteSignature(name, b"1234", b"x")


@settings(deadline=None)
@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))
    | st.builds(
        lambda text, line: f"{text}\n\n— {line}\n".encode(), st.text(max_size=40), st.text(max_size=60)
    )
)
def test_random_bytes_are_refused_or_a_note(note):
    try:
        parsed = SignedNote.parse(note)
    except LedgerError:
        return
    assert parsed.encode() == note
    with pytest.raises(BrokenProof):
        parsed.verify([LOG.vkey])


@settings(deadline=None)
@given(st.text() | st.from_regex(r"[a-z ]+\+[0-9a-f]{8}\+A[A-Za-z0-9+/]{43}=*"))
def test_random_vkeys_are_refused_or_canonical(vkey):
    try:
        key = VerifierKey.parse(vkey)
    except LedgerError:
        return
    assert str(key) == vkey
