"""The service over a real channel: appends, reads, refusals, and what it does when it is told to stop."""

import signal
import threading
import time
from datetime import timedelta

import grpc
import pytest
from certificates import self_signed
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from running import new_log, running_service
from world import (
    CARRIER_MEMBER,
    COURIER,
    CUP,
    MERCHANT,
    ORIGIN,
    OTHER_MERCHANT,
    PARCEL,
    PLATFORM,
    TEA,
    chain_of,
    event_id,
)

from clients.sdk import LedgerClient
from ledger.chain_key import ChainKey
from ledger.checkpoint import open_checkpoint
from ledger.entry import Entry
from ledger.envelope import Envelope
from ledger.event import moment
from ledger.merkle import leaf_hash, verify_consistency, verify_inclusion
from ledger.note import VerifierKey
from server.clock import wall_clock_us
from suyuan.v1 import entry_pb2, errors_pb2
from suyuan.v1 import event_pb2 as ev
from suyuan.v1 import ledger_service_pb2 as pb
from suyuan.v1 import registry_service_pb2 as reg
from suyuan.v1.ledger_service_pb2_grpc import LedgerServiceStub


def checkpoint_of(service, proven):
    return open_checkpoint(proven.note, ORIGIN, [VerifierKey.parse(service.vkey)])


