"""The process: bounds on what senders may do, signals, logs, TLS."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from witnessing import SmallLog, new_witness, post, running_witness

from clients.witness.serving import _listen
from ledger.errors import BadInput
from ledger.witness import MAX_REQUEST_BYTES

LOG = SmallLog()

# A witness with bounds of its own: those of the command are as they are.
_BOUNDED = """
import json, sys
from pathlib import Path
from clients.witness.bounds import Bounds
from clients.witness.keys import cosigners
from clients.witness.serving import Settings, serve
from ledger.note import VerifierKey
from ledger.witness import known_logs

folder, log, bounds = Path(sys.argv[1]), VerifierKey.parse(sys.argv[2]), Bounds(**json.loads(sys.argv[3]))
keys = cosigners("w.example", folder / "key.pem", None)
serve(Settings(keys, known_logs([(log.name, log)]), folder / "w.db", "127.0.0.1:0", None, folder / "ready", True, bounds))
"""


@contextmanager
def bounded(folder, **bounds):
    """Its URL, and its process."""
    with (folder / "witness.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _BOUNDED, folder, str(LOG.vkey), json.dumps(bounds)],
            stdout=log,
            stderr=log,
        )
    ready, deadline = folder / "ready", time.monotonic() + 60
    try:
        while not ready.exists():
            assert process.poll() is None, (folder / "witness.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield ready.read_text().strip(), process
    finally:
        process.terminate()
        assert process.wait(60) == 0, (folder / "witness.log").read_text()


def connect(url):
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=60)


def rest_of(connection):
    """What still comes until the other side closes; a reset is an end too."""
    received = b""
    try:
        while piece := connection.recv(65_536):
            received += piece
    except ConnectionResetError:
        pass
    return received


def still_answers(url):
    answer = post(url, LOG.request(99, 100))
    return answer.status == 409


HEAD = b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\n"


# Senders


@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    """The URL of a witness that does not wait for long."""
    with bounded(tmp_path_factory.mktemp("hasty"), head_s=0.5, body_s=0.5, keep_alive_s=1) as (url, _):
        yield url


def test_slow_and_silent_senders_are_let_go(hasty):
    with ExitStack() as stack:
        silent, head, body, between = (stack.enter_context(connect(hasty)) for _ in range(4))
        head.sendall(HEAD)
        body.sendall(HEAD + b"Content-Length: 100\r\n\r\nold ")
        between.sendall(HEAD + b"Content-Length: 0\r\n\r\n")
        assert between.recv(65_536).startswith(b"HTTP/1.1 400 ")
        # Empty lines between requests keep a connection open no longer than a head may take.
        between.sendall(b"\r\n")
        assert rest_of(silent) == b""
        assert rest_of(head) == b""
        assert rest_of(between).count(b"HTTP/1.1") == 0
        answer = rest_of(body)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"\r\nconnection: close\r\n" in answer
    assert answer.endswith(b"the request did not arrive within 0.5 seconds\n")
    assert still_answers(hasty)


def test_dripping_senders_are_let_go(hasty):
    with connect(hasty) as head, connect(hasty) as body:
        body.sendall(HEAD + b"Content-Length: 90000\r\n\r\n")
        for drip in (head, body):
            deadline = time.monotonic() + 60
            with suppress(OSError):
                while time.monotonic() < deadline:
                    drip.sendall(b"a")
                    time.sleep(0.05)
            assert time.monotonic() < deadline
    assert still_answers(hasty)


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"Content-Length: %d\r\n\r\n" % (MAX_REQUEST_BYTES + 1),
        HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["told", "absurd", "chunked"],
)
def test_bodies_that_are_too_large(head, running):
    with connect(running.url) as connection:
        connection.sendall(head)
        if b"chunked" in head:
            with suppress(OSError):
                for _ in range(64):
                    connection.sendall(b"8000\r\n" + b"a" * 0x8000 + b"\r\n")
        answer = rest_of(connection)
    if b"chunked" in head:
        # What is still being sent may make the system throw the answer away; the connection has ended in any case.
        assert not answer or answer.startswith(b"HTTP/1.1 413 ")
    else:
        assert answer.split(b" ")[1] in {b"413", b"400"}
    assert still_answers(running.url)


def test_the_largest_body_is_read(running):
    body = b"old 0\n\n" + b"x" * (MAX_REQUEST_BYTES - 7)
    assert post(running.url, body).status == 400
    assert post(running.url, body + b"x").status == 413


@pytest.mark.parametrize(
    "sent",
    [
        b"\0" * 100_000,
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 3_000_000,
        b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 500_000,
        b"GET /" + b"a" * 3_000_000,
    ],
    ids=["zeros", "version", "length", "lengths", "header", "headers", "path"],
)
def test_what_is_no_request_ends_the_connection(sent, running):
    with connect(running.url) as connection:
        with suppress(OSError):
            connection.sendall(sent)
        answer = rest_of(connection)
    assert not answer or answer.startswith(b"HTTP/1.1 400 ")
    assert still_answers(running.url)


def test_a_client_that_goes_away(running):
    for sent in (HEAD + b"Content-Length: 100\r\n\r\nold 0\n", HEAD):
        with connect(running.url) as connection:
            connection.sendall(sent)
    assert still_answers(running.url)


def test_too_many_connections_are_told_to_come_back(tmp_path):
    body = LOG.request(9, 10)  # answered with 409, where it is heard
    deadline = time.monotonic() + 60
    with bounded(tmp_path, connections=4, head_s=60) as (url, _):
        with ExitStack() as stack:
            for _ in range(4):
                stack.enter_context(connect(url))
            while post(url, body).status != 503:
                assert time.monotonic() < deadline
        while post(url, body).status != 409:
            assert time.monotonic() < deadline


def test_too_many_waiting_requests_are_told_to_come_back(tmp_path):
    with bounded(tmp_path, waiting=0) as (url, _):
        answer = post(url, LOG.request(0, 1))
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert answer.data == b"too many requests are waiting\n"


# The process


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with running_witness(tmp_path_factory.mktemp("witness"), logs=[LOG.vkey]) as witness:
        assert post(witness.url, LOG.request(0, 1)).status == 200
        yield witness


def test_it_ends_well_and_begins_where_it_ended(tmp_path):
    witness = new_witness(tmp_path, logs=[LOG.vkey])
    for old, new, number in ((0, 10, signal.SIGTERM), (10, 20, signal.SIGINT)):
        witness.start()
        idle = http.client.HTTPConnection(urlsplit(witness.url).netloc, timeout=60)
        idle.request("POST", "/add-checkpoint", LOG.request(old, new))
        assert idle.getresponse().status == 200
        # A connection that is kept open does not keep the process.
        assert witness.stop(number) == 0
        assert not (tmp_path / "ready").exists()
        idle.close()
    events = [json.loads(line)["event"] for line in witness.log().splitlines()]
    assert events == ["serving", "cosigned", "stopping", "stopped"] * 2


def test_a_request_in_flight_is_answered_before_the_end(tmp_path):
    with bounded(tmp_path, body_s=60) as (url, process), connect(url) as connection:
        body = LOG.request(0, 10)
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body[:10])
        process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 60
        while "stopping" not in (tmp_path / "witness.log").read_text() and time.monotonic() < deadline:
            time.sleep(0.02)
        connection.sendall(body[10:])
        answer = rest_of(connection)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert process.wait(60) == 0


def test_nothing_secret_is_logged(running):
    for line in running.log().splitlines():
        json.loads(line)
    private = (running.folder / "witness.pem").read_text().split("\n")[1]
    assert private not in running.log()
    assert (running.folder / "witness.pem").stat().st_mode & 0o777 == 0o600


def test_other_keys_on_the_same_database(tmp_path):
    witness = new_witness(tmp_path, logs=[LOG.vkey])
    witness.start()
    assert post(witness.url, LOG.request(0, 10)).status == 200
    witness.stop()
    (tmp_path / "witness.pem").rename(tmp_path / "old.pem")
    renewed = new_witness(tmp_path, logs=[LOG.vkey])
    renewed.start()
    assert renewed.vkey != witness.vkey
    # A new key does not forget what the old one cosigned.
    assert post(renewed.url, SmallLog(since=5, branch="fork").request(0, 10)).status == 409
    assert post(renewed.url, LOG.request(10, 20)).status == 200
    renewed.stop()
    warnings = [json.loads(line) for line in renewed.log().splitlines() if '"other_key_before"' in line]
    assert [warning["vkey"] for warning in warnings] == [str(witness.vkey)]


def test_https(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "witness")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, SHA256())
    )
    (tmp_path / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    flags = ("--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"))
    with running_witness(tmp_path / "w", *flags, logs=[LOG.vkey]) as witness:
        assert witness.url.startswith("https://127.0.0.1:")
        with urllib3.PoolManager(ca_certs=str(tmp_path / "cert.pem"), retries=False, timeout=60) as pool:
            answer = pool.request("POST", f"{witness.url}/add-checkpoint", body=LOG.request(0, 1))
        assert answer.status == 200


WRONG = [
    (["--tls-cert", "missing", "--tls-key", "missing"], "Error: TLS files: given No such file or directory"),
    (
        ["--ready-file", "missing/ready"],
        "Error: file missing/ready: given No such file or directory, expected",
    ),
    (
        ["--listen", "127.0.0.1"],
        "Error: address: given 127.0.0.1, expected HOST:PORT that is free to listen on",
    ),
]


def test_what_it_cannot_be_told(tmp_path):
    # All at once: most of the time goes into starting them.
    running = [
        new_witness(tmp_path / str(n), logs=[LOG.vkey]).begin("--listen", "127.0.0.1:0", *flags)
        for n, (flags, _) in enumerate(WRONG)
    ]
    for process, (flags, message) in zip(running, WRONG, strict=True):
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 2, flags
        assert message in errors


@pytest.mark.parametrize(
    "address", ["", "7380", ":7380", "host", "h:", "h:x", "h:-1", "h:٣", "127.0.0.1:65536"]
)
def test_addresses_that_are_none(address):
    with pytest.raises(BadInput) as caught:
        _listen(address, 1)
    assert str(caught.value) == f"address: given {address}, expected HOST:PORT that is free to listen on"


def test_addresses_that_cannot_be_had():
    with _listen("127.0.0.1:0", 1) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for wrong, why in (
            (address, "Address already in use"),
            ("192.0.2.1:0", "Cannot assign requested address"),
        ):
            with pytest.raises(BadInput) as caught:
                _listen(wrong, 1)
            assert str(caught.value).startswith(f"address: given {wrong} ({why}), expected HOST:PORT")


def test_answers_are_sent_at_once():
    # What asyncio goes by when it decides whether small answers wait for larger ones.
    with _listen("127.0.0.1:0", 1) as listening:
        assert listening.proto == socket.IPPROTO_TCP
