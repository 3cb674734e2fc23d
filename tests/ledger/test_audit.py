from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world import (
    AGAINST_RULES,
    COURIER,
    CUP,
    MERCHANT,
    ORIGIN,
    PLATFORM,
    REGULATOR,
    TEA,
    City,
    Log,
    altered,
    audit,
    event_id,
    founded,
    wire,
)

from ledger.audit import Auditor
from ledger.chain_key import ChainKey
from ledger.checkpoint import Checkpoint
from ledger.entry import Entry
from ledger.envelope import Envelope
from ledger.errors import LedgerError, Reason
from ledger.findings import MAX_FINDINGS, Finding
from ledger.form import LAST_US
from ledger.merkle import leaf_hash, root_of
from ledger.sequence import next_link
from ledger.state import Party, State
from suyuan.v1 import event_pb2 as pb


@cache
def life():
    """A founding and the life of a product, in 18 entries."""
    city, log = City(), Log()
    log.append(*city.founding(), *city.life())
    return log


@cache
def small():
    """The smallest ledger in which a product is listed, sold, received and reviewed."""
    city, log = City(), Log()
    sale = city.sale()
    log.accept(city.genesis(), city.register(MERCHANT, pb.PARTY_ROLE_MERCHANT, "闽茶坊"))
    log.accept(city.listing(), sale)
    log.accept(city.receipt(sale), city.review(sale))
    return log


def hashes_of(leaves):
    return [leaf_hash(data) for data in leaves]


def checkpoint_of(leaves):
    return Checkpoint(ORIGIN, len(leaves), root_of(hashes_of(leaves)))


def found(report):
    return [(finding.index, finding.reason) for finding in report.findings]


# A good log


def test_a_good_log_verifies_and_is_counted():
    log = life()
    report = log.audit()
    assert report.verified
    assert (report.origin, report.size, report.root) == (ORIGIN, 18, log.head.frontier.root())
    assert (report.chains, report.parties, report.signatures) == (8, 6, 18)
    assert report.kinds == Counter(
        genesis=1, party_registration=5, listing=1, sale=1, shipment=5, receipt=1, review=1,
        complaint=1, complaint_reply=1, complaint_resolution=1,
    )  # fmt: skip
    assert (report.flagged, report.unknown_kinds, report.unjudged) == (0, 0, 0)
    assert (report.findings, report.more_findings) == ([], 0)


def test_an_auditor_that_is_told_no_tree_hashes_verifies_it_too():
    report = audit(life().leaves, life().checkpoint)
    assert report.verified
    assert report.signatures == 18


def test_an_auditor_that_is_told_some_tree_hashes_compares_those():
    log = life()
    some = [hash_ if number % 3 else None for number, hash_ in enumerate(hashes_of(log.leaves))]
    assert audit(log.leaves, log.checkpoint, hashes=some).verified
    some[4] = leaf_hash(b"something else")
    assert found(audit(log.leaves, log.checkpoint, hashes=some)) == [(4, Reason.BAD_INCLUSION_PROOF)]


def test_an_empty_log_verifies():
    assert audit([], checkpoint_of([])).verified


def test_a_log_verifies_against_every_checkpoint_that_it_had():
    log = life()
    known = [checkpoint_of(log.leaves[:size]) for size in range(19)]
    assert log.audit(*known, *known).verified


def test_an_auditor_comes_to_the_services_state():
    log = life()
    auditor = Auditor(ORIGIN)
    for number, data in enumerate(log.leaves):
        assert auditor.size == number
        auditor.read(data)
    assert list(auditor.state.changes()) == list(log.state.changes())


def test_an_audit_goes_on_where_its_state_is_kept():
    state = State()
    auditor = Auditor(ORIGIN, state=state)
    auditor.read(life().leaves[0])
    assert auditor.state is state
    assert state.get(Party, REGULATOR) is not None


def test_signatures_may_be_checked_later():
    """A check that is put off, to other processors, reports what fails by itself."""
    city, log = founded()
    bad = altered(city.listing(), signature=bytes(64))
    log.forge(bad)
    waiting = []
    auditor = Auditor(ORIGIN, check_signature=lambda *check: waiting.append(check))
    for data in log.leaves:
        auditor.read(data)
    assert auditor.report.findings == []
    assert [index for index, _, _ in waiting] == list(range(7))
    for index, key, envelope in waiting:
        try:
            envelope.verify(key)
        except LedgerError as error:
            auditor.find(index, error.reason, str(error))
    report = auditor.conclude(log.checkpoint)
    assert found(report) == [(6, Reason.BAD_SIGNATURE)]
    assert report.signatures == 7


