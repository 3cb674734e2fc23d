"""Readers who send too much, too slowly, or do not read what they asked for."""

import socket
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from fetching import TIMEOUT_S, fetch

from server.http import app
from server.http.connection import MAX_REQUEST_BYTES, BoundedProtocol


@contextmanager
def connected(url, *, receives=None):
    """A connection; `receives` bounds the bytes that the kernel takes before the reader reads."""
    parts = urlsplit(url)
    with socket.socket() as connection:
        if receives is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        connection.settimeout(TIMEOUT_S)
        connection.connect((parts.hostname, parts.port))
        yield connection


def until_closed(connection):
    """All that comes until the other side hangs up; a hang-up in the middle is one too."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionError:
        pass
    return received


def wait_until(holds):
    deadline = time.monotonic() + TIMEOUT_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def drip(connection, piece):
    """Send a little again and again; an error once the other side has hung up."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        connection.sendall(piece)
        time.sleep(0.02)


@pytest.fixture
def quick(monkeypatch):
    """Who gets nowhere is hung up on after a fraction of a second."""
    monkeypatch.setattr(BoundedProtocol, "watch_seconds", 0.1)


@pytest.mark.parametrize("start", [b"GET /" + b"a" * 100, b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\n"])
def test_a_head_without_end(url, start):
    with connected(url) as connection:
        try:
            connection.sendall(start)
            for number in range(2 * MAX_REQUEST_BYTES // 1000):
                line = (
                    b"a" * 1000
                    if b"X: " in start or b"/a" in start
                    else b"X%d: %s\r\n" % (number, b"a" * 980)
                )
                connection.sendall(line)
        except ConnectionError:
            pass
        else:
            assert until_closed(connection).startswith(b"HTTP/1.1 431 ")


def test_a_body_that_nobody_asked_for(url):
    with connected(url) as connection:
        connection.sendall(b"GET /tile/0/000.p/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
        try:
            for _ in range(64 * MAX_REQUEST_BYTES // 1000):
                connection.sendall(b"a" * 1000)
        except ConnectionError:
            return
        received = until_closed(connection)
    # What was on its way may be lost when the connection ends; a second answer must not come behind it.
    assert received == b"" or received.startswith(b"HTTP/1.1 200 OK")
    assert received.count(b"HTTP/1.1 ") <= 1


@pytest.mark.parametrize("junk", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\r\n\r\nHELLO\r\n\r\n", b"GET\r\n\r\n",
                                  b"GET /\xff HTTP/1.1\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                                  b"CONNECT x:1 HTTP/1.1\r\n\r\n", b"GET * HTTP/1.1\r\nConnection: close\r\n\r\n"])  # fmt: skip
def test_what_is_no_request(url, junk, quick):
    with connected(url) as connection:
        connection.sendall(junk)
        received = until_closed(connection)
    assert received == b"" or received.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 404 ", b"HTTP/1.1 405 "))
    assert b"Traceback" not in received


def test_many_requests_at_once_are_answered_in_order(url):
    with connected(url) as connection:
        for path in (b"/tile/0/000.p/1", b"/tile/0/000.p/2", b"/nothing"):
            connection.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path)
        connection.sendall(b"GET /tile/0/000.p/3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = until_closed(connection)
    lengths = [line.split(b"\r\n")[0] for line in received.split(b"content-length: ")[1:]]
    assert lengths[:2] + lengths[3:] == [b"32", b"64", b"96"]


class TestSlowReaders:
    def test_one_that_says_nothing(self, raw_log, served, quick):
        with served(raw_log.database) as url, connected(url) as connection:
            assert until_closed(connection) == b""

    def test_one_that_drips(self, raw_log, served, quick):
        with served(raw_log.database) as url, connected(url) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nX: ")
            with pytest.raises(ConnectionError):
                drip(connection, b"a")

    def test_one_that_drips_after_a_good_request(self, raw_log, served, quick):
        with served(raw_log.database) as url, connected(url) as connection:
            connection.sendall(b"GET /tile/0/000.p/1 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
            connection.sendall(b"GET / HTTP/1.1\r\nX: ")
            with pytest.raises(ConnectionError):
                drip(connection, b"a")

    def test_one_that_asks_and_does_not_read(self, raw_log, served, quick):
        request = b"GET /tile/0/000 HTTP/1.1\r\nHost: x\r\n\r\n"
        with served(raw_log.database) as url:
            with connected(url, receives=4096) as connection:
                # The answers to these are far more than what the kernels of both sides take.
                connection.sendall(request * 2_000)
                with pytest.raises(ConnectionError):
                    drip(connection, request)
            assert fetch(url, "/checkpoint").status == 200

    def test_one_that_reads_slowly_is_waited_for_as_long_as_it_reads(self, raw_log, served):
        services = []
        with (
            served(raw_log.database, prepare=services.append) as url,
            connected(url, receives=64 * 1024) as connection,
        ):
            connection.sendall(b"GET /tile/0/000 HTTP/1.1\r\nHost: x\r\n\r\n" * 5_000)
            [server] = [service._listener._server for service in services]
            wait_until(lambda: server.server_state.connections)
            [protocol] = server.server_state.connections

            def looked_at():
                """Whether it is still there after one more look."""
                protocol._watch.cancel()
                protocol.loop.call_soon_threadsafe(protocol._look)
                wait_until(lambda: protocol._watch is None or not protocol._watch.cancelled())
                return protocol._watch is not None

            for _ in range(2):
                wait_until(lambda: protocol.flow.write_paused)
                assert looked_at()
                protocol._drained = False
                while not protocol._drained:
                    assert connection.recv(64 * 1024)
            wait_until(lambda: protocol.flow.write_paused)
            assert looked_at()
            protocol._drained = False
            assert not looked_at()


def test_more_on_its_way_than_there_is_memory_for(raw_log, served, monkeypatch):
    # Smaller than any tile, so that the second answer finds the first one still on its way.
    monkeypatch.setattr(app, "SENDING_BYTES", 1)
    sites = []
    real = app._Site

    def keep(*args):
        sites.append(real(*args))
        return sites[-1]

    monkeypatch.setattr(app, "_Site", keep)
    with served(raw_log.database) as url:
        sites[0]._sending.bytes = 1
        answer = fetch(url, "/tile/0/000")
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        sites[0]._sending.bytes = 0
        assert fetch(url, "/tile/0/000").status == 200
        wait_until(lambda: not sites[0]._sending.bytes)  # the server may still be at the end of it


def test_more_readers_than_there_are_places(raw_log, served):
    with served(raw_log.database, connections=3) as url:
        with connected(url), connected(url), connected(url):
            wait_until(lambda: fetch(url, "/checkpoint").status == 503)
        wait_until(lambda: fetch(url, "/checkpoint").status == 200)
