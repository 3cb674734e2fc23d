"""The log's files by HTTP: C2SP tlog-tiles, word for word, and what caches and browsers are told."""

import gzip
import json

import pytest
from fetching import fetch
from raw_log import raw_entry

from ledger.checkpoint import open_checkpoint
from ledger.merkle import leaf_hash
from ledger.tiles import BundleId, TileId, bundles_of, decode_bundle, parse_path, tiles_of

EVERYWHERE = {
    "access-control-allow-origin": "*",
    "cross-origin-resource-policy": "cross-origin",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
IMMUTABLE = "public, max-age=31536000, immutable"


@pytest.fixture(autouse=True)
def at_700(raw_log):
    """Every test finds the log at its full size, whatever the one before has done."""
    yield
    raw_log.set_size(700)


def leaf_hashes(start, stop):
    return b"".join(leaf_hash(raw_entry(index)) for index in range(start, stop))


class TestCheckpoint:
    def test_it_is_the_signed_head(self, raw_log, url):
        answer = fetch(url, "/checkpoint")
        assert (answer.status, answer.body) == (200, raw_log.head(700).checkpoint)
        assert open_checkpoint(answer.body, raw_log.signer.name, [raw_log.signer.vkey]).size == 700

    def test_it_is_kept_for_seconds(self, url):
        answer = fetch(url, "/checkpoint")
        tag = answer.headers.pop("etag")
        assert answer.headers == EVERYWHERE | {
            "content-type": "text/plain; charset=utf-8",
            "content-length": str(len(answer.body)),
            "cache-control": "public, max-age=2",
        }
        assert len(tag) == 34

    def test_its_tag_changes_with_it(self, raw_log, url):
        tag = fetch(url, "/checkpoint").headers["etag"]
        assert fetch(url, "/checkpoint", If_None_Match=tag).status == 304
        raw_log.set_size(699)
        assert fetch(url, "/checkpoint", If_None_Match=tag).status == 200

    def test_the_published_one_comes_first(self, raw_log, url):
        earlier = raw_log.head(300).checkpoint
        raw_log.execute("INSERT INTO published VALUES (0, 300, ?, 1)", earlier)
        try:
            assert fetch(url, "/checkpoint").body == earlier
            # What the newest head has may be read already; what the published one needs is there for sure.
            assert fetch(url, "/tile/0/002.p/188").status == 200
            assert all(fetch(url, f"/{tile.path()}").status == 200 for tile in tiles_of(300))
        finally:
            raw_log.execute("DELETE FROM published")


class TestTiles:
    def test_a_full_one(self, url):
        answer = fetch(url, "/tile/0/001")
        assert answer.body == leaf_hashes(256, 512)
        tag = answer.headers.pop("etag")
        assert answer.headers == EVERYWHERE | {
            "content-type": "application/octet-stream",
            "content-length": "8192",
            "cache-control": IMMUTABLE,
        }
        assert len(tag) == 34

    def test_it_is_never_compressed(self, url):
        answer = fetch(url, "/tile/0/001", Accept_Encoding="gzip")
        assert "content-encoding" not in answer.headers
        assert len(answer.body) == 8192

    @pytest.mark.parametrize("index", [0, 2])
    def test_partial_ones_of_every_width(self, url, index):
        # Tile 2 has 188 hashes by now; tile 0 is full, and was partial for earlier sizes.
        hashes = leaf_hashes(index * 256, min(700, (index + 1) * 256))
        for width in range(1, 256):
            answer = fetch(url, f"/tile/0/{index:03}.p/{width}")
            if width * 32 <= len(hashes):
                assert (answer.status, answer.body) == (200, hashes[: width * 32])
            else:
                assert answer.status == 404

    def test_every_file_of_every_size_and_none_beyond(self, raw_log, served):
        raw_log.set_size(1)
        with served(raw_log.database) as url:
            for size in (1, 2, 255, 256, 257, 300, 511, 512, 513, 699):
                raw_log.set_size(size)
                there = {name.path() for name in (*tiles_of(size), *bundles_of(size))}
                one_more = {name.path() for name in (*tiles_of(size + 1), *bundles_of(size + 1))}
                assert {path: fetch(url, f"/{path}").status for path in there | one_more} == {
                    path: 200 if path in there else 404 for path in there | one_more
                }

    @pytest.mark.parametrize("path", ["/tile/0/002", "/tile/0/003.p/1", "/tile/2/000.p/1", "/tile/63/000.p/1",
                                      "/tile/entries/002", "/tile/entries/003.p/1",
                                      "/tile/0/x036/x028/x797/x018/x963/967"])  # fmt: skip
    def test_what_the_log_has_not_grown_to(self, url, path):
        answer = fetch(url, path)
        name = path.removeprefix("/")
        assert (answer.status, answer.body.decode()) == (
            404, f"not found: file: given {name}, expected one of the log's 700 entries so far\n",
        )  # fmt: skip
        # A cache that kept this would hide the tile when it is there.
        assert answer.headers == EVERYWHERE | {
            "content-type": "text/plain; charset=utf-8",
            "content-length": str(len(answer.body)),
            "cache-control": "no-store",
        }

    def test_paths_of_the_specification(self, shared, url):
        paths = json.loads((shared / "tlog/derived/tile_paths.json").read_text())
        for index, spelt in paths["paths"].items():
            parsed = parse_path(f"tile/0/{spelt}")
            assert parsed == TileId(0, int(index))
            assert fetch(url, f"/tile/0/{spelt}").status == (200 if int(index) < 2 else 404)


class TestBundles:
    @pytest.mark.parametrize(("path", "start", "stop"), [("001", 256, 512), ("002.p/188", 512, 700),
                                                         ("000.p/1", 0, 1), ("002.p/7", 512, 519)])  # fmt: skip
    def test_its_entries(self, url, path, start, stop):
        answer = fetch(url, f"/tile/entries/{path}")
        assert decode_bundle(answer.body, stop - start) == [raw_entry(index) for index in range(start, stop)]

    def test_compressed_for_those_who_can_read_that(self, url):
        plain = fetch(url, "/tile/entries/000")
        compressed = fetch(url, "/tile/entries/000", Accept_Encoding="br, gzip;q=0.5")
        assert gzip.decompress(compressed.body) == plain.body
        assert len(compressed.body) < len(plain.body)
        tags = plain.headers.pop("etag"), compressed.headers.pop("etag")
        assert tags[1] == f'{tags[0][:-1]}-gzip"'
        common = EVERYWHERE | {
            "content-type": "application/octet-stream", "cache-control": IMMUTABLE, "vary": "Accept-Encoding",
        }  # fmt: skip
        assert plain.headers == common | {"content-length": str(len(plain.body))}
        assert compressed.headers == common | {
            "content-length": str(len(compressed.body)), "content-encoding": "gzip",
        }  # fmt: skip

    def test_partial_ones_of_every_width(self, url):
        for width in range(1, 189):
            answer = fetch(url, f"/tile/entries/002.p/{width}", Accept_Encoding="gzip")
            assert decode_bundle(gzip.decompress(answer.body), width)[-1] == raw_entry(511 + width)
        assert fetch(url, "/tile/entries/002.p/189").status == 404

    def test_equal_bundles_have_equal_bytes(self, raw_log, url, served):
        with served(raw_log.database) as other:
            for encoding in ("gzip", "identity"):
                answers = [
                    fetch(where, "/tile/entries/001", Accept_Encoding=encoding) for where in (url, other)
                ]
                assert answers[0] == answers[1]


class TestRequests:
    @pytest.mark.parametrize(
        "path", ["/checkpoint", "/tile/0/000", "/tile/entries/000", "/tile/entries/002.p/9", "/"]
    )
    @pytest.mark.parametrize("encoding", ["identity", "gzip"])
    def test_head_tells_what_get_would(self, url, path, encoding):
        got, told = (fetch(url, path, method, Accept_Encoding=encoding) for method in ("GET", "HEAD"))
        assert (told.status, told.headers, told.body) == (got.status, got.headers, b"")

    @pytest.mark.parametrize(
        "path", ["/checkpoint", "/tile/0/000", "/tile/entries/000", "/tile/entries/002.p/9", "/"]
    )
    @pytest.mark.parametrize("encoding", ["identity", "gzip"])
    @pytest.mark.parametrize("given", ["{0}", "W/{0}", '"other", {0}', '"a,b",{0} , "c"', "*"])
    def test_who_has_it_gets_it_not_again(self, url, path, encoding, given):
        got = fetch(url, path, Accept_Encoding=encoding)
        tag = got.headers["etag"]
        again = fetch(url, path, Accept_Encoding=encoding, If_None_Match=given.format(tag))
        assert (again.status, again.body) == (304, b"")
        kept = {name: value for name, value in got.headers.items() if not name.startswith("content-")}
        assert again.headers == kept

    @pytest.mark.parametrize("given", ['"other"', "", "junk", "{1}", '{1}, "x"'])
    def test_who_has_something_else_gets_it(self, url, given):
        tag = fetch(url, "/tile/entries/000").headers["etag"]
        answer = fetch(url, "/tile/entries/000", If_None_Match=given.format(tag, f'{tag[:-1]}-gzip"'))
        assert answer.status == 200

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
    @pytest.mark.parametrize("path", ["/checkpoint", "/tile/0/000", "/"])
    def test_other_methods(self, url, method, path):
        answer = fetch(url, path, method)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")

    @pytest.mark.parametrize("path", [
        "/checkpoint/", "//checkpoint", "/Checkpoint", "/%63heckpoint", "/checkpoint%0A", "/tile", "/tile/", "/tile/0",
        "/tile/0/", "/tile/0/0", "/tile/00/000", "/tile/0/000/", "/tile/0//000", "/tile/0/x000/000", "/tile/0/0000",
        "/tile/-1/000", "/tile/64/000", "/tile/0/000.p/0", "/tile/0/000.p/256", "/tile/0/000.p/01", "/tile/0/000.p",
        "/tile/0/%30%30%30", "/tile/0/000%2Ep/5", "/tile%2F0/000", "/tile/0/../0/000", "/tile/8/0/000", "/tile/data/000",
        "/tile/entries/0", "/tile/entries/000.p/0", "/tile/entries/x000/001", "/tile/entries/000.P/5", "/tile/Entries/000",
        "/tile/0/%D9%A0%D9%A0%D9%A0", "/index.html", "/robots.txt", "/tile/0/" + "x999/" * 200 + "999",
    ])  # fmt: skip
    def test_paths_in_any_other_spelling(self, url, path):
        answer = fetch(url, path)
        assert (answer.status, answer.headers["cache-control"]) == (404, "no-store")
        assert answer.body.startswith(b"not found: ")
        assert len(answer.body) < 400

    def test_a_query_changes_nothing(self, url):
        assert fetch(url, "/tile/0/000?x=1") == fetch(url, "/tile/0/000")


def test_names_sort_out_tiles_and_bundles():
    # What a path is read as decides what is looked up.
    assert parse_path("tile/entries/000.p/5") == BundleId(0, 5)


def test_a_prefix(raw_log, served):
    with served(raw_log.database, prefix="/fuzhou") as url:
        assert url.endswith("/fuzhou")
        assert fetch(url, "/checkpoint").body == raw_log.head(700).checkpoint
        assert fetch(url, "/tile/1/000.p/2").status == 200
        assert fetch(url, "/").status == 200
        answer = fetch(url, "")
        assert (answer.status, answer.headers["location"]) == (308, "/fuzhou/")
        root = url.removesuffix("/fuzhou")
        assert [fetch(root, path).status for path in ("/checkpoint", "/tile/0/000", "/")] == [404] * 3
        assert fetch(root, "/fuzhou/fuzhou/checkpoint").status == 404
        assert fetch(root, "/fuzhou/tile/tile/0/000").status == 404