def test_a_finding_reads_as_where_what_why():
    assert str(Finding(7, Reason.BAD_ENTRY, "what")) == "entry 7: what [BAD_ENTRY]"
    assert str(Finding(None, Reason.FORK, "what")) == "log: what [FORK]"


# Every byte of every entry


def flips(leaves, index, turn):
    """A log with one bit flipped, for every byte of one of its entries; another bit at every turn."""
    data = leaves[index]
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << (3 * place + index + turn) % 8
        yield place, [*leaves[:index], bytes(flipped), *leaves[index + 1 :]]


@pytest.mark.parametrize("index", range(6))
def test_every_flipped_byte_is_found_in_its_entry(index):
    log = small()
    hashes, checkpoint = hashes_of(log.leaves), log.checkpoint
    for place, leaves in flips(log.leaves, index, turn=0):
        report = audit(leaves, checkpoint, hashes=hashes)
        assert report.findings[0].index == index, place
        assert report.findings[0].reason is Reason.BAD_ENTRY
        assert report.findings[0].message == (
            f"leaf hash: given bytes that hash to {leaf_hash(leaves[index]).hex()}, "
            f"expected {hashes[index].hex()}, which the tree holds"
        )
        assert report.findings[-1] == Finding(
            None,
            Reason.BAD_CHECKPOINT,
            f"root of 6 entries: given {report.root.hex()}, expected {checkpoint.root.hex()} "
            "(checkpoint); the entries changed after it was signed",
        )


@pytest.mark.parametrize("index", range(6))
def test_every_flipped_byte_is_found_without_tree_hashes(index):
    log = small()
    for place, leaves in flips(log.leaves, index, turn=1):
        report = audit(leaves, log.checkpoint)
        assert (None, Reason.BAD_CHECKPOINT) in found(report), place


@pytest.mark.parametrize("index", range(6))
def test_every_flipped_byte_is_found_though_the_tree_was_made_anew(index):
    """Who holds the log's own key can sign any tree; what others have signed and linked is out of its reach.

    Only the time of the last entry of a chain can be changed unseen, and then a checkpoint seen before tells.
    """
    log = small()
    entry = Entry.parse(log.leaves[index])
    time = wire(3, entry.recorded_at_us)
    at = log.leaves[index].index(time)
    last_of_its_chain = next_link(log.entries[index].recorded.chain, log.state)[0] == entry.chain_seq + 1
    unseen = 0
    for place, leaves in flips(log.leaves, index, turn=2):
        made_anew = checkpoint_of(leaves)
        if audit(leaves, made_anew, hashes=hashes_of(leaves)).verified:
            assert last_of_its_chain
            assert at < place < at + len(time)
            unseen += 1
        known = audit(leaves, made_anew, known=[log.checkpoint], hashes=hashes_of(leaves))
        assert (None, Reason.FORK) in found(known), place
    assert unseen <= 8


# Entries cut, grown, dropped, doubled, swapped


def moved(leaves, i, j):
    rest = [*leaves[:i], *leaves[i + 1 :]]
    return [*rest[:j], leaves[i], *rest[j:]]


DAMAGE = {
    "cut": lambda leaves, i, _: [*leaves[:i], leaves[i][:-1], *leaves[i + 1 :]],
    "grown": lambda leaves, i, _: [*leaves[:i], leaves[i] + b"\0", *leaves[i + 1 :]],
    "emptied": lambda leaves, i, _: [*leaves[:i], b"", *leaves[i + 1 :]],
    "dropped": lambda leaves, i, _: [*leaves[:i], *leaves[i + 1 :]],
    "doubled": lambda leaves, i, _: [*leaves[: i + 1], *leaves[i:]],
    "moved": moved,
    "swapped": lambda leaves, i, j: [leaves[{i: j, j: i}.get(place, place)] for place in range(len(leaves))],
    "added": lambda leaves, i, j: [*leaves[:i], leaves[j], *leaves[i:]],
    "replaced": lambda leaves, i, j: [*leaves[:i], leaves[j], *leaves[i + 1 :]],
}


