"""Views made anew from the log, and damage found."""

import pytest
from damaging import SQLITE_ONLY, change, tamper
from world import (
    CARRIER_MEMBER,
    MERCHANT,
    ORIGIN,
    OTHER_MERCHANT,
    PARCEL,
    REGULATOR,
    START_US,
    TEA,
    event_id,
    signing_key,
)

from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.errors import BrokenProof, ServiceFault
from ledger.note import NoteSigner
from ledger.sequence import Submission
from server.rebuild import check, rebuild
from server.store.tables import PROJECTIONS
from suyuan.v1 import event_pb2 as pb

NOW = START_US + 36_000_000_000
VIEWS = [table.name for table in PROJECTIONS]
EACH_VIEW = [
    name if name in {"tiles", "chain_heads", "sales"} else pytest.param(name, marks=SQLITE_ONLY)
    for name in VIEWS
]
"""All of them on SQLite, some on PostgreSQL too: each of these tests makes a log."""


@pytest.fixture
def told(store, writer, city):
    """A log with every kind of event that there is, and more than one full tile."""
    envelopes = [*city.founding(), *city.life()]
    complaint = envelopes[-3]
    sale = envelopes[7]
    envelopes += [
        city.review(sale, by=MERCHANT),
        city.say("buyer", TEA, pb.FollowUp(review=event_id(envelopes[14]), rating=4)),
        city.reply(complaint, by=REGULATOR),
        city.say(MERCHANT, TEA, pb.Recall(reason=pb.RECALL_REASON_DEFECT)),
        city.say(MERCHANT, TEA, pb.Correction(event=event_id(sale), reason=pb.CORRECTION_REASON_OTHER)),
        city.say(MERCHANT, MERCHANT, pb.KeyAddition(public_key=city.key("second").public_key.spki)),
    ]
    key_id = city.key(MERCHANT).public_key.key_id
    revocation = pb.KeyRevocation(key_id=key_id, reason=pb.REVOCATION_REASON_SUPERSEDED)
    suspension = pb.PartyStatusChange(status=pb.PARTY_STATUS_SUSPENDED, reason=pb.STATUS_REASON_VIOLATION)
    envelopes += [city.say("second", MERCHANT, revocation), city.say(REGULATOR, OTHER_MERCHANT, suspension)]
    envelopes += [city.scan(pb.SHIPMENT_STAGE_IN_TRANSIT, at=city.now) for _ in range(270)]
    for start in range(0, len(envelopes), 50):
        batch = [Submission.read(envelope.raw) for envelope in envelopes[start : start + 50]]
        verdicts = writer.write(batch, NOW + start).batch.verdicts
        assert not [verdict for verdict in verdicts if isinstance(verdict, Exception)]
    return store


def dump(store):
    """Every row of every table."""
    with store.snapshot() as connection:
        return {
            name: sorted(map(tuple, connection.exec_driver_sql(f"SELECT * FROM {name}")), key=repr)
            for name in ("log_head", "entries", *VIEWS)
        }


