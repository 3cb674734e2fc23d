"""Pushing checkpoints to witnesses: the threads that do it.

One thread looks at the log's head, begins rounds and publishes what has a quorum; each witness has a thread that asks
it. All that they know of the log is what the database shows to anybody. Who writes the log never waits for them, but
for the moment that storing a published checkpoint takes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import structlog

from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.errors import BrokenProof, Conflict, LedgerError, Reason, ServiceFault
from ledger.note import SignedNote, VerifierKey
from ledger.policy import Policy, printable_name
from server.proofs import Proofs
from server.published import Published
from server.store import queries
from server.store.queries import StoredHead
from server.store.store import Store
from server.witnessing.endpoint import Endpoint, endpoints_of
from server.witnessing.pace import Pace
from server.witnessing.publication import publish
from server.witnessing.round import Round
from server.witnessing.rounds import Ready, Rounds, Turn
from server.witnessing.witness import Witness

_STOP_S = 5.0
"""How long the threads may take to end; one that looks up an address cannot be told to."""

_UNPUBLISHED = 8
"""Most rounds that wait for the database to store them; newer ones make older ones worthless."""

log = structlog.get_logger(__name__)


class Pusher:
    """Offers the log's checkpoints to the witnesses of a policy, and publishes what a quorum has cosigned."""

    def __init__(
        self, store: Store, policy: Policy, vkeys: Sequence[VerifierKey], pace: Pace | None = None
    ) -> None:
        """Nothing is running yet.

        Args:
            store: the log.
            policy: who is asked, and how many of them suffice.
            vkeys: the log's own keys.
            pace: how often, and how long to wait.

        Raises:
            BadInput: as `endpoints_of` says.
        """
        self._store = store
        self._policy = policy
        self._vkeys = vkeys
        self._pace = pace or Pace()
        self._endpoints = endpoints_of(policy)
        self._rounds = Rounds(policy, self._endpoints, self._pace)
        self._witnesses: list[Witness] = []
        self._threads: list[threading.Thread] = []
        self._has_published = False

    def start(self, there: Published | None) -> None:
        """Begin.

        Args:
            there: what is published, as `take_up` returns it.
        """
        known = () if there is None else self._policy.cosignatures(there.note)
        # Proofs of their own: no answer to a client waits for one that is made for a witness.
        proofs = Proofs(self._store, kept_tiles=64, kept_crowns=1_024)
        for endpoint in self._endpoints:
            has = there is not None and any(one.key in endpoint.keys for one in known)
            size = there.checkpoint.size if there is not None and has else 0
            self._witnesses.append(Witness(endpoint, proofs, self._pace, size))
        self._start(threading.Thread(target=self._run, args=[there], name="witnessing", daemon=True))
        for witness in self._witnesses:
            name = f"witness {witness.endpoint.label}"
            self._start(threading.Thread(target=self._ask, args=[witness], name=name, daemon=True))
        log.info(
            "witnessing",
            witnesses=[endpoint.label for endpoint in self._endpoints],
            quorum=self._policy.wanted,
            published=there.checkpoint.size if there is not None else None,
        )

    def stop(self) -> None:
        """Ask nobody any more, and end; what is published stays so."""
        self._rounds.stop()
        for witness in self._witnesses:
            witness.stop()
        until = time.monotonic() + _STOP_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def turns(self) -> list[tuple[Endpoint, Turn]]:
        """Where each witness stands now."""
        return self._rounds.turns()

    def _start(self, thread: threading.Thread) -> None:
        thread.start()
        self._threads.append(thread)

    def _run(self, there: Published | None) -> None:
        """Begin rounds and publish, until the service stops. What was there is not asked for again, the first time."""
        next_look = 0.0
        unpublished: list[Ready] = []
        while not self._rounds.is_stopping:
            try:
                if time.monotonic() >= next_look and self._rounds.is_over:
                    next_look = time.monotonic() + self._pace.interval_s
                    self._begin_round(there)
                    there = None
                self._publish(unpublished)
            except LedgerError as error:
                # The database does not answer, or shows what the log has not signed; the next look tells more.
                log.warning("witnessing_failed", error=str(error))
                next_look = time.monotonic() + self._pace.interval_s
            except Exception:
                log.exception("witnessing_crashed")
                next_look = time.monotonic() + self._pace.interval_s
            wait_s = next_look - time.monotonic()
            unpublished += self._rounds.wait_for_work(wait_s if wait_s > 0 else self._pace.interval_s)
            del unpublished[:-_UNPUBLISHED]

    def _begin_round(self, there: Published | None) -> None:
        """Offer the log's head, if it is news."""
        head = self._head()
        note = SignedNote.parse(head.checkpoint)
        if self._rounds.is_news(note):
            open_checkpoint(head.checkpoint, self._vkeys[0].name, self._vkeys)
            same = there is not None and there.note.text == note.text
            self._rounds.begin(
                note, self._policy.cosignatures(there.note) if there is not None and same else ()
            )

    def _publish(self, unpublished: list[Ready]) -> None:
        while unpublished:
            note, cosignatures = unpublished[0]
            if publish(self._store, self._policy, note, cosignatures):
                # The first tells an operator that it works; further ones come every few seconds.
                tell = log.debug if self._has_published else log.info
                self._has_published = True
                tell(
                    "published",
                    size=Checkpoint.parse(note.text).size,
                    witnesses=list(map(printable_name, self._policy.names_of(cosignatures))),
                )
            del unpublished[0]

    def _ask(self, witness: Witness) -> None:
        """Ask a witness whenever it is its turn, until the service stops."""
        endpoint = witness.endpoint
        while (offered := self._rounds.wait_for_turn(endpoint)) is not None:
            began = time.monotonic()
            try:
                cosignatures = witness.cosign(offered)
            except Exception as error:  # noqa: BLE001 - whatever it is, the thread must live to ask again
                pause_s = self._rounds.failed(endpoint)
                if not self._rounds.is_stopping:
                    self._log_failure(witness, offered, error, time.monotonic() - began, pause_s)
            else:
                failures = self._rounds.cosigned(endpoint, offered, cosignatures)
                tell = log.info if failures else log.debug
                tell(
                    "witness_cosigned",
                    witness=endpoint.label,
                    size=offered.checkpoint.size,
                    ms=round((time.monotonic() - began) * 1000, 1),
                    failures_before=failures,
                )
        witness.close()

    def _log_failure(
        self, witness: Witness, offered: Round, error: Exception, took_s: float, pause_s: float
    ) -> None:
        told = {
            "witness": witness.endpoint.label,
            "size": offered.checkpoint.size,
            "ms": round(took_s * 1000, 1),
            "again_in_s": round(pause_s, 1),
        }
        if not isinstance(error, LedgerError):
            log.error("witness_crashed", exc_info=error, **told)
        elif isinstance(error, BrokenProof) and error.reason is Reason.BAD_CONSISTENCY_PROOF:
            # It has cosigned a history that is not ours: somebody holds the log's key, or a backup was restored.
            log.error("witness_saw_another_history", error=str(error), **told)
        elif isinstance(error, Conflict) and witness.size > self._size():
            # Likewise: a checkpoint of a size that this log has never had.
            log.error("witness_saw_a_longer_log", error=str(error), **told)
        else:
            log.warning("witness_failed", reason=error.reason, error=str(error), **told)

    def _head(self) -> StoredHead:
        with self._store.snapshot() as connection:
            head = queries.head(connection)
        if head is None:
            raise ServiceFault(Reason.STORE_DAMAGED, "log", given="no genesis", expected="a log")
        return head

    def _size(self) -> int:
        """How long the log is; 0 if the database does not tell."""
        try:
            return self._head().size
        except LedgerError:
            return 0
