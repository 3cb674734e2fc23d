"""suyuan.v1.LedgerService."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from ledger.chain_key import ChainKey
from ledger.errors import BadInput, Conflict, Reason
from server import story
from server.grpc.answers import Answers, View, page_size
from server.grpc.appends import Appends
from server.grpc.streams import Streams
from server.grpc.watching import Watching
from server.proofs import Proofs
from server.store import queries
from server.store.queries import StoredEntry, missing_entry
from suyuan.v1 import ledger_service_pb2 as pb
from suyuan.v1 import ledger_service_pb2_grpc

MAX_PAGE_BYTES = 2 * 1024 * 1024
"""Bytes of entries in one page of GetHistory or ListEntries; a page has at least one entry."""

Context = grpc.aio.ServicerContext[Any, Any]


class LedgerService(ledger_service_pb2_grpc.LedgerServiceServicer):
    """Appends, and reads with proofs."""

    def __init__(
        self, appends: Appends, streams: Streams, answers: Answers, proofs: Proofs, watching: Watching
    ) -> None:
        self._appends = appends
        self._streams = streams
        self._answers = answers
        self._proofs = proofs
        self._watching = watching

    async def AppendEvents(self, request: pb.AppendEventsRequest, _: Context) -> pb.AppendEventsResponse:
        """Record signed events."""
        return await self._appends.append(request)

    async def StreamAppend(
        self, requests: AsyncIterator[pb.AppendEventsRequest], _: Context
    ) -> AsyncIterator[pb.AppendEventsResponse]:
        """Record signed events, message after message."""
        async with aclosing(self._streams.append(requests)) as answers:
            async for answer in answers:
                yield answer

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
            proven = view.proven([*entries, *introductions])
            return pb.GetHistoryResponse(
                entries=proven[: len(entries)],
                chain_length=length,
                checkpoint=view.checkpoint(request.known_size),
                registrations=proven[len(entries) :],
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
            proven = view.proven([*entries, *introductions])
            return pb.GetTraceResponse(
                entries=proven[: len(entries)],
                checkpoint=view.checkpoint(request.known_size),
                registrations=proven[len(entries) :],
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
                    raise missing_entry(request.start)
            return pb.ListEntriesResponse(
                entries=[entry.data for entry in found],
                checkpoint=view.checkpoint(request.known_size),
                leaf_hashes=view.leaf_hashes(found),
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


def _introductions(view: View, entries: list[StoredEntry]) -> list[StoredEntry]:
    return story.introductions(view.connection, entries, size=view.size, go_on=view.go_on)


def _size(asked: int, view: View) -> int:
    """The tree size that a proof is asked for; 0 is the newest."""
    if asked > view.size:
        raise BadInput(Reason.INVALID_REQUEST, "tree size", given=asked, expected=f"at most {view.size}")
    return asked or view.size
