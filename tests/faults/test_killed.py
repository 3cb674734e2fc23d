"""A service that is killed at random moments under load: what was acknowledged is there, whole, and provable.

It is started again and nothing else: it takes up the log by itself. `SUYUAN_SOAK=1` kills it 200 times.
"""

import random
import signal
import threading
import time
from collections import deque
from contextlib import ExitStack
from queue import SimpleQueue

import grpc
import pytest
from postgresql import empty_database
from running import new_log, operator
from soaking import tell, times
from takeover import Process, until
from world import ORIGIN, START, City, event_id, parsed

from ledger.audit import Auditor
from ledger.chain_key import ChainKey
from ledger.checkpoint import open_checkpoint
from ledger.frontier import Frontier
from ledger.merkle import leaf_hash, verify_consistency, verify_inclusion
from ledger.note import VerifierKey
from suyuan.v1 import event_pb2 as ev
from suyuan.v1 import ledger_service_pb2 as pb
from suyuan.v1.ledger_service_pb2_grpc import LedgerServiceStub

KILLS = times(4, 200)
LONGEST_LIFE_S = 0.6
SHARED_PARCEL = ChainKey("waybill/sf/SF7000000000000")
PROVEN_BY_THE_SERVICE = 200
"""Receipts that the service is asked to prove in the end, and checkpoints; we ourselves prove all of them."""
WAIT_S = 60


class Sender:
    """Says one thing after the other, and says again what was not answered, until it is.

    Args:
        number: tells it from the others.
        events: how many a request has.
        ahead: requests that are sent before the first is answered; more than one go through a stream.
    """

    def __init__(self, number, events, ahead=1):
        self.city = City(said=number * 10**7)
        self.parcels = [ChainKey(f"waybill/sf/SF80000000000{number:02}"), SHARED_PARCEL]
        self.events, self.ahead = events, ahead
        self.unanswered = deque()
        self.receipts = {}
        """By event id: its receipt, and the note below it."""
        self.failure = None

    def live(self, target):
        """Send until the service is gone."""
        try:
            with grpc.insecure_channel(target) as channel:
                self._send(LedgerServiceStub(channel))
        except grpc.RpcError as error:
            if error.code() not in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}:
                self.failure = error
        except Exception as error:  # noqa: BLE001 - it is told in the test's own thread
            self.failure = error

    def settle(self, stub):
        """Have what was not answered answered."""
        while self.unanswered:
            self._keep(stub.AppendEvents(self._request(self.unanswered[0]), timeout=WAIT_S))

    def _send(self, stub):
        if self.ahead == 1:
            while True:
                if not self.unanswered:
                    self._say()
                self._keep(stub.AppendEvents(self._request(self.unanswered[0]), timeout=WAIT_S))
        while len(self.unanswered) < self.ahead:
            self._say()
        outgoing = SimpleQueue()
        for said in self.unanswered:
            outgoing.put(self._request(said))
        try:
            for answer in stub.StreamAppend(iter(outgoing.get, None), timeout=WAIT_S):
                self._keep(answer)
                outgoing.put(self._request(self._say()))
        finally:
            outgoing.put(None)

    def _say(self):
        said = [
            self.city.scan(ev.SHIPMENT_STAGE_IN_TRANSIT, self.parcels[number % 2], at=START)
            for number in range(self.events)
        ]
        self.unanswered.append(said)
        return said

    def _keep(self, answer):
        said = self.unanswered[0]
        for envelope, result in zip(said, answer.results, strict=True):
            assert result.HasField("receipt"), result
            self.receipts[event_id(envelope)] = result.receipt, answer.checkpoint.note
        self.unanswered.popleft()

    @staticmethod
    def _request(said):
        return pb.AppendEventsRequest(envelopes=[envelope.raw for envelope in said])


def entries_from(service, start):
    """All entries from an index on."""
    found = []
    while page := service.ledger.ListEntries(
        pb.ListEntriesRequest(start=start + len(found)), timeout=WAIT_S
    ).entries:
        found += page
    return found


def live_and_die(service, senders, seconds):
    threads = [threading.Thread(target=sender.live, args=(service.target,)) for sender in senders]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    service.stop(signal.SIGKILL)
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive()
    for sender in senders:
        assert sender.failure is None, sender.failure


