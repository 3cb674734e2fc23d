"""Rows that somebody has changed: nothing is signed upon them, and whoever does not touch them is served."""

import asyncio

import pytest
from damaging import SQLITE_ONLY, tamper
from world import COURIER, CUP, MERCHANT, START_US, TEA, event_id

from ledger.chain_key import ChainKey
from ledger.errors import Reason, ServiceFault
from ledger.keys import PublicKey
from ledger.sequence import Resent, Sequenced, Submission
from ledger.state import ChainHead, Listed, Party, PartyKey
from server.admission import PublicKeys
from server.rebuild import check, rebuild
from server.sequencer import Sequencer
from server.store.records import load
from server.writer import Writer
from suyuan.v1 import event_pb2 as pb

NOW = START_US + 3_600_000_000


def submit(writer, *envelopes):
    return writer.write([Submission.read(envelope.raw) for envelope in envelopes], NOW).batch.verdicts


@pytest.fixture
def founded(writer, city):
    """The city's log, with one listing on each of two chains."""
    submit(writer, *city.founding(), city.listing(), city.listing(CUP))
    return writer


@pytest.fixture
def fresh(store, signer, founded):
    """A writer that has read nothing yet of what others have written."""
    made = Writer(store, signer)
    made.load()
    return made


class TestChainHeads:
    @pytest.mark.parametrize(
        ("statement", "message"),
        [
            (
                "UPDATE chain_heads SET head = x'{bad}' WHERE chain = '{chain}'",
                "head of {chain}: given {bad} in chain_heads, expected {head}, the hash of the last entry",
            ),
            (
                "UPDATE chain_heads SET length = 7 WHERE chain = '{chain}'",
                "head of {chain}: given no last entry, expected 7 entries, as in chain_heads",
            ),
            (
                "UPDATE chain_heads SET length = 0 WHERE chain = '{chain}'",
                "head of {chain}: given an entry more, expected 0 entries, as in chain_heads",
            ),
            (
                "DELETE FROM chain_heads WHERE chain = '{chain}'",
                "head of {chain}: given none in chain_heads, expected that of its entries",
            ),
            pytest.param(
                "UPDATE chain_heads SET length = 'abc' WHERE chain = '{chain}'",
                "chain_heads {chain}: given length of type str, expected int",
                marks=SQLITE_ONLY,
            ),
            (
                "UPDATE tiles SET data = CAST(substr(data, 1, 192) || x'{bad}' || substr(data, 225) AS BLOB)",
                "head of {chain}: given {bad} in the tree, expected {head}, the hash of the last entry",
            ),
            (
                "UPDATE chain_heads SET head = x'{other_head}' WHERE chain = '{chain}'",
                "head of {chain}: given {other_head} in chain_heads, expected {head}, the hash of the last entry",
            ),
            (
                "UPDATE entries SET chain_seq = 5 WHERE chain = '{chain}'",
                "head of {chain}: given no last entry, expected 1 entries, as in chain_heads",
            ),
        ],
    )
    def test_no_entry_is_linked_to_a_head_that_is_not_the_logs(self, store, fresh, city, statement, message):
        with store.snapshot() as connection:
            heads = load(connection, ChainHead, [str(TEA), str(CUP)])
        words = {
            "bad": "5a" * 32, "chain": TEA, "other": CUP,
            "head": heads[TEA].head.hex(), "other_head": heads[CUP].head.hex(),
        }  # fmt: skip
        tamper(store, statement.format(**words))
        before = fresh.head
        [verdict] = submit(fresh, city.sale())
        assert isinstance(verdict, ServiceFault)
        assert verdict.reason is Reason.STORE_DAMAGED
        assert str(verdict) == message.format(**words)
        assert fresh.head == before

    def test_an_entry_that_changed_places_with_another_is_no_head(self, store, fresh, city):
        tamper(
            store,
            "UPDATE entries SET chain = 'x' WHERE idx = 6",
            "UPDATE entries SET chain = '01/06901234567892' WHERE idx = 7",
            "UPDATE chain_heads SET head = (SELECT head FROM chain_heads WHERE chain = '01/06923450657713') "
            "WHERE chain = '01/06901234567892'",
        )
        [verdict] = submit(fresh, city.sale())
        assert str(verdict) == (
            "head of 01/06901234567892: given the hash of entry 0 of 01/06923450657713, expected that of entry 0"
        )

    def test_other_events_of_the_batch_are_recorded(self, store, fresh, signer, city):
        tamper(store, f"UPDATE chain_heads SET head = zeroblob(32) WHERE chain = '{TEA}'")
        damaged, sound = submit(fresh, city.sale(), city.listing(CUP))
        assert damaged.reason is Reason.STORE_DAMAGED
        assert isinstance(sound, Sequenced)
        rebuild(store, [signer.vkey])
        assert check(store, [signer.vkey]).none
        mended = Writer(store, signer)
        assert isinstance(submit(mended, city.sale())[0], Sequenced)
        assert check(store, [signer.vkey]).none

    def test_what_this_writer_has_written_itself_is_not_read_again(self, store, founded, signer, city):
        tamper(store, f"UPDATE chain_heads SET head = zeroblob(32) WHERE chain = '{TEA}'")
        assert isinstance(submit(founded, city.sale())[0], Sequenced)
        assert check(store, [signer.vkey]).none


