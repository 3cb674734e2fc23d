"""Answers that would be long, over a real channel: pages that end by their bytes, and traces that are refused."""

import grpc
import pytest
from filling import long_scan
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from world import TEA, event_id, parsed

from ledger.chain_key import ChainKey
from ledger.entry import Entry
from suyuan.v1 import ledger_service_pb2 as pb

MIB = 1024 * 1024
SCANS = 600
LONG = ChainKey("waybill/sf/SF7777777777777")


@pytest.fixture(scope="module")
def long_chain(service):
    """A parcel whose entries are more than 16 MiB; its steps of the way, 33 KiB each."""
    for _ in range(SCANS // 50):
        results = service.append(*(long_scan(service.city, LONG) for _ in range(50))).results
        assert all(result.HasField("receipt") for result in results), results
    return LONG


def test_a_page_of_history_ends_before_it_passes_2_mib(service, long_chain):
    found, pages = [], []
    while len(found) < SCANS:
        request = pb.GetHistoryRequest(chain=long_chain, start_seq=len(found), page_size=1_000)
        page = service.ledger.GetHistory(request)
        assert page.chain_length == SCANS
        pages.append(sum(len(one.entry) for one in page.entries))
        found += [Entry.parse(one.entry).chain_seq for one in page.entries]
    assert found == list(range(SCANS))
    assert max(pages) <= 2 * MIB
    assert min(pages[:-1]) > 2 * MIB - 40_000


@pytest.mark.parametrize("start_seq", [SCANS, SCANS + 1, 2**63, 2**64 - 1])
def test_behind_the_end_of_a_chain_there_is_nothing(service, long_chain, start_seq):
    page = service.ledger.GetHistory(pb.GetHistoryRequest(chain=long_chain, start_seq=start_seq))
    assert (len(page.entries), page.chain_length) == (0, SCANS)


def test_a_list_of_entries_ends_before_it_passes_2_mib(service, long_chain):
    size = service.ledger.GetHistory(pb.GetHistoryRequest(chain=long_chain)).entries[0].index
    page = service.ledger.ListEntries(pb.ListEntriesRequest(start=size))
    assert 2 * MIB - 40_000 < sum(map(len, page.entries)) <= 2 * MIB
    assert len(page.leaf_hashes) == len(page.entries)


def test_a_trace_of_more_than_16_mib_is_refused(service, long_chain):
    with pytest.raises(grpc.RpcError) as caught:
        service.ledger.GetTrace(pb.GetTraceRequest(chain=long_chain))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == (
        "story: given more than 16777216 bytes of entries, expected at most 16777216; read the chains one by one"
    )
    info = error_details_pb2.ErrorInfo()
    rpc_status.from_call(caught.value).details[0].Unpack(info)
    assert info.reason == "INVALID_REQUEST"


def test_a_sales_trace_has_the_listing_that_it_rests_on_and_not_a_later_one(service):
    sale = service.city.sale("keeps")
    results = service.append(service.city.listing(), sale, service.city.listing(title="new")).results
    first, sold, _ = [result.receipt.index for result in results]
    answer = service.ledger.GetTrace(pb.GetTraceRequest(sale=event_id(sale)))
    assert [one.index for one in answer.entries] == [first, sold]
    _, _, listing = parsed(answer.entries[0].entry)
    assert (listing.chain, listing.message.listing.title) == (TEA, "茉莉花茶 250 g")
