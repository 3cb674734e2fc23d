"""The Python SDK: a client of one ledger that verifies every answer before it returns it.

    with LedgerClient("ledger.example:7443", "ledger.example/fuzhou+…+…", trust=FileTrust(folder)) as client:
        receipt = client.append_one(envelope)
        for entry in client.history("01/06901234567892").entries:
            print(entry.event.kind, entry.signer)

The client is told once whom to believe: the log's verifier key. From then on it believes no word of whoever answers
under the address. Each answer has to come with a checkpoint that the log signed and that continues the newest one
seen before; each entry with a proof that it is in that checkpoint's tree; each signature has to hold under a key that
the log itself introduced; and what is answered has to be what was asked. If any of it fails, `BrokenProof` is raised
and nothing is returned. It is never retried: such an answer is a bug or a lie.

A policy (`ledger.policy`) may ask for more: that witnesses, who are neither the service nor this client, have cosigned.
Then no entry is returned that is not covered by a checkpoint which a quorum of them has seen, and `checkpoint` gives no
other. A receipt alone is the log's signed word until then; `witnessed_checkpoint` waits for the witnesses'.

What no proof can show is the service's word, and the docstrings say so: flags, and that there is nothing more.

Errors are those of `ledger.errors`. What the service refuses is raised as the error that it tells; `ServiceFault` with
`UNREACHABLE` says that no answer came.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import inf
from types import TracebackType
from typing import Self

from clients import append, append_stream, lookup, proofs, read, watch
from clients.answers import Appended, History, Trace, VerifiedKey, VerifiedParty, VerifiedSale
from clients.convert import Refused
from clients.proofs import ConsistencyProof, InclusionProof
from clients.session import Session
from clients.trust import FileTrust, MemoryTrust, TrustStore
from clients.verify import Need, VerifiedEntry
from clients.watch import OnPause, Watched, no_word
from ledger.chain_key import ChainKey
from ledger.checkpoint import Checkpoint
from ledger.envelope import Envelope
from ledger.errors import BadInput, Reason
from ledger.note import ED25519, VerifierKey
from ledger.policy import Policy
from ledger.selection import Selection
from ledger.state import Listed, Party
from suyuan.v1 import ledger_service_pb2 as pb

__all__ = [
    "Appended",
    "ConsistencyProof",
    "FileTrust",
    "History",
    "InclusionProof",
    "LedgerClient",
    "MemoryTrust",
    "Need",
    "Policy",
    "Refused",
    "Trace",
    "TrustStore",
    "VerifiedEntry",
    "VerifiedKey",
    "VerifiedParty",
    "VerifiedSale",
    "Watched",
]


class LedgerClient:
    """A connection to one ledger. Safe to share among threads.

    Every method may raise, beside what it says itself:

    - `BrokenProof` if the answer does not verify: never retried, never to be passed over.
    - `ServiceFault`: `UNREACHABLE` if no answer came in time, or what the service says of itself.
    - what the service refuses, as the family and reason that it gives; its word, like every refusal.
    """

    def __init__(
        self,
        target: str,
        vkey: VerifierKey | str | Policy,
        *,
        trust: TrustStore | None = None,
        root_certificates: bytes | None = None,
        timeout_s: float = 15.0,
        witness_timeout_s: float = 15.0,
    ) -> None:
        """Prepare a connection; it is made by the first call.

        Args:
            target: `host:port` of the service; or several with commas between them, processes of one service. What one
                of them does not answer, or leaves to the one that writes, the next is asked.
            vkey: the log's verifier key, whose name is the log's origin; from a source other than the service. Or a
                policy that names the keys of one log, and the witnesses that have to have seen what is believed.
            trust: remembers the newest checkpoint; by default as long as this client lives.
            root_certificates: PEM certificates that the service's certificate has to lead to; without them the
                connection is not encrypted. What is believed does not depend on it, only who can read along.
            timeout_s: seconds that each call to the service may take, however often it has to come back; a method may
                need several calls.
            witness_timeout_s: seconds that new entries may wait for their witnesses.

        Raises:
            BadInput: `BAD_KEY` or `UNSUPPORTED_ALGORITHM` if the key is none that a log signs with;
                `INVALID_REQUEST` if the policy names no log or several.
        """
        self._session = Session(
            target,
            vkey if isinstance(vkey, Policy) else _policy_of(vkey),
            trust=trust or MemoryTrust(),
            root_certificates=root_certificates,
            timeout_s=timeout_s,
            witness_timeout_s=witness_timeout_s,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls in flight end with `ServiceFault`. Closing again does nothing."""
        self._session.transport.close()

    @property
    def origin(self) -> str:
        """The log's identity."""
        return self._session.follower.origin

    def append(self, envelopes: Sequence[Envelope]) -> list[Appended | Refused]:
        """Record signed events, in order.

        They go out in requests of at most 500 events and 2 MiB. If one of these fails, those before it are recorded
        nevertheless: sending everything again is harmless and brings the first receipts again. What a key has no
        allowance for yet is sent again when the service says, as long as that brings something.

        Returns:
            One outcome for each event. An `Appended` is proven; a `Refused` is the service's word.
        """
        return append.append(self._session, envelopes)

    def append_stream(self, envelopes: Iterable[Envelope]) -> Iterator[Appended | Refused]:
        """Record signed events, in order, through a stream: for many of them, or for hours.

        They go out in messages of 100 events, up to 16 of them ahead of the answers, and no faster than the service
        takes them. Where the stream breaks, what was not answered is sent again; so is what a key has no allowance for yet,
        as `append` does. `envelopes` is iterated over in
        the caller's thread, a message ahead of what is sent: of a source that has nothing for a while, what it gave
        last may wait so long; append that by `append`.

        Yields:
            One outcome for each event, in order, as `append` returns them.

        Raises:
            ServiceFault: no answer came for as long as a call may take, however often it was tried. What was not
                answered may be recorded; to send it again is harmless.
        """
        return append_stream.append_stream(self._session, envelopes)

    def append_one(self, envelope: Envelope) -> Appended:
        """Record one signed event.

        Raises:
            LedgerError: why the service refused it, as the family and reason that it gives.
        """
        [outcome] = self.append([envelope])
        if isinstance(outcome, Refused):
            raise outcome.error()
        return outcome

    def history(self, chain: ChainKey | str, progress: read.Progress = read.no_progress) -> History:
        """A chain from its first entry on.

        Proven: each entry is in the log, in this chain at its place, without a gap, and signed by its signer. The
        service's word: the flags, and that the chain goes no further; it must reach as far as this client has seen.

        Args:
            chain: its key.
            progress: is told how many entries are verified, and how many the service says that there are.

        Raises:
            BadInput: `BAD_CHAIN_KEY`.
            Conflict: `NOT_FOUND` if the service says that there is no such chain.
        """
        return read.history(self._session, ChainKey.parse(chain), progress)

    def trace(self, *, sale: bytes | None = None, chain: ChainKey | str | None = None) -> Trace:
        """The story of a sale, or of a parcel, lot, serial or drug unit, in the order of the log.

        Proven: each entry is in the log, signed by its signer, and part of this story; the chain asked for, and those
        of a sale's parcels, are without a gap. The service's word: the flags, and that nothing is left out.

        Args:
            sale: event id of the sale; 32 bytes.
            chain: chain key of the other things; give one of the two.

        Raises:
            BadInput: `INVALID_REQUEST`, `BAD_CHAIN_KEY`.
            Conflict: `SALE_UNKNOWN` or `NOT_FOUND` if the service says that there is no such sale or chain.
        """
        if chain is not None and sale is None:
            return read.trace_chain(self._session, ChainKey.parse(chain))
        if sale is not None and chain is None:
            return read.trace_sale(self._session, sale)
        raise _one_of("subject of a trace", sale, "a sale or a chain")

    def entry(self, *, index: int | None = None, event_id: bytes | None = None) -> VerifiedEntry:
        """One entry, by its place or by its event: proven to be in the log, and signed by its signer.

        Args:
            index: place in the log: 0, 1, 2, …
            event_id: SHA-256 of the event; give one of the two.

        Raises:
            BadInput: `INVALID_REQUEST`.
            Conflict: `NOT_FOUND` if the service says that there is no such entry.
        """
        if index is not None and event_id is None:
            return read.entry_at(self._session, index)
        if event_id is not None and index is None:
            return read.entry_of(self._session, event_id)
        raise _one_of("entry", index, "an index or an event id")

    def entries(self, start: int = 0, size: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Raw entries in the order of the log, for an audit.

        This is the one method whose answers are not verified one by one: an auditor reads them to compute everything
        again (`ledger.audit`), and wants to see what does not hold. Only the checkpoints on the way are verified.

        Args:
            start: index of the first.
            size: size of the tree up to which to read; by default that of the newest checkpoint at the first answer.

        Yields:
            An entry's bytes, and what the tree is said to hold as its leaf hash.

        Raises:
            BadInput: `INVALID_REQUEST` if the log is not that large.
        """
        read.require_number("start", start)
        read.require_number("tree size", size or 0)
        return read.all_entries(self._session, start, size)

    def watch(
        self,
        start: int = 0,
        *,
        chains: Iterable[ChainKey | str] = (),
        parties: Iterable[ChainKey | str] = (),
        kinds: Iterable[str] = (),
        patience_s: float = inf,
        on_pause: OnPause = no_word,
    ) -> Iterator[Watched]:
        """The log's entries as they are recorded, from an index on, in its order, for ever.

        An entry is wanted if it passes all filters that are given; each takes up to 100 values, and lets through what
        fits one of them. When the connection breaks, it is made again, and goes on where the last page ended.

            for page in client.watch(chains=["01/06901234567892"]):
                for entry in page.entries:
                    print(entry.index, entry.event.kind)
                remember(page.next)  # where to start another time

        Proven: each entry is in the log, signed by its signer, wanted, and comes once, in order. Without a filter there
        is no gap; with chains alone, none within a chain. The service's word: the flags, and that no other entry would
        have passed the filter.

        Args:
            start: index of the first entry that may be delivered; `checkpoint().size` is where what is new begins.
            chains: chain keys.
            parties: chain keys of parties: what they signed, and what is on their own chains. A company includes its
                members.
            kinds: values of `ledger.event.Kind`.
            patience_s: seconds without a page after which an interruption is raised, instead of trying again; of
                several processes each is asked before.
            on_pause: is told what interrupts, and in how many seconds the service is asked again.

        Yields:
            A page: of entries; or of none, which tells how far the log was looked through. One comes when the end of
            the log is first reached, and at least every ten seconds while the service answers.

        Raises:
            BadInput: `INVALID_REQUEST`, `BAD_CHAIN_KEY`.
        """
        read.require_number("start", start)
        selection = Selection.parse(map(str, chains), map(str, parties), map(str, kinds))
        return watch.watch(self._session, selection, start, patience_s=patience_s, on_pause=on_pause)

    def checkpoint(self) -> Checkpoint:
        """The log's newest checkpoint, asked for now and proven to continue those seen before.

        Where the policy asks for witnesses, the newest that a quorum of them has cosigned.
        """
        if self._session.follower.policy.needs_witnesses:
            return self._session.witnessed()
        method = self._session.transport.ledger.GetCheckpoint
        return self._session.ask(method, pb.GetCheckpointRequest())[1]

    @property
    def checkpoint_note(self) -> bytes:
        """The signed note of the newest checkpoint that was seen; if none was, it is asked for.

        Where the policy asks for witnesses, of the newest that was seen with their cosignatures, which stand in it.
        """
        follower = self._session.follower
        newest = follower.witnessed_note if follower.policy.needs_witnesses else follower.note
        note = newest()
        if note is None:
            self.checkpoint()
            note = newest()
        return note or b""

    def witnessed_checkpoint(self, least: int = 0) -> bytes:
        """The signed note of a checkpoint that a quorum of the policy's witnesses has cosigned.

        Args:
            least: entries that it has to cover; such a one is waited for. An entry that was just appended is covered
                from its index + 1 on.

        Raises:
            BrokenProof: `UNWITNESSED` if there is none in time.
        """
        follower = self._session.follower
        note, known = follower.witnessed_note(), follower.witnessed()
        if note is None or known is None or known.size < least or not least:
            self._session.witnessed(least)
            note = follower.witnessed_note()
        return note or b""

    def inclusion_proof(self, index: int, size: int = 0) -> InclusionProof:
        """The proof that an entry is in the tree of a size, verified; that tree is proven to be the log's.

        Args:
            index: place in the log.
            size: of the tree; 0 is that of the newest checkpoint.

        Raises:
            BadInput: `INVALID_REQUEST`.
            Conflict: `NOT_FOUND` if the service says that there is no such entry.
        """
        return proofs.inclusion_proof(self._session, index, size)

    def proof_under(self, entry: VerifiedEntry, checkpoint: Checkpoint) -> tuple[bytes, ...]:
        """The inclusion proof of an entry in the tree of one checkpoint, verified: hashes from the leaf's sibling upwards.

        Args:
            entry: of this log.
            checkpoint: opened, and at least `entry.index + 1` large.

        Raises:
            BadInput: `INVALID_REQUEST` if the service refuses this index or size.
        """
        return proofs.proof_under(self._session, entry, checkpoint)

    def introduction(self, need: Need) -> VerifiedEntry:
        """The entry that introduced a key or registered a party: proven to be in the log, and signed by its signer.

        Args:
            need: id of a party's or a purchase key; or the chain key of a party.

        Raises:
            BrokenProof: `BAD_ENTRY` if the service knows no such key.
            Conflict: `NOT_FOUND` if it says that there is no such party.
        """
        entry = self._session.introduction(need)
        return self._session.ring_with([entry]).attribute(entry)

    def consistency_proof(self, old_size: int, new_size: int = 0) -> ConsistencyProof:
        """The proof that a tree of the log is the beginning of a larger one, verified; both are proven to be the log's.

        Args:
            old_size: of the smaller tree.
            new_size: of the larger one; 0 is that of the newest checkpoint.

        Raises:
            BadInput: `INVALID_REQUEST`.
        """
        return proofs.consistency_proof(self._session, old_size, new_size)

    def growth_proof(self, old_size: int, new_size: int) -> tuple[bytes, ...]:
        """What the log says to prove that its tree of one size is the beginning of that of another; not verified.

        For whoever has two signed checkpoints of these sizes, from wherever, and verifies the proof against them
        (`ledger.merkle.verify_consistency`).

        Args:
            old_size: of the smaller tree.
            new_size: of the larger one.

        Raises:
            BrokenProof: `FORK` if the log refuses to give a proof.
        """
        read.require_number("old tree size", old_size)
        read.require_number("new tree size", new_size, old_size)
        return tuple(self._session.consistency(old_size, new_size))

    def party(self, chain: ChainKey | str) -> VerifiedParty:
        """A party with its keys, computed again from its own chain.

        Proven: whatever is said rests on entries in the log by those who may say it. The service's word: that the
        chain goes no further, so that no key was revoked and no status changed since.

        Raises:
            BadInput: `BAD_CHAIN_KEY`.
            Conflict: `NOT_FOUND` if the service says that there is no such party.
        """
        return lookup.party(self._session, ChainKey.parse(chain))

    def parties(self, role: int | None = None) -> Iterator[Party]:
        """Registered parties in the order of their chain keys, each verified like `party`.

        That the list is complete is the service's word.

        Args:
            role: a value of `suyuan.v1.PartyRole`; None: all.
        """
        return lookup.parties(self._session, role or 0)

    def key(self, key_id: bytes) -> VerifiedKey:
        """A party's key, verified like `party`.

        Args:
            key_id: SHA-256 of the key's SubjectPublicKeyInfo; 32 bytes.

        Raises:
            BadInput: `INVALID_REQUEST`.
            Conflict: `NOT_FOUND` if the service says that no party has this key.
        """
        return lookup.key(self._session, key_id)

    def listings(self, chain: ChainKey | str) -> Iterator[Listed]:
        """Who offers a product, in the order of the merchants' chain keys; each listing is proven and signed.

        That the list is complete, and that each listing is its merchant's newest, is the service's word.

        Raises:
            BadInput: `BAD_CHAIN_KEY`.
        """
        return lookup.listings(self._session, ChainKey.parse(chain))

    def look_up(self, chains: Iterable[ChainKey | str]) -> dict[ChainKey, tuple[VerifiedEntry, ...]]:
        """Which of these chains there are, and who lists them: a quick look before something is signed.

        Proven: each entry is in the log, in that chain, and signed by its signer. The service's word: that there are no
        others, and that each listing is its merchant's newest.

        Returns:
            Of a chain that is listed, up to four listings, each of another merchant; of one that only has entries, its
            first entry. A chain without entries is not in it; nor may the later ones be, where very many were found.

        Raises:
            BadInput: `BAD_CHAIN_KEY`.
        """
        return lookup.look_up(self._session, map(ChainKey.parse, chains))

    def sale(self, *, event_id: bytes | None = None, buyer_key_id: bytes | None = None) -> VerifiedSale:
        """A sale and what became of it, computed again from its trace; see `trace` for what is proven.

        Args:
            event_id: of the sale; 32 bytes.
            buyer_key_id: SHA-256 of the purchase key's SubjectPublicKeyInfo; give one of the two.

        Raises:
            BadInput: `INVALID_REQUEST`.
            Conflict: `NOT_FOUND` if the service says that there is no such sale.
        """
        if (event_id is None) == (buyer_key_id is None):
            raise _one_of("sale", event_id, "an event id or a purchase key's id")
        return lookup.sale(self._session, event_id=event_id, buyer_key_id=buyer_key_id)


def _policy_of(vkey: VerifierKey | str) -> Policy:
    key = VerifierKey.parse(vkey) if isinstance(vkey, str) else vkey
    if key.key_type != ED25519:
        given, expected = f"type 0x{key.key_type:02x}", f"0x{ED25519:02x} (Ed25519)"
        raise BadInput(Reason.UNSUPPORTED_ALGORITHM, "log's key", given=given, expected=expected)
    return Policy.of(key)


def _one_of(subject: str, given: object, expected: str) -> BadInput:
    return BadInput(
        Reason.INVALID_REQUEST, subject, given="none" if given is None else "both", expected=expected
    )
