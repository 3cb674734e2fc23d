"""Evidence from a real service, from one whose log grows meanwhile, and from one that lies."""

from __future__ import annotations

import pytest
from evidences import WITNESSES, policy_of
from lying import cosigning, refusal
from town import LOT, OTHER_PARCEL
from world import CUP, MERCHANT, PARCEL, PLATFORM, REGULATOR, TEA

from clients import evidence as making
from clients.evidence import make_evidence
from clients.evidence_check import check_evidence
from clients.sdk import LedgerClient
from ledger.chain_key import LEDGER, ChainKey
from ledger.errors import BadInput, Conflict, Reason
from ledger.evidence import Evidence
from ledger.note import VerifierKey
from ledger.policy import Policy
from suyuan.v1 import event_pb2 as ev


@pytest.fixture
def believed(town):
    return Policy.of(VerifierKey.parse(town.service.vkey))


def make(client, believed, subject):
    """Evidence, after a look that it holds for a stranger too."""
    raw, checked = make_evidence(client, believed, subject)
    assert check_evidence(Evidence.parse(raw), believed) == checked
    return checked


def at(entries):
    return [entry.index for entry in entries]


def named(town, *names):
    return sorted(town.indexes[name] for name in names)


OF_THE_PARCEL = ("picked_up", "arrived", "delivered")
OF_THE_SALE = (
    "listing", "sale", "dispatch", *OF_THE_PARCEL, "receipt", "review", "merchant_review", "follow_up", "complaint",
    "reply", "resolution",
)  # fmt: skip
FOUNDERS = [0, 1, 2, 4, 5]
"""Genesis, platform, merchant, courier company, courier."""


def test_evidence_on_a_product(client, town, believed):
    checked = make(client, believed, TEA)
    assert at(checked.entries) == named(
        town, *OF_THE_SALE, "other_tea", "other_sale", "other_dispatch", "other_scan", "lost"
    )
    assert checked.chains == {str(TEA): 13, str(PARCEL): 3, str(OTHER_PARCEL): 2}
    assert at(checked.introductions) == [0, 1, 2, 3, 4, 5]


def test_evidence_on_a_parcel(client, town, believed):
    checked = make(client, believed, PARCEL)
    assert at(checked.entries) == named(town, *OF_THE_SALE)
    assert at(checked.introductions) == FOUNDERS


def test_evidence_on_a_sale(client, town, believed):
    checked = make(client, believed, town.id("sale"))
    assert at(checked.entries) == named(town, *OF_THE_SALE)
    assert checked.evidence.subject_text == f"sale {town.id('sale').hex()}"


def test_evidence_on_a_lot(client, town, believed):
    checked = make(client, believed, LOT)
    assert at(checked.entries) == named(town, "lot", "lot_sale", "recall")
    # Signed by a member, and with a key that the platform added.
    assert at(checked.introductions) == sorted([0, 1, 2, *named(town, "third_key", "member")])


def test_evidence_on_a_party(client, town, believed):
    checked = make(client, believed, MERCHANT)
    assert at(checked.entries) == [2, *named(town, "second_key", "third_key", "revocation")]
    assert at(checked.introductions) == [0, 1]


def test_evidence_on_the_root_regulator_and_the_ledger(client, town, believed):
    checked = make(client, believed, REGULATOR)
    assert (at(checked.entries), at(checked.introductions)) == (named(town, "regulators_key"), [0])
    checked = make(client, believed, LEDGER)
    assert (at(checked.entries), at(checked.introductions)) == ([0], [])


def test_progress_is_told(client, believed):
    done = []
    make_evidence(client, believed, PLATFORM, lambda *progress: done.append(progress))
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_nothing_is_recorded(client, believed):
    with pytest.raises(Conflict) as caught:
        make_evidence(client, believed, ChainKey.serial("6901234567892", "S-1"))
    assert caught.value.reason is Reason.NOT_FOUND


def test_more_than_a_file_may_hold(client, believed, monkeypatch):
    monkeypatch.setattr(making, "MAX_ENTRIES", 10)
    with pytest.raises(BadInput) as caught:
        make_evidence(client, believed, TEA)
    assert str(caught.value) == (
        "entries for an evidence file: given 16 or more, expected at most 10; ask for a lot, an item, a parcel or a sale"
    )


# Witnesses


def test_the_checkpoint_is_the_cosigned_one(liar, town, believed):
    policy = policy_of(2).with_logs(VerifierKey.parse(town.service.vkey))

    liar.tell("GetCheckpoint", cosigning(town.service, WITNESSES["one"], WITNESSES["three"]))
    with LedgerClient(liar.target, policy, timeout_s=20, witness_timeout_s=20) as client:
        raw, checked = make_evidence(client, policy, PARCEL)
    assert [one.key for one in checked.cosignatures] == [WITNESSES["one"].vkey, WITNESSES["three"].vkey]
    assert checked.evidence.witness_keys == (WITNESSES["one"].vkey, WITNESSES["three"].vkey)
    assert checked.quorum == "2 of (one, two, three)"
    assert check_evidence(Evidence.parse(raw), believed).cosignatures == ()


