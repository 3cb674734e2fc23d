"""Several processes of one service, behind what looks like one channel.

One of them is the current one; every call goes there. Who learns that it does not answer, or leaves the call to another,
has the next one become it. Which one answers makes no difference to what is believed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import grpc

from ledger.errors import BadInput, Reason
from ledger.identifiers import printable

MOST_TARGETS = 16


def parse_targets(text: str) -> tuple[str, ...]:
    """`HOST:PORT`, or several with commas between them.

    Raises:
        BadInput: `INVALID_REQUEST` if one is empty or given twice, or there are too many.
    """
    targets = tuple(text.split(","))
    if not all(targets) or len(set(targets)) < len(targets) or len(targets) > MOST_TARGETS:
        raise BadInput(
            Reason.INVALID_REQUEST,
            "service",
            given=printable(text),
            expected=f"HOST:PORT, or up to {MOST_TARGETS} different ones with commas between them",
        )
    return targets


class Targets(grpc.Channel):
    """One channel for each process, and which of them is asked. Safe to share among threads."""

    def __init__(self, names: Sequence[str], channels: Sequence[grpc.Channel]) -> None:
        self.names = tuple(names)
        self._channels = tuple(channels)
        self._current = 0
        self._lock = threading.Lock()

    @property
    def current(self) -> int:
        """The number of the one that is asked now."""
        return self._current

    def leave(self, number: int) -> None:
        """Ask the next one from now on, unless somebody else has turned away from this one meanwhile."""
        with self._lock:
            if self._current == number:
                self._current = (number + 1) % len(self._channels)

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        """As `grpc.Channel`."""
        return self._method("unary_unary", args, kwargs)

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        """As `grpc.Channel`."""
        return self._method("unary_stream", args, kwargs)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        """As `grpc.Channel`."""
        return self._method("stream_unary", args, kwargs)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        """As `grpc.Channel`."""
        return self._method("stream_stream", args, kwargs)

    def _method(self, shape: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[..., Any]:
        """A method of the stubs, which calls the process that is current at that moment."""
        methods = [getattr(channel, shape)(*args, **kwargs) for channel in self._channels]

        def method(*asked: Any, **how: Any) -> Any:
            return methods[self._current](*asked, **how)

        return method

    def subscribe(self, callback: Any, try_to_connect: bool = False) -> None:
        """As `grpc.Channel`, of all."""
        for channel in self._channels:
            channel.subscribe(callback, try_to_connect)

    def unsubscribe(self, callback: Any) -> None:
        """As `grpc.Channel`, of all."""
        for channel in self._channels:
            channel.unsubscribe(callback)

    def close(self) -> None:
        """Close all."""
        for channel in self._channels:
            channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
