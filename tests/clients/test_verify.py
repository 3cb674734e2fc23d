from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lying import head_of, prove, prove_growth
from world import CARRIER_MEMBER, COURIER, MERCHANT, ORIGIN, PARCEL, PLATFORM, REGULATOR, TEA, City, Log

from clients.verify import (
    VerifiedEntry,
    verify_chain,
    verify_entries,
    verify_growth,
    verify_introductions,
    verify_receipt,
)
from ledger.checkpoint import Checkpoint
from ledger.entry import Entry
from ledger.errors import BrokenProof, Reason
from ledger.event import Kind
from ledger.merkle import leaf_hash
from suyuan.v1 import entry_pb2
from suyuan.v1 import ledger_service_pb2 as pb


@pytest.fixture(scope="module")
def log():
    """The founding of a city and the life of one product, in one log."""
    city, log = City(), Log()
    log.append(*city.founding())
    log.append(*city.life())
    assert len(log.entries) == 18
    return log


@pytest.fixture(scope="module")
def head(log):
    return head_of(log)


def history_of(log, chain):
    return [prove(log, entry.recorded.index) for entry in log.entries if entry.recorded.chain == chain]


def introductions_of(log):
    return [prove(log, index) for index in (0, 1, 2, 4, 5, 7)]


def broken(caught, reason=Reason.BAD_ENTRY):
    assert caught.type is BrokenProof
    assert caught.value.reason is reason
    return str(caught.value)


def test_offline_verification_needs_no_network():
    program = "import sys, clients.verify, clients.registry; print({'grpc', 'socket'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


# Growth


def test_the_first_checkpoint_is_taken_as_it_is(head):
    verify_growth(None, head, [])


def test_a_proof_from_nothing_has_nothing_in_it(head):
    with pytest.raises(BrokenProof) as caught:
        verify_growth(None, head, [bytes(32)])
    assert broken(caught, Reason.BAD_CONSISTENCY_PROOF) == (
        "hashes in the consistency proof from 0 to 18 leaves: given 1, expected 0"
    )


def test_a_log_that_grew(log, head):
    for size in range(1, head.size + 1):
        verify_growth(head_of(log, size), head, prove_growth(log, size))


def test_a_log_that_shrank(log, head):
    with pytest.raises(BrokenProof) as caught:
        verify_growth(head, head_of(log, 17), [])
    assert broken(caught, Reason.ROLLBACK) == (
        "size of the log ledger.test/city: given 17 entries, expected at least the 18 of a checkpoint seen before"
    )


def test_another_tree_of_the_same_size(head):
    other = replace(head, root=bytes(32))
    with pytest.raises(BrokenProof) as caught:
        verify_growth(head, other, [])
    assert broken(caught, Reason.FORK) == (
        f"root of the first 18 entries of the log ledger.test/city: given {'00' * 32}, expected {head.root.hex()}, "
        "of a checkpoint seen before"
    )


def test_a_larger_tree_that_is_another_log(log, head):
    known = replace(head_of(log, 10), root=bytes(32))
    with pytest.raises(BrokenProof) as caught:
        verify_growth(known, head, prove_growth(log, 10))
    assert broken(caught, Reason.FORK) == (
        f"old root by the consistency proof from 10 to 18 leaves: given {head_of(log, 10).root.hex()}, "
        f"expected {'00' * 32}"
    )


@pytest.mark.parametrize("alter", [lambda proof: [], lambda proof: proof[1:], lambda proof: proof[::-1]])
def test_growth_without_its_proof_is_a_fork(log, head, alter):
    with pytest.raises(BrokenProof) as caught:
        verify_growth(head_of(log, 10), head, alter(prove_growth(log, 10)))
    assert caught.value.reason is Reason.FORK


def test_a_proof_where_nothing_grew(head):
    with pytest.raises(BrokenProof) as caught:
        verify_growth(head, head, [bytes(32)])
    assert broken(caught, Reason.BAD_CONSISTENCY_PROOF) == (
        "hashes in the consistency proof from 18 to 18 leaves: given 1, expected 0"
    )


