"""Which entries tell a story: the listing that a sale rests on, and that no story is too long to be put together."""

from contextlib import contextmanager

import pytest
from filling import long_scan, record
from sqlalchemy import event, update
from world import MERCHANT, ORIGIN, PARCEL, TEA, City, event_id, signing_key

from ledger.chain_key import ChainKey
from ledger.entry import Entry
from ledger.errors import BadInput, Reason, ServiceFault
from ledger.note import NoteSigner
from ledger.state import Dispatched, Sold
from server import story
from server.store import queries
from server.store.records import save
from server.store.store import Store
from server.store.tables import entries
from server.writer import Writer
from suyuan.v1 import event_pb2 as pb

LOT = ChainKey.lot("6901234567892", "L7")
OTHER_LOT = ChainKey.lot("6901234567892", "L8")
SALES = 2_000


def go_on():
    """Somebody waits."""


def parcel(number):
    return ChainKey(f"waybill/sf/SF{number:010}")


@contextmanager
def counted(connection):
    """The statements that a connection executes within the block."""
    statements = []

    def note(_connection, _cursor, statement, *_):
        statements.append(statement)

    event.listen(connection, "before_cursor_execute", note)
    yield statements
    event.remove(connection, "before_cursor_execute", note)


def refused(reading, **read):
    with pytest.raises(BadInput) as caught:
        reading(**read)
    assert caught.value.reason is Reason.INVALID_REQUEST
    return str(caught.value)


def sale_of(connection, sale):
    return story.of_sale(connection, sale, size=queries.head(connection).size, go_on=go_on)


def chain_of(connection, chain):
    return story.of_chain(connection, chain, size=queries.head(connection).size, go_on=go_on)


@pytest.fixture
def founded(writer, city):
    record(writer, *city.founding())
    return writer


class TestTheListing:
    def test_a_sale_keeps_the_listing_that_it_rests_on(self, store, founded, city):
        sale, later = city.sale("first"), city.sale("second")
        told = [
            city.listing(),
            sale,
            city.listing(title="new"),
            later,
            city.dispatch(sale),
            city.dispatch(later),
        ]
        first, sold, second, sold_later, sent, sent_later = record(founded, *told)
        with store.snapshot() as connection:
            assert sale_of(connection, event_id(sale)) == [first, sold, sent]
            assert sale_of(connection, event_id(later)) == [second, sold_later, sent_later]
        [scan] = record(founded, city.scan(pb.SHIPMENT_STAGE_PICKED_UP))
        with store.snapshot() as connection:
            both = [first, sold, second, sold_later, sent, sent_later, scan]
            assert chain_of(connection, PARCEL) == both

    def test_the_listing_of_the_very_lot_goes_before_that_of_the_product(self, store, founded, city):
        told = [city.listing(), city.listing(LOT), city.listing(title="new"), city.sale(chain=LOT)]
        _, of_lot, _, sold = record(founded, *told)
        with store.snapshot() as connection:
            assert sale_of(connection, event_id(told[-1])) == [of_lot, sold]
            assert chain_of(connection, LOT) == [of_lot, sold]


@pytest.fixture(scope="module")
def much(tmp_path_factory):
    """A lot of which 2,000 packs were sold, each sent in a parcel of its own, and one more parcel with all of them."""
    store, city = Store.create(str(tmp_path_factory.mktemp("much") / "log.db")), City()
    writer = Writer(store, NoteSigner(ORIGIN, signing_key("log")._key))
    writer.load()
    record(writer, *city.founding())
    indexes = record(writer, city.listing())
    sales = [city.sale(f"buyer {number}", LOT) for number in range(SALES)]
    indexes += record(writer, *sales)
    sent = [city.dispatch(sale, parcel(number)) for number, sale in enumerate(sales)]
    indexes += record(writer, *sent, *(city.scan(pb.SHIPMENT_STAGE_PICKED_UP, parcel(n)) for n in range(10)))
    together = record(writer, *(city.dispatch(sale) for sale in sales), city.scan(pb.SHIPMENT_STAGE_ARRIVED))
    indexes += together
    indexes += record(writer, city.say(MERCHANT, TEA, pb.Recall(reason=pb.RECALL_REASON_SAFETY)))
    yield store, indexes
    store.close()


class TestManySales:
    def test_a_lot_is_traced_in_few_statements(self, much):
        store, indexes = much
        with store.snapshot() as connection, counted(connection) as statements:
            assert chain_of(connection, LOT) == indexes
        # Never one for each sale: of 500 at once their dispatches, parcels, recalls and the length of the entries.
        assert len(statements) <= 30

    def test_a_parcel_is_traced_in_few_statements(self, much):
        store, indexes = much
        with store.snapshot() as connection, counted(connection) as statements:
            first_scan = 1 + 2 * SALES
            assert chain_of(connection, PARCEL) == indexes[:first_scan] + indexes[first_scan + 10 :]
        assert len(statements) <= 30

    def test_their_keys_are_introduced_in_few_statements(self, much):
        store, indexes = much
        with store.snapshot() as connection:
            size = queries.head(connection).size
            told = queries.entries_at(connection, indexes)
            with counted(connection) as statements:
                introducing = story.introductions(connection, told, size=size, go_on=go_on)
        assert introducing[0].index == 0
        assert len(statements) <= 4 * 4


