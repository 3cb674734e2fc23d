"""What is kept in memory: the files used last, as many as fit, each only once it has been compared with the tree."""

import pytest
from raw_log import RawLog

from ledger.errors import ServiceFault
from ledger.tiles import BundleId, TileId
from server.http.files import File, LogFiles, _Kept
from server.store.store import Store


def file(size):
    return File(bytes(size), gzipped=False, digest="")


def test_the_one_not_used_for_longest_makes_room():
    kept = _Kept(100)
    for index in range(3):
        kept.put(TileId(0, index), file(40))
    assert kept.get(TileId(0, 0)) is None
    assert kept.get(TileId(0, 1)) is not None
    kept.put(TileId(0, 3), file(40))
    assert [kept.get(TileId(0, index)) is not None for index in range(4)] == [False, True, False, True]


def test_a_file_put_twice_counts_once():
    kept = _Kept(100)
    for _ in range(5):
        kept.put(TileId(0, 0), file(60))
    kept.put(TileId(0, 1), file(40))
    assert kept.get(TileId(0, 0)) is not None


def test_one_that_is_too_large_is_not_kept():
    kept = _Kept(100)
    kept.put(BundleId(0), file(101))
    assert kept.get(BundleId(0)) is None
    kept.put(BundleId(1), file(100))
    assert kept.get(BundleId(1)) is not None


def test_only_full_files_are_kept_and_only_right_ones(tmp_path):
    log = RawLog.make(tmp_path / "log.db", 300)
    store = Store.open(str(log.database), read_only=True)
    try:
        files = LogFiles(store)
        wrong = "UPDATE entries SET data = x'00' WHERE idx = 5"
        log.execute(wrong)
        with pytest.raises(ServiceFault, match="hash of entry 5"):
            files.file(BundleId(0))
        for name in (TileId(0, 0), TileId(0, 1, 44), TileId(0, 0, 9), BundleId(1, 44)):
            files.file(name)
        assert list(files._kept._files) == [TileId(0, 0)]
    finally:
        store.close()