def reason_of(status):
    """Reason and metadata of a refusal's ErrorInfo."""
    [detail] = [d for d in status.details if d.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
    info = error_details_pb2.ErrorInfo()
    detail.Unpack(info)
    assert info.domain == "suyuan"
    assert f"ERROR_REASON_{info.reason}" in errors_pb2.ErrorReason.keys()  # noqa: SIM118 - not a dict
    return info.reason, dict(info.metadata)


def refusal(service, envelope):
    """The only result of an append, which must be a refusal that recorded nothing."""
    before = service.ledger.GetCheckpoint(pb.GetCheckpointRequest()).checkpoint.note
    [result] = service.append(envelope).results
    assert result.WhichOneof("outcome") == "refusal", result
    assert service.ledger.GetCheckpoint(pb.GetCheckpointRequest()).checkpoint.note == before
    return reason_of(result.refusal)


def serial(number):
    return ChainKey.serial("06901234567892", f"T{number:05}")


class TestAppending:
    def test_a_life_of_a_product_is_recorded_with_receipts_that_verify(self, service):
        for envelope in service.city.life():
            answer = service.append(envelope)
            checkpoint = checkpoint_of(service, answer.checkpoint)
            receipt = answer.results[0].receipt
            entry = Entry(receipt.chain_seq, receipt.previous, receipt.recorded_at_us, envelope.raw)
            assert leaf_hash(entry.encode()) == receipt.entry_hash
            verify_inclusion(
                receipt.entry_hash,
                receipt.index,
                checkpoint.size,
                list(receipt.inclusion_proof),
                checkpoint.root,
            )
            assert not receipt.already_recorded

    def test_the_same_envelope_again_gets_the_first_receipt(self, service):
        listing = service.city.listing(serial(1))
        first = service.append(listing)
        again = service.append(listing, listing)
        for result in again.results:
            receipt = result.receipt
            assert receipt.already_recorded
            checkpoint = checkpoint_of(service, again.checkpoint)
            proof = list(receipt.inclusion_proof)
            verify_inclusion(receipt.entry_hash, receipt.index, checkpoint.size, proof, checkpoint.root)
            for name in ("index", "chain_seq", "previous", "recorded_at_us", "entry_hash"):
                assert getattr(receipt, name) == getattr(first.results[0].receipt, name)

    def test_one_bad_event_does_not_hold_back_the_others(self, service):
        city = service.city
        good, bad, better = city.listing(serial(2)), city.sale(chain=CUP), city.listing(serial(3))
        results = service.append(good, bad, b"\xff\xff", better).results
        assert [result.WhichOneof("outcome") for result in results] == [
            "receipt",
            "refusal",
            "refusal",
            "receipt",
        ]
        assert results[3].receipt.index == results[0].receipt.index + 1
        assert reason_of(results[1].refusal)[0] == "LISTING_MISSING"
        assert reason_of(results[2].refusal)[0] == "MALFORMED_ENVELOPE"

    def test_proofs_can_be_left_out(self, service):
        request = pb.AppendEventsRequest(envelopes=[service.city.listing(serial(4)).raw], omit_proofs=True)
        [result] = service.ledger.AppendEvents(request).results
        assert result.receipt.entry_hash
        assert not result.receipt.inclusion_proof

    def test_a_key_registered_in_a_batch_can_sign_in_the_same_batch(self, service):
        city = service.city
        member = f"{COURIER}/k-{city.said}"
        registration = city.register(member, ev.PARTY_ROLE_COURIER, by=COURIER)
        scan = city.scan(ev.SHIPMENT_STAGE_IN_TRANSIT, by=member)
        results = service.append(registration, scan).results
        assert [result.WhichOneof("outcome") for result in results] == ["receipt", "receipt"]

    def test_a_late_report_is_flagged_and_recorded(self, service):
        early = service.city.now - timedelta(days=3)
        [result] = service.append(service.city.scan(ev.SHIPMENT_STAGE_IN_TRANSIT, at=early)).results
        assert list(result.receipt.flags) == [1, 2]  # EVENT_FLAG_LATE, EVENT_FLAG_OUT_OF_ORDER


class TestRefusals:
    """Each kind of bad input: its documented reason, what was given and expected, and nothing recorded."""

    @pytest.mark.parametrize("method", ["AppendEvents", "GetCheckpoint"])
    def test_bytes_that_are_no_request(self, service, method):
        call = service._channel().unary_unary(f"/suyuan.v1.LedgerService/{method}")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"\xff\xff\xff")
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        [detail] = rpc_status.from_call(caught.value).details
        told = error_details_pb2.ErrorInfo()
        assert detail.Unpack(told)
        assert (told.reason, told.domain) == ("INVALID_REQUEST", "suyuan")
        assert caught.value.details() == (
            f"request of /suyuan.v1.LedgerService/{method}: given 3 bytes that are no protobuf message, "
            "expected its message in suyuan.v1"
        )

    def test_a_request_of_more_than_4_mib_is_not_read(self, service):
        call = service._channel().unary_unary("/suyuan.v1.LedgerService/AppendEvents")
        with pytest.raises(grpc.RpcError) as caught:
            call(bytes(4 * 1024 * 1024 + 1))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    def test_an_unknown_key(self, service):
        reason, told = refusal(service, service.city.listing(serial(10), by="party/nobody"))
        assert reason == "UNKNOWN_KEY"
        assert told["given"] == service.city.key("party/nobody").public_key.key_id.hex()

    def test_a_bad_signature(self, service):
        raw = bytearray(service.city.listing(serial(11)).raw)
        raw[-1] ^= 1
        assert refusal(service, bytes(raw))[0] == "BAD_SIGNATURE"

    def test_a_revoked_key(self, service):
        city = service.city
        member = f"{COURIER}/r-{city.said}"
        service.append(city.register(member, ev.PARTY_ROLE_COURIER, by=COURIER))
        key_id = city.key(member).public_key.key_id
        body = ev.KeyRevocation(key_id=key_id, reason=ev.REVOCATION_REASON_LOST)
        service.append(city.say(COURIER, ChainKey(member), body))
        reason, told = refusal(service, city.scan(ev.SHIPMENT_STAGE_IN_TRANSIT, by=member))
        assert reason == "KEY_REVOKED"
        assert told["subject"] == f"key {key_id.hex()} of {member}"

    def test_a_wrong_role(self, service):
        reason, told = refusal(service, service.city.listing(serial(12), by=COURIER))
        assert (reason, told["given"], told["expected"]) == ("WRONG_ROLE", f"courier {COURIER}", "merchant")

    def test_a_sale_without_a_listing(self, service):
        assert refusal(service, service.city.sale("b12", chain=CUP))[0] == "LISTING_MISSING"

    def test_a_review_before_the_receipt(self, service):
        city = service.city
        sale = city.sale("b13")
        service.append(city.listing(), sale)
        assert refusal(service, city.review(sale, by="b13"))[0] == "RECEIPT_MISSING"

    def test_a_wrong_check_digit_in_the_chain_key(self, service):
        event = service.city.event(TEA, ev.Listing(title="x", category=1))
        message = ev.Event.FromString(event.raw)
        message.chain = "01/06901234567893"
        envelope = Envelope.seal(message.SerializeToString(), service.city.key(MERCHANT))
        reason, told = refusal(service, envelope)
        assert reason in {"BAD_CHAIN_KEY", "BAD_IDENTIFIER"}
        assert "3" in told["given"]

    def test_an_event_that_is_too_long(self, service):
        message = ev.Event.FromString(service.city.event(TEA, ev.Listing(title="x", category=1)).raw)
        for _ in range(49):
            message.evidence.add(sha256=bytes(32), media_type="image/jpeg", uri="https://x/" + "a" * 1000)
        envelope = Envelope.seal(message.SerializeToString(), service.city.key(MERCHANT))
        assert refusal(service, envelope)[0] == "EVENT_TOO_LARGE"

    def test_an_event_for_another_chain(self, service):
        city = service.city
        sale = city.sale("b14")
        service.append(city.listing(), city.listing(CUP), sale)
        body = ev.Receipt(sale=event_id(sale), condition=ev.GOODS_CONDITION_INTACT)
        reason, told = refusal(service, city.say("b14", CUP, body))
        assert (reason, told["given"], told["expected"]) == ("WRONG_CHAIN", str(CUP), str(TEA))

    def test_a_duplicate_with_different_bytes(self, service):
        listing = service.city.listing(serial(15))
        index = service.append(listing).results[0].receipt.index
        other = Envelope.seal(listing.payload, service.city.key(OTHER_MERCHANT))
        reason, told = refusal(service, other)
        assert reason == "DUPLICATE_EVENT"
        assert told["expected"] == f"those recorded at index {index}"

    def test_a_far_future(self, service):
        at = moment(wall_clock_us()) + timedelta(minutes=11)
        assert (
            refusal(service, service.city.scan(ev.SHIPMENT_STAGE_IN_TRANSIT, at=at))[0]
            == "OCCURRED_IN_FUTURE"
        )

    def test_an_unknown_kind(self, service):
        message = ev.Event.FromString(service.city.event(TEA, ev.Listing(title="x", category=1)).raw)
        message.ClearField("body")
        raw = message.SerializeToString() + b"\x9a\x06\x00"  # field 99, empty
        assert refusal(service, Envelope.seal(raw, service.city.key(MERCHANT)))[0] == "UNKNOWN_KIND"

    @pytest.mark.parametrize("junk", [b"", b"\x00", b"\xff" * 100, b"\x12\x02\x08", b"\x0a" * 65_000])
    def test_bytes_that_are_no_envelope(self, service, junk):
        assert refusal(service, junk)[0] == "MALFORMED_ENVELOPE"

    def test_an_algorithm_that_does_not_go_with_the_key(self, service):
        message = entry_pb2.Envelope.FromString(service.city.listing(serial(16)).raw)
        message.signatures[0].algorithm = entry_pb2.SIGNATURE_ALGORITHM_SM2_SM3
        reason, told = refusal(service, message.SerializeToString())
        assert (reason, told["given"], told["expected"]) == (
            "UNSUPPORTED_ALGORITHM",
            "algorithm 3",
            "ED25519",
        )

    @pytest.mark.parametrize("count", [0, 1001])
    def test_a_batch_of_a_wrong_size(self, service, count):
        with pytest.raises(grpc.RpcError) as caught:
            service.ledger.AppendEvents(pb.AppendEventsRequest(envelopes=[b"x"] * count))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert caught.value.details() == f"envelopes: given {count}, expected 1 to 1000"