@settings(max_examples=300)
@given(st.sampled_from(sorted(DAMAGE)), st.integers(0, 17), st.integers(0, 17))
def test_damage_is_found_where_it_begins(kind, i, j):
    log = life()
    leaves = DAMAGE[kind](log.leaves, i, j)
    hashes = hashes_of(log.leaves)
    report = audit(leaves, log.checkpoint, hashes=[*hashes, *[None] * (len(leaves) - len(hashes))])
    differs = [n for n, (now, then) in enumerate(zip(leaves, log.leaves, strict=False)) if now != then]
    assert report.verified == (leaves == log.leaves)
    if differs:
        assert found(report)[0] == (differs[0], Reason.BAD_ENTRY)
        told = {index for index, reason in found(report) if index is not None}
        assert set(differs) <= told, "every entry that is not the one the tree holds is named"
    if len(leaves) != 18:
        assert report.findings[-1] == Finding(
            None, Reason.BAD_ENTRY, f"number of entries: given {len(leaves)}, expected 18 (checkpoint)"
        )


@given(st.integers(0, 17), st.integers(0, 10_000), st.integers(1, 255))
def test_any_byte_of_a_longer_ledger(index, place, change):
    log = life()
    data = bytearray(log.leaves[index])
    data[place % len(data)] ^= change
    leaves = [*log.leaves[:index], bytes(data), *log.leaves[index + 1 :]]
    report = audit(leaves, log.checkpoint, hashes=hashes_of(log.leaves))
    assert found(report)[0] == (index, Reason.BAD_ENTRY)


@given(st.lists(st.binary(max_size=100), max_size=4), st.integers(0, 18))
def test_junk_among_the_entries_is_a_finding_and_nothing_worse(junk, place):
    leaves = [*life().leaves[:place], *junk, *life().leaves[place:]]
    report = audit(leaves, checkpoint_of(leaves))
    assert [index for index, reason in found(report) if reason is Reason.BAD_ENTRY] == [
        place + number for number in range(len(junk))
    ]
    assert report.verified == (not junk)


@pytest.mark.parametrize("index", range(18))
def test_a_changed_hash_in_the_tree_is_found(index):
    log = life()
    hashes = hashes_of(log.leaves)
    hashes[index] = leaf_hash(b"something else")
    report = audit(log.leaves, log.checkpoint, hashes=hashes)
    assert report.findings == [
        Finding(
            index,
            Reason.BAD_INCLUSION_PROOF,
            f"hash in the tree: given {hashes[index].hex()}, "
            f"expected {leaf_hash(log.leaves[index]).hex()}, which the entry has",
        )
    ]


def test_a_tree_that_is_not_the_one_signed():
    log = life()
    hashes = hashes_of(log.leaves)
    hashes[3] = leaf_hash(b"something else")
    signed = Checkpoint(ORIGIN, 18, root_of([leaf_hash(b"another"), *hashes[1:]]))
    report = audit(log.leaves, signed, hashes=hashes)
    assert report.findings[-1] == Finding(
        None,
        Reason.BAD_CHECKPOINT,
        f"root of 18 entries: given {report.root.hex()}, expected {signed.root.hex()} "
        "(checkpoint); the tree itself changed after it was signed",
    )


# Links and times


def relinked(log, index, **changes):
    """The log with one entry's own fields changed, everything above it computed anew."""
    changed = replace(Entry.parse(log.leaves[index]), **changes).encode()
    return [*log.leaves[:index], changed, *log.leaves[index + 1 :]]


def findings_of(leaves):
    return audit(leaves, checkpoint_of(leaves)).findings


def test_a_place_in_the_chain_that_is_not_the_next():
    log = life()
    last = Entry.parse(log.leaves[17])
    for given_seq in (1, 6, 8, 2**64 - 1):
        assert findings_of(relinked(log, 17, chain_seq=given_seq)) == [
            Finding(
                17, Reason.BROKEN_CHAIN, f"chain_seq in {TEA}: given {given_seq}, expected {last.chain_seq}"
            )
        ]


def test_a_link_to_another_entry():
    log = life()
    last = Entry.parse(log.leaves[17])
    other = leaf_hash(log.leaves[3])
    assert findings_of(relinked(log, 17, previous=other)) == [
        Finding(
            17, Reason.BROKEN_CHAIN, f"previous in {TEA}: given {other.hex()}, expected {last.previous.hex()}"
        )
    ]


