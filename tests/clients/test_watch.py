"""Watching through the SDK: what is delivered, what is tried again, and what a service may try that wants to deceive."""

from __future__ import annotations

import threading
import time
from math import inf

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lying import log_signer, refusal, refusing, signed
from world import COURIER, MERCHANT, MERCHANT_MEMBER, OTHER_MERCHANT, PARCEL, PLATFORM, REGULATOR, TEA

from clients import watch
from clients.sdk import LedgerClient
from ledger.checkpoint import Checkpoint
from ledger.errors import BadInput, Reason, ServiceFault
from ledger.event import Kind
from ledger.selection import Selection
from suyuan.v1 import event_pb2 as ev
from suyuan.v1 import ledger_service_pb2 as pb


def read(client, start=0, **filters):
    """Everything wanted up to the log's end."""
    entries = []
    for page in client.watch(start, patience_s=0, **filters):
        entries += page.entries
        if page.is_last:
            return entries
    raise AssertionError


@pytest.fixture(scope="module")
def honest(town):
    with LedgerClient(town.service.target, town.service.vkey) as client:
        yield client


def test_everything_comes_once_in_order_and_verified(honest):
    entries = read(honest)
    assert [entry.index for entry in entries] == list(range(honest.checkpoint().size))
    assert all(entry.signature_verified for entry in entries)
    assert [entry.index for entry in read(honest, 7)] == list(range(7, len(entries)))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.integers(0, 30),
    chains=st.frozensets(st.sampled_from([TEA, PARCEL, MERCHANT, "waybill/sf/SF0000000000000"]), max_size=2),
    parties=st.frozensets(
        st.sampled_from([MERCHANT, MERCHANT_MEMBER, OTHER_MERCHANT, COURIER, REGULATOR, PLATFORM]), max_size=2
    ),
    kinds=st.frozensets(st.sampled_from(list(Kind)), max_size=4),
)
def test_a_filter_lets_through_what_a_naive_one_does(honest, start, chains, parties, kinds):
    def concerned(entry):
        return any(
            who == party or who.startswith(f"{party}/")
            for who in (entry.event.chain, entry.signer)
            for party in parties
        )

    wanted = [
        entry.index
        for entry in read(honest)
        if entry.index >= start
        and (not chains or entry.event.chain in chains)
        and (not kinds or entry.event.kind in kinds)
        and (not parties or concerned(entry))
    ]
    found = read(honest, start, chains=chains, parties=parties, kinds=kinds)
    assert [entry.index for entry in found] == wanted


def test_what_is_recorded_later_comes_when_it_is(honest, town):
    start, later = honest.checkpoint().size, "waybill/sf/SF2222222222222"
    pages = honest.watch(start, chains=[later])
    first = next(pages)
    assert (first.entries, first.next, first.is_last) == ((), start, True)
    seen = []
    for number in range(5):
        town.service.append(town.city.scan(ev.SHIPMENT_STAGE_IN_TRANSIT, later))
        town.service.append(town.city.scan(ev.SHIPMENT_STAGE_IN_TRANSIT, "waybill/sf/SF3333333333333"))
        while len(seen) <= number:
            seen += next(pages).entries
    pages.close()
    assert [entry.entry.chain_seq for entry in seen] == list(range(5))


def test_a_start_beyond_the_log_is_refused(honest):
    size = honest.checkpoint().size
    with pytest.raises(BadInput) as caught:
        next(honest.watch(size + 1))
    assert str(caught.value) == f"start: given {size + 1}, expected at most {size}, the size of the log"


def test_a_stream_that_breaks_off_goes_on_where_it_was(liar, client, monkeypatch):
    """Twelve times, each after one answer of one entry."""
    monkeypatch.setattr(watch, "FIRST_PAUSE_S", 0.01)

    def one_entry_and_no_more(request, answer):
        del answer.entries[1:]
        answer.next = request.start + 1
        return [answer, too_many()]

    liar.tell("WatchEvents", one_entry_and_no_more)
    pauses = []
    pages = client.watch(on_pause=lambda fault, pause_s: pauses.append((fault.reason, pause_s)))
    indexes = [entry.index for _ in range(12) for entry in next(pages).entries]
    pages.close()
    assert indexes == list(range(12))
    assert [request.start for request in liar.calls("WatchEvents")] == indexes
    assert pauses == [(Reason.OVERLOADED, 0.01)] * 11


def too_many():
    return refusing("OVERLOADED", grpc.StatusCode.RESOURCE_EXHAUSTED)


def test_a_service_that_never_answers_is_tried_with_patience_and_then_told(town, liar, client, monkeypatch):
    monkeypatch.setattr(watch, "FIRST_PAUSE_S", 0.01)
    pauses = []
    liar.tell("WatchEvents", lambda *_: too_many())
    with pytest.raises(ServiceFault) as caught:
        next(client.watch(patience_s=0.2, on_pause=lambda fault, pause_s: pauses.append(pause_s)))
    assert caught.value.reason is Reason.OVERLOADED
    assert pauses[:3] == [0.01, 0.02, 0.04]


def test_a_stream_on_which_nothing_comes_counts_as_broken(town, liar, client):
    liar.tell("WatchEvents", lambda *_: [])
    pages = watch.watch(client._session, Selection(), 0, patience_s=0, on_pause=watch.no_word, silence_s=0.3)
    with pytest.raises(ServiceFault) as caught:
        next(pages)
    assert str(caught.value) == (
        "stream of entries: given nothing for 0.3 s, expected an answer, were it an empty one"
    )


