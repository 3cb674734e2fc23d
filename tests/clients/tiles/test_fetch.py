from __future__ import annotations

import gzip
import socket
import time
from contextlib import suppress

import pytest
from tiled import answer, serving

from clients.tiles.fetch import Site, Wanted
from ledger.errors import BadInput, BrokenProof, Reason, ServiceFault

FILE = Wanted("tile/0/000", 8_192, Reason.BAD_INCLUSION_PROOF)


MANNERS = {
    "connections that stay": {},
    "HTTP/1.0": {"protocol": "HTTP/1.0"},
    "Connection: close": {"last": True},
}


@pytest.fixture(params=MANNERS.values(), ids=MANNERS.keys())
def server(request):
    """What holds, holds of every server; many, Python's own among them, close the connection after each answer."""
    with serving({}, **request.param) as server:
        yield server


@pytest.fixture
def site(server):
    with Site(server.url, timeout_s=0.4) as site:
        yield site


def refusal(site, family, wanted=FILE):
    with pytest.raises(family) as caught:
        site.get(wanted)
    assert site.url in str(caught.value)
    return caught.value


def test_a_file(server, site):
    server.files[FILE.path] = bytes(8_192)
    assert site.get(FILE) == bytes(8_192)
    assert site.get(FILE) == bytes(8_192), "over the same connection, where it stays"
    assert server.asked == [FILE.path] * 2


def test_a_file_that_comes_after_its_headers(server):
    def slowly(handler):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(4):
            time.sleep(0.02)
            handler.wfile.write(bytes(100_000))
        handler.close_connection = True

    server.tricks[FILE.path] = slowly
    with Site(server.url, timeout_s=10) as site:
        for _ in range(8):
            assert site.get(Wanted(FILE.path, 400_000, FILE.wrong)) == bytes(400_000)
    assert len(server.asked) == 8, "each at the first try"


def test_no_file(server, site):
    assert site.get(FILE) is None
    assert server.asked == [FILE.path]


def test_a_file_below_a_path(server):
    server.files["logs/a/checkpoint"] = b"there"
    for url in (f"{server.url}/logs/a", f"{server.url}/logs/a/"):
        with Site(url, timeout_s=1) as site:
            assert site.get(Wanted("checkpoint", 10, Reason.BAD_NOTE)) == b"there"


def test_a_packed_file(server, site):
    server.tricks[FILE.path] = lambda handler: answer(
        handler, gzip.compress(b"there"), headers={"Content-Encoding": "gzip"}
    )
    assert site.get(FILE) == b"there"


@pytest.mark.parametrize("url", ["ftp://ledger.test", "ledger.test", "http://", "http://a:b@ledger.test/", "http://a/?x", "http://a/#x", "http://a:port/", "http://a\\b/", "http://商.test/", "http://a/\n", ""])  # fmt: skip
def test_what_is_no_address_of_a_log(url):
    with pytest.raises(BadInput) as caught:
        Site(url, timeout_s=1)
    assert caught.value.reason is Reason.INVALID_REQUEST
    assert caught.value.subject == "URL of a log"


# What is wrong is refused, and never asked for again


def test_a_file_that_is_too_large(server, site):
    for tries, size in enumerate([8_193, 1_000_000] * 8, 1):
        server.files[FILE.path] = bytes(size)
        error = refusal(site, BrokenProof)
        assert error.reason is Reason.BAD_INCLUSION_PROOF
        assert error.expected == "at most 8192 bytes"
        assert len(server.asked) == tries


def test_a_file_without_an_end(server, site):
    def flood(handler):
        handler.send_response(200)
        handler.end_headers()
        with suppress(OSError):  # until the other side has had enough
            while True:
                handler.wfile.write(bytes(65_536))
        handler.close_connection = True

    server.tricks[FILE.path] = flood
    for _ in range(8):
        assert refusal(site, BrokenProof).expected == "at most 8192 bytes"


def test_a_small_file_that_unpacks_to_a_large_one(server, site):
    bomb = gzip.compress(bytes(50_000_000))
    server.tricks[FILE.path] = lambda handler: answer(handler, bomb, headers={"Content-Encoding": "gzip"})
    wanted = Wanted(FILE.path, 100_000, FILE.wrong)
    assert len(bomb) < 100_000
    for _ in range(8):
        assert refusal(site, BrokenProof, wanted).expected == "at most 100000 bytes"