@pytest.fixture(scope="module")
def story(service):
    """A parcel with two products in it, and a second sale of one of them."""
    city = service.city
    tea, cup = city.sale("t1"), city.sale("c1", chain=CUP, by=OTHER_MERCHANT)
    parcel = ChainKey("waybill/yto/YT7000000000001")
    events = [
        city.listing(), city.listing(CUP, by=OTHER_MERCHANT, title="盖碗"), tea, cup,
        city.dispatch(tea, parcel), city.dispatch(cup, parcel, by=OTHER_MERCHANT),
        city.scan(ev.SHIPMENT_STAGE_PICKED_UP, parcel), city.sale("t2"),
        city.scan(ev.SHIPMENT_STAGE_DELIVERED, parcel), city.receipt(tea, "t1"), city.receipt(cup, "c1"),
    ]  # fmt: skip
    results = service.append(*events).results
    return {"tea": tea, "cup": cup, "parcel": parcel, "indexes": [result.receipt.index for result in results]}


class TestReading:
    def check(self, service, answer, entries):
        checkpoint = checkpoint_of(service, answer.checkpoint)
        for one in entries:
            proof = list(one.inclusion_proof)
            verify_inclusion(leaf_hash(one.entry), one.index, checkpoint.size, proof, checkpoint.root)

    def test_history_is_the_whole_chain_in_pages(self, service, story):
        chain, pages, start = str(story["parcel"]), [], 0
        while True:
            page = service.ledger.GetHistory(pb.GetHistoryRequest(chain=chain, start_seq=start, page_size=1))
            self.check(service, page, page.entries)
            if not page.entries:
                break
            pages += page.entries
            start += 1
            assert page.chain_length == 2
        assert [Entry.parse(one.entry).chain_seq for one in pages] == [0, 1]

    def test_registrations_lead_to_the_genesis(self, service, story):
        request = pb.GetHistoryRequest(chain=str(TEA), with_registrations=True)
        answer = service.ledger.GetHistory(request)
        self.check(service, answer, answer.registrations)
        assert answer.registrations[0].index == 0

    def test_the_trace_of_a_sale_leaves_out_other_sales(self, service, story):
        at = story["indexes"]
        answer = service.ledger.GetTrace(pb.GetTraceRequest(sale=event_id(story["tea"])))
        self.check(service, answer, answer.entries)
        assert [one.index for one in answer.entries] == [at[0], at[2], at[4], at[6], at[8], at[9]]

    def test_the_trace_of_a_parcel_has_all_that_is_in_it(self, service, story):
        at = story["indexes"]
        answer = service.ledger.GetTrace(pb.GetTraceRequest(chain=str(story["parcel"])))
        assert [one.index for one in answer.entries] == [*at[:7], *at[8:]]

    def test_the_trace_of_an_item_has_the_recall_of_its_product(self, service):
        city, item = service.city, serial(50)
        recall = city.say(MERCHANT, TEA, ev.Recall(reason=ev.RECALL_REASON_SAFETY))
        results = service.append(city.listing(), city.sale("s50", chain=item), recall).results
        answer = service.ledger.GetTrace(pb.GetTraceRequest(chain=str(item)))
        assert [one.index for one in answer.entries] == [result.receipt.index for result in results]

    def test_a_trace_of_a_product_asks_for_a_sale(self, service, story):
        with pytest.raises(grpc.RpcError) as caught:
            service.ledger.GetTrace(pb.GetTraceRequest(chain=str(TEA)))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        expected = "chain of a trace: given 01/06901234567892, expected a parcel, lot, serial or drug unit; or name a sale"
        assert caught.value.details() == expected

    def test_an_entry_by_index_and_by_event(self, service, story):
        index = story["indexes"][2]
        by_index = service.ledger.GetEntry(pb.GetEntryRequest(index=index))
        by_event = service.ledger.GetEntry(pb.GetEntryRequest(event_id=event_id(story["tea"])))
        assert by_index.entry.entry == by_event.entry.entry
        self.check(service, by_index, [by_index.entry])

    def test_every_entry_is_listed_with_the_hash_that_the_tree_holds(self, service, story):
        entries, hashes = [], []
        while True:
            answer = service.ledger.ListEntries(pb.ListEntriesRequest(start=len(entries), page_size=7))
            if not answer.entries:
                break
            entries += answer.entries
            hashes += answer.leaf_hashes
        assert len(entries) == checkpoint_of(service, answer.checkpoint).size
        assert [leaf_hash(entry) for entry in entries] == hashes

    def test_a_known_size_is_answered_with_consistency(self, service, story):
        old = checkpoint_of(service, service.ledger.GetCheckpoint(pb.GetCheckpointRequest()).checkpoint)
        service.append(service.city.listing(serial(60)))
        answer = service.ledger.GetCheckpoint(pb.GetCheckpointRequest(known_size=old.size)).checkpoint
        new = checkpoint_of(service, answer)
        verify_consistency(old.size, old.root, new.size, new.root, list(answer.consistency_proof))

    def test_proofs_between_old_sizes(self, service, story):
        def root(size):
            return service.ledger.GetConsistencyProof(
                pb.GetConsistencyProofRequest(old_size=size, new_size=0)
            )

        now = checkpoint_of(service, root(1).checkpoint)
        leaf = service.ledger.GetEntry(pb.GetEntryRequest(index=3)).entry.entry
        answer = service.ledger.GetInclusionProof(pb.GetInclusionProofRequest(index=3))
        verify_inclusion(leaf_hash(leaf), 3, answer.size, list(answer.proof), now.root)

    @pytest.mark.parametrize(
        ("method", "request_message", "code", "message"),
        [
            ("GetEntry", pb.GetEntryRequest(index=10**9), "NOT_FOUND", "entry: given 1000000000, expected one of"),
            ("GetEntry", pb.GetEntryRequest(), "INVALID_ARGUMENT", "entry: given none, expected an index or"),
            ("GetHistory", pb.GetHistoryRequest(chain=str(serial(99))), "NOT_FOUND", "chain: given 01/0690123456789"),
            ("GetHistory", pb.GetHistoryRequest(chain="x"), "INVALID_ARGUMENT", "chain key: given x, expected"),
            ("GetHistory", pb.GetHistoryRequest(chain=str(TEA), page_size=9999), "INVALID_ARGUMENT", "page_size: given"),
            ("GetTrace", pb.GetTraceRequest(), "INVALID_ARGUMENT", "subject: given none, expected a sale or a chain"),
            ("GetTrace", pb.GetTraceRequest(sale=b"x"), "NOT_FOUND", "sale: given 78, expected event id of a recorded"),
            ("GetInclusionProof", pb.GetInclusionProofRequest(index=5, size=3), "INVALID_ARGUMENT", "leaf index: given 5"),
            ("GetInclusionProof", pb.GetInclusionProofRequest(size=10**9), "INVALID_ARGUMENT", "tree size: given 1000"),
            ("GetConsistencyProof", pb.GetConsistencyProofRequest(old_size=9, new_size=2), "INVALID_ARGUMENT", "old tree"),
        ],
    )  # fmt: skip
    def test_wrong_questions(self, service, method, request_message, code, message):
        with pytest.raises(grpc.RpcError) as caught:
            getattr(service.ledger, method)(request_message)
        assert caught.value.code().name == code
        assert caught.value.details().startswith(message)


