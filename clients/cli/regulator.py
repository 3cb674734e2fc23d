"""`suyuan regulator`: found a log, say who may speak, verify, audit."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from clients.cli import auditing, comparing, evidence_commands, verifying, witnessing
from clients.cli.codes import parse_hash, parse_party, read_subject
from clients.cli.commands import command, group
from clients.cli.forms import number, role_word, status_word
from clients.cli.given import believing, local, reading, signing, signing_offline
from clients.cli.inputs import commitment_to
from clients.cli.options import (
    BarcodeArgument,
    CarrierOption,
    JobsOption,
    MaybeBarcodeArgument,
    SaleOption,
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
from clients.cli.session import Local, Session, Signing
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


@command(app, given=reading)
def verify(
    session: Session,
    *,
    barcode: MaybeBarcodeArgument = None,
    sale: SaleOption = None,
    carrier: CarrierOption = None,
) -> None:
    """Verify all that is recorded of a barcode.

    It may be of a product, lot, item, parcel or party, or a sale. Entries, links, signatures and keys are checked up to the genesis. Exit status 0 if all holds, 1 if anything does
    not, or if nothing is recorded.

    Example:
      suyuan regulator verify 6901234567892
      suyuan regulator verify "(01)06901234567892(21)S-17"
    """
    if (barcode is None) == (sale is None):
        raise typer.BadParameter("name BARCODE, or a sale by --sale")
    if sale is not None:
        verdict = verifying.verify_sale(session, parse_hash("sale", sale))
    else:
        carrier = carrier or session.settings.text("carrier")
        verdict = verifying.verify_chain(session, read_subject(barcode or "", carrier=carrier).chain)
    raise typer.Exit(verdict)


@command(app, given=reading)
def audit(
    session: Session,
    *,
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="[URL]", help="Where the log's tiles are; without it the service is asked over gRPC."
        ),
    ] = None,
    jobs: JobsOption = None,
    from_scratch: Annotated[
        bool,
        typer.Option("--from-scratch", help="With URL: forget what earlier audits read and found."),
    ] = False,
    known: Annotated[
        list[Path] | None,
        typer.Option(
            "--known",
            metavar="FILE",
            help="A signed checkpoint from elsewhere, which the log must still continue. May be repeated.",
        ),
    ] = None,
) -> None:
    """Read the whole log and judge it again, trusting nobody.

    Every leaf hash and the tree's root, every chain's links, every signature and every rule are computed anew, and
    the log must continue the checkpoint that you last verified. Exit status 0 if it is VERIFIED, 1 if it was TAMPERED
    with (6 if it has forked, 7 if it was rolled back), 3 if the service does not answer.

    From a URL the log is read through its C2SP tiles alone. Such an audit remembers what it has read and found: the
    next one reads what is new, and one that was interrupted goes on.

    Example:
      suyuan regulator audit --format json
      suyuan regulator audit https://ledger.example/fuzhou
    """
    if url is None:
        if jobs is not None or from_scratch:
            raise typer.BadParameter("--jobs and --from-scratch go with URL")
        raise typer.Exit(auditing.audit(session, known or []))
    from clients.cli import distant  # noqa: PLC0415 - HTTP and SQLite take long to load

    raise typer.Exit(distant.audit(session, url, known or [], jobs=jobs, from_scratch=from_scratch))


@command(app, given=reading)
def watch(
    session: Session,
    *,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where the log's tiles are.")],
    interval: Annotated[
        int,
        typer.Option("--interval", min=1, max=86_400, metavar="SECONDS", help="How often to look."),
    ] = 10,
    webhook: Annotated[
        str | None,
        typer.Option(
            "--webhook",
            envvar="SUYUAN_WEBHOOK",
            metavar="URL",
            help="POST the alert, a JSON object, to this address.",
        ),
    ] = None,
    alert_command: Annotated[
        str | None,
        typer.Option(
            "--command", metavar="COMMAND", help="Run this without a shell, the alert on its standard input."
        ),
    ] = None,
    jobs: JobsOption = None,
) -> None:
    """Follow a log for ever, audit what is new, and raise the alarm at the first violation.

    Each new checkpoint is a line. A log that does not answer is asked again, ever more seldom. When something does not
    hold, the alert goes to --webhook and to --command, and the command ends with the verdict's exit status.

    Example:
      suyuan regulator watch https://ledger.example/fuzhou --command "mail -s ledger duty@example.gov"
    """
    from clients.cli import watching  # noqa: PLC0415 - HTTP and SQLite take long to load

    alarm = watching.Alarm(webhook, alert_command, timeout_s=session.timeout_s)
    raise typer.Exit(watching.watch(session, url, interval_s=interval, alarm=alarm, jobs=jobs))


@command(app, given=reading)
def checkpoint(
    session: Session,
    *,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the signed note into a new file.")
    ] = None,
) -> None:
    """Verify the log's newest checkpoint and print it, to be compared with what others were shown.

    With --policy it is the newest that a quorum of the witnesses has cosigned.

    Example:
      suyuan regulator checkpoint --out monday.checkpoint
    """
    comparing.show(session, out)


@command(app, given=reading)
def compare(
    session: Session,
    *,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="Signed checkpoints, or evidence of a contradiction as it was kept."
        ),
    ],
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Ask nobody: then only checkpoints of one size can be told apart."),
    ] = False,
) -> None:
    """Compare checkpoints that several people were shown: are they all of one log?

    What you have seen yourself is compared too. Two signed checkpoints that do not go together prove misconduct to
    anybody. Exit status 0 if all go together, 6 if the log has forked.

    Example:
      suyuan regulator compare alice.checkpoint bob.checkpoint
    """
    raise typer.Exit(comparing.compare(session, files, offline=offline))


command(app, given=reading, name="evidence")(evidence_commands.make_evidence)
command(app, given=believing)(evidence_commands.verify_evidence)


@command(app, given=local)
def witness(
    session: Local,
    *,
    name: witnessing.NameOption = None,
    key: witnessing.KeyOption = witnessing.DEFAULT_KEY,
    ml_dsa_key: witnessing.MlDsaKeyOption = None,
    database: witnessing.DatabaseOption = witnessing.DEFAULT_DATABASE,
    new_database: witnessing.NewDatabaseOption = False,
    log: witnessing.LogOption = None,
    policy: witnessing.PolicyOption = None,
    listen: witnessing.ListenOption = witnessing.DEFAULT_LISTEN,
    tls_cert: witnessing.TlsCertOption = None,
    tls_key: witnessing.TlsKeyOption = None,
    ready_file: witnessing.ReadyFileOption = None,
    json_logs: witnessing.JsonLogsOption = False,
    print_vkey: witnessing.PrintVkeyOption = False,
    evidence: witnessing.EvidenceOption = False,
) -> None:
    r"""Be a witness: cosign a log's checkpoints as long as it only grows.

    It serves C2SP tlog-witness over HTTP until SIGTERM or Ctrl-C, remembers the latest checkpoint that it cosigned of
    each log, and refuses for ever whatever does not continue it. What proves that a log misbehaved is kept.

    Example:
      suyuan regulator witness --name witness.example/w1 --print-vkey
      suyuan regulator witness --name witness.example/w1 --log "$SUYUAN_VKEY"
    """
    witnessing.witness(
        session,
        name=name,
        key=key,
        ml_dsa_key=ml_dsa_key,
        database=database,
        new_database=new_database,
        logs=log,
        policy=policy,
        listen=listen,
        tls_cert=tls_cert,
        tls_key=tls_key,
        ready_file=ready_file,
        json_logs=json_logs,
        print_vkey=print_vkey,
        evidence=evidence,
    )


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