@pytest.mark.parametrize(
    "body", [b"not gzip", gzip.compress(b"there")[:-1], gzip.compress(b"there") + b"x", b""],
    ids=["another format", "cut", "grown", "empty"],
)  # fmt: skip
def test_what_cannot_be_unpacked(server, site, body):
    server.tricks[FILE.path] = lambda handler: answer(handler, body, headers={"Content-Encoding": "gzip"})
    assert refusal(site, BrokenProof).reason is Reason.BAD_INCLUSION_PROOF
    assert len(server.asked) == 1


def test_an_encoding_that_nobody_asked_for(server, site):
    server.tricks[FILE.path] = lambda handler: answer(handler, b"x", headers={"Content-Encoding": "br"})
    assert "br" in str(refusal(site, BrokenProof))


@pytest.mark.parametrize("status", [204, 301, 302, 307, 400, 401, 403, 410])
def test_an_answer_that_is_no_file(server, site, status):
    server.tricks[FILE.path] = lambda handler: answer(
        handler, b"", status, {"Location": f"{server.url}/elsewhere"}
    )
    error = refusal(site, ServiceFault)
    assert error.reason is Reason.UNREACHABLE
    assert error.given == f"HTTP status {status}"
    assert server.asked == [FILE.path], "no redirect is followed, and no such answer asked for again"


# Faults of the way are tried again


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_server_that_is_busy_for_a_moment(server, site, status):
    def busy(handler):
        del server.tricks[FILE.path]
        answer(handler, b"busy", status)

    server.files[FILE.path] = b"there"
    server.tricks[FILE.path] = busy
    assert site.get(FILE) == b"there"
    assert len(server.asked) == 2


def test_a_server_that_stays_busy(server, site):
    server.tricks[FILE.path] = lambda handler: answer(handler, b"", 503)
    error = refusal(site, ServiceFault)
    assert error.given.startswith("HTTP status 503 (")
    assert 2 <= len(server.asked) <= 4


def test_an_answer_that_is_cut_short(server, site):
    def cut(handler):
        del server.tricks[FILE.path]
        answer(handler, b"half", headers={"Content-Length": "8"})
        handler.close_connection = True

    server.files[FILE.path] = b"there"
    server.tricks[FILE.path] = cut
    assert site.get(FILE) == b"there"


def test_answers_that_are_always_cut_short(server):
    def cut(handler):
        answer(handler, b"half", headers={"Content-Length": "8"})
        handler.close_connection = True

    server.tricks[FILE.path] = cut
    with Site(server.url, timeout_s=10) as site:
        error = refusal(site, ServiceFault)
    assert error.reason is Reason.UNREACHABLE
    assert error.given == "IncompleteRead(4 bytes read, 4 more expected) (4 tries)"


def test_nobody_there():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with Site(f"http://127.0.0.1:{port}", timeout_s=0.4) as site:
        error = refusal(site, ServiceFault)
    assert error.reason is Reason.UNREACHABLE
    assert error.given.startswith("connection refused (")


# A server that takes its time has only so much of ours


def silent(server):
    def trick(_):
        server.released.wait(60)

    return trick


def dripping_headers(server):
    def trick(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        while not server.released.wait(0.05):
            handler.wfile.write(b"x")

    return trick


def dripping_body(server):
    def trick(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "8192")
        handler.end_headers()
        while not server.released.wait(0.05):
            handler.wfile.write(b"x")

    return trick


@pytest.mark.parametrize("trick", [silent, dripping_headers, dripping_body])
def test_a_server_that_lets_one_wait(server, trick):
    server.tricks[FILE.path] = trick(server)
    started = time.monotonic()
    with Site(server.url, timeout_s=0.2) as site:
        error = refusal(site, ServiceFault)
    assert error.reason is Reason.UNREACHABLE
    assert error.given.startswith("no answer in time (")
    assert time.monotonic() - started < 30, "and not for ever"
    server.released.set()
