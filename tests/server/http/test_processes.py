"""`serve --http` and `serve-http` as processes: started, read while the log grows, stopped, and refused."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing

import pytest
from certificates import self_signed
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from fetching import fetch
from raw_log import RawLog
from running import new_log, operator, running_http
from world import ORIGIN, PARCEL, signing_key

from ledger.checkpoint import open_checkpoint
from ledger.errors import BadInput
from ledger.frontier import Frontier
from ledger.merkle import HASH_SIZE, leaf_hash
from ledger.note import NoteSigner, VerifierKey
from ledger.tiles import bundles_of, decode_bundle, tiles_of
from server.config import Tls
from server.store.store import Store
from suyuan.v1 import event_pb2 as ev

OTHER = NoteSigner(ORIGIN, signing_key("another log")._key)
"""A key that signed nothing."""

BATCHES = 200 if os.environ.get("SUYUAN_SOAK") == "1" else 15
"""Appends while others read."""


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A log, not served."""
    return RawLog.make(tmp_path_factory.mktemp("log") / "log.db", 300)


@pytest.fixture(scope="module")
def city_log(tmp_path_factory):
    """A log with its genesis, which tests start and stop."""
    log = new_log(tmp_path_factory.mktemp("city"))
    yield log
    log.stop()


def verified(url, vkey):
    """The published checkpoint, after the whole log has been compared with it by the files fetched after it."""
    key = VerifierKey.parse(vkey)
    checkpoint = open_checkpoint(fetch(url, "/checkpoint").body, key.name, [key])
    tiles = {}
    for tile in tiles_of(checkpoint.size):
        answer = fetch(url, f"/{tile.path()}")
        assert (answer.status, len(answer.body)) == (200, tile.width * HASH_SIZE), tile
        tiles[tile.level, tile.index] = answer.body
    frontier = Frontier()
    for bundle in bundles_of(checkpoint.size):
        answer = fetch(url, f"/{bundle.path()}")
        assert answer.status == 200, bundle
        hashes = [leaf_hash(data) for data in decode_bundle(answer.body, bundle.width)]
        assert b"".join(hashes) == tiles[0, bundle.index]
        frontier = frontier.extend(hashes)
    assert frontier.root() == checkpoint.root
    return checkpoint.size


def test_every_checkpoint_can_be_verified_by_what_is_fetched_after_it_while_the_log_grows(city_log):
    city_log.flags = ("--http", "127.0.0.1:0")
    city_log.start()
    city_log.append(*city_log.founding)
    with ExitStack() as others:
        urls = [city_log.http, *(others.enter_context(running_http(city_log.database)) for _ in range(2))]
        before = verified(urls[1], city_log.vkey)
        done = threading.Event()

        def append():
            try:
                for _ in range(BATCHES):
                    scans = [city_log.city.scan(ev.SHIPMENT_STAGE_IN_TRANSIT, PARCEL) for _ in range(12)]
                    city_log.append(*scans)
            finally:
                done.set()

        appending = threading.Thread(target=append)
        appending.start()
        sizes = []
        while not done.is_set():
            sizes += [verified(url, city_log.vkey) for url in urls]
        appending.join()
        # They read one database: none of them shows less than one that was asked before.
        assert sizes == sorted(sizes)
        assert [verified(url, city_log.vkey) for url in urls] == [before + 12 * BATCHES] * 3
    assert city_log.stop() == 0


def test_both_services_answer_and_end_together(city_log):
    ready = city_log.folder / "ready"
    city_log.flags = ("--http", "127.0.0.1:0", "--http-prefix", "/fuzhou")
    city_log.start()
    assert ready.read_text() == f"{city_log.target}\n{city_log.http}\n"
    assert city_log.http.endswith("/fuzhou")
    assert city_log.vkey in fetch(city_log.http, "/").body.decode()
    appended = city_log.append(*city_log.founding)
    assert appended.checkpoint.note == fetch(city_log.http, "/checkpoint").body
    assert verified(city_log.http, city_log.vkey) >= 1 + len(city_log.founding)
    assert city_log.stop(signal.SIGINT) == 0
    assert not ready.exists()
    with pytest.raises(ConnectionRefusedError):
        fetch(city_log.http, "/checkpoint")
    city_log.flags = ()
    city_log.start()
    assert (ready.read_text(), city_log.http) == (f"{city_log.target}\n", "")
    assert city_log.stop() == 0
    logged = [json.loads(line)["event"] for line in city_log.log().splitlines()]
    events = [event for event in logged if not event.startswith("turn_")]
    assert events[-8:] == [
        "serving", "serving_http", "stopped_http", "stopping", "stopped", "serving", "stopping", "stopped",
    ]  # fmt: skip


