"""`suyuan regulator`: found a log, say who may speak, verify, audit."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from clients.cli import checking, evidence_commands, following
from clients.cli.codes import parse_party
from clients.cli.commands import command, group
from clients.cli.forms import number, role_word, status_word
from clients.cli.given import believing, local, reading, signing, signing_offline
from clients.cli.inputs import commitment_to
from clients.cli.options import (
    BarcodeArgument,
    TextFileOption,
    TextOption,
    word_option,
)
from clients.cli.output import local_text, utc_text
from clients.cli.parties import (
    LicenceNumberOption,
    LicenceUntilOption,
    PartyArgument,
    PartyNames,
    PublicKeyOption,
    add_key,
    check_date,
    read_key_id,
)
from clients.cli.parties import register as register_party
from clients.cli.recalling import RecallReasonOption, recall
from clients.cli.recording import Draft, record
from clients.cli.session import Signing
from clients.cli.words import Revocation, Role, StatusReason
from clients.new_file import write_new
from ledger.chain_key import LEDGER, ChainKey
from ledger.errors import BadInput, Reason
from ledger.rules import LATEST_RULES
from ledger.rules.founding import FORMAT_VERSION
from ledger.rules.signer import licence_lapsed
from suyuan.v1 import event_pb2 as pb

app = group("Found a log, say who may speak, verify, audit.")


@command(app, given=signing_offline)
def genesis(
    session: Signing,
    *,
    origin: Annotated[
        str,
        typer.Option(
            "--origin",
            metavar="NAME",
            help="The log's identity, for ever: such as ledger.example.gov/fuzhou.",
        ),
    ],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Public name of the root regulator.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the genesis goes: a new file.")],
    party: Annotated[
        str | None,
        typer.Option("--party", envvar="SUYUAN_PARTY", metavar="PARTY", help="USCC of the root regulator."),
    ] = None,
) -> None:
    r"""Found a log: sign its first entry.

    The operator makes the log from it, with `suyuan operator init`; no service is needed yet.

    Example:
      suyuan regulator genesis --origin ledger.example.gov/fuzhou \
        --party 11350100003604566X --name 福州市市场监督管理局 --out genesis.bin
    """
    told = party or session.settings.text("party")
    if not told:
        raise BadInput(Reason.INVALID_REQUEST, "--party", given="none", expected="USCC of the root regulator")
    body = pb.Genesis(
        origin=origin,
        format_version=FORMAT_VERSION,
        rules_version=LATEST_RULES,
        regulator=parse_party(told).company,
        regulator_name=name,
        regulator_key=session.signer.public_key.spki,
    )
    event = session.event(LEDGER, body)
    write_new(out, session.seal(event).raw)
    key_id = session.signer.public_key.key_id.hex()
    session.out.result(
        {
            "file": str(out),
            "origin": origin,
            "regulator": body.regulator,
            "event": event.id.hex(),
            "key_id": key_id,
        },
        [
            f"Signed the genesis of {origin} into {out}",
            f"  regulator {body.regulator}, {name}",
            f"  key {key_id}",
            f"  event {event.id.hex()}",
            f"Next, the operator makes the log: suyuan operator init --genesis {out}",
        ],
    )


@command(app, given=signing)
def register(
    session: Signing,
    *,
    party: PartyArgument,
    role: Annotated[Role, word_option("--role", Role, "What the party may do")],
    public_key: PublicKeyOption,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="Public name of a company; a member has none.")
    ] = "",
    licence_number: LicenceNumberOption = "",
    licence_until: LicenceUntilOption = "",
) -> None:
    r"""Register a party, whose papers you have checked.

    Example:
      suyuan regulator register 91440300708461136T --role courier --name 顺丰速运 \
        --public-key courier.pem.pub --licence-until 2028-12-31
    """
    register_party(
        session,
        parse_party(party),
        role,
        public_key,
        name=name,
        licence_number=licence_number,
        licence_until=licence_until,
    )


@command(app, given=signing)
def status(
    session: Signing,
    *,
    party: PartyArgument,
    suspend: Annotated[
        bool, typer.Option("--suspend", help="The party may not act from now on; with --reason.")
    ] = False,
    reinstate: Annotated[bool, typer.Option("--reinstate", help="The party may act again.")] = False,
    licence_until: LicenceUntilOption = "",
    reason: Annotated[
        StatusReason | None, word_option("--reason", StatusReason, "Why, by default what the change suggests")
    ] = None,
) -> None:
    """Show a party; suspend it, reinstate it, renew its licence.

    Example:
      suyuan regulator status 91350102MA2XW1QL3Y
      suyuan regulator status 91350102MA2XW1QL3Y --suspend --reason violation
      suyuan regulator status 91350102MA2XW1QL3Y --licence-until 2029-03-31
    """
    chain = parse_party(party)
    if suspend and reinstate:
        raise typer.BadParameter("--suspend or --reinstate, not both")
    if not (suspend or reinstate or licence_until):
        if reason is not None:
            raise typer.BadParameter("--reason goes with --suspend, --reinstate or --licence-until")
        _show_party(session, chain)
        return
    if suspend and reason is None:
        raise typer.BadParameter("--suspend needs --reason")
    if suspend:
        new = pb.PARTY_STATUS_SUSPENDED
    elif reinstate:
        new = pb.PARTY_STATUS_ACTIVE
    else:
        new = pb.PartyStatus.ValueType(session.client.party(chain).party.status)
    why = reason or (StatusReason.REINSTATED if reinstate else StatusReason.LICENCE_RENEWED)
    body = pb.PartyStatusChange(status=new, reason=number(why), licence_until=check_date(licence_until))
    record(session, [Draft.write(session, f"status {status_word(new)}, {why}", chain, body)])


@command(app, given=signing, name="add-key")
def add_a_key(session: Signing, *, party: PartyArgument, public_key: PublicKeyOption) -> None:
    """Add a key to a party, beside those that it has: before one is lost, or because all are.

    Example:
      suyuan regulator add-key 91350102MA2XW1QL3Y --public-key second.pem.pub
    """
    add_key(session, parse_party(party), public_key)


@command(app, given=signing)
def revoke(
    session: Signing,
    *,
    revoked: Annotated[
        str,
        typer.Argument(metavar="KEY", help="Id of the key, 64 hexadecimal digits, or its public key file."),
    ],
    reason: Annotated[Revocation, word_option("--reason", Revocation, "Why the key is no longer good")],
) -> None:
    """Revoke a key.

    What is signed with it is refused from now on; what is recorded stays valid.

    Example:
      suyuan regulator revoke 3b7e… --reason compromised
    """
    key_id = read_key_id(revoked)
    chain = ChainKey.parse(session.client.key(key_id).key.party)
    body = pb.KeyRevocation(key_id=key_id, reason=number(reason))
    record(session, [Draft.write(session, f"revocation, {reason}", chain, body)])


@command(app, given=signing, name="recall")
def recall_product(
    session: Signing,
    *,
    barcode: BarcodeArgument,
    reason: RecallReasonOption,
    text: TextOption = None,
    text_file: TextFileOption = None,
) -> None:
    """Call a product or a lot back (召回), whoever listed it.

    Example:
      suyuan regulator recall 6901234567892 --reason safety
    """
    recall(session, barcode, reason, commitment_to(text, text_file))


for _check in (checking.verify, checking.audit, checking.watch, checking.checkpoint, checking.compare):
    command(app, given=reading)(_check)
command(app, given=reading)(following.events)
command(app, given=reading, name="evidence")(evidence_commands.make_evidence)
command(app, given=believing)(evidence_commands.verify_evidence)
command(app, given=local)(checking.witness)


def _show_party(session: Signing, chain: ChainKey) -> None:
    verified = session.client.party(chain)
    party, names = verified.party, PartyNames(session)
    lapsed = licence_lapsed(party.licence_until, time.time_ns() // 1_000)
    licence = (
        f", licence {'ended on' if lapsed else 'until'} {party.licence_until}" if party.licence_until else ""
    )
    keys = [
        {
            "key_id": key.key_id.hex(),
            "added_index": key.added_index,
            "revoked_at": utc_text(key.revoked_at_us) if key.revoked_at_us else None,
        }
        for key in verified.keys
    ]
    told = {
        "party": party.party,
        "name": party.name or None,
        "role": role_word(party.role),
        "status": status_word(party.status),
        "licence_until": party.licence_until or None,
        "licence_lapsed": lapsed,
        "accreditor": party.accreditor,
        "registered_index": party.registered_index,
        "keys": keys,
    }
    lines = [
        f"{party.party}  {names.of(party.party)}",
        f"  {role_word(party.role)}, {status_word(party.status)}{licence}",
        f"  registered by {names.of(party.accreditor)} ({party.accreditor}), entry {party.registered_index}",
        *(
            f"  key {key.key_id.hex()}"
            + (f"\n    revoked {local_text(key.revoked_at_us)}" if key.revoked_at_us else "")
            for key in verified.keys
        ),
    ]
    session.out.result(told, lines)
