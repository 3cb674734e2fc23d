"""Where a log stands with its witnesses, as metrics tell it."""

import pytest
from filling import NOW, record
from prometheus_client import CollectorRegistry
from sqlalchemy import text
from world import signing_key

from ledger.chain_key import ChainKey
from ledger.cosignature import Cosigner
from ledger.note import SignedNote
from ledger.policy import Policy
from ledger.sequence import Submission
from server.published import Published, write_published
from server.telemetry.standing import StandingCollector

SECOND = 1_000_000
COSIGNED_S = NOW // SECOND + 5


@pytest.fixture
def witness():
    return Cosigner("witness.example/w1", signing_key("witness")._key)


@pytest.fixture
def policy(signer, witness):
    lines = f"log {signer.vkey}\nwitness w1 {witness.vkey}\nquorum w1\n"
    return Policy.parse(lines.encode())


pytestmark = pytest.mark.sqlite_only


def told(store, policy=None):
    registry = CollectorRegistry()
    registry.register(StandingCollector(store, policy=policy, clock=lambda: NOW / SECOND + 60))
    return {
        sample.name.removeprefix("suyuan_"): sample.value
        for metric in registry.collect()
        for sample in metric.samples
    }


def test_a_log_without_witnesses(store, writer, city):
    record(writer, *city.founding())
    size = writer.head.size
    assert told(store) == {"database_up": 1, "log_entries": size, "checkpoint_age_seconds": 60}


def test_a_log_whose_witnesses_are_behind(store, writer, city, policy, witness):
    record(writer, *city.founding())
    covered = writer.head
    note = SignedNote.parse(covered.checkpoint)
    cosigned = note.with_signatures(witness.cosign(note.text, COSIGNED_S))
    for step in (1, 2):
        listing = city.listing(ChainKey.serial("06901234567892", f"S{step}"))
        writer.write([Submission.read(listing.raw)], NOW + step * 10 * SECOND)
    with store.transaction() as connection:
        write_published(connection, Published.parse(cosigned.encode()))
    assert told(store, policy) == {
        "database_up": 1,
        "log_entries": covered.size + 2,
        "checkpoint_age_seconds": 40,
        "witnessed_entries": covered.size,
        "witness_lag_entries": 2,
        "witness_lag_seconds": 20,
        "witnessed_checkpoint_age_seconds": 55,
    }


def test_a_quorum_that_is_still_waited_for_is_none(store, writer, city, policy):
    record(writer, *city.founding())
    with store.transaction() as connection:
        write_published(connection, Published.parse(writer.head.checkpoint, has_quorum=False))
    assert "witnessed_entries" not in told(store, policy)


def test_a_database_that_fails_takes_nothing_else_with_it(store, writer, city):
    record(writer, *city.founding())
    with store.transaction() as connection:
        connection.execute(text("DROP TABLE log_head"))
    assert told(store) == {"database_up": 0}