# A log that grows


@pytest.fixture
def growing(liar, town):
    """Has the log grow by one of these events whenever a checkpoint was asked for, after it."""

    def grow(said):
        waiting = list(said.items())

        def lie(_, answer):
            if waiting:
                town.tell(**dict([waiting.pop(0)]))

        liar.tell("GetCheckpoint", lie)

    return grow


def test_an_event_that_is_too_new_is_waited_for(client, town, believed, growing):
    growing({"new cup": town.city.listing(CUP, title="又一杯")})
    checked = make(client, believed, CUP)
    assert at(checked.entries)[-1] == town.indexes["new cup"]


def test_a_log_that_grows_all_the_time_is_not_chased(client, town, believed, growing):
    growing({f"cup {number}": town.city.listing(CUP, title=f"杯 {number}") for number in range(5)})
    during = make(client, believed, CUP)
    assert at(during.entries)[-1] == town.indexes["cup 1"]
    assert during.checkpoint.size == town.indexes["cup 2"]
    after = make(client, believed, CUP)
    assert at(after.entries)[: len(during.entries)] == at(during.entries)
    assert after.checkpoint.size > during.checkpoint.size


def test_what_a_later_event_draws_in_is_left_out(client, town, believed, growing):
    """A parcel that is dispatched only after the checkpoint: what was scanned before is of another story yet."""
    parcels = [ChainKey(f"waybill/zto/7531234567890{number}") for number in range(3)]
    town.tell(
        **{f"early {parcel}": town.city.scan(ev.SHIPMENT_STAGE_PICKED_UP, parcel) for parcel in parcels}
    )
    growing({f"late {parcel}": town.city.dispatch(town.said["other_sale"], parcel) for parcel in parcels})
    during = make(client, believed, town.id("other_sale"))
    after = make(client, believed, town.id("other_sale"))
    told = {
        f"{when} {parcel}": town.indexes[f"{when} {parcel}"]
        for when in ("early", "late")
        for parcel in parcels
    }
    last = {told[f"early {parcels[2]}"], told[f"late {parcels[2]}"]}
    assert set(told.values()) - set(at(during.entries)) == last
    assert str(parcels[2]) not in during.chains
    assert set(told.values()) <= set(at(after.entries))


# A service that lies


def test_a_proof_for_another_tree(client, believed, liar):
    def lie(_, answer):
        answer.proof[0] = bytes(32)

    liar.tell("GetInclusionProof", lie)
    refusal(lambda: make_evidence(client, believed, PARCEL), Reason.BAD_INCLUSION_PROOF)


def test_a_proof_of_another_size(client, believed, liar):
    def lie(_, answer):
        answer.size -= 1

    liar.tell("GetInclusionProof", lie)
    told = refusal(lambda: make_evidence(client, believed, PARCEL), Reason.BAD_INCLUSION_PROOF)
    assert told.startswith("tree size of the inclusion proof of leaf ")


def test_a_history_with_a_gap(client, believed, liar):
    def lie(_, answer):
        del answer.entries[1]

    liar.tell("GetHistory", lie)
    refusal(lambda: make_evidence(client, believed, TEA), Reason.BROKEN_CHAIN)


def test_a_changed_byte(client, believed, liar):
    def lie(_, answer):
        answer.entries[2].entry = answer.entries[2].entry[:-1] + b"\x00"

    liar.tell("GetTrace", lie)
    refusal(lambda: make_evidence(client, believed, PARCEL), Reason.BAD_INCLUSION_PROOF)


def test_an_introduction_that_is_another(client, believed, liar, town):
    """The signatures were verified with what came along; then the service answers with another entry."""
    client.trace(chain=PARCEL)
    other = town.service.registry.GetKey

    def lie(request, answer):
        request.key_id = town.city.key(PLATFORM).public_key.key_id
        answer.CopyFrom(other(request, timeout=20))

    liar.tell("GetKey", lie)
    told = refusal(lambda: make_evidence(client, believed, PARCEL))
    assert told.startswith("introduction of key ")


# What the SDK has for it


def test_who_introduced_a_key_or_a_party(client, town):
    platform = town.city.key(PLATFORM).public_key.key_id
    for need in (platform, str(PLATFORM)):
        entry = client.introduction(need)
        assert (entry.index, entry.signer, entry.signature_verified) == (1, REGULATOR, True)
    bought = client.introduction(town.city.key("buyer").public_key.key_id)
    assert bought.index == town.indexes["sale"]


def test_nobody_introduced_it(client):
    assert refusal(lambda: client.introduction(bytes(32))).endswith(
        "given none: the service knows no such key, expected an entry of the log"
    )
    with pytest.raises(Conflict) as caught:
        client.introduction("party/91330106589868712W")
    assert caught.value.reason is Reason.NOT_FOUND
