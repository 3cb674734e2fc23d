"""A client that demands witnesses: nothing is believed that no quorum has seen.

The witnesses here cosign whatever stands in front of the real service shows them; real ones are in
tests/clients/witness and tests/server.
"""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from lying import CITY_SIGNER, cosigning, head_of, prove_growth, refusal, refusing, signed
from world import ORIGIN, TEA, City, Log, signing_key

from clients.follower import Follower
from clients.sdk import FileTrust, LedgerClient, Policy
from clients.trust import MemoryTrust
from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.contradiction import Contradiction
from ledger.cosignature import Cosigner, cosignatures_of
from ledger.errors import BadInput, BrokenProof, Reason
from ledger.note import NoteSigner, SignedNote, VerifierKey
from suyuan.v1 import ledger_service_pb2 as pb

WITNESSES = [Cosigner(f"witness.test/{name}", signing_key(name)._key) for name in ("w1", "w2", "w3")]
STRANGER = Cosigner("witness.test/w1", signing_key("stranger")._key)
AT_S = 1_790_000_000


def policy(vkey, quorum="any") -> Policy:
    """A policy over the three witnesses."""
    lines = [f"log {vkey}"]
    lines += [f"witness w{number} {witness.vkey}" for number, witness in enumerate(WITNESSES, 1)]
    lines += [f"group all {quorum} w1 w2 w3", "quorum all", ""]
    return Policy.parse("\n".join(lines).encode())


def cosigned(note: bytes, *witnesses: Cosigner) -> bytes:
    """A checkpoint with cosignatures."""
    opened = SignedNote.parse(note)
    return opened.with_signatures(*(one.cosign(opened.text, AT_S) for one in witnesses)).encode()


@pytest.fixture
def seen(liar, town):
    """Has the service answer with cosigned checkpoints, by those witnesses that are in the list."""
    witnesses = list(WITNESSES[:2])

    def cosign(request, answer):
        cosigning(town.service, *witnesses)(request, answer)

    liar.tell("GetCheckpoint", cosign)
    return witnesses


@pytest.fixture
def demanding(liar, town):
    """A client that wants two of three."""
    wanted = policy(town.service.vkey, "2")
    with LedgerClient(liar.target, wanted, timeout_s=20, witness_timeout_s=0.3) as client:
        yield client