class TestOtherRecords:
    @pytest.mark.parametrize(
        ("statement", "message"),
        [
            pytest.param(
                "UPDATE party_keys SET public_key = 'abc' WHERE key_id = x'{key}'",
                "party_keys {key}: given public_key of type str, expected bytes",
                marks=SQLITE_ONLY,
            ),
            (
                "UPDATE party_keys SET public_key = x'00' WHERE key_id = x'{key}'",
                "party_keys {key}: given another public key, expected the key that this is the id of",
            ),
            (
                "UPDATE party_keys SET party = 'somebody' WHERE key_id = x'{key}'",
                "party_keys {key}: given party 'somebody', expected a chain key",
            ),
            pytest.param(
                "UPDATE party_keys SET revoked_at_us = 'never' WHERE key_id = x'{key}'",
                "party_keys {key}: given revoked_at_us of type str, expected int",
                marks=SQLITE_ONLY,
            ),
            (
                "UPDATE parties SET role = 77 WHERE party = '{merchant}'",
                "parties {merchant}: given role 77, status 1, expected a role and a status",
            ),
            (
                "UPDATE parties SET licence_until = 'soon' WHERE party = '{merchant}'",
                "parties {merchant}: given licence_until 'soon', expected a date, or nothing",
            ),
            pytest.param(
                "UPDATE listings SET idx = 'first' WHERE chain = '{chain}'",
                "listings {merchant} {chain}: given index of type str, expected int",
                marks=SQLITE_ONLY,
            ),
        ],
    )
    def test_what_cannot_be_right_is_told_as_damage(self, store, fresh, city, statement, message):
        words = {"key": city.key(MERCHANT).public_key.key_id.hex(), "merchant": MERCHANT, "chain": TEA}
        tamper(store, statement.format(**words))
        damaged, sound = submit(fresh, city.sale(), city.scan(pb.SHIPMENT_STAGE_PICKED_UP))
        assert damaged.reason is Reason.STORE_DAMAGED
        assert str(damaged).startswith(message.format(**words))
        assert isinstance(sound, Sequenced)

    @SQLITE_ONLY
    def test_a_damaged_key_is_not_used_to_verify(self, store, founded, city):
        keys = {party: city.key(party).public_key for party in (MERCHANT, COURIER)}
        merchant, courier = keys[MERCHANT].key_id, keys[COURIER].key_id
        tamper(store, f"UPDATE party_keys SET public_key = 'abc' WHERE key_id = x'{merchant.hex()}'")
        assert PublicKeys(store).find([merchant, courier]) == {courier: PublicKey.parse(keys[COURIER].spki)}

    def test_readers_are_told_of_damage(self, store, founded):
        tamper(store, f"UPDATE parties SET licence_until = 7.5 WHERE party = '{MERCHANT}'")
        with store.snapshot() as connection:
            with pytest.raises(ServiceFault, match=r"parties .*: given licence_until '7.5', expected a date"):
                load(connection, Party, [str(MERCHANT)])
            assert load(connection, Party, [str(COURIER)])

    @pytest.mark.parametrize(
        "change",
        [
            "data = x'ff'",
            "chain = 'x'",
            *(
                pytest.param(change, marks=SQLITE_ONLY)
                for change in ("data = 'text'", "flags = 'many'", "sale = 7")
            ),
        ],
    )
    def test_a_recorded_event_whose_row_is_damaged(self, store, fresh, city, change):
        listing, other = city.listing(CUP), city.listing()
        submit(fresh, listing, other)
        tamper(store, f"UPDATE entries SET {change} WHERE event_id = x'{event_id(listing).hex()}'")
        damaged, sound = submit(fresh, listing, other)
        assert damaged.reason is Reason.STORE_DAMAGED
        assert str(damaged).startswith("entry 8")
        assert isinstance(sound, Resent)