class TestRebuild:
    def test_rebuilt_views_are_what_they_were(self, told, signer):
        before = dump(told)
        assert all(before[name] for name in VIEWS)
        assert rebuild(told, [signer.vkey]) == len(before["entries"])
        assert dump(told) == before

    @pytest.mark.parametrize("name", EACH_VIEW)
    def test_an_emptied_view_comes_back(self, told, signer, name):
        before = dump(told)
        tamper(told, f"DELETE FROM {name}")
        rebuild(told, [signer.vkey])
        assert dump(told) == before

    def test_wrong_columns_of_entries_are_mended(self, told, signer):
        before = dump(told)
        tamper(
            told,
            "UPDATE entries SET flags = 64 WHERE idx = 9",
            "UPDATE entries SET sale = NULL WHERE idx = 8",
            "UPDATE entries SET event_id = zeroblob(32) WHERE idx = 3",
            "UPDATE entries SET chain = 'x' WHERE idx = 7",
        )
        rebuild(told, [signer.vkey])
        assert dump(told) == before

    def test_rows_that_took_each_others_places_are_mended(self, told, signer):
        before = dump(told)
        tamper(
            told,
            "UPDATE entries SET chain_seq = chain_seq + 100000 WHERE idx = 200",
            "UPDATE entries SET chain_seq = chain_seq - 1 WHERE idx = 201",
            "UPDATE entries SET chain_seq = chain_seq - 99999 WHERE idx = 200",
        )
        rebuild(told, [signer.vkey])
        assert dump(told) == before

    def test_a_damaged_log_is_not_rebuilt_and_left_as_it_was(self, told, signer):
        tamper(
            told,
            "UPDATE entries SET data = CAST(substr(data, 1, length(data) - 1) || x'00' AS BLOB) WHERE idx = 11",
        )
        before = dump(told)
        with pytest.raises(ServiceFault, match=r"root of|entry \d+"):
            rebuild(told, [signer.vkey])
        assert dump(told) == before

    def test_a_missing_entry_is_named(self, told, signer):
        tamper(told, "DELETE FROM entries WHERE idx = 12")
        with pytest.raises(ServiceFault, match="entry 12: given none, expected an entry"):
            rebuild(told, [signer.vkey])

    def test_the_row_of_the_head_is_mended_from_its_checkpoint(self, told, signer):
        before = dump(told)
        tamper(told, "UPDATE log_head SET size = size + 7, root = zeroblob(32), recorded_at_us = 9")
        rebuild(told, [signer.vkey])
        assert dump(told) == before

    def test_a_root_that_nobody_signed_is_not_believed(self, told, signer):
        other = NoteSigner(ORIGIN, signing_key("stranger")._key)
        note = sign_checkpoint(Checkpoint(ORIGIN, 300, bytes(32)), other)
        tamper(told, f"UPDATE log_head SET size = 300, root = zeroblob(32), checkpoint = x'{note.hex()}'")
        before = dump(told)
        with pytest.raises(BrokenProof):
            rebuild(told, [signer.vkey])
        assert dump(told) == before

    @SQLITE_ONLY
    @pytest.mark.parametrize("change", ["checkpoint = CAST(checkpoint AS TEXT)", "size = 'abc', root = 'x'"])
    def test_a_head_of_another_type_is_mended_too(self, told, signer, change):
        before = dump(told)
        tamper(told, f"UPDATE log_head SET {change}")
        rebuild(told, [signer.vkey])
        assert dump(told) == before

    def test_a_dropped_view_is_made_again(self, told, signer):
        before = dump(told)
        with told.transaction() as connection:
            connection.exec_driver_sql("DROP TABLE recalls")
        rebuild(told, [signer.vkey])
        assert dump(told) == before

    def test_entries_beyond_the_checkpoint_are_not_removed(self, told, signer):
        size = len(dump(told)["entries"])
        tamper(
            told,
            "INSERT INTO entries (shard, idx, data, event_id, chain, chain_seq, flags) "
            f"VALUES (0, {size}, x'00', x'00', 'x', 0, 0)",
        )
        before = dump(told)
        with pytest.raises(
            ServiceFault,
            match=f"entries beyond the {size} that the checkpoint covers: given 1, expected none",
        ):
            rebuild(told, [signer.vkey])
        assert dump(told) == before

    def test_a_damaged_event_that_was_corrected_much_later(self, told, signer, writer, city):
        before_scan = city.scan(pb.SHIPMENT_STAGE_IN_TRANSIT, at=city.now)
        scans = [city.scan(pb.SHIPMENT_STAGE_IN_TRANSIT, at=city.now) for _ in range(1_010)]
        body = pb.Correction(event=event_id(before_scan), reason=pb.CORRECTION_REASON_OTHER)
        correction = city.say(CARRIER_MEMBER, PARCEL, body, at=city.now)
        batch = [Submission.read(envelope.raw) for envelope in (before_scan, *scans, correction)]
        first = writer.write(batch, NOW * 2).batch.entries[0].recorded.index
        before = dump(told)
        tamper(told, f"UPDATE entries SET flags = 99 WHERE idx = {first}")
        rebuild(told, [signer.vkey])
        assert dump(told) == before