class TestLimits:
    @pytest.mark.parametrize("many", [story.MAX_STORY + 1, 3 * story.MAX_STORY])
    def test_a_lot_with_too_many_sales_is_refused_before_anything_of_them_is_read(
        self, store, founded, city, many
    ):
        [listing] = record(founded, city.listing(LOT))
        with store.transaction() as connection:
            sold = (number.to_bytes(32) for number in range(many))
            save(connection, [Sold(s, listing, LOT, MERCHANT, listing, s, 1, 0, b"", b"", b"") for s in sold])
        with store.snapshot() as connection:
            size = queries.head(connection).size
            with counted(connection) as statements:
                refusal = refused(story.of_chain, connection=connection, chain=LOT, size=size, go_on=go_on)
        assert refusal == (
            "story: given more than 10000 entries, expected at most 10000; read the chains one by one"
        )
        assert len(statements) == 2
        assert "LIMIT" in statements[-1]

    def test_a_parcel_with_too_many_sales(self, store, founded, city):
        record(founded, city.scan(pb.SHIPMENT_STAGE_PICKED_UP))
        with store.transaction() as connection:
            sales = (number.to_bytes(32) for number in range(story.MAX_STORY + 1))
            save(connection, [Dispatched(PARCEL, sale, 6) for sale in sales])
        with store.snapshot() as connection:
            size = queries.head(connection).size
            with counted(connection) as statements:
                refusal = refused(story.of_chain, connection=connection, chain=PARCEL, size=size, go_on=go_on)
        assert refusal.startswith("story: given more than 10000 entries")
        assert len(statements) == 2

    def test_a_sale_in_too_many_parcels(self, store, founded, city):
        sale = city.sale()
        record(founded, city.listing(), sale)
        with store.transaction() as connection:
            numbers = range(story.MAX_STORY + 1)
            save(connection, [Dispatched(parcel(number), event_id(sale), 7) for number in numbers])
        with store.snapshot() as connection, counted(connection) as statements:
            assert "story: given more than 10000" in refused(
                sale_of, connection=connection, sale=event_id(sale)
            )
        assert len(statements) <= 4

    def test_a_story_of_too_many_bytes_is_refused_before_its_entries_are_loaded(self, store, founded, city):
        record(founded, *(long_scan(city) for _ in range(490)))
        with store.snapshot() as connection:
            length = queries.bytes_of_entries(connection, chain_of(connection, PARCEL))
            assert 15 * 1024 * 1024 < length <= story.MAX_STORY_BYTES
        record(founded, *(long_scan(city) for _ in range(30)))
        with store.snapshot() as connection, counted(connection) as statements:
            refusal = refused(chain_of, connection=connection, chain=PARCEL)
        assert refusal == (
            "story: given more than 16777216 bytes of entries, expected at most 16777216; "
            "read the chains one by one"
        )
        assert not [statement for statement in statements if "SELECT entries.idx, entries.data" in statement]

    def test_entries_that_leave_no_room_for_the_registrations(self, store, founded, city):
        with store.snapshot() as connection:
            [genesis] = queries.entries_at(connection, [0])
            long = queries.StoredEntry(0, genesis.data, ())
            told = [long] * (story.MAX_STORY_BYTES // len(genesis.data))
            refusal = refused(story.introductions, connection=connection, told=told, size=6, go_on=go_on)
        assert refusal == (
            "entries with their registrations: given more than 16777216 bytes of entries, "
            "expected at most 16777216; ask for fewer, or without registrations"
        )

    def test_an_answer_that_nobody_waits_for_is_not_finished(self, store, founded, city):
        sale = city.sale()
        record(founded, city.listing(), sale)

        def nobody():
            raise ServiceFault(Reason.STOPPING, "answer")

        with store.snapshot() as connection, pytest.raises(ServiceFault, match="answer"):
            story.of_sale(connection, event_id(sale), size=8, go_on=nobody)


class TestDamage:
    @pytest.mark.parametrize("damaged", [b"\xff", b"", Entry(0, b"", 1, b"\xff").encode()])
    def test_an_entry_that_cannot_be_read_is_named_and_is_nobodys_input(self, store, founded, city, damaged):
        sale = city.sale()
        _, index = record(founded, city.listing(), sale)
        with store.transaction() as connection:
            connection.execute(update(entries).where(entries.c.idx == index).values(data=damaged))
        with store.snapshot() as connection:
            told = queries.entries_at(connection, sale_of(connection, event_id(sale)))
            with pytest.raises(ServiceFault) as caught:
                story.introductions(connection, told, size=8, go_on=go_on)
        assert caught.value.reason is Reason.STORE_DAMAGED
        assert caught.value.subject.startswith(f"entry {index}: e")
