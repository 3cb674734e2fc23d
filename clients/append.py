"""Appending events, and verifying every receipt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from clients.answers import Appended
from clients.convert import Refused
from clients.patience import Patience
from clients.session import Session
from clients.verify import mismatch, verify_receipt
from ledger.checkpoint import Checkpoint
from ledger.envelope import Envelope
from ledger.errors import Reason
from suyuan.v1 import ledger_service_pb2 as pb

MAX_BATCH_EVENTS = 500
"""Events in one request."""

MAX_BATCH_BYTES = 2 * 1024 * 1024
"""Bytes of envelopes in one request."""


def append(session: Session, envelopes: Sequence[Envelope]) -> list[Appended | Refused]:
    """As `LedgerClient.append`."""
    return [
        outcome for batch in batches(envelopes, MAX_BATCH_EVENTS) for outcome in _patiently(session, batch)
    ]


def _patiently(session: Session, envelopes: Sequence[Envelope]) -> list[Appended | Refused]:
    """Append, and again what a key has no allowance for yet, as long as there is some now and then.

    What was refused behind such an event is sent again too: it may have been refused for its want.
    """
    outcomes, patience = _append(session, envelopes), Patience()
    while (limited := first_limited(outcomes)) is not None:
        delay_s = limited[1]
        if not patience.wait(delay_s):
            break
        again = [at for at in range(limited[0], len(outcomes)) if isinstance(outcomes[at], Refused)]
        results = _append(session, [envelopes[at] for at in again])
        if any(isinstance(result, Appended) for result in results):
            patience.renew()
        for at, result in zip(again, results, strict=True):
            outcomes[at] = result
    return outcomes


def persist(session: Session, envelopes: Sequence[Envelope], outcomes: list[Appended | Refused]) -> None:
    """Send again what a key had no allowance for, and what was refused behind it, when the service says.

    Args:
        session: with the log.
        envelopes: that were sent.
        outcomes: what became of each; what becomes of it now is put in its place.
    """
    limited = first_limited(outcomes)
    if limited is not None and Patience().wait(limited[1]):
        again = [at for at in range(limited[0], len(outcomes)) if isinstance(outcomes[at], Refused)]
        results = append(session, [envelopes[at] for at in again])
        for at, result in zip(again, results, strict=True):
            outcomes[at] = result


def first_limited(outcomes: Sequence[Appended | Refused]) -> tuple[int, float] | None:
    """The first event that its key had no allowance for, and after how many seconds to send it again."""
    for at, outcome in enumerate(outcomes):
        if isinstance(outcome, Refused) and outcome.reason is Reason.RATE_LIMITED:
            return at, outcome.retry_after_s or 0.0
    return None


def batches(envelopes: Iterable[Envelope], most: int) -> Iterator[list[Envelope]]:
    """The envelopes in requests of at most so many, and of `MAX_BATCH_BYTES`."""
    batch: list[Envelope] = []
    room = MAX_BATCH_BYTES
    for envelope in envelopes:
        if batch and (len(batch) == most or len(envelope.raw) > room):
            yield batch
            batch, room = [], MAX_BATCH_BYTES
        batch.append(envelope)
        room -= len(envelope.raw)
    if batch:
        yield batch


def outcomes_of(
    session: Session, envelopes: Sequence[Envelope], answer: pb.AppendEventsResponse, checkpoint: Checkpoint
) -> list[Appended | Refused]:
    """What became of the events of one request, each verified.

    Args:
        session: to remember what was proven.
        envelopes: of the request.
        answer: to it.
        checkpoint: of the answer, verified.

    Raises:
        BrokenProof: the answer does not verify.
    """
    if len(answer.results) != len(envelopes):
        raise mismatch("results of an append", len(answer.results), f"{len(envelopes)}, one for each event")
    return [
        _outcome(session, envelope, result, checkpoint)
        for envelope, result in zip(envelopes, answer.results, strict=True)
    ]


def _append(session: Session, envelopes: Sequence[Envelope]) -> list[Appended | Refused]:
    request = pb.AppendEventsRequest(envelopes=[envelope.raw for envelope in envelopes])
    answer, checkpoint = session.ask(session.transport.ledger.AppendEvents, request)
    return outcomes_of(session, envelopes, answer, checkpoint)


def _outcome(
    session: Session, envelope: Envelope, result: pb.AppendResult, checkpoint: Checkpoint
) -> Appended | Refused:
    match result.WhichOneof("outcome"):
        case "receipt":
            receipt = result.receipt
            entry = verify_receipt(envelope, receipt, checkpoint)
            session.heads.note([entry])
            return Appended(
                index=entry.index,
                chain_seq=entry.entry.chain_seq,
                recorded_at_us=entry.entry.recorded_at_us,
                entry_hash=entry.hash,
                event_id=entry.event.id,
                flags=entry.flags,
                already_recorded=receipt.already_recorded,
                checkpoint=checkpoint,
            )
        case "refusal":
            return Refused.of(result.refusal)
        case _:
            raise mismatch("result of an append", "neither a receipt nor a refusal", "one of them")
