"""Proofs of one answer, built together from the store's tiles: few statements, bounded caches, damage that is told."""

from __future__ import annotations

from hashlib import sha256

import pytest
from damaging import tamper
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, insert

from ledger.errors import BadInput, BrokenProof, Reason, ServiceFault
from ledger.frontier import Frontier, RightEdge
from ledger.merkle import consistency_proof, inclusion_proof
from server.proofs import Proofs
from server.store.store import Store
from server.store.tables import SHARD, tiles

SIZE = 66_100
NODES: dict[tuple[int, int], bytes] = {}
Frontier().extend((sha256(b"%d" % number).digest() for number in range(SIZE)), NODES)


def node(*subtree):
    return NODES[subtree]


def fill(store):
    """Put a large tree's tiles into a store."""
    _, changed = RightEdge().extend(NODES)
    with store.transaction() as connection:
        rows = [
            {"shard": SHARD, "level": level, "idx": index, "data": row}
            for (level, index), row in changed.items()
        ]
        connection.execute(insert(tiles), rows)


@pytest.fixture
def large(store):
    fill(store)
    return store


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    made = Store.create(str(tmp_path_factory.mktemp("proofs") / "log.db"))
    fill(made)
    yield made
    made.close()


def test_proofs_built_together_are_those_built_one_by_one(shared):
    """With caches so small that everything is forgotten again and again."""
    proofs = Proofs(shared, kept_tiles=3, kept_crowns=2)

    @settings(deadline=None, max_examples=50)
    @given(st.data())
    def holds(data):
        size = data.draw(st.integers(1, SIZE))
        indexes = data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=20))
        assert proofs.inclusions(indexes, size) == [inclusion_proof(index, size, node) for index in indexes]
        assert proofs.inclusion(indexes[0], size) == inclusion_proof(indexes[0], size, node)
        assert proofs.consistency(indexes[0], size) == consistency_proof(indexes[0], size, node)
        assert proofs.leaf_hashes(indexes) == [NODES[0, index] for index in indexes]

    holds()


def test_what_is_asked_for_wrongly_is_the_callers_fault(shared):
    proofs = Proofs(shared)
    for index, size in ((SIZE, SIZE), (2**64 - 1, 5), (0, 0)):
        with pytest.raises(BadInput):
            proofs.inclusion(index, size)
    with pytest.raises(BadInput):
        proofs.consistency(6, 5)


def test_one_statement_for_each_level_in_the_answers_own_transaction(large):
    proofs, statements = Proofs(large), []
    indexes = range(0, SIZE, 3_000)
    with large.snapshot() as connection:
        event.listen(connection, "before_cursor_execute", lambda *told: statements.append(told[2]))
        proofs.inclusions(indexes, SIZE, connection)
        assert len(statements) == 3
        proofs.inclusions(indexes, SIZE, connection)
        assert len(statements) == 3


def test_a_partial_tile_is_read_again_once_it_has_grown(large):
    proofs = Proofs(large)
    tamper(large, f"UPDATE tiles SET data = substr(data, 1, 320) WHERE level = 0 AND idx = {SIZE // 256}")
    size = SIZE // 256 * 256 + 10
    assert proofs.inclusion(size - 1, size) == inclusion_proof(size - 1, size, node)
    with pytest.raises(
        BrokenProof, match=f"tile 0/{SIZE // 256}: given 320 bytes, expected 352 to 8192 bytes"
    ):
        proofs.inclusion(size, size + 1)
    with large.transaction() as connection:
        connection.execute(tiles.delete())
    fill(large)
    assert proofs.inclusion(size, size + 1) == inclusion_proof(size, size + 1, node)


def test_a_tile_that_is_missing_or_no_row_of_hashes_is_told(large):
    proofs = Proofs(large)
    tamper(large, "DELETE FROM tiles WHERE level = 0 AND idx = 7",
           "UPDATE tiles SET data = substr(data, 1, 8191) WHERE level = 0 AND idx = 8")  # fmt: skip
    with pytest.raises(ServiceFault, match="tile 0/7: given none, expected a tile") as caught:
        proofs.inclusions([0, 7 * 256], SIZE)
    assert caught.value.reason is Reason.STORE_DAMAGED
    for _ in range(2):  # nothing of a bad tile is kept
        with pytest.raises(BrokenProof, match="tile 0/8: given 8191 bytes, expected 8192 to 8192 bytes"):
            proofs.inclusions([8 * 256], SIZE)
    assert proofs.inclusion(0, SIZE) == inclusion_proof(0, SIZE, node)