def test_a_batch_that_fails_for_no_known_reason_is_tried_request_by_request(founded, city, monkeypatch):
    sale, listing = city.sale(), city.listing(CUP)
    write = founded.write

    def failing(submissions, now_us):
        if any(submission.event.id == event_id(sale) for submission in submissions):
            raise TypeError("nobody foresaw this")
        return write(submissions, now_us)

    monkeypatch.setattr(founded, "write", failing)

    async def both():
        sequencer = Sequencer(founded, clock=lambda: NOW)
        waiting = [
            asyncio.ensure_future(sequencer.append([Submission.read(one.raw)])) for one in (sale, listing)
        ]
        await asyncio.sleep(0)
        sequencer.start()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        await sequencer.stop()
        return answers

    failed, sound = asyncio.run(both())
    assert str(failed) == "batch: given a fault, expected a commit"
    assert failed.reason is Reason.STORE_UNAVAILABLE
    assert isinstance(sound.verdicts[0], Sequenced)


class TestLookingUp:
    def test_many_listings_of_many_merchants(self, store, founded):
        keys = [(f"{MERCHANT}/m-{n}", str(ChainKey.product("6901234567892"))) for n in range(120)]
        with store.snapshot() as connection:
            found = load(connection, Listed, [*keys, (str(MERCHANT), str(TEA))])
        assert [(listed.merchant, listed.chain) for listed in found.values()] == [(str(MERCHANT), str(TEA))]

    @SQLITE_ONLY
    @pytest.mark.parametrize("record_type", [Listed, PartyKey, ChainHead])
    def test_no_table_is_read_from_end_to_end(self, store, founded, record_type):
        keys = {
            Listed: [(str(MERCHANT), str(TEA)), (str(MERCHANT), str(CUP))],
            PartyKey: [bytes(32), bytes(31)],
            ChainHead: [str(TEA), str(CUP)],
        }[record_type]
        said = []
        with store.snapshot() as connection:
            raw = connection.connection.dbapi_connection
            raw.set_trace_callback(said.append)
            load(connection, record_type, keys)
            raw.set_trace_callback(None)
            plans = [row[3] for one in said for row in raw.execute(f"EXPLAIN QUERY PLAN {one}")]
        key_columns = {Listed: ("merchant", "chain"), PartyKey: ("key_id",), ChainHead: ("chain",)}[
            record_type
        ]
        looked_up = " AND ".join(f"{column}=?" for column in ("shard", *key_columns))
        assert any(f"({looked_up})" in plan for plan in plans), plans