def test_a_chain_that_begins_again():
    city, log = founded()
    first, second = city.listing(), city.listing()
    log.accept(first)
    data = Entry(0, b"", log.clock_us, second.raw).encode()
    assert findings_of([*log.leaves, data]) == [
        Finding(7, Reason.BROKEN_CHAIN, f"chain_seq in {TEA}: given 0, expected 1")
    ]


def test_a_chain_that_does_not_begin_at_0():
    city, log = founded()
    data = Entry(1, bytes(32), log.clock_us, city.listing().raw).encode()
    assert findings_of([*log.leaves, data]) == [
        Finding(6, Reason.BROKEN_CHAIN, f"chain_seq in {TEA}: given 1, expected 0")
    ]


def test_one_broken_link_is_one_finding():
    """What comes after it is linked to what is there."""
    log = life()
    leaves = relinked(log, 10, recorded_at_us=log.entries[10].entry.recorded_at_us + 1)
    reasons = [finding.reason for finding in findings_of(leaves) if finding.reason is Reason.BROKEN_CHAIN]
    assert len(reasons) == 1


def test_time_that_runs_back():
    log = life()
    before = log.entries[16].entry.recorded_at_us
    assert findings_of(relinked(log, 17, recorded_at_us=before - 1)) == [
        Finding(17, Reason.BAD_ENTRY, f"recorded_at: given {before - 1} µs, expected {before} or later")
    ]


@pytest.mark.parametrize("us", [0, -1, -(2**63), LAST_US + 1, 2**63 - 1])
def test_a_time_that_no_calendar_has(us):
    (finding,) = findings_of(relinked(life(), 17, recorded_at_us=us))
    assert finding == Finding(
        17, Reason.BAD_ENTRY, f"entry: given recorded_at {us} µs, expected 1 to {LAST_US} µs"
    )


def test_the_last_moment_of_all_is_no_trouble():
    (finding,) = findings_of(relinked(life(), 2, recorded_at_us=LAST_US))[:1]
    assert (finding.index, finding.reason) == (3, Reason.BAD_ENTRY)


def test_an_event_recorded_twice():
    city, log = founded()
    listing = city.listing()
    log.accept(listing)
    log.forge(listing)
    assert log.audit().findings == [
        Finding(7, Reason.DUPLICATE_EVENT, f"event {event_id(listing).hex()} is recorded twice")
    ]


# Against the rules; test_rules_authority has every kind of event and signer


def test_what_was_recorded_against_the_rules_changes_nothing():
    city, log = founded()
    sale = city.sale("cup buyer", CUP)
    log.forge(sale)
    log.forge(city.receipt(sale, "cup buyer"))
    report = log.audit()
    assert found(report) == [(6, Reason.LISTING_MISSING), (7, Reason.UNKNOWN_KEY)]
    assert report.findings[0].message.startswith(AGAINST_RULES)
    assert report.kinds["sale"] == 1, "it is counted all the same"


def test_an_audit_goes_on_after_an_unknown_key():
    """The chain goes on over the entry of an unknown signer: nobody else is blamed for it."""
    city, log = founded()
    log.forge(city.listing(by="nobody"))
    for envelope in (city.listing(), city.sale()):
        log.forge(envelope)
    assert found(log.audit()) == [(6, Reason.UNKNOWN_KEY)]


def test_an_audit_goes_on_after_a_bad_signature():
    city, log = founded()
    log.forge(altered(city.listing(), signature=bytes(64)))
    log.forge(city.listing())
    assert found(log.audit()) == [(6, Reason.BAD_SIGNATURE)]


def test_all_that_is_wrong_with_one_entry_is_said():
    city, log = founded()
    bad = altered(city.listing(by=COURIER), signature=bytes(64))
    data = Entry(5, bytes(32), log.clock_us - 1, bad.raw).encode()
    leaves = [*log.leaves, data]
    report = audit(leaves, checkpoint_of(leaves), hashes=[*hashes_of(log.leaves), bytes(32)])
    assert found(report) == [
        (6, Reason.BAD_INCLUSION_PROOF),  # the tree holds another hash
        (6, Reason.BAD_ENTRY),  # its time
        (6, Reason.BROKEN_CHAIN),
        (6, Reason.BAD_SIGNATURE),
        (6, Reason.WRONG_ROLE),
    ]


