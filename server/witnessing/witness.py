"""One witness as the log sees it: what it is thought to have, and how a checkpoint is offered to it."""

from __future__ import annotations

from ledger.cosignature import Cosignature
from ledger.errors import BrokenProof, Conflict, Reason, ServiceFault
from ledger.witness import STALE_SIZE_TYPE, AddCheckpoint
from server.proofs import Proofs
from server.witnessing.endpoint import Endpoint
from server.witnessing.exchange import Exchange
from server.witnessing.pace import Pace
from server.witnessing.reply import read_cosignatures, read_size
from server.witnessing.round import Round

_PATH = "/add-checkpoint"
"""Below a submission prefix."""

_OK, _CONFLICT, _UNPROCESSABLE = 200, 409, 422

_ASKS = 3
"""Requests for one checkpoint, at most: a witness tells its size, and may have moved on once more before we ask."""


class Witness:
    """Asks one witness, one request at a time. For one thread, but for `stop`."""

    def __init__(self, endpoint: Endpoint, proofs: Proofs, pace: Pace, size: int = 0) -> None:
        """Nothing is asked yet.

        Args:
            endpoint: where it is, and its keys.
            proofs: of the log.
            pace: how long an exchange may take.
            size: of the checkpoint that it is thought to have; a wrong one costs a request.
        """
        self.endpoint = endpoint
        self.size = size
        """Of the newest checkpoint that it is known to have."""
        self._proofs = proofs
        self._exchange = Exchange(endpoint.url, connect_s=pace.connect_s, total_s=pace.exchange_s)

    def cosign(self, offered: Round) -> tuple[Cosignature, ...]:
        """Offer a checkpoint, once more if the witness has another size than was thought; returns its cosignatures.

        Raises:
            ServiceFault: no answer, or one that helps nobody (`UNREACHABLE`); or the database gives no proof.
            Conflict: `STALE_SIZE`: it has a larger checkpoint than this; `size` is then what it says.
            BrokenProof: what it answers is no cosignature of this (`BAD_NOTE`), or it has seen another history and
                refuses the proof (`BAD_CONSISTENCY_PROOF`).
        """
        size = offered.checkpoint.size
        for _ in range(_ASKS):
            old = min(self.size, size)
            proof = tuple(self._proofs.consistency(old, size))
            answer = self._exchange.post(_PATH, AddCheckpoint(old, proof, offered.note.encode()).encode())
            if answer.status == _OK:
                cosignatures = read_cosignatures(answer.body, offered.note, self.endpoint.keys)
                self.size = size
                return cosignatures
            if answer.status == _UNPROCESSABLE:
                raise BrokenProof(
                    Reason.BAD_CONSISTENCY_PROOF,
                    f"history of the log by the witness {self.endpoint.label}",
                    given=f"another one than leads from size {old} to {size}",
                    expected="that which this log has",
                )
            if answer.status != _CONFLICT:
                raise self._useless(f"status {answer.status}", "200 with cosignatures")
            told = read_size(answer.content_type, answer.body)
            if told is None or told == old:
                given = "without a size" if told is None else f"with the size {told} that was offered"
                raise self._useless(f"status 409 {given}", f"{STALE_SIZE_TYPE}: its size, a line")
            self.size = told
            if told > size:
                raise Conflict(
                    Reason.STALE_SIZE,
                    f"checkpoint that the witness {self.endpoint.label} has",
                    given=f"size {told}",
                    expected=f"at most {size}",
                )
        raise self._useless(f"another size each of {_ASKS} times", "200 with cosignatures")

    def stop(self) -> None:
        """End a request that is going on, and have further ones fail; from any thread."""
        self._exchange.stop()

    def close(self) -> None:
        """Close the connection."""
        self._exchange.close()

    def _useless(self, given: str, expected: str) -> ServiceFault:
        return ServiceFault(
            Reason.UNREACHABLE, f"answer of the witness {self.endpoint.label}", given=given, expected=expected
        )
