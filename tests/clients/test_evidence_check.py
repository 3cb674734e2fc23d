"""What a stranger finds who checks an evidence file, and what a forger of one may try."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from evidences import BELIEVED, TIME_S, WITNESSES, evidence_of, leaf, policy_of, spelled
from lying import CITY_SIGNER
from world import (
    CARRIER_MEMBER,
    COURIER,
    CUP,
    MERCHANT,
    ORIGIN,
    OTHER_MERCHANT,
    PARCEL,
    PLATFORM,
    REGULATOR,
    TEA,
    City,
    Log,
    event_id,
    signing_key,
)

from clients.evidence_check import check_evidence
from ledger.chain_key import LEDGER, ChainKey
from ledger.errors import BadInput, BrokenProof, LedgerError, Reason
from ledger.event import Kind
from ledger.evidence import Evidence
from ledger.note import NoteSigner, SignedNote
from ledger.policy import Policy
from suyuan.v1 import event_pb2 as pb

LOT = ChainKey.lot("6901234567892", "L7")
OTHER_PARCEL = ChainKey("waybill/yto/YT9876543210987")


class Tale:
    """A city's log with more than one story in it, and its entries by name."""

    def __init__(self):
        self.city, self.log, self.at, self.ids = City(), Log(), {}, {}
        self.log.append(*self.city.founding())
        city, tell = self.city, self.tell
        tell("listing", city.listing())
        tell("cups", city.listing(CUP, by=OTHER_MERCHANT, title="杯"))
        sale = tell("sale", city.sale())
        tell("cup sale", city.sale("drinker", CUP, by=OTHER_MERCHANT))
        tell("dispatch", city.dispatch(sale))
        tell("picked up", city.scan(pb.SHIPMENT_STAGE_PICKED_UP))
        tell("arrived", city.scan(pb.SHIPMENT_STAGE_ARRIVED))
        tell("delivered", city.scan(pb.SHIPMENT_STAGE_DELIVERED))
        tell("receipt", city.receipt(sale))
        tell("review", city.review(sale))
        complaint = tell("complaint", city.complaint(sale))
        tell("reply", city.reply(complaint))
        spki = city.key("second").public_key.spki
        tell("key", city.say(MERCHANT, MERCHANT, pb.KeyAddition(public_key=spki)))
        tell("lot", city.say("second", LOT, pb.Listing(title="lot", category=pb.PRODUCT_CATEGORY_FOOD)))
        second = city.key("second").public_key.key_id
        lost = pb.KeyRevocation(key_id=second, reason=pb.REVOCATION_REASON_LOST)
        tell("revocation", city.say(PLATFORM, MERCHANT, lost))
        for name, status in (("suspension", pb.PARTY_STATUS_SUSPENDED), ("return", pb.PARTY_STATUS_ACTIVE)):
            body = pb.PartyStatusChange(status=status, reason=pb.STATUS_REASON_VIOLATION)
            tell(name, city.say(REGULATOR, MERCHANT, body))

    def tell(self, name, envelope):
        verdict = self.log.only(envelope)
        assert verdict in self.log.entries, verdict
        self.at[name] = len(self.log.entries) - 1
        self.ids[name] = event_id(envelope)
        return envelope

    def indexes(self, *names):
        return sorted(self.at[name] for name in names)


GOODS = ("listing", "sale", "dispatch", "receipt", "review", "complaint", "reply")
WAY = ("picked up", "arrived", "delivered")
FOUNDERS = (0, 1, 2, 4, 5)
"""Genesis, platform, merchant, courier company, courier."""


@pytest.fixture(scope="module")
def tale():
    return Tale()


@pytest.fixture(scope="module")
def tea(tale):
    """Evidence on the product."""
    return evidence_of(tale.log, TEA, tale.indexes(*GOODS, *WAY), FOUNDERS)


