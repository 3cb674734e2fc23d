"""Rounds: which checkpoint the witnesses are offered, when the next one is, and whom to ask now.

All witnesses are offered the same checkpoint, so that a quorum forms on it. While one round lasts the log grows on; the
next round takes the head that the log has by then. When is the next round?

- Once this one has its quorum: whoever is slower than the quorum needs holds up nobody. What a slow witness answers
  later is added as long as nothing newer is published, and then it joins the newest round.
- Without a quorum, when there is nobody left who might still answer: each has cosigned, or has failed and is left
  alone for a while. So the witnesses that are needed are waited for (two slow ones that were let into different rounds
  would never meet), but not longer than a request may take.
- Never sooner than the interval after the last one, and only if the log has grown; or, if it has not for a long time,
  so that the cosignatures stay young.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace

from ledger.cosignature import Cosignature
from ledger.note import SignedNote
from ledger.policy import Policy
from server.witnessing.endpoint import Endpoint
from server.witnessing.pace import Pace
from server.witnessing.round import Round

Ready = tuple[SignedNote, tuple[Cosignature, ...]]
"""A checkpoint, signed by the log, and a quorum's cosignatures."""


@dataclass(slots=True)
class Turn:
    """Where a witness stands."""

    failures: int = 0
    """In a row."""
    not_before: float = 0.0
    """Left alone until then."""
    asked_until: float = 0.0
    """While it is being asked: when it counts as having failed, whatever its thread waits for. Else 0."""
    cosigned_at_s: float | None = None
    """When it last cosigned, in seconds since 1970-01-01T00:00:00Z; None if it has not yet."""


class Rounds:
    """The state that the threads share. Every method may be called from any of them."""

    def __init__(self, policy: Policy, endpoints: tuple[Endpoint, ...], pace: Pace) -> None:
        self._policy = policy
        self._pace = pace
        self._turns = {endpoint: Turn() for endpoint in endpoints}
        self._round: Round | None = None
        self._began = 0.0
        self._to_publish: list[Round] = []
        self._stopping = False
        self._changed = threading.Condition()

    def begin(self, note: SignedNote, known: tuple[Cosignature, ...] = ()) -> None:
        """From now on this is what witnesses are offered.

        Args:
            note: the checkpoint, signed by the log and nobody else.
            known: its cosignatures, as far as it has any. Those of the round before are taken over if it had the same
                checkpoint (the log has signed it with one more key) and they are not to be renewed.
        """
        with self._changed:
            if self._round is not None and self._round.note.text == note.text and not self._is_old():
                known = (*known, *self._round.cosignatures)
            new = Round(self._policy, note, known)
            self._round, self._began = new, time.monotonic()
            if new.has_quorum:
                self._to_publish.append(new)
            self._changed.notify_all()

    @property
    def is_over(self) -> bool:
        """Whether it is time for the next round."""
        with self._changed:
            return self._is_over()

    def is_news(self, note: SignedNote) -> bool:
        """Whether a checkpoint should be offered: it is another one, or its cosignatures have become old."""
        with self._changed:
            return self._round is None or self._round.note != note or self._is_old()

    def wait_for_work(self, seconds: float) -> list[Ready]:
        """Wait until there is something to publish, anything else has changed, or the time is up.

        Returns:
            Checkpoints with a quorum that have got cosignatures since, in the order in which they were offered.
        """
        with self._changed:
            if not (self._to_publish or self._stopping):
                self._changed.wait(seconds)
            found, self._to_publish = dict.fromkeys(self._to_publish), []
            return [(one.note, one.cosignatures) for one in found]

    def wait_for_turn(self, endpoint: Endpoint) -> Round | None:
        """Wait until a witness is to be asked, and what it is to cosign; None when the service stops."""
        turn = self._turns[endpoint]
        with self._changed:
            while not self._stopping:
                now = time.monotonic()
                if self._may_be_asked(endpoint, now) and self._round is not None:
                    turn.asked_until = now + self._pace.connect_s + self._pace.exchange_s
                    return self._round
                self._changed.wait(turn.not_before - now if turn.not_before > now else None)
            return None

    def cosigned(self, endpoint: Endpoint, offered: Round, cosignatures: tuple[Cosignature, ...]) -> int:
        """A witness has done its part; returns how often in a row it had failed before."""
        with self._changed:
            turn = self._turns[endpoint]
            failures = turn.failures
            turn.failures, turn.not_before, turn.asked_until = 0, 0.0, 0.0
            turn.cosigned_at_s = time.time()
            offered.add(cosignatures)
            if offered.has_quorum:
                self._to_publish.append(offered)
            self._changed.notify_all()
            return failures

    def failed(self, endpoint: Endpoint) -> float:
        """A witness has not done its part; returns for how long it is left alone now, in seconds."""
        with self._changed:
            turn = self._turns[endpoint]
            turn.failures += 1
            pause = self._pace.pause_s(turn.failures)
            turn.not_before, turn.asked_until = time.monotonic() + pause, 0.0
            self._changed.notify_all()
            return pause

    def turns(self) -> list[tuple[Endpoint, Turn]]:
        """Where each witness stands now."""
        with self._changed:
            return [(endpoint, replace(turn)) for endpoint, turn in self._turns.items()]

    def stop(self) -> None:
        """Let everybody who waits go home."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called."""
        with self._changed:
            return self._stopping

    def _is_old(self) -> bool:
        return time.monotonic() >= self._began + self._pace.refresh_s

    def _is_over(self) -> bool:
        if self._round is None or self._round.has_quorum:
            return True
        now = time.monotonic()
        return not any(
            now < turn.asked_until or self._may_be_asked(endpoint, now)
            for endpoint, turn in self._turns.items()
        )

    def _may_be_asked(self, endpoint: Endpoint, now: float) -> bool:
        turn = self._turns[endpoint]
        return (
            self._round is not None
            and not turn.asked_until
            and now >= turn.not_before
            and not self._round.cosigned_by(endpoint)
        )