def test_it_stops_while_a_reader_is_connected(log, tmp_path):
    ready = tmp_path / "ready"
    command = ["serve-http", "--database", log.database, "--listen", "127.0.0.1:0", "--ready-file", ready]
    process = subprocess.Popen([sys.executable, "-m", "server", *command], stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 30
        while not ready.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        host, port = ready.read_text().strip().removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as idle:
            idle.sendall(b"GET /checkpoint HTTP/1.1\r\nHost: x\r\n\r\n")
            assert idle.recv(65536).startswith(b"HTTP/1.1 200 OK")
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert not ready.exists()
    assert b"Traceback" not in said


def test_with_tls_and_the_keys_of_a_log_that_changes_its_key(log, tmp_path):
    certificate, key = self_signed(tmp_path)
    flags = ("--tls-cert", certificate, "--tls-key", key, "--vkey", OTHER.vkey, "--vkey", log.signer.vkey)
    with running_http(log.database, *flags) as url:
        assert url.startswith("https://127.0.0.1:")
        by_name = url.replace("127.0.0.1", "localhost")
        answer = fetch(by_name, "/checkpoint", trust=str(certificate))
        assert (answer.status, answer.body.startswith(b"ledger.test/city\n300\n")) == (200, True)
        with pytest.raises(ssl.SSLCertVerificationError):
            fetch(by_name, "/checkpoint")
        page = fetch(by_name, "/", trust=str(certificate)).body.decode()
    assert str(log.signer.vkey) in page
    assert str(OTHER.vkey) in page


def refused(*args, command="serve-http"):
    """What a command that must fail says."""
    done = operator(command, "--listen", "127.0.0.1:0", *args, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr.strip()


@pytest.fixture
def taken():
    """An address that somebody else listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


class TestRefusals:
    def test_a_database_without_a_log(self, tmp_path):
        Store.create(str(tmp_path / "empty.db")).close()
        assert refused("--database", tmp_path / "empty.db") == (
            f"error: log in {tmp_path}/empty.db: given none, expected a database made by operator init [NOT_FOUND]"
        )

    def test_a_port_that_is_taken(self, log, taken):
        assert refused("--database", log.database, "--listen", taken).splitlines()[-1] == (
            f"error: HTTP address: given {taken} (Address already in use), expected host:port that is free to "
            "listen on [INVALID_REQUEST]"
        )

    def test_a_port_of_serve_that_is_taken(self, city_log, taken):
        files = ("--database", city_log.database, "--log-key", city_log.log_key)
        assert f"given {taken} (Address already in use)" in refused(*files, "--http", taken, command="serve")

    def test_a_key_by_which_it_does_not_verify(self, log):
        said = refused("--database", log.database, "--vkey", OTHER.vkey)
        assert "signatures of the note: given 1 by unknown keys" in said

    @pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:", ":80", "127.0.0.1:99999", "127.0.0.1:http",
                                         "::1:80", "http://127.0.0.1:80", "127.0.0.1:-1", ""])  # fmt: skip
    def test_what_is_no_address(self, log, served, address):
        with pytest.raises(BadInput) as caught, served(log.database, listen=address):
            pass
        assert str(caught.value) == (
            f"HTTP address: given {address}, expected host:port that is free to listen on"
        )

    def test_an_address_that_is_not_ours(self, log, served):
        with pytest.raises(
            BadInput, match=r"HTTP address: given 203\.0\.113\.1:80 \(.+\), expected host:port"
        ):
            served(log.database, listen="203.0.113.1:80").__enter__()

    @pytest.mark.parametrize(
        "prefix", ["fuzhou", "/fuzhou/", "/", "/a//b", "/..", "/a/../b", "/a b", "/{x}", "/a\n"]
    )
    def test_what_is_no_prefix(self, log, served, prefix):
        with pytest.raises(BadInput) as caught, served(log.database, prefix=prefix):
            pass
        assert str(caught.value) == f"prefix: given {prefix!r}, expected a path such as /fuzhou, or nothing"

    def test_tls_files_that_are_none(self, log, served, tmp_path):
        files = tmp_path / "c.pem", tmp_path / "k.pem"

        def said():
            with pytest.raises(BadInput) as caught, served(log.database, tls=Tls(*files)):
                pass
            return str(caught.value)

        expected = "expected a PEM certificate with its key, not encrypted"
        assert said() == f"TLS files {files[0]} and {files[1]}: given No such file or directory, {expected}"
        for file in files:
            file.write_text("junk")
        assert said().endswith(expected)
        certificate, key = self_signed(tmp_path)
        secret = load_pem_private_key(key.read_bytes(), None)
        files = certificate, tmp_path / "encrypted.pem"
        files[1].write_bytes(
            secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
        )
        assert said().endswith(expected)


def test_a_database_that_nobody_may_write_to(tmp_path, served):
    log = RawLog.make(tmp_path / "log.db", 300)
    log.database.chmod(0o444)
    with served(log.database) as url:
        assert fetch(url, "/tile/0/001.p/44").status == 200