class TestCheck:
    def test_a_sound_database(self, told, signer):
        damage = check(told, [signer.vkey])
        assert damage.none
        assert damage.audit.size == len(dump(told)["entries"])

    @pytest.mark.parametrize("name", EACH_VIEW)
    def test_a_view_that_was_changed(self, told, signer, name):
        # A tile that is missing is the audit's to find; one that is too wide is not.
        too_wide = "UPDATE tiles SET data = CAST(data || zeroblob(32) AS BLOB) WHERE level = 1"
        tamper(told, too_wide if name == "tiles" else f"DELETE FROM {name}")
        damage = check(told, [signer.vkey])
        assert not damage.none
        assert damage.rows
        assert all(row.startswith(f"{name} ") for row in damage.rows)

    def test_a_changed_row_names_the_column(self, told, signer):
        tamper(told, f"UPDATE parties SET name = '别人' WHERE party = '{MERCHANT}'")
        assert check(told, [signer.vkey]).rows == [f"parties party {MERCHANT}: given other values of name"]

    def test_an_invented_row(self, told, signer):
        tamper(
            told,
            "INSERT INTO recalls (shard, chain, event_id, idx) VALUES (0, '01/06901234567892', x'aa', 3)",
        )
        assert check(told, [signer.vkey]).rows == [
            "recalls chain 01/06901234567892 event_id aa: given a row, expected none"
        ]

    def test_wrong_columns_of_entries(self, told, signer):
        tamper(told, "UPDATE entries SET flags = 1 << 6 WHERE idx = 9")
        assert check(told, [signer.vkey]).rows == ["entries idx 9: given other values of flags"]

    def test_a_changed_entry_is_found_by_the_audit(self, told, signer):
        tamper(
            told, "UPDATE entries SET data = substr(data, 1, 20) || x'ff' || substr(data, 22) WHERE idx = 10"
        )
        damage = check(told, [signer.vkey])
        assert damage.audit.findings[0].index == 10

    def test_a_missing_entry_is_found_by_the_audit(self, told, signer):
        tamper(told, "DELETE FROM entries WHERE idx = 10")
        damage = check(told, [signer.vkey])
        assert str(damage.audit.findings[0]) == "entry 10: given no such entry, expected one [STORE_DAMAGED]"

    @pytest.mark.parametrize("column", ["size", "recorded_at_us"])
    def test_a_head_that_is_not_its_checkpoints(self, told, signer, column):
        tamper(told, f"UPDATE log_head SET {column} = {column} + 1")
        assert check(told, [signer.vkey]).rows == [f"log_head row: given other values of {column}"]

    @SQLITE_ONLY
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE parties SET party = CAST(party AS BLOB) WHERE name = '榕城优选'",
            "UPDATE parties SET party = CAST(x'FFFE' AS TEXT) WHERE name = '榕城优选'",
            "UPDATE parties SET role = 'x' WHERE name = '榕城优选'",
            "UPDATE entries SET flags = 'many' WHERE idx = 9",
            "UPDATE entries SET data = 9000000000000000000 WHERE idx = 9",
            "UPDATE entries SET data = 'text' WHERE idx = 9",
            "UPDATE sales SET event_id = 7",
        ],
    )
    def test_values_of_any_type_are_damage_and_no_crash(self, told, signer, statement):
        tamper(told, statement)
        damage = check(told, [signer.vkey])
        assert not damage.none
        for row in damage.rows:
            row.encode()  # it can be printed

    @pytest.mark.parametrize(
        ("statement", "rows"),
        [
            pytest.param(
                "UPDATE log_head SET checkpoint = CAST(checkpoint AS TEXT)",
                ["log_head row: given other values of checkpoint"],
                marks=SQLITE_ONLY,
            ),
            ("UPDATE log_head SET root = 'abc'", ["log_head row: given other values of root"]),
            ("DELETE FROM log_head", ["log_head row: log_head: given no row, expected the head of a log"]),
            ("DROP TABLE recalls", ["recalls: given no table, expected one"]),
            ("DROP TABLE tiles", ["tiles: given no table, expected one"]),
            (
                "INSERT INTO recalls (shard, chain, event_id, idx) VALUES (1, 'x', x'aa', 3), (2, 'x', x'aa', 3)",
                ["recalls: given 2 rows of another shard than 0, expected none"],
            ),
            pytest.param(
                "UPDATE recalls SET shard = 'x'",
                [
                    "recalls: given 1 rows of another shard than 0, expected none",
                    "recalls chain 01/06901234567892 event_id ",
                ],
                marks=SQLITE_ONLY,
            ),
        ],
    )
    def test_damage_of_any_kind_is_reported(self, told, signer, statement, rows):
        with told.transaction() as connection:
            change(connection, statement)
        damage = check(told, [signer.vkey])
        assert not damage.none
        assert len(damage.rows) == len(rows)
        assert all(row.startswith(start) for row, start in zip(damage.rows, rows, strict=True)), damage.rows

    def test_a_checkpoint_that_is_none(self, told, signer):
        tamper(told, "UPDATE log_head SET checkpoint = x'00'")
        [row] = check(told, [signer.vkey]).rows
        assert row.startswith("log_head row: form of a note: given ")