# Entries


def test_entries_are_proven_and_opened(log, head):
    entries = verify_entries([prove(log, index) for index in range(18)], head)
    assert [entry.index for entry in entries] == list(range(18))
    assert [entry.hash for entry in entries] == [entry.hash for entry in log.entries]
    assert [entry.data for entry in entries] == log.leaves
    assert [entry.event.kind for entry in entries[:3]] == [Kind.GENESIS] + [Kind.PARTY_REGISTRATION] * 2
    assert not any(entry.signature_verified or entry.signer or entry.public_key for entry in entries)
    assert entries[7].entry.recorded_at_us == log.entries[7].entry.recorded_at_us
    assert entries[13].flags == log.entries[13].recorded.flags


def test_an_entry_at_the_index_of_another(log, head):
    lie = prove(log, 6)
    lie.index = 5
    with pytest.raises(BrokenProof) as caught:
        verify_entries([lie], head)
    assert broken(caught, Reason.BAD_INCLUSION_PROOF).startswith(
        "root by the inclusion proof of leaf 5 in the tree of 18 leaves: given "
    )


def test_an_entry_with_the_proof_for_another_size(log, head):
    lie = prove(log, 6, 17)
    with pytest.raises(BrokenProof) as caught:
        verify_entries([lie], head)
    assert caught.value.reason is Reason.BAD_INCLUSION_PROOF


def test_an_entry_beyond_the_checkpoint(log):
    with pytest.raises(BrokenProof) as caught:
        verify_entries([prove(log, 17)], head_of(log, 17))
    assert broken(caught, Reason.BAD_INCLUSION_PROOF) == (
        "leaf index of an inclusion proof: given 17, expected 0 to 16"
    )


@pytest.mark.parametrize("order", [(3, 2), (2, 2)])
def test_entries_out_of_order(log, head, order):
    with pytest.raises(BrokenProof) as caught:
        verify_entries([prove(log, index) for index in order], head)
    assert broken(caught) == (
        f"index of an entry in the order of the log: given {order[1]}, expected more than {order[0]}"
    )


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_any_flipped_bit_is_found(log, head, data):
    proven = prove(log, data.draw(st.integers(0, 17)))
    where = data.draw(st.sampled_from(["entry", "proof"]))
    if where == "entry":
        proven.entry = flip(data, proven.entry)
    else:
        number = data.draw(st.integers(0, len(proven.inclusion_proof) - 1))
        proven.inclusion_proof[number] = flip(data, proven.inclusion_proof[number])
    with pytest.raises(BrokenProof) as caught:
        verify_entries([proven], head)
    assert caught.value.reason is Reason.BAD_INCLUSION_PROOF


def flip(data, value):
    bit = data.draw(st.integers(0, 8 * len(value) - 1))
    flipped = bytearray(value)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


@pytest.mark.parametrize(
    ("envelope", "given", "expected"),
    [
        (b"\xff", "bytes that are no protobuf message", "a serialised suyuan.v1.Envelope"),
        (
            entry_pb2.Envelope(payload_type="text/plain").SerializeToString(),
            "payload type 'text/plain'",
            "payload type 'application/vnd.suyuan.event.v1+protobuf'",
        ),
    ],
)
def test_what_is_in_the_log_and_is_no_entry(envelope, given, expected):
    city, log = City(), Log()
    log.append(*city.founding())
    log.forge(envelope)
    with pytest.raises(BrokenProof) as caught:
        verify_entries([prove(log, 6)], head_of(log))
    assert broken(caught) == f"entry 6: envelope: given {given}, expected {expected}"