def test_a_log_without_its_genesis():
    leaves = life().leaves[1:]
    report = audit(leaves, checkpoint_of(leaves))
    assert found(report) == [(index, Reason.UNKNOWN_KEY) for index in range(17)]


def test_flagged_entries_are_counted():
    city, log = founded()
    log.clock_us += 3_600_000_000
    log.accept(city.listing(), city.listing(CUP))
    assert log.audit().flagged == 2


# Which log, and which history


def test_another_log():
    city, log = City(), Log()
    log.append(city.genesis("ledger.test/village"), *city.founding()[1:])
    assert log.audit().findings == [
        Finding(0, Reason.FORK, f"origin in the genesis: given ledger.test/village, expected {ORIGIN}")
    ]
    assert audit(log.leaves, log.checkpoint, origin="ledger.test/village").verified


def rewritten():
    """The life of a product without the complaint: everything signed, linked and hashed anew around the gap."""
    log = Log(clock_us=life().entries[0].entry.recorded_at_us - 1_000_000)
    kept = [entry.entry.envelope for entry in life().entries if "complaint" not in entry.recorded.kind]
    log.append(*kept)
    assert len(log.entries) == 15
    return log


def test_rewritten_history_holds_together_in_itself():
    assert rewritten().audit().verified


def test_rewritten_history_is_found_by_who_remembers():
    then = checkpoint_of(life().leaves[:16])
    city, log = City(), rewritten()
    city.now = city.now.replace(hour=9, minute=45)
    city.said = 1_000
    log.append(city.listing(), city.listing())
    now = checkpoint_of(log.leaves[:16])
    report = log.audit(then)
    assert report.findings == [
        Finding(
            None,
            Reason.FORK,
            f"root of the first 16 entries: given {now.root.hex()}, "
            f"expected {then.root.hex()} (checkpoint seen before): history was rewritten",
        )
    ]
    # Up to where the history is the same, an old checkpoint tells nothing.
    assert log.audit(checkpoint_of(life().leaves[:15])).verified


def test_only_the_checkpoints_that_differ_are_named():
    log = rewritten()
    log.set_clock(log.head.recorded_at_us)
    log.append(life().entries[-3].entry.envelope)
    known = [checkpoint_of(life().leaves[:size]) for size in (6, 15, 16)]
    other = Checkpoint(ORIGIN, 7, bytes(32))
    assert log.audit(*known).verified, "the complaint itself came next"
    assert found(log.audit(*known, other)) == [(None, Reason.FORK)]


def test_a_changed_entry_under_the_tree_that_was_seen_is_no_rewritten_history():
    """If the tree is the one that was seen, the entry is what was changed, and that is said once."""
    log = life()
    leaves = [*log.leaves[:5], log.leaves[5][:-1] + b"\0", *log.leaves[6:]]
    known = [checkpoint_of(log.leaves[:size]) for size in (5, 6, 18)]
    told = audit(leaves, log.checkpoint, known=known, hashes=hashes_of(log.leaves))
    assert Reason.FORK not in {reason for _, reason in found(told)}
    assert found(told)[0] == (5, Reason.BAD_ENTRY)
    untold = audit(leaves, log.checkpoint, known=known)
    assert [reason for _, reason in found(untold)].count(Reason.FORK) == 2


def test_a_log_that_was_rolled_back():
    log = life()
    leaves = log.leaves[:17]
    report = audit(leaves, checkpoint_of(leaves), known=[log.checkpoint])
    assert report.findings == [
        Finding(
            None,
            Reason.ROLLBACK,
            "number of entries: given 17, expected at least 18 (checkpoint seen before)",
        )
    ]


@pytest.mark.parametrize("size", [0, 17, 19, 10**9])
def test_a_checkpoint_of_another_size(size):
    checkpoint = Checkpoint(ORIGIN, size, bytes(32))
    assert audit(life().leaves, checkpoint).findings == [
        Finding(None, Reason.BAD_ENTRY, f"number of entries: given 18, expected {size} (checkpoint)")
    ]


# What this version does not know


