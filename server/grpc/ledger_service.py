"""suyuan.v1.LedgerService."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from ledger.chain_key import ChainKey
from ledger.entry import Entry
from ledger.errors import BadInput, BrokenProof, Conflict, LedgerError, Reason, ServiceFault
from ledger.merkle import NodeReader, Subtree, inclusion_proof, leaf_hash
from ledger.sequence import Resent, Sequenced, Submission, Verdict
from ledger.state import Recorded
from server import story
from server.admission import Admission, Admitted
from server.grpc.answers import Answers, View, page_size, proven_checkpoint
from server.grpc.errors import status_of
from server.grpc.watching import Watching
from server.proofs import Proofs
from server.sequencer import Appended, Sequencer
from server.store import queries
from server.store.queries import StoredEntry, damaged_entry
from suyuan.v1 import flags_pb2, ledger_service_pb2_grpc
from suyuan.v1 import ledger_service_pb2 as pb

MAX_ENVELOPES = 1_000
"""Envelopes in one append."""

MAX_PAGE_BYTES = 2 * 1024 * 1024
"""Bytes of entries in one page of GetHistory or ListEntries; a page has at least one entry."""

Context = grpc.aio.ServicerContext[Any, Any]


class LedgerService(ledger_service_pb2_grpc.LedgerServiceServicer):
    """Appends, and reads with proofs."""

    def __init__(
        self,
        admission: Admission,
        sequencer: Sequencer | None,
        answers: Answers,
        proofs: Proofs,
        watching: Watching,
    ) -> None:
        """`sequencer`: None where nothing is ever recorded."""
        self._admission = admission
        self._sequencer = sequencer
        self._answers = answers
        self._proofs = proofs
        self._watching = watching

    async def AppendEvents(self, request: pb.AppendEventsRequest, _: Context) -> pb.AppendEventsResponse:
        """Record signed events."""
        sequencer = self._writing()
        if not 1 <= len(request.envelopes) <= MAX_ENVELOPES:
            raise BadInput(
                Reason.INVALID_REQUEST,
                "envelopes",
                given=len(request.envelopes),
                expected=f"1 to {MAX_ENVELOPES}",
            )
        admitted = await self._admission.admit(request.envelopes)
        submissions = [one for one in admitted if isinstance(one, Submission)]
        if not submissions:
            checkpoint = await self._answers.read(
                lambda view: view.checkpoint(request.known_size), of_append=True
            )
            return pb.AppendEventsResponse(
                results=[_refused(one) for one in admitted if isinstance(one, LedgerError)],
                checkpoint=checkpoint,
            )
        appended = await sequencer.append(submissions)
        return await self._answers.run(lambda: self._appended(request, admitted, appended))

    async def StreamAppend(
        self, requests: AsyncIterator[pb.AppendEventsRequest], context: Context
    ) -> AsyncIterator[pb.AppendEventsResponse]:
        """Record signed events, message after message."""
        async for request in requests:
            yield await self.AppendEvents(request, context)

    async def GetHistory(self, request: pb.GetHistoryRequest, _: Context) -> pb.GetHistoryResponse:
        """One chain, in order."""
        chain, limit = ChainKey.parse(request.chain), page_size(request.page_size, 100)

        def answer(view: View) -> pb.GetHistoryResponse:
            length = queries.chain_length(view.connection, chain, size=view.size)
            if length == 0:
                raise Conflict(Reason.NOT_FOUND, "chain", given=str(chain), expected="a chain with entries")
            # Behind the end there is nothing, also where the number is too large for a database.
            start_seq = min(request.start_seq, length)
            entries = queries.chain_entries(
                view.connection,
                chain,
                size=view.size,
                start_seq=start_seq,
                limit=limit,
                most_bytes=MAX_PAGE_BYTES,
            )
            introductions = _introductions(view, entries) if request.with_registrations else []
            return pb.GetHistoryResponse(
                entries=[view.proven(entry) for entry in entries],
                chain_length=length,
                checkpoint=view.checkpoint(request.known_size),
                registrations=[view.proven(entry) for entry in introductions],
            )

        return await self._answers.read(answer)

    async def GetTrace(self, request: pb.GetTraceRequest, _: Context) -> pb.GetTraceResponse:
        """The story of a sale, a parcel or a unit."""
        subject = request.WhichOneof("subject")
        if subject is None:
            raise BadInput(Reason.INVALID_REQUEST, "subject", given="none", expected="a sale or a chain")
        chain = ChainKey.parse(request.chain) if subject == "chain" else None

        def answer(view: View) -> pb.GetTraceResponse:
            if chain is None:
                indexes = story.of_sale(view.connection, request.sale, size=view.size, go_on=view.go_on)
            else:
                indexes = story.of_chain(view.connection, chain, size=view.size, go_on=view.go_on)
            entries = queries.entries_at(view.connection, indexes)
            # Before any proof is built: they may be too many.
            introductions = _introductions(view, entries) if request.with_registrations else []
            return pb.GetTraceResponse(
                entries=[view.proven(entry) for entry in entries],
                checkpoint=view.checkpoint(request.known_size),
                registrations=[view.proven(entry) for entry in introductions],
            )

        return await self._answers.read(answer)

    async def GetEntry(self, request: pb.GetEntryRequest, _: Context) -> pb.GetEntryResponse:
        """One entry."""
        by = request.WhichOneof("entry")
        if by is None:
            raise BadInput(Reason.INVALID_REQUEST, "entry", given="none", expected="an index or an event id")

        def answer(view: View) -> pb.GetEntryResponse:
            index: int | None = request.index
            if by == "event_id":
                index = queries.index_of_event(view.connection, request.event_id)
            if index is None or index >= view.size:
                given = request.event_id.hex() if by == "event_id" else request.index
                raise Conflict(
                    Reason.NOT_FOUND, "entry", given=given, expected=f"one of the log's {view.size} entries"
                )
            [entry] = view.proven_at([index])
            return pb.GetEntryResponse(entry=entry, checkpoint=view.checkpoint(request.known_size))

        return await self._answers.read(answer)

    async def ListEntries(self, request: pb.ListEntriesRequest, _: Context) -> pb.ListEntriesResponse:
        """Raw entries, for auditors."""
        limit = page_size(request.page_size, 1_000)

        def answer(view: View) -> pb.ListEntriesResponse:
            stop = min(request.start + limit, view.size)
            found: list[StoredEntry] = []
            if request.start < stop:
                found = queries.entries_from(view.connection, request.start, stop, most_bytes=MAX_PAGE_BYTES)
                if not found:
                    raise _missing(request.start)
            return pb.ListEntriesResponse(
                entries=[entry.data for entry in found],
                checkpoint=view.checkpoint(request.known_size),
                leaf_hashes=self._proofs.leaf_hashes(entry.index for entry in found),
            )

        return await self._answers.read(answer)

    async def WatchEvents(
        self, request: pb.WatchEventsRequest, _: Context
    ) -> AsyncGenerator[pb.WatchEventsResponse, None]:
        """Entries as they are recorded."""
        async with aclosing(self._watching.answers(request)) as answers:
            async for answer in answers:
                yield answer

    async def GetCheckpoint(self, request: pb.GetCheckpointRequest, _: Context) -> pb.GetCheckpointResponse:
        """The newest checkpoint; or the newest that witnesses have cosigned."""

        def answer(view: View) -> pb.GetCheckpointResponse:
            found = view.witnessed_checkpoint if request.witnessed else view.checkpoint
            return pb.GetCheckpointResponse(checkpoint=found(request.known_size))

        return await self._answers.read(answer)

    async def GetInclusionProof(
        self, request: pb.GetInclusionProofRequest, _: Context
    ) -> pb.GetInclusionProofResponse:
        """Proof that an entry is in a tree."""

        def answer(view: View) -> pb.GetInclusionProofResponse:
            size = _size(request.size, view)
            proof = self._proofs.inclusion(request.index, size)
            return pb.GetInclusionProofResponse(proof=proof, size=size, checkpoint=view.checkpoint())

        return await self._answers.read(answer)

    async def GetConsistencyProof(
        self, request: pb.GetConsistencyProofRequest, _: Context
    ) -> pb.GetConsistencyProofResponse:
        """Proof that a tree is the beginning of another."""

        def answer(view: View) -> pb.GetConsistencyProofResponse:
            size = _size(request.new_size, view)
            proof = self._proofs.consistency(request.old_size, size)
            return pb.GetConsistencyProofResponse(proof=proof, new_size=size, checkpoint=view.checkpoint())

        return await self._answers.read(answer)

    def _writing(self) -> Sequencer:
        if self._sequencer is None:
            raise ServiceFault(
                Reason.STANDBY,
                "append",
                given="a process that only reads",
                expected="the process that writes",
            )
        self._sequencer.require_turn()
        return self._sequencer

    def _appended(
        self, request: pb.AppendEventsRequest, admitted: list[Admitted], appended: Appended
    ) -> pb.AppendEventsResponse:
        """The answer to an append, from the verdicts of those that got as far as the sequencer."""
        verdicts = deque(appended.verdicts)
        results = []
        for one in admitted:
            verdict = verdicts.popleft() if isinstance(one, Submission) else one
            results.append(self._result(one, verdict, appended, with_proof=not request.omit_proofs))
        checkpoint = proven_checkpoint(appended.committed.head, request.known_size, self._proofs)
        return pb.AppendEventsResponse(results=results, checkpoint=checkpoint)

    def _result(
        self, one: Admitted, verdict: Verdict, appended: Appended, *, with_proof: bool
    ) -> pb.AppendResult:
        if isinstance(verdict, LedgerError):
            return _refused(verdict)
        committed = appended.committed
        size = committed.head.size
        if isinstance(verdict, Sequenced):
            proof = (
                inclusion_proof(verdict.recorded.index, size, _node_of(committed.nodes)) if with_proof else []
            )
            return _receipt(verdict.recorded, verdict.entry, verdict.hash, proof, already=False)
        data = _data_of(verdict, appended)
        try:
            entry = verdict.entry_of(data, one) if isinstance(one, Submission) else Entry.parse(data)
        except Conflict as refusal:
            return _refused(refusal)
        except BrokenProof as error:
            raise damaged_entry(verdict.recorded.index, error) from error
        proof = self._proofs.inclusion(verdict.recorded.index, size) if with_proof else []
        return _receipt(verdict.recorded, entry, leaf_hash(data), proof, already=True)


def _receipt(
    recorded: Recorded, entry: Entry, entry_hash: bytes, proof: list[bytes], *, already: bool
) -> pb.AppendResult:
    return pb.AppendResult(
        receipt=pb.AppendReceipt(
            index=recorded.index,
            chain_seq=entry.chain_seq,
            previous=entry.previous,
            recorded_at_us=entry.recorded_at_us,
            entry_hash=entry_hash,
            inclusion_proof=proof,
            flags=[flags_pb2.EventFlag.ValueType(flag) for flag in recorded.flags],
            already_recorded=already,
        )
    )


def _refused(refusal: LedgerError) -> pb.AppendResult:
    return pb.AppendResult(refusal=status_of(refusal))


def _data_of(resent: Resent, appended: Appended) -> bytes:
    """Bytes of an entry that was recorded before this batch, or earlier in it.

    Raises:
        ServiceFault: `STORE_DAMAGED` if it is in neither.
    """
    index = resent.recorded.index
    earlier = appended.committed.resent.get(index)
    if earlier is not None:
        return earlier
    for entry in appended.committed.batch.entries:
        if entry.recorded.index == index:
            return entry.data
    raise _missing(index)


def _missing(index: int) -> ServiceFault:
    return ServiceFault(Reason.STORE_DAMAGED, f"entry {index}", given="none", expected="an entry")


def _node_of(nodes: dict[Subtree, bytes]) -> NodeReader:
    return lambda level, index: nodes[level, index]


def _introductions(view: View, entries: list[StoredEntry]) -> list[StoredEntry]:
    return story.introductions(view.connection, entries, size=view.size, go_on=view.go_on)


def _size(asked: int, view: View) -> int:
    """The tree size that a proof is asked for; 0 is the newest."""
    if asked > view.size:
        raise BadInput(Reason.INVALID_REQUEST, "tree size", given=asked, expected=f"at most {view.size}")
    return asked or view.size