def refusal(evidence, policy=BELIEVED, reason=Reason.BAD_ENTRY):
    """Why a file does not hold, after a look that its form alone is right."""
    read = Evidence.parse(evidence.encode())
    with pytest.raises(BrokenProof) as caught:
        check_evidence(read, policy)
    assert caught.value.reason is reason, caught.value
    return str(caught.value)


def kinds(entries):
    return [entry.event.kind for entry in entries]


def test_checking_needs_no_network():
    program = "import sys, clients.evidence_check; print({'grpc', 'socket'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


# What holds


def test_evidence_on_a_product(tale, tea):
    done = []
    checked = check_evidence(tea, BELIEVED, lambda *progress: done.append(progress))
    assert [entry.index for entry in checked.entries] == tale.indexes(*GOODS, *WAY)
    assert all(entry.signature_verified and entry.flags == () for entry in checked.entries)
    assert checked.chains == {str(TEA): 7, str(PARCEL): 3}
    assert [entry.index for entry in checked.introductions] == list(FOUNDERS)
    assert (checked.checkpoint, checked.signed_by) == (tale.log.checkpoint, (CITY_SIGNER.vkey,))
    assert (checked.cosignatures, checked.quorum) == ((), "")
    assert checked.names == {
        REGULATOR: "福州市市场监督管理局", PLATFORM: "榕城优选", MERCHANT: "闽茶坊", COURIER: "顺丰速运",
    }  # fmt: skip
    assert done == [(number, 15) for number in range(1, 16)]
    signers = {entry.event.kind: entry.signer for entry in checked.entries}
    assert signers[Kind.REVIEW] == "", "the buyer has no name"
    assert signers[Kind.SHIPMENT] == CARRIER_MEMBER


def test_evidence_on_a_parcel(tale):
    told = tale.indexes(*GOODS, *WAY)
    checked = check_evidence(evidence_of(tale.log, PARCEL, told, FOUNDERS), BELIEVED)
    assert checked.chains == {str(PARCEL): 3}
    assert len(checked.entries) == 10


def test_evidence_on_a_sale(tale):
    told = tale.indexes(*GOODS, *WAY)
    checked = check_evidence(evidence_of(tale.log, tale.ids["sale"], told, FOUNDERS), BELIEVED)
    assert checked.chains == {str(PARCEL): 3}


def test_evidence_on_a_lot(tale):
    checked = check_evidence(
        evidence_of(tale.log, LOT, tale.indexes("lot"), [0, 1, 2, tale.at["key"]]), BELIEVED
    )
    assert kinds(checked.introductions)[-1] is Kind.KEY_ADDITION
    assert checked.entries[0].signer == MERCHANT


def test_evidence_on_a_party(tale):
    told = [2, *tale.indexes("key", "revocation", "suspension", "return")]
    checked = check_evidence(evidence_of(tale.log, MERCHANT, told, [0, 1]), BELIEVED)
    assert kinds(checked.entries) == [
        Kind.PARTY_REGISTRATION, Kind.KEY_ADDITION, Kind.KEY_REVOCATION, Kind.PARTY_STATUS_CHANGE,
        Kind.PARTY_STATUS_CHANGE,
    ]  # fmt: skip


def test_evidence_on_the_ledger(tale):
    checked = check_evidence(evidence_of(tale.log, LEDGER, [0], []), BELIEVED)
    assert checked.chains == {"ledger": 1}


def test_a_parcel_that_nobody_scanned(tale):
    fork = tale.log.fork()
    fork.accept(_late_dispatch(tale))
    told = [*tale.indexes(*GOODS, *WAY), len(fork.entries) - 1]
    checked = check_evidence(evidence_of(fork, TEA, told, FOUNDERS), BELIEVED)
    assert checked.chains == {str(TEA): 8, str(PARCEL): 3, str(OTHER_PARCEL): 0}


def test_more_introductions_than_are_needed(tale, tea):
    more = tuple(leaf(tale.log, index) for index in (0, 1, 2, 3, 4, 5))
    assert len(check_evidence(replace(tea, introductions=more), BELIEVED).introductions) == 6


