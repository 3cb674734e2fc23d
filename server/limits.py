"""How much work the service takes on before it tells callers to come back."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.errors import Reason, ServiceFault


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be looked at, how much may wait to be written, and how much one commit takes."""

    queued_events: int = 20_000
    queued_bytes: int = 64 * 1024 * 1024
    batch_events: int = 2_000
    streams: int = 64
    """Streams of appends at once."""
    streamed_events: int = 20_000
    streamed_bytes: int = 64 * 1024 * 1024
    """What all streams together have under way, besides what is queued."""
    stream_events: int = 4_000
    stream_bytes: int = 16 * 1024 * 1024
    """What one stream has under way."""
    arrival_s: float = 20.0
    """How long a request may take to come in."""
    arrivals: int = 64
    """Requests that are received at once: each may hold as much memory as the largest has bytes."""
    waiting_arrivals: int = 600
    """Requests that wait to be received."""

    def require_room(self, events: int, size: int) -> None:
        """Refuse what does not fit.

        Args:
            events: those that are there already, and the new ones.
            size: their envelopes' bytes.

        Raises:
            ServiceFault: `OVERLOADED`.
        """
        if events > self.queued_events or size > self.queued_bytes:
            raise ServiceFault(
                Reason.OVERLOADED,
                "queue",
                given=f"{events} events, {size} bytes",
                expected=f"at most {self.queued_events} events, {self.queued_bytes} bytes",
            )
