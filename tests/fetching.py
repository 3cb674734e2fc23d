"""Fetching by HTTP exactly what a test names: no path is tidied, no header added, nothing decoded."""

from __future__ import annotations

import http.client
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said."""

    status: int
    headers: dict[str, str]
    """By lower-case names, without `date`."""
    body: bytes


def fetch(url: str, path: str, method: str = "GET", *, trust: str | None = None, **headers: str) -> Answer:
    """What a server answers to one request; `If_None_Match` as a keyword is the header If-None-Match."""
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=trust)
        connection = http.client.HTTPSConnection(parts.netloc, timeout=TIMEOUT_S, context=context)
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_S)
    try:
        connection.putrequest(
            method, parts.path + path, skip_host="Host" in headers, skip_accept_encoding=True
        )
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        response = connection.getresponse()
        told = {name.lower(): value for name, value in response.getheaders() if name.lower() != "date"}
        return Answer(response.status, told, response.read())
    finally:
        connection.close()