class TestRegistry:
    def test_a_party_with_its_keys_and_its_registration(self, service):
        answer = service.registry.GetParty(reg.GetPartyRequest(party=str(MERCHANT)))
        assert (answer.party.name, answer.party.accreditor) == ("闽茶坊", str(PLATFORM))
        assert [key.public_key for key in answer.keys] == [service.city.key(MERCHANT).public_key.spki]
        assert answer.registration.index == answer.party.registered_index

    def test_parties_by_role_in_pages(self, service):
        names, after = [], ""
        while True:
            request = reg.ListPartiesRequest(role=ev.PARTY_ROLE_MERCHANT, page_size=1, after=after)
            page = service.registry.ListParties(request).parties
            if not page:
                break
            names.append(page[0].party)
            after = page[0].party
        assert names == sorted([str(MERCHANT), str(OTHER_MERCHANT)])

    @pytest.mark.parametrize("after", ["a\0b", "party", "x" * 200])
    def test_a_page_behind_something_that_is_no_party(self, service, after):
        for method, request in (
            (service.registry.ListParties, reg.ListPartiesRequest(after=after)),
            (service.registry.ListListings, reg.ListListingsRequest(chain=TEA, after=after)),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                method(request)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    def test_a_key(self, service):
        key = service.city.key(CARRIER_MEMBER).public_key
        answer = service.registry.GetKey(reg.GetKeyRequest(key_id=key.key_id))
        assert (answer.key.party, answer.key.public_key) == (str(CARRIER_MEMBER), key.spki)

    def test_listings_of_a_product(self, service):
        service.append(service.city.listing(CUP, by=OTHER_MERCHANT, title="盖碗"))
        listings = service.registry.ListListings(reg.ListListingsRequest(chain=str(CUP))).listings
        assert ("盖碗", str(OTHER_MERCHANT)) in [(listed.title, listed.merchant) for listed in listings]

    def test_what_is_found_of_many_chains_is_bounded(self, service):
        serials = [serial(number) for number in range(200, 270)]
        service.append(*(service.city.listing(one) for one in serials))
        service.append(service.city.listing(serials[0], by=OTHER_MERCHANT))
        chains = [*map(str, serials), str(serial(271))]
        answer = service.registry.LookUpChains(reg.LookUpChainsRequest(chains=chains))
        entries = [Entry.parse(one.entry) for one in answer.entries]
        found = [str(chain_of(Envelope.parse(one.envelope))) for one in entries]
        assert len(found) == 60
        assert found.count(chains[0]) == 2
        assert set(found) == set(chains[:59])
        assert [one.index for one in answer.entries] == sorted(one.index for one in answer.entries)
        assert not answer.registrations

    @pytest.mark.parametrize(
        ("chains", "message"),
        [
            ([], "chains: given 0, expected 1 to 200"),
            ([str(TEA)] * 201, "chains: given 201, expected 1 to 200"),
            (["x"], "chain key: given x, expected "),
        ],
    )
    def test_chains_that_are_not_looked_up(self, service, chains, message):
        with pytest.raises(grpc.RpcError) as caught:
            service.registry.LookUpChains(reg.LookUpChainsRequest(chains=chains))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert caught.value.details().startswith(message)

    def test_a_sale_by_its_event_and_by_the_buyers_key(self, service):
        city = service.city
        sale = city.sale("r1")
        complaint = city.complaint(sale, "r1")
        service.append(city.listing(), sale, city.dispatch(sale), city.receipt(sale, "r1"), complaint)
        by_event = service.registry.GetSale(reg.GetSaleRequest(event_id=event_id(sale)))
        key_id = city.key("r1").public_key.key_id
        by_key = service.registry.GetSale(reg.GetSaleRequest(buyer_key_id=key_id))
        assert by_event.sale == by_key.sale
        assert list(by_key.sale.parcels) == [str(PARCEL)]
        assert list(by_key.sale.complaints) == [event_id(complaint)]
        assert by_key.sale.receipt

    def test_what_is_not_there(self, service):
        with pytest.raises(grpc.RpcError) as caught:
            service.registry.GetKey(reg.GetKeyRequest(key_id=bytes(32)))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


class TestProcess:
    def test_health_and_reflection(self, service):
        channel = service._channel()
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", "suyuan.v1.LedgerService", "suyuan.v1.RegistryService"):
            status = health.Check(health_pb2.HealthCheckRequest(service=name)).status
            assert status == health_pb2.HealthCheckResponse.SERVING
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        [answer] = stub.ServerReflectionInfo(iter([request]))
        names = {one.name for one in answer.list_services_response.service}
        assert {"suyuan.v1.LedgerService", "suyuan.v1.RegistryService", "grpc.health.v1.Health"} <= names

    def test_it_stops_when_told_and_takes_up_again(self, tmp_path):
        with running_service(tmp_path / "log") as service:
            receipt = service.append(service.city.listing()).results[0].receipt
            assert service.stop(signal.SIGTERM) == 0
            service.start()
            entry = service.ledger.GetEntry(pb.GetEntryRequest(index=receipt.index)).entry.entry
            assert leaf_hash(entry) == receipt.entry_hash
            assert service.stop(signal.SIGINT) == 0
        assert '"event": "stopped"' in service.log()

    @pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
    def test_a_second_signal_ends_it_at_once(self, tmp_path, number, status):
        with running_service(tmp_path / "log") as service:
            # A call that has begun and does not end keeps the service from stopping by itself.
            call = health_pb2_grpc.HealthStub(service._channel()).Watch(health_pb2.HealthCheckRequest())
            next(call)
            process = service.process
            process.send_signal(number)
            deadline = time.monotonic() + 30
            while '"event": "stopping"' not in service.log() and time.monotonic() < deadline:
                time.sleep(0.01)
            process.send_signal(number)
            assert process.wait(30) == status
        assert "Traceback" not in service.log()
        assert '"event": "stopped"' not in service.log()

    def test_what_was_acknowledged_survives_being_killed(self, tmp_path):
        with running_service(tmp_path / "log") as service:
            acknowledged = []
            city, stop = service.city, threading.Event()

            def load():
                while not stop.is_set():
                    envelopes = [city.listing(serial(city.said)) for _ in range(5)]
                    try:
                        answer = service.append(*envelopes)
                    except grpc.RpcError:
                        return
                    acknowledged.extend(zip(envelopes, answer.results, strict=True))

            thread = threading.Thread(target=load)
            thread.start()
            while len(acknowledged) < 50:
                thread.join(0.01)
            service.process.kill()
            stop.set()
            thread.join()
            service.stop()
            service.start()
            again = service.append(*(envelope for envelope, _ in acknowledged[:1000]))
            for (_, first), now in zip(acknowledged, again.results, strict=False):
                assert now.receipt.already_recorded
                assert now.receipt.entry_hash == first.receipt.entry_hash

    def test_tls_with_a_certificate_of_its_own(self, tmp_path):
        certificate, key = self_signed(tmp_path)
        flags = ("--tls-cert", str(certificate), "--tls-key", str(key))
        service = new_log(tmp_path / "log")
        service.flags = flags
        try:
            service.start()
            credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
            with grpc.secure_channel(
                f"localhost:{service.target.rpartition(':')[2]}", credentials
            ) as channel:
                assert (
                    LedgerServiceStub(channel)
                    .GetCheckpoint(pb.GetCheckpointRequest(), timeout=10)
                    .checkpoint.note
                )
        finally:
            service.stop()


def test_a_parcel_that_nobody_has_scanned_has_the_story_of_its_sales(service):
    city, product = service.city, ChainKey.product("6920000000104")
    parcel = ChainKey("waybill/zto/75312345670001")
    sale = city.sale("unscanned", product)
    results = service.append(city.listing(product), sale, city.dispatch(sale, parcel)).results
    expected = [result.receipt.index for result in results]
    assert [
        one.index for one in service.ledger.GetTrace(pb.GetTraceRequest(chain=str(parcel))).entries
    ] == expected
    with LedgerClient(service.target, service.vkey) as client:
        assert [entry.index for entry in client.trace(chain=parcel).entries] == expected
