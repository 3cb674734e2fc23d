"""PostgreSQL that goes away and comes back: nothing is doubled, nothing acknowledged is lost, and nobody has to help."""

import threading
import time

import grpc
import pytest
from filling import NOW, record
from postgresql import cluster, empty_database
from running import operator, running_service
from severing import AtCommit, wire
from world import ORIGIN, signing_key

from ledger.errors import Reason, ServiceFault
from ledger.note import NoteSigner, VerifierKey
from ledger.sequence import Sequenced, Submission
from server.rebuild import check
from server.store import queries
from server.store.store import Store
from server.writer import Writer

DEADLINE_S = 90
LOG = NoteSigner(ORIGIN, signing_key("log")._key).vkey


@pytest.fixture
def line():
    """A wire to the server."""
    with wire(cluster().socket) as made:
        yield made


@pytest.fixture
def url(line):
    """A database, by way of the wire."""
    with empty_database() as direct:
        name = direct.partition("?")[0].rpartition("/")[2]
        yield f"postgresql://suyuan@127.0.0.1:{line.port}/{name}"
        line.close()


@pytest.fixture
def far(url):
    """An empty store at the other end of the wire."""
    made = Store.create(url)
    yield made
    made.close()


@pytest.fixture
def founded(far, signer, city):
    """A writer of the log in it, with its founding."""
    made = Writer(far, signer)
    record(made, *city.founding())
    return made


def write(writer, *envelopes):
    return writer.write([Submission.read(one.raw) for one in envelopes], NOW).batch.verdicts


def test_a_batch_is_recorded_once_whatever_becomes_of_its_commit(far, founded, line, city, monkeypatch):
    monkeypatch.setattr("server.store.postgresql.ANSWER_S", 2.0)
    for number, fault in enumerate(AtCommit, start=6):
        listing = city.listing(title=fault.name)
        line.at_commit.append(fault)
        [verdict] = write(founded, listing)
        assert not line.at_commit
        assert verdict.recorded.index == number
        assert isinstance(verdict, Sequenced) == (fault is AtCommit.LOST)
        assert founded.head.size == number + 1
    assert check(far, [LOG]).none


def test_who_never_hears_of_a_commit_gets_the_first_receipt_later(far, founded, line, signer, city):
    listing = city.listing()
    line.at_commit.extend([AtCommit.ANSWER_LOST, AtCommit.LOST, AtCommit.LOST])
    # The first try is committed; looking it up is cut short twice.
    with pytest.raises(ServiceFault) as caught:
        write(founded, listing)
    assert caught.value.reason is Reason.STORE_UNAVAILABLE
    [verdict] = write(founded, listing)
    assert verdict.recorded.index == 6
    assert not isinstance(verdict, Sequenced)
    assert check(far, [signer.vkey]).none


def test_connections_that_were_cut_while_they_lay_idle_are_not_used(far, founded, line, city):
    for _ in range(3):
        assert line.cut()
        with far.snapshot() as connection:
            assert queries.head(connection) == founded.head
    assert line.cut()
    assert isinstance(write(founded, city.listing())[0], Sequenced)


def test_a_server_that_is_away_is_told_as_that_and_not_as_damage(far, founded, line, url, city):
    line.down = True
    line.cut()
    with pytest.raises(ServiceFault) as caught, far.snapshot():
        pass
    assert caught.value.reason is Reason.STORE_UNAVAILABLE
    with pytest.raises(ServiceFault) as caught:
        Store.open(url)
    assert caught.value.reason is Reason.STORE_UNAVAILABLE
    with pytest.raises(ServiceFault) as caught:
        write(founded, city.listing())
    assert caught.value.reason is Reason.STORE_UNAVAILABLE
    line.down = False
    assert isinstance(write(founded, city.listing())[0], Sequenced)


def test_a_slow_wire_is_only_slow(far, founded, line, city):
    line.delay_s = 0.02
    assert isinstance(write(founded, city.listing())[0], Sequenced)


def test_a_writer_that_falls_silent_loses_its_transaction(far, founded, signer, city, monkeypatch):
    """Frozen in the midst of a batch, it neither holds up the next writer for long nor forks the log when it wakes."""
    monkeypatch.setattr(
        "server.store.postgresql._BEGIN_WRITING",
        "SELECT set_config('idle_in_transaction_session_timeout', '300ms', true), pg_advisory_xact_lock(1)",
    )
    next_writer = Writer(far, signer)
    next_writer.load()

    def frozen_meanwhile():
        with far.transaction() as connection:
            connection.exec_driver_sql("UPDATE log_head SET size = 77")
            assert isinstance(write(next_writer, city.listing())[0], Sequenced)
            connection.exec_driver_sql("SELECT 1")

    with pytest.raises(ServiceFault) as caught:
        frozen_meanwhile()
    assert caught.value.reason is Reason.STORE_UNAVAILABLE
    assert check(far, [signer.vkey]).none


def test_readers_cannot_write(far, founded):
    with pytest.raises(ServiceFault, match="read-only transaction"), far.snapshot() as connection:
        connection.exec_driver_sql("UPDATE log_head SET size = 77")
    with far.snapshot() as connection:
        assert queries.head(connection) == founded.head


class Sender(threading.Thread):
    """Sends listings one after the other, each until it has a receipt."""

    def __init__(self, service, listings):
        super().__init__()
        self.service, self.listings = service, listings
        self.receipts, self.refusals = [], set()

    def run(self):
        deadline = time.monotonic() + DEADLINE_S
        for listing in self.listings:
            while time.monotonic() < deadline:
                try:
                    [result] = self.service.append(listing).results
                except grpc.RpcError as error:
                    self.refusals.add(error.code())
                    time.sleep(0.05)
                    continue
                self.receipts.append((listing, result.receipt.index))
                break


def sent_again(service, listing):
    """A receipt; a connection that the crash has cut may send its first user away."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            return service.append(listing).results[0].receipt
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE or time.monotonic() > deadline:
                raise


def test_a_service_outlives_cuts_and_a_crash_of_its_database(tmp_path, line, url):
    with running_service(tmp_path, url=url) as service:
        city = service.city
        senders = [
            Sender(service, [city.listing(title=f"tea {sender} {number}") for number in range(15)])
            for sender in range(2)
        ]
        for sender in senders:
            sender.start()
        for turn in range(6):
            time.sleep(0.15)
            line.at_commit.append(list(AtCommit)[turn % 2])
            if turn % 2:
                line.cut()
        cluster().restart()
        for sender in senders:
            sender.join(DEADLINE_S)
        receipts = [receipt for sender in senders for receipt in sender.receipts]
        assert len(receipts) == 30
        assert set().union(*(sender.refusals for sender in senders)) <= {grpc.StatusCode.UNAVAILABLE}
        line.at_commit.clear()  # cuts for which there were too few commits
        first = {index: sent_again(service, listing) for listing, index in receipts}
        assert all(receipt.already_recorded and receipt.index == index for index, receipt in first.items())
        assert sorted(first) == list(range(6, 36))
        vkey = VerifierKey.parse(service.vkey)
    store = Store.open(url)
    assert check(store, [vkey]).none
    store.close()
    done = operator("check", "--database", url, "--log-key", service.log_key)
    assert done.stdout == "OK: 36 entries\n"
