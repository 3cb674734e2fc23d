"""How much a witness lets anybody ask of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds on requests and connections; the size of a request's body is `ledger.witness.MAX_REQUEST_BYTES`."""

    connections: int = 512
    """Open connections; on further ones requests are told to come back."""
    head_bytes: int = 16_384
    """Request line and headers; more is cut off at the next piece that arrives."""
    head_s: float = 10.0
    """How long a request's head may take to arrive, counted from the connection or from its first byte."""
    body_s: float = 10.0
    """How long a request's body may take to arrive."""
    waiting: int = 128
    """Requests whose bodies have arrived and that wait to be judged; further ones are told to come back."""
    keep_alive_s: int = 20
    """How long a connection may idle; logs come back every few seconds, and should find it open."""
    stop_s: int = 10
    """How long requests in flight may take to end when the witness stops."""