def test_an_older_checkpoint_proves_a_beginning(tale):
    size = tale.at["receipt"] + 1
    told = tale.indexes("listing", "sale", "dispatch", "receipt", *WAY)
    checked = check_evidence(evidence_of(tale.log, TEA, told, FOUNDERS, size=size), BELIEVED)
    assert checked.checkpoint.size == size


# Whom to believe


def test_the_keys_in_the_file_are_not_believed(tea):
    stranger = NoteSigner(ORIGIN, signing_key("a stranger")._key)
    text = SignedNote.parse(tea.checkpoint).text
    forged = replace(tea, log_keys=(stranger.vkey,), checkpoint=SignedNote.sign(text, stranger).encode())
    assert CITY_SIGNER.vkey.label in refusal(forged, reason=Reason.BAD_NOTE)
    assert check_evidence(forged, Policy.of(stranger.vkey)).chains, (
        "to those who believe the stranger it holds"
    )


def test_a_log_that_nobody_told_of(tea):
    other = NoteSigner("ledger.test/town", signing_key("town")._key)
    with pytest.raises(BadInput) as caught:
        check_evidence(tea, Policy.of(other.vkey))
    assert str(caught.value) == (
        f"keys to verify checkpoints of {ORIGIN}: given none, expected an Ed25519 key of this name"
    )


def test_an_origin_other_than_the_checkpoints(tea):
    other = NoteSigner("ledger.test/town", CITY_SIGNER.private_key)
    text = SignedNote.parse(tea.checkpoint).text
    forged = replace(tea, log_keys=(other.vkey,), checkpoint=SignedNote.sign(text, other).encode())
    assert refusal(forged, Policy.of(other.vkey), Reason.BAD_CHECKPOINT) == (
        f"origin of a checkpoint: given '{ORIGIN}', expected 'ledger.test/town'"
    )


def test_either_key_while_the_log_changes_its_key(tea):
    new = NoteSigner(ORIGIN, signing_key("the new key of the log")._key)
    note = SignedNote.parse(tea.checkpoint)
    both = note.with_signatures(new.sign(note.text))
    evidence = replace(tea, log_keys=(CITY_SIGNER.vkey, new.vkey), checkpoint=both.encode())
    for keys in ((CITY_SIGNER.vkey,), (new.vkey,), (CITY_SIGNER.vkey, new.vkey)):
        assert check_evidence(evidence, Policy.of(*keys)).signed_by == keys


def test_a_key_that_is_claimed_and_has_not_signed(tea):
    new = NoteSigner(ORIGIN, signing_key("the new key of the log")._key)
    claiming = replace(tea, log_keys=(CITY_SIGNER.vkey, new.vkey))
    assert refusal(claiming, reason=Reason.BAD_NOTE) == (
        f"signature below the checkpoint by {new.vkey.label}, as the evidence file claims: given none, expected one"
    )
    claiming = replace(tea, witness_keys=(WITNESSES["one"].vkey,))
    assert refusal(claiming, reason=Reason.BAD_NOTE).startswith("signature below the checkpoint by one.test+")


def test_a_claimed_signature_that_does_not_verify(tea):
    new = NoteSigner(ORIGIN, signing_key("the new key of the log")._key)
    note = SignedNote.parse(tea.checkpoint)
    wrong = note.with_signatures(new.sign("another text\n"))
    refusal(
        replace(tea, log_keys=(CITY_SIGNER.vkey, new.vkey), checkpoint=wrong.encode()), reason=Reason.BAD_NOTE
    )


# Witnesses


def test_a_quorum_of_witnesses(tale):
    evidence = evidence_of(tale.log, LEDGER, [0], [], witnesses=["three", "one"])
    checked = check_evidence(evidence, policy_of(2))
    assert [(one.key, one.time_s) for one in checked.cosignatures] == [
        (WITNESSES["one"].vkey, TIME_S),
        (WITNESSES["three"].vkey, TIME_S),
    ]
    assert checked.quorum == "2 of (one, two, three)"


