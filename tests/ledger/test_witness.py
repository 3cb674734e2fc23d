from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from witnessing import SmallLog

from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.cosignature import Cosigner
from ledger.errors import (
    BadInput,
    BrokenProof,
    Conflict,
    LedgerError,
    NotAuthorized,
    Reason,
    ServiceFault,
)
from ledger.merkle import EMPTY_ROOT
from ledger.note import COSIGNATURE_ED25519, NoteSignature, SignedNote, VerifierKey, encode_base64
from ledger.witness import MAX_REQUEST_BYTES, AddCheckpoint, Submission, http_status, known_logs

LOG = SmallLog()
FORK = SmallLog(since=30, branch="fork")
NEW_KEY = SmallLog(seed=2)
LOGS = known_logs([(LOG.origin, LOG.vkey)])
STEP = LOG.request(40, 70)


def judge(body, latest=None, logs=LOGS):
    """What the checkpoint is that may be cosigned; `latest` is a log's size, a checkpoint or nothing."""
    if isinstance(latest, int):
        latest = LOG.checkpoint(latest)
    submission = AddCheckpoint.parse(body).open(logs)
    submission.require_continues(latest)
    return submission.checkpoint


def refused(body, latest=None, logs=LOGS):
    """Status, reason and message."""
    with pytest.raises(LedgerError) as caught:
        judge(body, latest, logs)
    return http_status(caught.value), caught.value.reason, str(caught.value)


# The request


def test_the_example_of_the_specification(shared):
    page = (shared / "tlog/c2sp-specs/tlog-witness.md").read_text(encoding="utf-8")
    after = page.partition("Example request body:\n\n")[2].partition("\n\nThe witness MUST verify")[0]
    body = "".join(f"{line.removeprefix('    ')}\n" for line in after.split("\n")).encode()
    request = AddCheckpoint.parse(body)
    assert (request.old_size, len(request.proof)) == (20852014, 4)
    assert SignedNote.parse(request.note).text.startswith("example.com/behind-the-sofa\n20852163\n")
    assert request.encode() == body


@given(
    st.integers(0, 2**63 - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63).map(tuple),
    st.binary(max_size=200),
)
def test_requests_round_trip(old_size, proof, note):
    request = AddCheckpoint(old_size, proof, note)
    assert AddCheckpoint.parse(request.encode()) == request


HASH = encode_base64(bytes(32))
OLD = "old <decimal digits without leading zeros>"


@pytest.mark.parametrize(
    ("defect", "head", "message"),
    [
        ("empty", "", f"old size line of an add-checkpoint request: given '', expected {OLD}"),
        *(
            (size, f"old {size}\n\n", f"old size line of an add-checkpoint request: given 'old {size}', expected {OLD}")
            for size in ("", "00", "01", "-1", "+1", "1 ", " 1", "1_0", "0x1", "1.0", "1e3", "1" * 20)
        ),
        ("no old", "1\n\n", f"old size line of an add-checkpoint request: given '1', expected {OLD}"),
        ("capitals", "Old 1\n\n", f"old size line of an add-checkpoint request: given 'Old 1', expected {OLD}"),
        ("tab", "old\t1\n\n", f"old size line of an add-checkpoint request: given 'old\\t1', expected {OLD}"),
        ("CR", "old 1\r\n\r\n", f"old size line of an add-checkpoint request: given 'old 1\\r', expected {OLD}"),
        ("other digits", "old ٣\n\n", "lines above the checkpoint of an add-checkpoint request: given byte 0xd9, expected ASCII"),
        ("too large", f"old {2**63}\n\n", "old size of an add-checkpoint request: given 9223372036854775808, expected 0 to 2**63 - 1"),
        ("no empty line", "old 1\n", "form of an add-checkpoint request: given no empty line, expected old size, proof, an empty line, a checkpoint"),
        ("no base64", "old 1\n!\n\n", "consistency proof of an add-checkpoint request: given '!', expected base64 of a hash"),
        ("bits left over", f"old 1\n{HASH[:-2]}B=\n\n", f"consistency proof of an add-checkpoint request: given '{HASH[:-2]}B=', expected base64 of a hash"),
        ("short hash", "old 1\nAAAA\n\n", "consistency proof of an add-checkpoint request: given a hash of another length, expected hashes of 32 bytes"),
        ("64 hashes", "old 1\n" + f"{HASH}\n" * 64 + "\n", "consistency proof of an add-checkpoint request: given 64 hashes, expected at most 63"),
        ("65 hashes", "old 1\n" + f"{HASH}\n" * 65 + "\n", "consistency proof of an add-checkpoint request: given 64 hashes, expected at most 63"),
    ],
)  # fmt: skip
def test_requests_of_another_form(defect, head, message):
    assert refused(head.encode()) == (400, Reason.INVALID_REQUEST, message), defect


