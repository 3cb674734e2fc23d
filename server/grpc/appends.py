"""What becomes of a request to append: admitted, sequenced, answered."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from ledger.entry import Entry
from ledger.errors import BadInput, BrokenProof, Conflict, LedgerError, Reason, ServiceFault
from ledger.merkle import leaf_hash
from ledger.sequence import Resent, Sequenced, Submission, Verdict
from ledger.state import Recorded
from server.admission import Admission, Admitted
from server.grpc.answers import Answers, proven_checkpoint
from server.grpc.errors import status_of
from server.proofs import Proofs
from server.sequencer import Appended, Sequencer
from server.store.queries import damaged_entry, missing_entry
from suyuan.v1 import flags_pb2
from suyuan.v1 import ledger_service_pb2 as pb

MAX_ENVELOPES = 1_000
"""Envelopes in one append."""

_FEW = 4
"""Receipts that are made where they are sent."""


class Appends:
    """Has requests to append recorded, and makes their answers.

    A request goes three steps: it is admitted (of a stream's: looked at, then allowed in its turn), submitted, answered. Many may be at each of them at once; what was submitted
    first is recorded first.
    """

    def __init__(
        self, admission: Admission, sequencer: Sequencer | None, answers: Answers, proofs: Proofs
    ) -> None:
        """`sequencer`: None where nothing is ever recorded."""
        self._admission = admission
        self._sequencer = sequencer
        self._answers = answers
        self._proofs = proofs

    async def append(self, request: pb.AppendEventsRequest) -> pb.AppendEventsResponse:
        """All of it for a call of its own.

        Raises:
            BadInput: as `require_size` says.
            ServiceFault: `OVERLOADED` if there is no room for it; as `require_turn` and `Sequencer.append` say.
        """
        self.require_turn()
        require_size(request)
        admitted = await self._admission.admit(request.envelopes)
        return await self.answer(request, admitted, self.submit(admitted))

    def require_turn(self) -> Sequencer:
        """Who records; asked before any work is done for a request.

        Raises:
            ServiceFault: `STANDBY`, or why else nothing can be recorded here now.
        """
        if self._sequencer is None:
            given, expected = "a process that only reads", "the process that writes"
            raise ServiceFault(Reason.STANDBY, "append", given=given, expected=expected)
        self._sequencer.require_turn()
        return self._sequencer

    async def look_at(self, request: pb.AppendEventsRequest) -> list[Admitted]:
        """Parse and verify the envelopes of a request for which there is room; `allow` comes next."""
        return await self._admission.look_at(request.envelopes)

    def allow(self, looked_at: list[Admitted], began: float, run_out: AbstractSet[bytes]) -> list[Admitted]:
        """As `Admission.allow`."""
        return self._admission.allow(looked_at, began, run_out)

    def submit(
        self, admitted: Sequence[Admitted], *, has_room: bool = False
    ) -> asyncio.Future[Appended] | None:
        """Let what was admitted wait for its batch, as `Sequencer.submit` says; None where nothing was admitted."""
        submissions = [one for one in admitted if isinstance(one, Submission)]
        return self.require_turn().submit(submissions, has_room=has_room) if submissions else None

    async def answer(
        self,
        request: pb.AppendEventsRequest,
        admitted: Sequence[Admitted],
        submitted: asyncio.Future[Appended] | None,
    ) -> pb.AppendEventsResponse:
        """The answer, once its batch is durable.

        Raises:
            ServiceFault: as `Sequencer.append` says.
        """
        if submitted is None:
            checkpoint = await self._answers.read(
                lambda view: view.checkpoint(request.known_size), of_append=True
            )
            return pb.AppendEventsResponse(
                results=[_refused(one) for one in admitted if isinstance(one, LedgerError)],
                checkpoint=checkpoint,
            )
        appended = await submitted
        if _is_small(request, appended):
            # What there is to make takes less time than handing it to a thread, and reads nothing.
            return self._appended(request, admitted, appended)
        return await self._answers.receipts(
            lambda: self._appended(request, admitted, appended), len(admitted)
        )

    def _appended(
        self, request: pb.AppendEventsRequest, admitted: Sequence[Admitted], appended: Appended
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
            proof = committed.paths.proof(verdict.recorded.index) if with_proof else []
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


def _is_small(request: pb.AppendEventsRequest, appended: Appended) -> bool:
    """Whether an answer has few receipts, all of what is new, and needs no proof that the log goes on from a size."""
    return (
        request.known_size == 0
        and len(request.envelopes) <= _FEW
        and not any(isinstance(verdict, Resent) for verdict in appended.verdicts)
    )


def require_size(request: pb.AppendEventsRequest) -> None:
    """Refuse a request with no envelopes, or too many.

    Raises:
        BadInput: `INVALID_REQUEST`.
    """
    if not 1 <= len(request.envelopes) <= MAX_ENVELOPES:
        raise BadInput(
            Reason.INVALID_REQUEST,
            "envelopes",
            given=len(request.envelopes),
            expected=f"1 to {MAX_ENVELOPES}",
        )


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
    raise missing_entry(index)