class TestTheSdk:
    def test_what_a_quorum_has_seen_is_believed(self, demanding, seen):
        checkpoint = demanding.checkpoint()
        note = SignedNote.parse(demanding.checkpoint_note)
        assert len(cosignatures_of(note, [one.vkey for one in WITNESSES])) == 2
        assert demanding.history(TEA).entries
        assert demanding.witnessed_checkpoint(checkpoint.size) == demanding.checkpoint_note

    def test_a_page_that_is_watched_waits_for_its_witnesses_and_is_not_lost(
        self, demanding, seen, town, liar
    ):
        start = demanding.checkpoint().size
        old = demanding.checkpoint_note
        index = town.service.append(town.city.listing()).results[0].receipt.index

        def behind(_, answer):
            answer.checkpoint.note = old

        told_of, honest = [], liar.lies["GetCheckpoint"]
        liar.tell("GetCheckpoint", behind)
        pages = demanding.watch(start, on_pause=lambda *told: told_of.append(told))
        told = refusal(lambda: next(pages), Reason.UNWITNESSED)
        assert told == (
            f"cosigned checkpoint of {ORIGIN}: given one of {start} entries, "
            f"expected one of at least {index + 1} entries by a quorum: 2 of (w1, w2, w3)"
        )
        assert not told_of, "a proof that is missing is not waited for any longer"
        liar.tell("GetCheckpoint", honest)
        page = next(demanding.watch(start))
        assert [entry.index for entry in page.entries] == list(range(start, index + 1))

    def test_nothing_is_watched_that_too_few_have_seen(self, demanding, seen):
        seen[:] = WITNESSES[:1]
        told = refusal(lambda: next(demanding.watch()), Reason.UNWITNESSED)
        assert told.startswith(f"cosignatures of the checkpoint of {ORIGIN}: given ")

    @pytest.mark.parametrize(
        "witnesses", [[], WITNESSES[:1], [WITNESSES[0], STRANGER], [WITNESSES[1], WITNESSES[1]]]
    )
    def test_what_too_few_have_seen_is_not(self, demanding, seen, witnesses):
        seen[:] = witnesses
        for ask in (demanding.checkpoint, lambda: demanding.history(TEA), demanding.witnessed_checkpoint):
            told = refusal(ask, Reason.UNWITNESSED)
            assert told.startswith(f"cosignatures of the checkpoint of {ORIGIN}: given ")
            assert told.endswith("expected a quorum: 2 of (w1, w2, w3)")

    def test_a_cosignature_that_does_not_hold(self, demanding, liar, town):
        def forge(request, answer):
            cosigning(town.service)(request, answer)
            note = SignedNote.parse(answer.checkpoint.note)
            other = Checkpoint(ORIGIN, 3, bytes(32)).text()
            lines = [WITNESSES[0].cosign(note.text, AT_S), WITNESSES[1].cosign(other, AT_S)]
            answer.checkpoint.note = note.with_signatures(*lines).encode()

        liar.tell("GetCheckpoint", forge)
        assert refusal(demanding.checkpoint, Reason.BAD_NOTE) == (
            f"cosignature by {WITNESSES[1].vkey.label}: given one that does not verify"
        )

    def test_entries_wait_for_their_witnesses(self, demanding, seen, liar, town):
        cosign, asked = liar.lies["GetCheckpoint"], []
        old = town.service.ledger.GetCheckpoint(pb.GetCheckpointRequest()).checkpoint.note
        receipt = demanding.append_one(town.city.listing(TEA))
        assert receipt.checkpoint.size > receipt.index, "the log's own word comes at once"

        def late(request, answer):
            asked.append(request)
            if len(asked) < 2:
                answer.checkpoint.note = old
            cosign(request, answer)

        liar.tell("GetCheckpoint", late)
        entry = demanding.entry(index=receipt.index)
        assert entry.hash == receipt.entry_hash
        assert len(asked) >= 2

    def test_entries_that_nobody_has_seen_are_not_shown(self, demanding, seen, liar, town):
        demanding.checkpoint()
        cosign = liar.lies["GetCheckpoint"]
        old = town.service.ledger.GetCheckpoint(pb.GetCheckpointRequest()).checkpoint.note
        receipt = demanding.append_one(town.city.listing(TEA))

        def stuck(request, answer):
            answer.checkpoint.note = old
            cosign(request, answer)

        liar.tell("GetCheckpoint", stuck)
        size = receipt.checkpoint.size - 1
        assert refusal(lambda: demanding.entry(index=receipt.index), Reason.UNWITNESSED) == (
            f"cosigned checkpoint of {ORIGIN}: given one of {size} entries, "
            f"expected one of at least {receipt.index + 1} entries by a quorum: 2 of (w1, w2, w3)"
        )
        assert demanding.entry(index=receipt.index - 1).index == receipt.index - 1, "what was seen is shown"

    def test_a_log_without_witnesses(self, demanding, liar):
        liar.tell("GetCheckpoint", lambda *_: refusing("NO_QUORUM", grpc.StatusCode.UNAVAILABLE))
        told = refusal(lambda: demanding.history(TEA), Reason.UNWITNESSED)
        assert told.startswith(f"cosigned checkpoint of {ORIGIN}: given none, expected one of at least ")

    def test_without_a_quorum_in_the_policy_nobody_is_asked(self, liar, town):
        believed = Policy.of(VerifierKey.parse(town.service.vkey))
        with LedgerClient(liar.target, believed, timeout_s=20) as client:
            assert client.history(TEA).entries
        assert liar.calls("GetCheckpoint") == []

    def test_a_policy_of_several_logs(self, town):
        other = NoteSigner("ledger.test/other", signing_key("other")._key).vkey
        with pytest.raises(BadInput) as caught:
            LedgerClient("127.0.0.1:1", Policy.of(VerifierKey.parse(town.service.vkey), other))
        assert str(caught.value) == f"logs to follow: given {ORIGIN}, ledger.test/other, expected one"

    def test_it_is_remembered_from_one_client_to_the_next(self, liar, seen, town, tmp_path):
        wanted = policy(town.service.vkey, "2")
        with LedgerClient(liar.target, wanted, trust=FileTrust(tmp_path), timeout_s=20) as client:
            size = client.checkpoint().size
        [remembered] = (tmp_path / "witnessed").glob("*.checkpoint")
        assert wanted.open(remembered.read_bytes(), ORIGIN)[0].size == size
        asked = len(liar.calls("GetCheckpoint"))
        with LedgerClient(liar.target, wanted, trust=FileTrust(tmp_path), timeout_s=20) as client:
            client.entry(index=size - 1)
        assert len(liar.calls("GetCheckpoint")) == asked, "it covers the entry already"