def test_no_quorum_of_witnesses(tale):
    evidence = evidence_of(tale.log, LEDGER, [0], [], witnesses=["three", "one"])
    assert refusal(evidence, policy_of(3), Reason.UNWITNESSED) == (
        f"cosignatures of the checkpoint of {ORIGIN}: given one, three, "
        "expected a quorum: 3 of (one, two, three)"
    )
    assert check_evidence(evidence, BELIEVED).cosignatures == (), "nobody asked for them"


def test_a_cosignature_of_another_checkpoint(tale):
    evidence = evidence_of(tale.log, LEDGER, [0], [], witnesses=["one", "two"])
    note, older = (
        SignedNote.parse(one.checkpoint) for one in (evidence, evidence_of(tale.log, LEDGER, [0], [], size=9))
    )
    line = WITNESSES["two"].cosign(older.text, TIME_S)
    swapped = replace(evidence, checkpoint=replace(note, signatures=(*note.signatures[:2], line)).encode())
    assert "cosignature by two.test+" in refusal(swapped, policy_of(1), Reason.BAD_NOTE)
    assert "cosignature by two.test+" in refusal(swapped, BELIEVED, Reason.BAD_NOTE), "the file claims it"


# Proofs


def test_another_checkpoint_of_the_same_log(tale, tea):
    other = evidence_of(tale.log, LEDGER, [0], [], size=len(tale.log.entries) - 1).checkpoint
    refusal(replace(tea, checkpoint=other), reason=Reason.BAD_INCLUSION_PROOF)


def test_an_entry_beyond_the_checkpoint(tale, tea):
    other = evidence_of(tale.log, LEDGER, [0], [], size=8).checkpoint
    refusal(replace(tea, checkpoint=other), reason=Reason.BAD_INCLUSION_PROOF)


def test_an_entry_of_another_log(tale, tea):
    fork = tale.log.fork()
    fork.accept(_late_dispatch(tale))
    stranger = leaf(fork, len(fork.entries) - 1)
    refusal(replace(tea, entries=(*tea.entries, stranger)), reason=Reason.BAD_INCLUSION_PROOF)


def test_an_entry_at_another_place(tea):
    first, *rest = tea.entries
    refusal(replace(tea, entries=(replace(first, index=3), *rest)), reason=Reason.BAD_INCLUSION_PROOF)


def test_a_proof_that_is_cut(tea):
    first, *rest = tea.entries
    short = replace(first, proof=first.proof[:-1])
    refusal(replace(tea, entries=(short, *rest)), reason=Reason.BAD_INCLUSION_PROOF)


# What belongs


@pytest.mark.parametrize("name", ["sale", "dispatch", "receipt", "picked up", "arrived"])
def test_a_chain_with_a_gap(tale, tea, name):
    cut = tuple(one for one in tea.entries if one.index != tale.at[name])
    with pytest.raises(BrokenProof) as caught:
        check_evidence(replace(tea, entries=cut), BELIEVED)
    assert caught.value.reason in (Reason.BROKEN_CHAIN, Reason.BAD_ENTRY)


def test_a_gap_says_where_it_is(tale, tea):
    cut = tuple(one for one in tea.entries if one.index != tale.at["arrived"])
    assert refusal(replace(tea, entries=cut), reason=Reason.BROKEN_CHAIN) == (
        f"chain_seq of entry {tale.at['delivered']} in {PARCEL}: given 2, expected 1"
    )


@pytest.mark.parametrize("name", ["delivered", "reply"])
def test_a_missing_end_is_not_seen(tale, tea, name):
    """No proof shows it: docs/evidence.md §4 says so, and so does every verdict."""
    cut = tuple(one for one in tea.entries if one.index != tale.at[name])
    checked = check_evidence(replace(tea, entries=cut), BELIEVED)
    assert sum(checked.chains.values()) == 9


