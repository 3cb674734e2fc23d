from __future__ import annotations

import pytest
from tiled import bundles_for, files_for, long_log, serving

from clients.tiles.fetch import Site
from clients.tiles.log import TiledLog
from ledger.checkpoint import open_checkpoint
from ledger.errors import BrokenProof, Conflict, Reason
from ledger.frontier import Frontier
from ledger.merkle import leaf_hash
from ledger.note import VerifierKey
from ledger.tiles import BundleId, TileId


@pytest.fixture
def server():
    with serving({}) as server:
        yield server


@pytest.fixture
def log(server):
    with Site(server.url, timeout_s=5) as site:
        yield TiledLog(site)


def read(log, begin, end):
    """All entries and hashes, after a look that sections follow each other."""
    entries, hashes = [], []
    for section in log.sections(begin, end):
        assert section.begin == begin + len(entries)
        assert len(section.entries) == len(section.hashes)
        entries += section.entries
        hashes += section.hashes
    return entries, hashes


@pytest.mark.parametrize("size", [1, 255, 256, 257, 513, 1_000])
@pytest.mark.parametrize("begin", [0, 1, 200, 256, 300, 999])
def test_entries_and_hashes(server, log, size, begin):
    leaves = long_log(size)
    server.files = files_for(leaves)
    entries, hashes = read(log, min(begin, size), size)
    assert entries == leaves[begin:]
    assert hashes == [leaf_hash(data) for data in leaves[begin:]]


def test_a_partial_file_that_is_gone_since_the_full_one_is_there(server, log):
    leaves = long_log(513)
    server.files = files_for(leaves)
    assert log.bundle(BundleId(1, 100)) == leaves[256:356]
    assert log.tile(TileId(0, 1, 100)) == b"".join(map(leaf_hash, leaves[256:356]))
    assert server.asked == ["tile/entries/001.p/100", "tile/entries/001", "tile/0/001.p/100", "tile/0/001"]


def test_a_file_that_is_not_there(server, log):
    with pytest.raises(Conflict) as caught:
        log.bundle(BundleId(1, 100))
    assert caught.value.reason is Reason.NOT_FOUND
    assert str(caught.value) == (
        f"{server.url}/tile/entries/001: given HTTP status 404, and before that for tile/entries/001.p/100, "
        "expected a file"
    )
    with pytest.raises(Conflict) as caught:
        log.tile(TileId(0, 1))
    assert str(caught.value) == f"{server.url}/tile/0/001: given HTTP status 404, expected a file"


@pytest.mark.parametrize("change", [lambda tile: tile[:-1], lambda tile: tile[:-32], lambda tile: tile + bytes(32), lambda _: b""])  # fmt: skip
def test_a_tile_of_another_size(server, log, change):
    path = TileId(0, 0, 10).path()
    server.files[path] = change(bytes(320))
    with pytest.raises(BrokenProof) as caught:
        log.tile(TileId(0, 0, 10))
    assert caught.value.reason is Reason.BAD_INCLUSION_PROOF
    assert str(caught.value).startswith(f"size of {server.url}/{path}: given ")
    assert server.asked == [path], "what is wrong is not looked for elsewhere"


@pytest.mark.parametrize(
    "change", [lambda raw: raw[:-1], lambda raw: raw + b"\0", lambda raw: raw[:1], lambda _: b""]
)
def test_what_is_no_bundle(server, log, change):
    server.files = {path: change(raw) for path, raw in bundles_for(long_log(10)).items()}
    with pytest.raises(BrokenProof) as caught:
        log.bundle(BundleId(0, 10))
    assert caught.value.reason is Reason.BAD_ENTRY
    assert str(caught.value).startswith(f"{server.url}/tile/entries/000.p/10: ")


def test_a_log_of_others(shared, server, log):
    """The demo log's entries are no events of ours; its tree and its signature are like any log's."""
    folder = shared / "tlog" / "derived" / "demo-log-300"
    server.files = {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    vkey = VerifierKey.parse((folder.parent / "demo-log-300.vkey").read_text().strip())
    checkpoint = open_checkpoint(log.checkpoint(), vkey.name, [vkey])
    entries, hashes = read(log, 0, checkpoint.size)
    assert len(entries) == checkpoint.size == 300
    assert [leaf_hash(data) for data in entries] == hashes
    assert Frontier().extend(hashes).root() == checkpoint.root
    nodes = log.nodes(checkpoint.size)
    assert Frontier.read(checkpoint.size, nodes).root() == checkpoint.root
    assert Frontier.read(256, nodes) == Frontier().extend(hashes[:256])