def test_a_refusal_that_will_not_pass_is_raised_at_once(liar, client):
    liar.tell("WatchEvents", lambda *_: refusing("STORE_DAMAGED", grpc.StatusCode.DATA_LOSS))
    with pytest.raises(ServiceFault) as caught:
        next(client.watch(patience_s=inf))
    assert caught.value.reason is Reason.STORE_DAMAGED


# Lies


def lied_to(client, start=0, **filters):
    def attempt():
        for page in client.watch(start, patience_s=0, **filters):
            if page.is_last:
                return

    return attempt


def test_an_entry_left_out_of_the_whole_log(liar, client):
    def lie(_, answer):
        del answer.entries[3]

    liar.tell("WatchEvents", lie)
    message = refusal(lied_to(client))
    assert message.startswith("entries from 0 to ")
    assert message.endswith(", without a gap")


def test_the_end_of_a_page_left_out(liar, client):
    def lie(_, answer):
        del answer.entries[-1]

    liar.tell("WatchEvents", lie)
    assert "without a gap" in refusal(lied_to(client))


def test_an_entry_left_out_of_a_watched_chain(liar, client, town):
    def lie(_, answer):
        del answer.entries[1]

    liar.tell("WatchEvents", lie)
    assert refusal(lied_to(client, chains=[PARCEL]), Reason.BROKEN_CHAIN) == (
        f"chain_seq of entry {town.indexes['delivered']} in {PARCEL}: given 2, expected 1"
    )


def test_an_entry_that_the_filter_should_have_kept_back(town, liar, client):
    def lie(_, answer):
        answer.CopyFrom(everything(town, answer))

    liar.tell("WatchEvents", lie)
    assert refusal(lied_to(client, kinds=["recall"])) == (
        "entry 0: given one that was not asked for, expected one that passes the filter"
    )


def everything(town, answer):
    """What a watcher without a filter is sent; of the same log."""
    request = pb.WatchEventsRequest()
    return next(iter(town.service.ledger.WatchEvents(request, timeout=20)))


def test_two_entries_in_each_others_place(liar, client):
    def lie(_, answer):
        first, second = pb.ProvenEntry(), pb.ProvenEntry()
        first.CopyFrom(answer.entries[0])
        second.CopyFrom(answer.entries[1])
        answer.entries[0].CopyFrom(second)
        answer.entries[1].CopyFrom(first)

    liar.tell("WatchEvents", lie)
    assert (
        refusal(lied_to(client)) == "index of an entry in the order of the log: given 0, expected more than 1"
    )


def test_a_page_again(liar, client):
    liar.tell("WatchEvents", lambda _, answer: [answer, answer])
    pages = client.watch()
    size = next(pages).next
    assert (
        refusal(lambda: next(pages)) == f"index of an entry on a page: given 0, expected {size} to {size - 1}"
    )


def test_an_entry_from_before_the_start(town, liar, client):
    def lie(_, answer):
        answer.CopyFrom(everything(town, answer))

    liar.tell("WatchEvents", lie)
    assert refusal(lied_to(client, 5)).startswith("index of an entry on a page: given 0, expected 5 to ")


def test_an_entry_behind_what_was_looked_through(liar, client):
    def lie(_, answer):
        answer.next = answer.entries[-1].index

    liar.tell("WatchEvents", lie)
    assert "index of an entry on a page" in refusal(lied_to(client, kinds=["recall"]))


@pytest.mark.parametrize("next_", [2, 2**62])
def test_a_next_that_goes_back_or_beyond_the_log(liar, client, next_):
    def lie(_, answer):
        del answer.entries[:]
        answer.next = next_

    liar.tell("WatchEvents", lie)
    assert refusal(lied_to(client, 5, kinds=["recall"])).startswith(
        f"next of a page: given {next_}, expected 5 to "
    )


def test_a_changed_entry(liar, client):
    def lie(_, answer):
        raw = bytearray(answer.entries[2].entry)
        raw[-1] ^= 1
        answer.entries[2].entry = bytes(raw)

    liar.tell("WatchEvents", lie)
    refusal(lied_to(client), Reason.BAD_INCLUSION_PROOF)


def test_a_checkpoint_that_does_not_continue_the_one_before(town, liar, client):
    size = client.checkpoint().size
    signer = log_signer(town.service.log_key)

    def lie(_, answer):
        forged = Checkpoint(client.origin, size + 1, bytes(32))
        answer.checkpoint.CopyFrom(signed(forged, signer, [bytes(32)] * 6))

    liar.tell("WatchEvents", lie)
    refusal(lied_to(client), Reason.FORK)


def test_closing_the_client_ends_a_watch(town):
    client = LedgerClient(town.service.target, town.service.vkey)
    pages = client.watch(client.checkpoint().size, patience_s=0)
    next(pages)
    late = threading.Timer(0.3, client.close)
    late.start()
    began = time.monotonic()
    with pytest.raises(ServiceFault) as caught:
        next(pages)
    assert caught.value.reason is Reason.UNREACHABLE
    assert time.monotonic() - began < 9  # before the next heartbeat, which would hide it