def test_63_hashes_are_read():
    body = b"old 1\n" + f"{HASH}\n".encode() * 63 + b"\n"
    assert AddCheckpoint.parse(body) == AddCheckpoint(1, (bytes(32),) * 63, b"")


def test_a_request_that_is_too_large():
    body = LOG.request(0, 1) + b" " * MAX_REQUEST_BYTES
    given = f"given more than {MAX_REQUEST_BYTES} bytes, expected at most {MAX_REQUEST_BYTES}"
    assert refused(body) == (400, Reason.INVALID_REQUEST, f"body of an add-checkpoint request: {given}")


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"no note",
        b"\n\n",
        b"origin\n1\n\n",
        b"origin\n01\n" + HASH.encode() + b"\n\n",
        b"origin\n1\nshort\n\n",
        b"\n1\n" + HASH.encode() + b"\n\n",
        b"\xff\n1\n" + HASH.encode() + b"\n\n",
        b"origin\n1\n" + HASH.encode() + b"\n",
        b"origin\n1\n" + HASH.encode() + b"\n\nmore\n\n",
    ],
)
def test_a_note_without_a_checkpoint(note):
    status, reason, _ = refused(b"old 0\n\n" + note)
    assert (status, reason) == (400, Reason.INVALID_REQUEST)


def test_a_text_that_only_begins_like_a_checkpoint():
    text = f"{LOG.checkpoint(5).text()}\nbut goes on\n"
    note = SignedNote.sign(text, LOG.signer)  # signed by the log, for whatever purpose
    assert refused(AddCheckpoint(0, (), note.encode()).encode())[0] == 400


# Signatures


def with_signatures(*lines, size=70):
    return AddCheckpoint(0, (), SignedNote(LOG.checkpoint(size).text(), lines).encode()).encode()


SIGNED = LOG.signer.sign(LOG.checkpoint(70).text())
STRANGER = SmallLog(seed=9).signer


def test_a_log_that_is_not_watched():
    assert refused(SmallLog("other.example").request(0, 1)) == (
        404,
        Reason.NOT_FOUND,
        "unknown log: given 'other.example', expected a log watched here",
    )
    assert refused(LOG.request(0, 1), logs={})[0] == 404


def test_no_signature_by_the_log():
    status, reason, message = refused(SmallLog(seed=9).request(0, 1))
    assert (status, reason) == (403, Reason.BAD_SIGNATURE)
    assert message == (
        f"invalid signature: signatures of the note: given 1 by unknown keys, expected one by {LOG.vkey.label}"
    )


@pytest.mark.parametrize(
    ("defect", "line"),
    [
        ("other text", LOG.signer.sign(LOG.checkpoint(71).text())),
        ("another's signature", NoteSignature(LOG.origin, LOG.vkey.key_id, STRANGER.sign("x\n").signature)),
        ("cut off", NoteSignature(LOG.origin, LOG.vkey.key_id, SIGNED.signature[:-1])),
    ],
)
def test_a_signature_that_does_not_verify(defect, line):
    message = f"invalid signature: signature of the note by {LOG.vkey.label}: given one that does not verify"
    assert refused(with_signatures(line)) == (403, Reason.BAD_SIGNATURE, message), defect
    # Not even beside one that does.
    assert refused(with_signatures(SIGNED, line)) == (403, Reason.BAD_SIGNATURE, message), defect


def test_a_line_that_spells_no_signature():
    body = LOG.request(0, 70)
    for raw in (body[:-5] + b"\n", body[:-1], body + b"more\n", body.replace("—".encode(), b"-")):
        status, reason, message = refused(raw)
        assert (status, reason) == (403, Reason.BAD_SIGNATURE)
        assert message.startswith("invalid signature: ")