def test_an_entry_of_another_story(tale, tea):
    more = tuple(leaf(tale.log, index) for index in tale.indexes(*GOODS, *WAY, "cups"))
    known = tuple(leaf(tale.log, index) for index in (0, 1, 2, 3, 4, 5))
    assert refusal(replace(tea, entries=more, introductions=known)) == (
        f"entry {tale.at['cups']} of the trace: given a listing on {CUP}, expected an entry of this story"
    )


@pytest.mark.parametrize("subject", [CUP, LOT, PLATFORM, LEDGER, OTHER_PARCEL, bytes(32)])
def test_another_subject(tea, subject):
    refusal(replace(tea, subject=subject))


def test_a_sale_without_its_entry(tale):
    evidence = evidence_of(tale.log, tale.ids["sale"], tale.indexes("listing"), [0, 1, 2])
    refusal(evidence)


def test_the_end_of_a_chain_among_the_introductions(tale):
    """Hidden there it would look as if the chain ended before."""
    log = Log()
    log.append(*City().founding(), *tale_of_two_sales())
    hidden = evidence_of(log, TEA, [6, 7], [0, 1, 2, 8])
    assert refusal(hidden) == (
        f"entry 8 of the introductions: given a sale on {TEA}, "
        "expected one that introduces a key, and is not part of what is told"
    )


def test_an_introduction_that_introduces_nothing(tale, tea):
    more = tuple(leaf(tale.log, index) for index in (*FOUNDERS, tale.at["suspension"]))
    assert refusal(replace(tea, introductions=more)).startswith(
        f"entry {tale.at['suspension']} of the introductions: given a party_status_change on {MERCHANT}"
    )


# Who signed


@pytest.mark.parametrize("missing", FOUNDERS)
def test_a_missing_introduction(tea, missing):
    rest = tuple(one for one in tea.introductions if one.index != missing)
    refusal(replace(tea, introductions=rest))


def test_a_missing_introduction_says_what_is_missing(tale, tea):
    rest = tuple(one for one in tea.introductions if one.index != 2)
    key_id = signing_key(MERCHANT).public_key.key_id.hex()
    assert refusal(replace(tea, introductions=rest)).startswith(
        f"entry {tale.at['listing']}: signing key: given {key_id}, expected a key of a registered party"
    )


def forged(*envelopes, subject, told, introductions):
    """Evidence from a log whose operator records what no rule allows."""
    city, log = City(), Log()
    log.append(*city.founding())
    for make in envelopes:
        log.forge(make(city))
    return evidence_of(log, subject, told, introductions)


def test_a_merchant_that_registers_itself():
    """The operator knows no key of the platform, and takes one of its own making."""
    member = ChainKey(f"{MERCHANT}/till-9")
    evidence = forged(
        lambda city: city.register(member, pb.PARTY_ROLE_MERCHANT, by="made up"),
        subject=member, told=[6], introductions=[0],
    )  # fmt: skip
    assert refusal(evidence).startswith("entry 6: signing key: given ")


def test_a_registration_by_who_may_not():
    evidence = forged(
        lambda city: city.register("party/91350100M000100Y43/x", pb.PARTY_ROLE_PLATFORM, by=COURIER),
        subject=ChainKey("party/91350100M000100Y43/x"), told=[6], introductions=[0, 1, 4],
    )  # fmt: skip
    assert refusal(evidence).startswith("entry 6, recorded against the rules: ")


def test_a_second_genesis():
    evidence = forged(lambda city: city.genesis(), subject=LEDGER, told=[0, 6], introductions=[])
    assert refusal(evidence).startswith("genesis: given entry 6, ")


