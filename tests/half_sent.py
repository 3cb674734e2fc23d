"""Calls whose messages never end: HTTP/2 by hand, for a gRPC client cannot be made to send half a message."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Sequence
from typing import Self

_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _WINDOW = 0, 1, 3, 4, 6, 8
_ACK, _END_HEADERS, _END_STREAM = 1, 4, 1
_INITIAL_WINDOW = 4
_WINDOW_BYTES = 65_535
"""How much may be sent before the other side says that it takes more, on a connection and on each stream."""
_MOST_FRAME_BYTES = 16_384


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _headers(method: str) -> bytes:
    fields = [
        (":method", "POST"), (":scheme", "http"), (":path", method), (":authority", "a"),
        ("content-type", "application/grpc"), ("te", "trailers"),
    ]  # fmt: skip
    # HPACK: literal fields that are not to be indexed.
    return b"".join(
        bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode() for name, value in fields
    )


class HalfSender:
    """A connection to a gRPC server, and calls on it. Its sender keeps to flow control, as a server can demand."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=60)
        self._socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(_SETTINGS, 0, 0))
        self._window, self._initial = _WINDOW_BYTES, _WINDOW_BYTES
        self._windows: dict[int, int] = {}
        self._more = threading.Condition()
        self._next = 1
        self.ended: set[int] = set()
        """Calls that the server has ended."""
        self.closed = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(60)
        self._socket.close()

    def call(self, method: str, count: int) -> list[int]:
        """Begin calls of a method; returns their numbers."""
        with self._more:
            calls = list(range(self._next, self._next + 2 * count, 2))
            self._next += 2 * count
            self._windows |= dict.fromkeys(calls, self._initial)
            self._socket.sendall(
                b"".join(_frame(_HEADERS, _END_HEADERS, call, _headers(method)) for call in calls)
            )
        return calls

    def send(self, calls: Sequence[int], declared: int, most: int, until: float) -> int:
        """Send each call a message's beginning, a piece to each in turn.

        Args:
            calls: their numbers.
            declared: how many bytes the message is said to have.
            most: how many of each are sent.
            until: time of the monotonic clock at which to stop.

        Returns:
            How many bytes have been sent in all.
        """
        sent = dict.fromkeys(calls, 0)
        while time.monotonic() < until and not self.closed:
            with self._more:
                going = [call for call in calls if call not in self.ended and sent[call] < most]
                moved = sum(self._send_piece(call, sent, declared, most) for call in going)
                if not going:
                    break
                if not moved:
                    self._more.wait(0.1)
        return sum(sent.values())

    def _send_piece(self, call: int, sent: dict[int, int], declared: int, most: int) -> int:
        room = min(most - sent[call], self._windows[call], self._window, _MOST_FRAME_BYTES)
        if room < 5 or call in self.ended:
            return 0
        head = b"" if sent[call] else b"\0" + declared.to_bytes(4, "big")
        try:
            self._socket.sendall(_frame(_DATA, 0, call, head + bytes(room - len(head))))
        except OSError:
            self.closed = True
        self._windows[call] -= room
        self._window -= room
        sent[call] += room
        return room

    def _read(self) -> None:
        with contextlib.suppress(OSError), self._socket.makefile("rb") as incoming:
            while len(head := incoming.read(9)) == 9:
                payload = incoming.read(int.from_bytes(head[:3], "big"))
                stream = int.from_bytes(head[5:], "big") & 0x7FFF_FFFF
                with self._more:
                    self._take(head[3], head[4], stream, payload)
                    self._more.notify_all()
        self.closed = True

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _SETTINGS and not flags & _ACK:
            for at in range(0, len(payload), 6):
                if int.from_bytes(payload[at : at + 2], "big") == _INITIAL_WINDOW:
                    initial = int.from_bytes(payload[at + 2 : at + 6], "big")
                    for call in self._windows:
                        self._windows[call] += initial - self._initial
                    self._initial = initial
            self._socket.sendall(_frame(_SETTINGS, _ACK, 0))
        elif kind == _PING and not flags & _ACK:
            self._socket.sendall(_frame(_PING, _ACK, 0, payload))
        elif kind == _WINDOW and not stream:
            self._window += int.from_bytes(payload, "big")
        elif kind == _WINDOW and stream in self._windows:
            self._windows[stream] += int.from_bytes(payload, "big")
        elif kind == _RESET or (kind == _HEADERS and flags & _END_STREAM):
            self.ended.add(stream)