def whole_or_not_at_all(senders, ids):
    """How many of the unanswered requests are recorded; none is by half."""
    recorded = 0
    for sender in senders:
        for said in sender.unanswered:
            there = [event_id(envelope) in ids for envelope in said]
            assert all(there) or not any(there), "half a batch"
            recorded += there[0]
    return recorded


def prove(service, leaves, receipts):
    """Every receipt holds, under the checkpoint that it named, which the final log continues."""
    vkey = VerifierKey.parse(service.vkey)
    opened = {note: open_checkpoint(note, ORIGIN, [vkey]) for _, note in receipts.values()}
    hashes = [leaf_hash(data) for data in leaves]
    for receipt, note in receipts.values():
        assert receipt.entry_hash == hashes[receipt.index]
        head = opened[note]
        verify_inclusion(
            receipt.entry_hash, receipt.index, head.size, list(receipt.inclusion_proof), head.root
        )
    roots, frontier = {}, Frontier()
    for size, entry_hash in enumerate(hashes, 1):
        frontier = frontier.append(entry_hash)
        roots[size] = frontier.root
    for head in opened.values():
        assert roots[head.size]() == head.root, f"the log of {head.size} entries was another one"
    newest = service.ledger.GetCheckpoint(pb.GetCheckpointRequest()).checkpoint.note
    last = open_checkpoint(newest, ORIGIN, [vkey])
    auditor = Auditor(ORIGIN, known=opened.values())
    for data in leaves:
        auditor.read(data)
    report = auditor.conclude(last)
    assert report.verified, report.findings
    choice = random.Random(1)
    for head in choice.sample(list(opened.values()), min(PROVEN_BY_THE_SERVICE, len(opened))):
        request = pb.GetConsistencyProofRequest(old_size=head.size, new_size=last.size)
        proof = list(service.ledger.GetConsistencyProof(request).proof)
        verify_consistency(head.size, head.root, last.size, last.root, proof)
    for receipt, note in choice.sample(list(receipts.values()), min(PROVEN_BY_THE_SERVICE, len(receipts))):
        head = opened[note]
        request = pb.GetInclusionProofRequest(index=receipt.index, size=head.size)
        proof = list(service.ledger.GetInclusionProof(request).proof)
        verify_inclusion(receipt.entry_hash, receipt.index, head.size, proof, head.root)


@pytest.fixture(params=["sqlite", "postgresql"])
def service(request, tmp_path):
    """A log that is not served yet, on either database."""
    with ExitStack() as stack:
        url = stack.enter_context(empty_database()) if request.param == "postgresql" else ""
        yield new_log(tmp_path, url=url)


def start(service):
    """Start the service, and wait until it records: what it left of its turn when it was killed is over at once."""
    service.start()
    until(lambda: Process.writes(service), "its turn", WAIT_S)


def test_nothing_acknowledged_is_lost_whenever_the_service_is_killed(service):
    senders = [*(Sender(n, 1) for n in range(3)), Sender(3, 20), Sender(4, 150), Sender(5, 10, ahead=4)]
    leaves, lived = [], random.Random()
    after_all = 0
    try:
        start(service)
        service.append(*service.founding)
        for _ in range(KILLS):
            live_and_die(service, senders, lived.uniform(0.02, LONGEST_LIFE_S))
            start(service)
            leaves += entries_from(service, len(leaves))
            ids = {event_id(envelope) for _, envelope, _ in map(parsed, leaves)}
            after_all += whole_or_not_at_all(senders, ids)
        for sender in senders:
            sender.settle(service.ledger)
        leaves = entries_from(service, 0)
        receipts = {key: kept for sender in senders for key, kept in sender.receipts.items()}
        said = [event_id(envelope) for _, envelope, _ in map(parsed, leaves[1 + len(service.founding) :])]
        assert len(said) == len(set(said)), "an event was recorded twice"
        assert set(said) == set(receipts)
        assert all(said[kept.index - 1 - len(service.founding)] == key for key, (kept, _) in receipts.items())
        prove(service, leaves, receipts)
        tell(f"{KILLS} kills, {len(said)} events, {after_all} requests recorded though not answered")
        assert service.stop() == 0
        assert "OK" in operator("check", "--database", service.where, "--log-key", service.log_key).stdout
    finally:
        service.stop(signal.SIGKILL)
