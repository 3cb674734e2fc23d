"""From what a command has to say to receipts: texts are kept, events sent, verdicts told."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import typer

from clients.answers import Appended
from clients.cli.forms import checkpoint_record, flag_words
from clients.cli.output import local_text, shown, utc_text
from clients.cli.session import Speaking
from clients.cli.status import Status
from clients.events import Commitment
from ledger.chain_key import ChainKey
from ledger.envelope import Envelope
from ledger.errors import BrokenProof, Reason, ServiceFault
from ledger.event import Event
from ledger.form import Body
from ledger.note import SignedNote
from ledger.policy import printable_name

if TYPE_CHECKING:
    from clients.sdk import LedgerClient, Refused

_RETRY_AFTER_S: Final = (0.3, 1.0)
"""The same envelope gets the same receipt however often it is sent, so a lost answer is asked for again."""

_PASSING: Final = frozenset({Reason.UNREACHABLE, Reason.STOPPING, Reason.STORE_UNAVAILABLE})
"""What may have gone by a moment later. To a service that is busy the SDK has come back already."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A signed event that is to be recorded."""

    what: str
    """For people: "picked up", "review"."""
    event: Event
    envelope: Envelope
    text: Commitment | None = None
    """The text that it commits to."""

    @classmethod
    def write(
        cls, session: Speaking, what: str, chain: ChainKey, body: Body, text: Commitment | None = None
    ) -> Draft:
        """Write and sign an event.

        Raises:
            BadInput: the event would not be well formed, or the key cannot be read.
        """
        event = session.event(chain, body)
        return cls(what, event, session.seal(event), text)


def record(session: Speaking, drafts: Sequence[Draft]) -> None:
    """Record events and print what became of each; ends the command with status 4 if any was refused.

    Raises:
        ServiceFault: no answer came; whether they are recorded is not known then.
        BrokenProof: the answer did not verify.
    """
    # What is wrong with the connection's settings shows before anything is written.
    client = session.client
    for draft in drafts:
        if draft.text is not None:
            session.texts.keep(draft.event, draft.text)
    try:
        results = send(client, drafts)
    except (ServiceFault, BrokenProof):
        for draft in drafts:
            session.out.note(f"It is not known whether this was recorded: {_named(draft)}")
        raise
    verdicts = [tell(session, draft, result) for draft, result in zip(drafts, results, strict=True)]
    await_witnesses(session, results)
    if not all(verdicts):
        raise typer.Exit(Status.REFUSED)


def send(client: LedgerClient, drafts: Sequence[Draft]) -> list[Appended | Refused]:
    """Send events, again if no answer comes.

    Raises:
        ServiceFault: none came.
        BrokenProof: the answer did not verify.
    """
    envelopes = [draft.envelope for draft in drafts]
    for delay_s in _RETRY_AFTER_S:
        try:
            return client.append(envelopes)
        except ServiceFault as error:
            if error.reason not in _PASSING:
                raise
            time.sleep(delay_s)
    return client.append(envelopes)


def await_witnesses(session: Speaking, results: Sequence[Appended | Refused]) -> None:
    """Where the user's policy asks for witnesses, wait until a quorum has cosigned what was recorded.

    Raises:
        BrokenProof: `UNWITNESSED` if that takes too long. It is recorded all the same, and the log has signed for it.
    """
    least = max((result.index + 1 for result in results if isinstance(result, Appended)), default=0)
    if not (session.policy.needs_witnesses and least):
        return
    try:
        note = session.client.witnessed_checkpoint(least)
    except BrokenProof:
        session.out.note("It is recorded, but the witnesses that your policy asks for have not cosigned it.")
        raise
    policy = session.policy
    names = policy.names_of(policy.cosignatures(SignedNote.parse(note)))
    session.out.note(f"Cosigned by {shown(', '.join(map(printable_name, names)))}")


def tell(
    session: Speaking, draft: Draft, result: Appended | Refused, more: dict[str, Any] | None = None
) -> bool:
    """Print what became of an event; whether it was recorded."""
    if isinstance(result, Appended):
        _tell_recorded(session, draft, result, more or {})
        return True
    if draft.text is not None:
        session.texts.forget(draft.event.id)
    _tell_refused(session, draft, result)
    return False


def _tell_recorded(session: Speaking, draft: Draft, result: Appended, more: dict[str, Any]) -> None:
    flags = flag_words(result.flags)
    kept = None if draft.text is None else str(session.texts.path(draft.event.id))
    told = {
        "recorded": True,
        "kind": draft.event.kind,
        "chain": str(draft.event.chain),
        "event": result.event_id.hex(),
        "index": result.index,
        "chain_seq": result.chain_seq,
        "recorded_at": utc_text(result.recorded_at_us),
        "entry_hash": result.entry_hash.hex(),
        "flags": flags,
        "already_recorded": result.already_recorded,
        "text_file": kept,
        **more,
        "checkpoint": checkpoint_record(result.checkpoint),
    }
    again = " (it was recorded before)" if result.already_recorded else ""
    lines = [
        f"Recorded: {draft.what}, {draft.event.chain}{again}",
        f"  entry {result.index} of the log, {result.chain_seq} of its chain, {local_text(result.recorded_at_us)}",
        f"  event {result.event_id.hex()}",
    ]
    if flags:
        lines.append(f"  flags {', '.join(flags)}")
    lines += [f"  {name.replace('_', ' ')} {value}" for name, value in more.items() if value is not None]
    if kept is not None:
        lines.append(f"  The text is not in the ledger, which holds a commitment to it. It is in {kept}")
    session.out.result(told, lines)


def _tell_refused(session: Speaking, draft: Draft, result: Refused) -> None:
    told = {
        "recorded": False,
        "kind": draft.event.kind,
        "chain": str(draft.event.chain),
        "event": draft.event.id.hex(),
        "refused": {
            "reason": str(result.reason),
            "message": result.message,
            "given": result.given,
            "expected": result.expected,
            "code": result.code,
        },
    }
    if session.out.is_json:
        session.out.result(told, ())
    else:
        session.out.note(f"Refused: {_named(draft)}: {shown(result.message)} [{shown(str(result.reason))}]")


def _named(draft: Draft) -> str:
    return f"{draft.what}, {draft.event.chain}, event {draft.event.id.hex()}"
