"""Requests to servers that do anything but answer."""

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from misbehaving import ScriptedWitness, answering, closing, dripping, eventually, hanging

from ledger.errors import Reason, ServiceFault
from server.witnessing.exchange import MAX_ANSWER_BYTES, Exchange

BODY = b"old 0\n\nx\n1\nx\n\nx\n"
LONG_S = 60
SHORT_S = 0.3


@pytest.fixture
def server():
    made = ScriptedWitness("server")
    yield made
    made.close()


def exchange(url, total_s=LONG_S):
    return Exchange(url, connect_s=LONG_S, total_s=total_s)


def refused(url, total_s=LONG_S):
    """What is said of a server that gives no answer."""
    asking = exchange(url, total_s)
    try:
        with pytest.raises(ServiceFault) as caught:
            asking.post("/add-checkpoint", BODY)
    finally:
        asking.close()
    assert caught.value.reason is Reason.UNREACHABLE
    return caught.value.given


def test_answers_come_over_one_connection(server):
    ports = set()

    def behave(_, handler, body):
        assert body == BODY
        ports.add(handler.client_address[1])
        answering(200, "text/plain", b"fine\n")(_, handler, body)

    server.behave = behave
    asking = exchange(server.url)
    for _ in range(3):
        answer = asking.post("/add-checkpoint", BODY)
        assert (answer.status, answer.content_type, answer.body) == (200, "text/plain", b"fine\n")
    asking.close()
    assert len(ports) == 1


def test_a_connection_that_the_server_has_closed_is_made_anew(server):
    server.behave = answering(200, "text/plain", b"fine\n", "connection: close")
    asking = exchange(server.url)
    for _ in range(3):
        assert asking.post("/add-checkpoint", BODY).body == b"fine\n"
    asking.close()


def test_nobody_listens():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert "Connection refused" in refused(f"http://127.0.0.1:{unused.getsockname()[1]}")


def test_no_answer(server):
    server.behave = closing
    assert "without response" in refused(server.url)


def test_junk_instead_of_http(server):
    def behave(_, handler, __):
        handler.close_connection = True
        handler.wfile.write(b"\x1b[31mjunk\n\n")

    server.behave = behave
    assert "\\x1b[31mjunk" in refused(server.url)


@pytest.mark.parametrize(
    "behaviour",
    [
        hanging,
        dripping(b"HTTP/1.1 200 ", b"x"),
        dripping(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
        dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        dripping(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n", b"x"),
        dripping(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        dripping(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", b"x"),
    ],
    ids=["silent", "status", "headers", "continue", "body", "chunks", "body without end"],
)
def test_a_server_that_hangs_or_drips_is_given_up(server, behaviour):
    server.behave = behaviour
    given = refused(server.url, SHORT_S)
    # A hundred header lines are the most that are read, whichever comes first.
    assert given == "none in 0.3 s" or "got more than 100 headers" in given
    server.behave = answering(200, "text/plain", b"")
    asking = exchange(server.url)
    assert asking.post("/add-checkpoint", BODY).status == 200
    asking.close()


def test_after_a_request_that_took_too_long_the_next_one_has_its_full_time(server):
    server.behave = hanging
    asking = exchange(server.url, SHORT_S)
    for _ in range(2):
        with pytest.raises(ServiceFault, match="none in"):
            asking.post("/add-checkpoint", BODY)
    asking.close()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_without_end(server, chunked):
    def behave(_, handler, __):
        handler.close_connection = True
        kind = "transfer-encoding: chunked" if chunked else "connection: close"
        handler.wfile.write(f"HTTP/1.1 200 OK\r\n{kind}\r\n\r\n".encode())
        while True:
            handler.wfile.write(b"1000\r\n" + bytes(4096) + b"\r\n" if chunked else bytes(4096))

    server.behave = behave
    assert refused(server.url) == f"more than {MAX_ANSWER_BYTES} bytes"


def test_the_longest_body(server):
    server.behave = answering(200, "text/plain", b"x" * MAX_ANSWER_BYTES)
    asking = exchange(server.url)
    assert len(asking.post("/add-checkpoint", BODY).body) == MAX_ANSWER_BYTES
    asking.close()


def test_a_body_that_ends_early(server):
    def behave(_, handler, __):
        handler.close_connection = True
        handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfine\n")

    server.behave = behave
    assert "IncompleteRead" in refused(server.url)


def test_a_redirect_is_an_answer(server):
    elsewhere = ScriptedWitness("elsewhere")
    try:
        server.behave = answering(307, "text/plain", b"", f"location: {elsewhere.url}/add-checkpoint")
        asking = exchange(server.url)
        assert asking.post("/add-checkpoint", BODY).status == 307
        asking.close()
        assert elsewhere.asked == []
    finally:
        elsewhere.close()


def test_a_request_that_goes_on_ends_with_stop(server):
    server.behave = hanging
    asking = exchange(server.url)
    said = []

    def ask():
        for _ in range(2):
            with pytest.raises(ServiceFault) as caught:
                asking.post("/add-checkpoint", BODY)
            said.append(caught.value.reason)

    thread = threading.Thread(target=ask)
    thread.start()
    eventually(lambda: server.at_work, "the request")
    asking.stop()
    thread.join(60)
    assert said == [Reason.UNREACHABLE] * 2
    asking.close()


def test_the_environments_proxy_is_not_asked(server, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.behave = answering(200, "text/plain", b"")
    asking = exchange(server.url)
    assert asking.post("/add-checkpoint", BODY).status == 200
    asking.close()


class TestTls:
    @pytest.fixture
    def certificate(self, tmp_path):
        """A certificate for 127.0.0.1, its own authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "witness.test")])
        now = datetime.now(UTC)
        import ipaddress

        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
                critical=False,
            )
            .sign(key, SHA256())
        )
        path = tmp_path / "witness.pem"
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(pem + made.public_bytes(Encoding.PEM))
        return path

    @pytest.fixture
    def secure(self, server, certificate):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
        server._server.handle_error = lambda *_: None
        return server

    def test_a_witness_whose_certificate_is_trusted(self, secure, certificate, monkeypatch):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        secure.behave = answering(200, "text/plain", b"fine\n")
        asking = exchange(secure.url.replace("http:", "https:"))
        for _ in range(2):
            assert asking.post("/add-checkpoint", BODY).body == b"fine\n"
        asking.close()

    def test_a_drip_through_tls_is_given_up(self, secure, certificate, monkeypatch):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        secure.behave = dripping(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n", b"x")
        assert refused(secure.url.replace("http:", "https:"), SHORT_S) == "none in 0.3 s"

    def test_a_certificate_that_nobody_vouches_for(self, secure):
        assert "certificate verify failed" in refused(secure.url.replace("http:", "https:"))

    def test_a_handshake_that_never_ends_is_given_up(self):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            url = f"https://127.0.0.1:{listening.getsockname()[1]}"
            assert refused(url, SHORT_S) == "none in 0.3 s"