def test_a_revocation_by_who_may_not():
    key_id = signing_key(PLATFORM).public_key.key_id
    evidence = forged(
        lambda city: city.say(
            COURIER, PLATFORM, pb.KeyRevocation(key_id=key_id, reason=pb.REVOCATION_REASON_LOST)
        ),
        subject=PLATFORM, told=[1, 6], introductions=[0, 4],
    )  # fmt: skip
    assert refusal(evidence).startswith("entry 6, recorded against the rules: ")


def test_a_signature_under_another_key():
    def listing(city):
        city.keys[MERCHANT] = signing_key("thief")
        return city.listing()

    evidence = forged(listing, subject=TEA, told=[6], introductions=[0, 1, 2])
    assert refusal(evidence).startswith("entry 6: signing key: given ")


def test_a_signature_that_does_not_verify():
    evidence = forged(
        lambda city: city.listing().raw[:-1] + b"\x00", subject=TEA, told=[6], introductions=[0, 1, 2]
    )
    assert refusal(evidence).startswith("entry 6: signature")


def test_bytes_that_are_no_entry():
    evidence = forged(lambda _: b"tea", subject=TEA, told=[6], introductions=[0])
    assert refusal(evidence).startswith("entry 6: ")


# Any byte


SOAK = bool(os.environ.get("SUYUAN_SOAK"))


def _flips(raw):
    """The same with one bit changed: a bit of every third byte, or in a soak every bit."""
    for place in range(0, len(raw), 1 if SOAK else 3):
        for mask in [1 << bit for bit in range(8)] if SOAK else [1 << place % 8]:
            yield raw[:place] + bytes([raw[place] ^ mask]) + raw[place + 1 :]


def _survivors(raw, policy):
    for flipped in _flips(raw):
        try:
            checked = check_evidence(Evidence.parse(flipped), policy)
        except LedgerError:
            continue
        yield flipped, checked


def test_any_byte_that_is_changed_is_found(tale):
    """Whatever stands in a file is bound by it: no byte can be changed without the file being refused."""
    raw = evidence_of(
        tale.log, LOT, tale.indexes("lot"), [0, 1, 2, tale.at["key"]], witnesses=["one"]
    ).encode()
    assert not list(_survivors(raw, BELIEVED))


def test_a_changed_signature_that_nobody_claims(tale):
    """A signature line by keys that neither the file claims nor the reader knows: all that may differ."""
    evidence = evidence_of(tale.log, LEDGER, [0], [])
    note = SignedNote.parse(evidence.checkpoint)
    unknown = WITNESSES["two"].cosign(note.text, TIME_S)
    raw = replace(evidence, checkpoint=note.with_signatures(unknown).encode()).encode()
    true = check_evidence(Evidence.parse(raw), BELIEVED)
    survived = list(_survivors(raw, BELIEVED))
    assert survived, "the line is nobody's business"
    line = json.dumps(str(unknown), ensure_ascii=False)[1:-1].encode()
    for flipped, checked in survived:
        [place] = [at for at in range(len(raw)) if raw[at] != flipped[at]]
        assert raw.index(line) <= place < raw.index(line) + len(line)
        assert replace(checked, evidence=true.evidence) == true


def test_text_that_is_changed_in_the_middle(tea):
    content = json.loads(tea.encode())
    content["entries"][0], content["entries"][1] = (
        content["entries"][0] | {"entry": content["entries"][1]["entry"]},
        content["entries"][1] | {"entry": content["entries"][0]["entry"]},
    )
    refusal(Evidence.parse(spelled(content)), reason=Reason.BAD_INCLUSION_PROOF)


def _late_dispatch(tale):
    body = pb.Shipment(stage=pb.SHIPMENT_STAGE_DISPATCHED, sale=tale.ids["sale"], parcel=OTHER_PARCEL)
    city = City(now=tale.city.now, said=tale.city.said + 1_000)
    return city.say(MERCHANT, TEA, body)


def tale_of_two_sales():
    city = City(said=500)
    return [city.listing(), city.sale("buyer"), city.sale("somebody")]