# What is remembered


@pytest.fixture(scope="module")
def log():
    city, log = City(), Log()
    log.append(*city.founding())
    log.append(*city.life())
    return log


@pytest.fixture(scope="module")
def fork(log):
    city, fork = City(), Log()
    fork.append(*city.founding())
    fork.append(*city.life()[:4])
    for number in range(8):
        fork.append(city.listing(TEA, title=f"另一个 {number}"))
    return fork


def note_of(log, size, *witnesses, signer=CITY_SIGNER):
    return cosigned(sign_checkpoint(head_of(log, size), signer), *(witnesses or WITNESSES))


@pytest.fixture
def trust():
    return MemoryTrust()


@pytest.fixture
def follower(trust, log):
    return Follower(policy(CITY_SIGNER.vkey), trust, lambda old, new: prove_growth(log, old, new))


def test_a_cosigned_checkpoint_may_be_older_than_the_newest_one(follower, log):
    follower.accept(signed(head_of(log, 9), proof=[]), None)
    assert follower.accept_witnessed(note_of(log, 5), None) == head_of(log, 5)
    assert follower.witnessed() == head_of(log, 5)
    assert follower.newest() == head_of(log, 9)


def test_a_cosigned_checkpoint_that_is_the_newest_counts_as_seen(follower, log):
    follower.accept(signed(head_of(log, 5), proof=[]), None)
    follower.accept_witnessed(note_of(log, 9), None)
    assert follower.newest() == follower.witnessed() == head_of(log, 9)


def test_a_cosigned_checkpoint_that_goes_back(follower, log):
    follower.accept_witnessed(note_of(log, 9), None)
    known = follower.witnessed()
    with pytest.raises(BrokenProof) as caught:
        follower.accept_witnessed(note_of(log, 5), known)
    assert caught.value.reason is Reason.ROLLBACK
    assert follower.witnessed() == head_of(log, 9)


def test_one_that_was_overtaken_is_honest(follower, log):
    follower.accept_witnessed(note_of(log, 9), None)
    assert follower.accept_witnessed(note_of(log, 5), None) == head_of(log, 5)
    assert follower.witnessed() == head_of(log, 9)


@pytest.mark.parametrize("size", [9, 12])
def test_a_cosigned_checkpoint_of_another_history(trust, log, fork, size, tmp_path):
    # The witnesses were deceived, or are in it: what the client saw itself still tells.
    trust = FileTrust(tmp_path)
    follower = Follower(policy(CITY_SIGNER.vkey), trust, lambda old, new: prove_growth(fork, old, new))
    follower.accept(signed(head_of(log, 12), proof=[]), None)
    with pytest.raises(BrokenProof) as caught:
        follower.accept_witnessed(note_of(fork, size if size == 12 else 11), None)
    assert caught.value.reason is Reason.FORK
    assert follower.witnessed() is None
    kept = Contradiction.parse(Path(caught.value.evidence).read_bytes())
    assert kept.reason is Reason.FORK
    one, other = kept.verify([CITY_SIGNER.vkey])
    assert (one, other.size) == (head_of(log, 12), size if size == 12 else 11)


def test_a_policy_that_has_become_stricter(trust, log):
    mild = Follower(policy(CITY_SIGNER.vkey, "any"), trust, lambda old, new: prove_growth(log, old, new))
    mild.accept_witnessed(note_of(log, 5, WITNESSES[0]), None)
    strict = Follower(policy(CITY_SIGNER.vkey, "all"), trust, lambda old, new: prove_growth(log, old, new))
    assert strict.witnessed() is None
    assert strict.accept_witnessed(note_of(log, 5, *WITNESSES), None) == head_of(log, 5)
    assert strict.witnessed() == mild.witnessed() == head_of(log, 5)
