"""The commands with which a regulator, or anybody, checks a log; the regulator's group declares them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clients.cli import auditing, comparing, verifying, witnessing
from clients.cli.codes import parse_hash, read_subject
from clients.cli.options import CarrierOption, JobsOption, MaybeBarcodeArgument, SaleOption
from clients.cli.session import Local, Session


def verify(
    session: Session,
    *,
    barcode: MaybeBarcodeArgument = None,
    sale: SaleOption = None,
    carrier: CarrierOption = None,
) -> None:
    """Verify all that is recorded of a barcode.

    It may be of a product, lot, item, parcel or party, or a sale. Entries, links, signatures and keys are checked up to
    the genesis. Exit status 0 if all holds, 1 if anything does not, or if nothing is recorded.

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
    max_silence: Annotated[
        int | None,
        typer.Option(
            "--max-silence",
            min=1,
            metavar="SECONDS",
            help="Also raise the alarm when the log shows no larger checkpoint for so long, and go on.",
        ),
    ] = None,
    jobs: JobsOption = None,
) -> None:
    """Follow a log for ever, audit what is new, and raise the alarm at the first violation.

    Each new checkpoint is a line. A log that does not answer is asked again, ever more seldom, at least every five
    minutes or, if that is longer, every interval. When something does not
    hold, the alert goes to --webhook and to --command, and the command ends with the verdict's exit status. A log that is
    silent is no violation: with --max-silence it is told once, each time that it falls silent.

    Example:
      suyuan regulator watch https://ledger.example/fuzhou --command "mail -s ledger duty@example.gov"
    """
    from clients.cli import watching  # noqa: PLC0415 - HTTP and SQLite take long to load

    alarm = watching.Alarm(webhook, alert_command, timeout_s=session.timeout_s)
    raise typer.Exit(
        watching.watch(session, url, interval_s=interval, alarm=alarm, jobs=jobs, max_silence_s=max_silence)
    )


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

    What you have seen yourself is compared too, and what the service shows now. Two signed checkpoints that do not go
    together prove misconduct to anybody. Exit status 0 if all go together, 6 if the log has forked, 7 if the service
    shows less than was signed.

    Example:
      suyuan regulator compare alice.checkpoint bob.checkpoint
    """
    raise typer.Exit(comparing.compare(session, files, offline=offline))


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
