"""A proxy in front of a log that changes what it is told to: what a liar in between, or an operator who lies, would do."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias

Change: TypeAlias = Callable[[bytes], bytes | None]
"""What becomes of a file; None says that it is not there."""


@contextmanager
def tampering_proxy(upstream: str, changes: Mapping[str, Change]) -> Iterator[str]:
    """A proxy in front of `upstream` that changes the files at these paths; gives its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            try:
                with urllib.request.urlopen(upstream + self.path, timeout=30) as answer:
                    status, body = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                with error:
                    status, body = error.code, error.read()
            change = changes.get(self.path)
            changed = body if change is None else change(body)
            self.send_response(status if changed is not None else 404)
            self.send_header("Content-Length", str(len(changed or b"")))
            self.end_headers()
            self.wfile.write(changed or b"")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(30)
        server.server_close()


def flipped(at: int) -> Change:
    """Change one bit of the byte at this place."""

    def change(body: bytes) -> bytes:
        changed = bytearray(body)
        changed[at] ^= 1
        return bytes(changed)

    return change
