"""A client's standing with one log: what it is connected to, and what it knows.

Everything that comes from the service passes through here. `ask` believes no answer whose checkpoint does not continue
what is remembered; `attribute` finds the keys that signed entries, asks for introductions that are missing, and
verifies all of it up to the genesis.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

import grpc
from google.protobuf.message import Message

from clients.follower import Follower
from clients.heads import ChainHeads
from clients.transport import Transport
from clients.trust import TrustStore
from clients.verify import (
    KeyRing,
    Need,
    VerifiedEntry,
    introduced_key,
    mismatch,
    registered_party,
    verify_entries,
)
from ledger.checkpoint import Checkpoint
from ledger.errors import BrokenProof, Conflict, LedgerError, Reason, ServiceFault
from ledger.event import Kind
from ledger.keys import key_id_of
from ledger.policy import Policy
from suyuan.v1 import ledger_service_pb2 as pb
from suyuan.v1 import registry_service_pb2

MAX_FETCHED = 1_000
"""Introductions that are asked for one by one to verify a single entry."""

MAX_KEYS_KEPT = 10_000
"""Introductions that are kept for later answers; a fuller ring is left to those who use it, and a new one begun."""


_WITNESS_POLL_S = 0.2
_WITNESS_POLL_MOST_S = 1.0


class _Answer(Protocol):
    @property
    def checkpoint(self) -> pb.ProvenCheckpoint: ...


Question = TypeVar("Question", bound=Message)
Answer = TypeVar("Answer", bound=_Answer)


class Session:
    """One client's connection to one log. Safe to share among threads."""

    def __init__(
        self,
        target: str,
        policy: Policy,
        *,
        trust: TrustStore,
        root_certificates: bytes | None,
        timeout_s: float,
        witness_timeout_s: float,
    ) -> None:
        """As `LedgerClient`."""
        self.follower = Follower(policy, trust, self.consistency)
        self.transport = Transport(target, root_certificates=root_certificates, timeout_s=timeout_s)
        self.heads = ChainHeads()
        self._ring = KeyRing(self.follower.origin)
        self._witness_timeout_s = witness_timeout_s
        self._genesis: VerifiedEntry | None = None

    def ask(
        self, method: grpc.UnaryUnaryMultiCallable[Question, Answer], request: Question
    ) -> tuple[Answer, Checkpoint]:
        """Ask for an answer with a checkpoint, and verify the checkpoint.

        Where the policy asks for witnesses, an answer with entries that no cosigned checkpoint covers yet waits until
        one does.

        Args:
            method: of a stub.
            request: without `known_size`, which is put in here where there is such a field.

        Raises:
            BrokenProof: as `Follower.accept` and `witnessed` say.
            LedgerError: what the service refused.
        """
        known = self.follower.newest()
        names_size = "known_size" in request.DESCRIPTOR.fields_by_name
        if names_size and known is not None:
            request.known_size = known.size  # type: ignore[attr-defined]  # it has the field
        answer = self.transport.call(method, request)
        checkpoint = self.follower.accept(answer.checkpoint, known, has_proof=names_size)
        self.require_witnessed(answer)
        return answer, checkpoint

    def witnessed(self, least: int = 0) -> Checkpoint:
        """The newest checkpoint that a quorum of the policy's witnesses has cosigned, asked for now.

        Args:
            least: entries that it has to cover; it is waited for.

        Raises:
            BrokenProof: `UNWITNESSED` if there is none in time, and as `Follower.accept_witnessed` says.
            LedgerError: what the service refused.
        """
        deadline = time.monotonic() + self._witness_timeout_s
        delay_s = _WITNESS_POLL_S
        while True:
            checkpoint = self._ask_witnessed()
            if checkpoint is not None and checkpoint.size >= least:
                return checkpoint
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise BrokenProof(
                    Reason.UNWITNESSED,
                    f"cosigned checkpoint of {self.follower.origin}",
                    given="none" if checkpoint is None else f"one of {checkpoint.size} entries",
                    expected=f"one of at least {max(least, 1)} entries by a quorum: {self.follower.policy.wanted}",
                )
            time.sleep(min(delay_s, left_s))
            delay_s = min(delay_s * 2, _WITNESS_POLL_MOST_S)

    def _ask_witnessed(self) -> Checkpoint | None:
        known = self.follower.witnessed()
        request = pb.GetCheckpointRequest(witnessed=True)
        try:
            answer = self.transport.call(self.transport.ledger.GetCheckpoint, request)
        except ServiceFault as error:
            if error.reason is not Reason.NO_QUORUM:
                raise
            return None
        return self.follower.accept_witnessed(answer.checkpoint.note, known)

    def require_witnessed(self, answer: object) -> None:
        """Wait until the entries of an answer are below a checkpoint that a quorum has cosigned, if the policy asks for it.

        Raises:
            BrokenProof, LedgerError: as `witnessed`.
        """
        if not self.follower.policy.needs_witnesses:
            return
        least = max((entry.index + 1 for entry in _entries_in(answer)), default=0)
        if not least:
            return
        known = self.follower.witnessed()
        if known is None or known.size < least:
            self.witnessed(least)

    def consistency(self, old_size: int, new_size: int) -> Sequence[bytes]:
        """The log's consistency proof from one size to a larger one, not verified.

        Raises:
            BrokenProof: `FORK` if the log refuses to give one, although it has signed trees of both sizes;
                `BAD_CONSISTENCY_PROOF` if it answers for another size.
        """
        request = pb.GetConsistencyProofRequest(old_size=old_size, new_size=new_size)
        subject = f"consistency proof from {old_size} to {new_size} leaves"
        try:
            answer = self.transport.call(self.transport.ledger.GetConsistencyProof, request)
        except ServiceFault:
            raise
        except LedgerError as error:
            given = f"a refusal: {error}"
            raise BrokenProof(Reason.FORK, subject, given=given, expected="a proof") from error
        if answer.new_size != new_size:
            given = f"a proof to {answer.new_size} leaves"
            raise BrokenProof(Reason.BAD_CONSISTENCY_PROOF, subject, given=given, expected=new_size)
        self.follower.glance(answer.checkpoint, new_size)
        return answer.proof

    def attribute(
        self,
        proven: Iterable[pb.ProvenEntry],
        checkpoint: Checkpoint,
        registrations: Iterable[pb.ProvenEntry] = (),
    ) -> tuple[VerifiedEntry, ...]:
        """Verify entries of one answer with their signatures.

        Args:
            proven: in the order of the log.
            checkpoint: of the answer.
            registrations: introductions that came along; what is missing is asked for.

        Raises:
            BrokenProof: as `verify_entries`, `KeyRing.add` and `KeyRing.attribute` say.
        """
        ring = self.ring_with(verify_entries(registrations, checkpoint))
        entries = verify_entries(proven, checkpoint)
        for entry in entries:
            self._complete(ring, entry)
        return tuple(ring.attribute(entry) for entry in entries)

    def genesis(self) -> VerifiedEntry:
        """Entry 0, attributed.

        Raises:
            BrokenProof: as `attribute`.
        """
        if self._genesis is None:
            answer, checkpoint = self.ask(self.transport.ledger.GetEntry, pb.GetEntryRequest(index=0))
            [entry] = self.attribute([answer.entry], checkpoint)
            if entry.event.kind is not Kind.GENESIS:
                raise mismatch("entry 0", f"entry {entry.index}, a {entry.event.kind}", "the genesis")
            self._genesis = entry
        return self._genesis

    def ring_with(self, introductions: Iterable[VerifiedEntry]) -> KeyRing:
        """The keys known so far, and those that these entries introduced.

        Raises:
            BrokenProof: as `KeyRing.add` says.
        """
        if len(self._ring) > MAX_KEYS_KEPT:
            self._ring = KeyRing(self.follower.origin)
        ring = self._ring
        for entry in introductions:
            self._complete(ring, entry)
            ring.add(entry)
        return ring

    def _complete(self, ring: KeyRing, entry: VerifiedEntry) -> None:
        """Put into the ring what it needs to verify an entry, and what that needs, up to the genesis."""
        waiting, fetched = [entry], 0
        while True:
            need = ring.needs(waiting[-1])
            if need is None:
                complete = waiting.pop()
                if not waiting:
                    return
                ring.add(complete)
                continue
            fetched += 1
            if fetched > MAX_FETCHED:
                given = f"more than {MAX_FETCHED} introductions"
                raise mismatch(f"signer of entry {entry.index}", given, "a shorter way to the genesis")
            introduction = self.introduction(need)
            if introduction.index >= waiting[-1].index:
                where = f"introduction of what signed entry {waiting[-1].index}"
                raise mismatch(where, f"entry {introduction.index}", "an earlier entry")
            waiting.append(introduction)

    def introduction(self, need: Need) -> VerifiedEntry:
        """Ask for the entry that introduced a key or registered a party, and verify that it did; it is not attributed.

        Raises:
            BrokenProof: `BAD_ENTRY` if the answer is another entry, or none.
        """
        if isinstance(need, str):
            request = registry_service_pb2.GetPartyRequest(party=need)
            answer, checkpoint = self.ask(self.transport.registry.GetParty, request)
            entry = VerifiedEntry.prove(answer.registration, checkpoint)
            if registered_party(entry.event) != need:
                raise _not_introducing(f"registration of {need}", entry)
            return entry
        entry = self._key_introduction(need)
        if key_id_of(introduced_key(entry.event)) != need:
            raise _not_introducing(f"introduction of key {need.hex()}", entry)
        return entry

    def _key_introduction(self, key_id: bytes) -> VerifiedEntry:
        try:
            request = registry_service_pb2.GetKeyRequest(key_id=key_id)
            of_party, checkpoint = self.ask(self.transport.registry.GetKey, request)
            return VerifiedEntry.prove(of_party.registration, checkpoint)
        except Conflict as error:
            if error.reason is not Reason.NOT_FOUND:
                raise
        try:
            by_buyer = registry_service_pb2.GetSaleRequest(buyer_key_id=key_id)
            of_sale, checkpoint = self.ask(self.transport.registry.GetSale, by_buyer)
            return VerifiedEntry.prove(of_sale.entry, checkpoint)
        except Conflict as error:
            if error.reason is not Reason.NOT_FOUND:
                raise
        raise mismatch(
            f"introduction of key {key_id.hex()}",
            "none: the service knows no such key",
            "an entry of the log",
        )


def _entries_in(answer: object) -> Iterator[pb.ProvenEntry]:
    """All entries that an answer brings, whatever its fields are called."""
    for field, value in answer.ListFields() if isinstance(answer, Message) else ():
        if field.message_type is pb.ProvenEntry.DESCRIPTOR:
            yield from value if field.is_repeated else (value,)


def _not_introducing(subject: str, entry: VerifiedEntry) -> BrokenProof:
    given = (
        f"entry {entry.index}, a {entry.event.kind or 'kind unknown to this version'} on {entry.event.chain}"
    )
    return mismatch(subject, given, "the entry that introduced it")