def test_unknown_signatures_are_ignored_and_not_kept():
    text = LOG.checkpoint(70).text()
    witness = Cosigner("witness.example", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    lines = [
        STRANGER.sign(text),
        witness.cosign(text, 7),
        SIGNED,
        NoteSignature(LOG.origin, b"0000", b"x"),
        SIGNED,
    ]
    submission = AddCheckpoint.parse(with_signatures(*lines)).open(LOGS)
    assert submission.note == SignedNote(text, (SIGNED,))


def test_a_log_that_changes_its_key():
    both = known_logs([(LOG.origin, LOG.vkey), (LOG.origin, NEW_KEY.vkey), (LOG.origin, LOG.vkey)])
    assert both == {LOG.origin: (LOG.vkey, NEW_KEY.vkey)}
    text = LOG.checkpoint(70).text()
    for signers in [(LOG.signer,), (NEW_KEY.signer,), (NEW_KEY.signer, LOG.signer)]:
        note = SignedNote.sign(text, *signers)
        submission = AddCheckpoint(0, (), note.encode()).open(both)
        assert {line.key_id for line in submission.note.signatures} == {one.vkey.key_id for one in signers}
    bad = NoteSignature(LOG.origin, LOG.vkey.key_id, bytes(64))
    assert refused(with_signatures(NEW_KEY.signer.sign(text), bad), logs=both)[0] == 403


def test_a_key_whose_name_is_not_the_origin():
    key = SmallLog("key.example").signer
    logs = known_logs([(LOG.origin, key.vkey)])
    note = SignedNote.sign(LOG.checkpoint(3).text(), key)
    assert judge(AddCheckpoint(0, (), note.encode()).encode(), logs=logs) == LOG.checkpoint(3)


# Sizes, roots, proofs


def test_the_first_checkpoint():
    assert judge(LOG.request(0, 70)) == LOG.checkpoint(70)
    assert judge(LOG.request(0, 0)) == LOG.checkpoint(0)
    assert judge(LOG.request(0, 70), 0) == LOG.checkpoint(70)


def test_a_log_that_grew():
    for old in range(1, 71):
        assert judge(LOG.request(old, 70), old) == LOG.checkpoint(70)


def test_the_same_checkpoint_again():
    for size in (0, 1, 64, 70):
        assert judge(LOG.request(size, size), size) == LOG.checkpoint(size)


def test_an_old_size_above_the_checkpoint_s():
    body = AddCheckpoint(71, (), LOG.note(70)).encode()
    message = (
        "old size of an add-checkpoint request: given 71, expected at most 70, the size of the checkpoint"
    )
    assert refused(body, 71) == (400, Reason.INVALID_REQUEST, message)


@pytest.mark.parametrize(("old", "latest"), [(40, 50), (40, 39), (0, 50), (40, None), (40, 0), (69, 90)])
def test_an_old_size_that_is_not_the_latest(old, latest):
    with pytest.raises(Conflict) as caught:
        judge(LOG.request(old, 70), latest)
    error = caught.value
    assert (http_status(error), error.reason) == (409, Reason.STALE_SIZE)
    assert error.expected == str(latest or 0)
    assert str(error) == f"old size for {LOG.origin}: given {old}, expected {latest or 0}"


def test_the_empty_tree_with_another_root():
    bad = Checkpoint(LOG.origin, 0, bytes(32))
    body = AddCheckpoint(0, (), sign_checkpoint(bad, LOG.signer)).encode()
    assert refused(body) == (
        422,
        Reason.BAD_CHECKPOINT,
        f"root of {LOG.origin} at size 0: given {bytes(32).hex()}, expected {EMPTY_ROOT.hex()}",
    )


def test_a_proof_where_none_is_needed():
    for old, new in ((0, 70), (0, 0), (70, 70)):
        body = AddCheckpoint(old, (bytes(32),), LOG.note(new)).encode()
        assert refused(body, old or None) == (
            422,
            Reason.BAD_CONSISTENCY_PROOF,
            f"hashes in the consistency proof from {old} to {new} leaves: given 1, expected 0",
        )


def test_the_same_size_with_another_root():
    status, reason, message = refused(FORK.request(70, 70), 70)
    assert (status, reason) == (422, Reason.FORK)
    given, expected = FORK.checkpoint(70).root.hex(), LOG.checkpoint(70).root.hex()
    assert message == f"root of {LOG.origin} at size 70: given {given}, expected {expected}"


def test_another_history():
    assert judge(FORK.request(20, 70), 20) == FORK.checkpoint(70)
    for old in range(31, 70):
        status, reason, _ = refused(FORK.request(old, 70), old)
        assert (status, reason) == (422, Reason.BAD_CONSISTENCY_PROOF)


def test_a_proof_that_is_cut_off_too_long_or_changed():
    proof = LOG.proof(40, 70)
    for wrong in (proof[:-1], (*proof, bytes(32)), proof[::-1], (), (bytes(32), *proof[1:])):
        status, reason, _ = refused(AddCheckpoint(40, wrong, LOG.note(70)).encode(), 40)
        assert (status, reason) == (422, Reason.BAD_CONSISTENCY_PROOF)


def test_the_order_of_the_checks():
    """Requests with every later fault in them too."""
    bad_root = sign_checkpoint(Checkpoint(LOG.origin, 0, bytes(32)), LOG.signer)
    stranger = SmallLog(seed=9)
    for body, status in [
        (b"old 01\n\n" + SmallLog("other.example", seed=9).note(5), 400),
        (AddCheckpoint(9, (bytes(32),), SmallLog("other.example", seed=9).note(5)).encode(), 404),
        (AddCheckpoint(9, (bytes(32),), stranger.note(5)).encode(), 403),
        (AddCheckpoint(9, (bytes(32),), FORK.note(5)).encode(), 400),
        (AddCheckpoint(5, (bytes(32),), FORK.note(50)).encode(), 409),
        (AddCheckpoint(0, (bytes(32),), bad_root).encode(), 409),
        (AddCheckpoint(50, (bytes(32),), FORK.note(50)).encode(), 422),
    ]:
        assert refused(body, 50)[0] == status


# What proves misbehaviour


def submission(log, old, new):
    return AddCheckpoint.parse(log.request(old, new)).open(LOGS)


def test_what_contradicts():
    latest = LOG.checkpoint(70)
    assert submission(FORK, 70, 70).contradicts(latest)
    # Whatever old size the client believed in: the two notes speak for themselves.
    assert submission(FORK, 0, 70).contradicts(latest)
    assert not submission(LOG, 0, 70).contradicts(latest)
    assert not submission(FORK, 70, 71).contradicts(latest)
    assert not submission(FORK, 0, 70).contradicts(None)
    bad = Submission(Checkpoint(LOG.origin, 0, bytes(32)), SignedNote("x\n", (SIGNED,)), 0, ())
    assert bad.contradicts(None)
    assert bad.contradicts(latest)
    assert not submission(LOG, 0, 0).contradicts(None)
    assert not submission(LOG, 0, 0).contradicts(latest)


# Logs to watch


@pytest.mark.parametrize(
    ("origin", "key", "reason"),
    [
        (
            LOG.origin,
            VerifierKey.of("w", LOG.vkey.public_key, COSIGNATURE_ED25519),
            Reason.UNSUPPORTED_ALGORITHM,
        ),
        ("", LOG.vkey, Reason.INVALID_REQUEST),
        ("two\nlines", LOG.vkey, Reason.INVALID_REQUEST),
        ("o" * 256, LOG.vkey, Reason.INVALID_REQUEST),
        ("日" * 86, LOG.vkey, Reason.INVALID_REQUEST),
    ],
)
def test_logs_that_cannot_be_watched(origin, key, reason):
    with pytest.raises(BadInput) as caught:
        known_logs([(origin, key)])
    assert caught.value.reason is reason


def test_the_statuses():
    for error, status in [
        (BadInput(Reason.INVALID_REQUEST, "x"), 400),
        (NotAuthorized(Reason.BAD_SIGNATURE, "x"), 403),
        (Conflict(Reason.NOT_FOUND, "x"), 404),
        (Conflict(Reason.STALE_SIZE, "x"), 409),
        (BrokenProof(Reason.FORK, "x"), 422),
        (ServiceFault(Reason.STORE_UNAVAILABLE, "x"), 503),
    ]:
        assert http_status(error) == status


# Whatever comes


@given(st.integers(0, len(STEP) - 1), st.integers(1, 255))
@settings(max_examples=500)
def test_no_byte_of_a_request_can_be_changed(place, change):
    raw = STEP[:place] + bytes([STEP[place] ^ change]) + STEP[place + 1 :]
    with pytest.raises(LedgerError) as caught:
        judge(raw, 40)
    assert http_status(caught.value) in {400, 403, 404, 409, 422}


@given(st.binary(max_size=300))
def test_whatever_is_sent_is_refused_with_a_status(raw):
    assert refused(raw)[0] in {400, 403, 404}


@given(st.lists(st.tuples(st.sampled_from([LOG, FORK, SmallLog(since=60, branch="late")]),
                          st.integers(0, 99), st.integers(0, 99)), max_size=30))  # fmt: skip
def test_what_was_cosigned_is_always_one_history(requests):
    latest, cosigned = None, []
    for log, believed, new in requests:
        size = 0 if latest is None else latest.size
        # Mostly with the right old size: the others are all refused alike.
        old = min(size if believed % 3 else believed, new)
        try:
            latest = judge(log.request(old, new), latest)
        except (Conflict, BrokenProof):
            continue
        cosigned.append(latest)
    assert [one.size for one in cosigned] == sorted(one.size for one in cosigned)
    if cosigned:
        # One of the three has them all as its own heads.
        assert any(
            all(log.checkpoint(one.size) == one for one in cosigned)
            for log in (LOG, FORK, SmallLog(since=60, branch="late"))
        )