def unknown(city, by, chain=TEA):
    """An event of a kind that this version does not know."""
    event = pb.Event.FromString(city.listing(chain).payload)
    event.ClearField("listing")
    return Envelope.seal(event.SerializeToString() + wire(99, b"\x08\x01"), city.key(by))


def test_an_unknown_kind_is_verified_counted_and_no_failure():
    city, log = founded()
    log.accept(city.listing())
    for envelope in (unknown(city, MERCHANT), unknown(city, COURIER, CUP), city.listing()):
        log.forge(envelope)
    report = log.audit()
    assert report.verified, report.findings
    assert (report.unknown_kinds, report.unjudged, report.signatures, report.chains) == (2, 0, 10, 8)
    assert report.kinds["unknown to this version"] == 2


def test_of_an_unknown_kind_the_signature_must_hold():
    city, log = founded()
    log.forge(altered(unknown(city, MERCHANT), signature=bytes(64)))
    log.forge(unknown(city, "nobody"))
    assert found(log.audit()) == [(6, Reason.BAD_SIGNATURE), (7, Reason.UNKNOWN_KEY)]


def test_of_an_unknown_kind_the_link_must_hold():
    city, log = founded()
    log.accept(city.listing())
    data = Entry(0, b"", log.clock_us, unknown(city, MERCHANT).raw).encode()
    assert [(it.index, it.reason) for it in findings_of([*log.leaves, data])] == [(7, Reason.BROKEN_CHAIN)]


def test_of_an_unknown_kind_what_every_event_says_must_hold():
    city, log = founded()
    event = pb.Event.FromString(city.listing().payload)
    event.ClearField("listing")
    event.nonce = b"short"
    log.forge(Envelope.seal(event.SerializeToString() + wire(99, b""), city.key(MERCHANT)))
    assert found(log.audit()) == [(6, Reason.MALFORMED_EVENT)]


def adoption(city, version=2, by=REGULATOR):
    return city.say(by, ChainKey("ledger"), pb.RulesAdoption(rules_version=version))


def test_under_unknown_rules_entries_are_verified_and_not_judged():
    city, log = founded()
    sale = city.sale("cup buyer", CUP)
    said = [
        adoption(city),
        city.listing(by=COURIER),
        sale,
        city.receipt(sale, "cup buyer"),
        unknown(city, PLATFORM),
        adoption(city, 3),
        city.listing(by="somebody new"),
    ]
    for envelope in said:
        log.forge(envelope)
    report = log.audit()
    assert report.verified, report.findings
    assert (report.size, report.unjudged, report.unknown_kinds) == (13, 6, 1)
    # What the sale changed is not known, and so its buyer's key is not; somebody new may have come in unjudged too.
    assert report.signatures == 13 - 2


def test_under_unknown_rules_signatures_links_and_times_must_hold():
    city, log = founded()
    log.forge(adoption(city))
    log.forge(altered(city.listing(), signature=bytes(64)))
    link = next_link(TEA, log.state)
    leaves = [
        *log.leaves,
        Entry(9, link[1], log.clock_us, city.listing().raw).encode(),
        Entry(10, bytes(32), log.clock_us, city.listing().raw).encode(),
        Entry(0, b"", log.clock_us - 1, city.listing(CUP).raw).encode(),
    ]
    assert [(it.index, it.reason) for it in findings_of(leaves)] == [
        (7, Reason.BAD_SIGNATURE),
        (8, Reason.BROKEN_CHAIN),
        (9, Reason.BROKEN_CHAIN),
        (10, Reason.BAD_ENTRY),
    ]


def test_rules_that_nobody_entitled_has_adopted_are_not_in_force():
    city, log = founded()
    log.forge(adoption(city, by=PLATFORM))
    log.forge(adoption(city, version=3))
    log.forge(city.listing(by=COURIER))
    assert found(log.audit()) == [(6, Reason.WRONG_ROLE), (7, Reason.RULES_VERSION), (8, Reason.WRONG_ROLE)]


# Many findings


def test_findings_beyond_the_first_thousand_are_counted():
    junk = [b"junk"] * (MAX_FINDINGS + 5)
    report = audit(junk, checkpoint_of(junk))
    assert len(report.findings) == MAX_FINDINGS == 1_000
    assert report.more_findings == 5
    assert report.findings[-1].index == MAX_FINDINGS - 1
    assert not report.verified
