"""A round: one checkpoint, offered to all witnesses, and the cosignatures that have come in."""

from __future__ import annotations

from collections.abc import Iterable

from ledger.checkpoint import Checkpoint
from ledger.cosignature import Cosignature
from ledger.note import SignedNote, VerifierKey
from ledger.policy import Policy
from server.published import Published
from server.witnessing.endpoint import Endpoint


class Round:
    """One checkpoint and who has cosigned it. Not safe to share: `Rounds` looks after that."""

    def __init__(self, policy: Policy, note: SignedNote, known: Iterable[Cosignature] = ()) -> None:
        """A round that begins.

        Args:
            policy: says what a quorum is.
            note: the checkpoint, signed by the log and nobody else.
            known: cosignatures of this very checkpoint that are there already.
        """
        self.note = note
        self.checkpoint = Checkpoint.parse(note.text)
        self._policy = policy
        self._cosignatures: dict[VerifierKey, Cosignature] = {}
        self.add(known)

    def add(self, cosignatures: Iterable[Cosignature]) -> None:
        """Take in verified cosignatures of this checkpoint; of two by one key the newer stays."""
        for one in cosignatures:
            there = self._cosignatures.get(one.key)
            if there is None or there.time_s < one.time_s:
                self._cosignatures[one.key] = one

    def cosigned_by(self, endpoint: Endpoint) -> bool:
        """Whether a witness has done its part."""
        return any(key in self._cosignatures for key in endpoint.keys)

    @property
    def cosignatures(self) -> tuple[Cosignature, ...]:
        """What has come in."""
        return tuple(self._cosignatures.values())

    @property
    def names(self) -> tuple[str, ...]:
        """What the policy calls those who have cosigned."""
        return self._policy.names_of(self.cosignatures)

    @property
    def has_quorum(self) -> bool:
        """Whether enough witnesses have cosigned."""
        return self._policy.satisfied_by(self.names)

    def result(self) -> Published:
        """The checkpoint with its cosignatures, in the order of the policy."""
        keys = [witness.vkey for witness in self._policy.witnesses]
        lines = [self._cosignatures[key].signature for key in keys if key in self._cosignatures]
        return Published(self.note.with_signatures(*lines), self.checkpoint, self.has_quorum)