def test_a_leaf_longer_than_an_entry_can_be():
    data = Entry(0, b"", 1, bytes(65_536)).encode()
    with pytest.raises(BrokenProof) as caught:
        verify_entries([pb.ProvenEntry(entry=data)], Checkpoint(ORIGIN, 1, leaf_hash(data)))
    assert broken(caught) == "entry 0: given 65542 bytes, expected at most 65535 bytes"


# Signatures


def test_signers_are_known_up_to_the_genesis(log, head):
    ring = verify_introductions(introductions_of(log), head)
    entries = verify_entries([prove(log, index) for index in range(18)], head, ring)
    assert all(entry.signature_verified for entry in entries)
    assert [entry.signer for entry in entries] == [
        REGULATOR, REGULATOR, PLATFORM, PLATFORM, REGULATOR, COURIER, MERCHANT, MERCHANT, MERCHANT,
        CARRIER_MEMBER, CARRIER_MEMBER, CARRIER_MEMBER, CARRIER_MEMBER, "", "", "", MERCHANT, MERCHANT,
    ]  # fmt: skip
    assert all(entry.public_key.key_id == entry.envelope.key_id for entry in entries)


# Chains


def test_a_chain_without_a_gap(log, head):
    entries = verify_entries(history_of(log, TEA), head)
    verify_chain(entries, TEA)
    verify_chain(entries[3:], TEA, after=entries[2])
    verify_chain([], TEA)


def test_an_entry_of_another_chain(log, head):
    entries = verify_entries(history_of(log, TEA), head)
    stranger = verify_entries([prove(log, 9)], head)
    with pytest.raises(BrokenProof) as caught:
        verify_chain([*entries[:2], *stranger], TEA)
    assert broken(caught, Reason.BROKEN_CHAIN) == f"chain of entry 9: given {PARCEL}, expected {TEA}"


def test_a_chain_without_its_first_entry(log, head):
    entries = verify_entries(history_of(log, TEA), head)
    with pytest.raises(BrokenProof) as caught:
        verify_chain(entries[1:], TEA)
    assert broken(caught, Reason.BROKEN_CHAIN) == f"chain_seq of entry 7 in {TEA}: given 1, expected 0"


def test_a_chain_without_a_middle_entry(log, head):
    entries = verify_entries(history_of(log, TEA), head)
    with pytest.raises(BrokenProof) as caught:
        verify_chain(entries[:3] + entries[4:], TEA)
    assert broken(caught, Reason.BROKEN_CHAIN) == f"chain_seq of entry 14 in {TEA}: given 4, expected 3"


def test_a_page_that_does_not_follow_the_one_before(log, head):
    entries = verify_entries(history_of(log, TEA), head)
    with pytest.raises(BrokenProof) as caught:
        verify_chain(entries[2:], TEA, after=entries[0])
    assert broken(caught, Reason.BROKEN_CHAIN) == f"chain_seq of entry 8 in {TEA}: given 2, expected 1"


def relinked(log, head, **changed):
    """The second entry of a chain with another entry around its envelope."""
    first, second, *_ = verify_entries(history_of(log, TEA), head)
    entry = replace(second.entry, **{name: value for name, value in changed.items() if name != "index"})
    data = entry.encode()
    return first, VerifiedEntry.open(changed.get("index", 7), data, (), leaf_hash(data))


def test_a_link_to_another_entry(log, head):
    first, second = relinked(log, head, previous=bytes(32))
    with pytest.raises(BrokenProof) as caught:
        verify_chain([first, second], TEA)
    assert broken(caught, Reason.BROKEN_CHAIN) == (
        f"previous of entry 7 in {TEA}: given {'00' * 32}, expected {first.hash.hex()}"
    )


def test_a_chain_that_runs_against_the_log(log, head):
    first, second = relinked(log, head, index=5)
    with pytest.raises(BrokenProof) as caught:
        verify_chain([first, second], TEA)
    assert broken(caught, Reason.BROKEN_CHAIN) == f"index of chain_seq 1 of {TEA}: given 5, expected > 6"


def test_a_chain_that_runs_back_in_time(log, head):
    first, second = relinked(log, head, recorded_at_us=1)
    with pytest.raises(BrokenProof) as caught:
        verify_chain([first, second], TEA)
    assert broken(caught, Reason.BROKEN_CHAIN) == (
        f"recorded_at of entry 7: given 1 µs, expected {first.entry.recorded_at_us} µs or later"
    )


# Receipts


def receipt_of(log, index):
    entry = log.entries[index]
    proven = prove(log, index)
    return pb.AppendReceipt(
        index=index,
        chain_seq=entry.entry.chain_seq,
        previous=entry.entry.previous,
        recorded_at_us=entry.entry.recorded_at_us,
        entry_hash=entry.hash,
        inclusion_proof=proven.inclusion_proof,
        flags=proven.flags,
    )


@pytest.fixture(scope="module")
def envelopes(log, head):
    return [entry.envelope for entry in verify_entries([prove(log, index) for index in range(18)], head)]


def test_a_receipt_is_proven_from_the_envelope(log, head, envelopes):
    for index, envelope in enumerate(envelopes):
        entry = verify_receipt(envelope, receipt_of(log, index), head)
        assert (entry.index, entry.hash, entry.data) == (index, log.entries[index].hash, log.leaves[index])
        assert entry.event.raw == envelope.payload


def test_a_receipt_for_another_envelope(log, head, envelopes):
    receipt = receipt_of(log, 8)
    of_this = Entry(receipt.chain_seq, receipt.previous, receipt.recorded_at_us, envelopes[7].raw).encode()
    with pytest.raises(BrokenProof) as caught:
        verify_receipt(envelopes[7], receipt, head)
    assert broken(caught) == (
        f"entry hash in the receipt for index 8: given {receipt.entry_hash.hex()}, "
        f"expected {leaf_hash(of_this).hex()}, of the envelope that was sent"
    )


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ({"index": 7}, Reason.BAD_INCLUSION_PROOF),
        ({"index": 18}, Reason.BAD_INCLUSION_PROOF),
        ({"chain_seq": 7}, Reason.BAD_ENTRY),
        ({"previous": bytes(32)}, Reason.BAD_ENTRY),
        ({"recorded_at_us": 1}, Reason.BAD_ENTRY),
        ({"recorded_at_us": -1}, Reason.BAD_ENTRY),
        ({"entry_hash": b""}, Reason.BAD_ENTRY),
        ({"entry_hash": bytes(32)}, Reason.BAD_ENTRY),
    ],
)
def test_a_receipt_that_says_something_else(log, head, envelopes, lie, reason):
    receipt = receipt_of(log, 8)
    for name, value in lie.items():
        setattr(receipt, name, value)
    with pytest.raises(BrokenProof) as caught:
        verify_receipt(envelopes[8], receipt, head)
    assert caught.value.reason is reason


def test_a_receipt_whose_hash_fits_but_is_not_in_the_log(log, head, envelopes):
    receipt = receipt_of(log, 8)
    receipt.recorded_at_us += 1
    data = Entry(receipt.chain_seq, receipt.previous, receipt.recorded_at_us, envelopes[8].raw).encode()
    receipt.entry_hash = leaf_hash(data)
    with pytest.raises(BrokenProof) as caught:
        verify_receipt(envelopes[8], receipt, head)
    assert broken(caught, Reason.BAD_INCLUSION_PROOF).startswith(
        "root by the inclusion proof of leaf 8 in the tree of 18 leaves: given "
    )


def test_a_receipt_without_its_proof(log, head, envelopes):
    receipt = receipt_of(log, 8)
    del receipt.inclusion_proof[:]
    with pytest.raises(BrokenProof) as caught:
        verify_receipt(envelopes[8], receipt, head)
    assert broken(caught, Reason.BAD_INCLUSION_PROOF) == (
        "hashes in the inclusion proof of leaf 8 in the tree of 18 leaves: given 0, expected 5"
    )
