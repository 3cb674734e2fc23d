"""`serve` and `serve-http`: the processes that answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ledger.note import VerifierKey
from server.allowance import KeyAllowance
from server.commands.opening import origin_of, require_key_of_log, require_signed_by
from server.commands.options import (
    DEFAULT_DATABASE,
    DEFAULT_LOG_KEYS,
    DatabaseOption,
    HttpPrefixOption,
    JsonLogsOption,
    LogKeysOption,
    MetricsOption,
    ReadyFileOption,
    TlsCertOption,
    TlsKeyOption,
    WitnessPolicyOption,
)
from server.config import HttpSettings, Settings, Tls, read_log_keys, read_witness_policy
from server.store.store import Store
from server.witnessing.pace import Pace


def serve_command(
    database: DatabaseOption = DEFAULT_DATABASE,
    log_keys: LogKeysOption = DEFAULT_LOG_KEYS,
    listen: Annotated[
        str, typer.Option("--listen", envvar="SUYUAN_LISTEN", help="HOST:PORT; port 0 takes a free one.")
    ] = "127.0.0.1:7443",
    http: Annotated[
        str | None,
        typer.Option(
            "--http", envvar="SUYUAN_HTTP", metavar="HOST:PORT", help="Serve the log's files by HTTP too."
        ),
    ] = None,
    http_prefix: HttpPrefixOption = "",
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    tls_client_ca: Annotated[
        Path | None,
        typer.Option(
            "--tls-client-ca",
            help="Demand client certificates signed by this CA (PEM), though not of HTTP's readers.",
        ),
    ] = None,
    witness_policy: WitnessPolicyOption = None,
    witness_interval: Annotated[
        float,
        typer.Option(
            "--witness-interval",
            min=0.1,
            max=3_600,
            help="Seconds between two checkpoints that witnesses are asked for.",
        ),
    ] = 2.0,
    key_rate: Annotated[
        float,
        typer.Option(
            "--key-rate",
            min=0,
            max=1_000_000,
            help="Events a second that one key may have recorded; 0: no limit.",
        ),
    ] = 0,
    key_burst: Annotated[
        int,
        typer.Option("--key-burst", min=1, max=1_000_000, help="Events that it may have recorded at once."),
    ] = 10_000,
    metrics: MetricsOption = None,
    otlp_endpoint: Annotated[
        str | None,
        typer.Option(
            "--otlp-endpoint",
            envvar="OTEL_EXPORTER_OTLP_ENDPOINT",
            metavar="URL",
            help="Send traces to this collector (OpenTelemetry, OTLP by gRPC).",
        ),
    ] = None,
    ready_file: ReadyFileOption = None,
    json_logs: JsonLogsOption = False,
    debug: Annotated[bool, typer.Option("--debug", help="Log every batch.")] = False,
) -> None:
    """Serve the log by gRPC until SIGTERM or Ctrl-C.

    With `--http`, its files are served too, as `serve-http` does; the ready file then has their URL as its second line.
    The URL that `--metrics` is served at comes after it.

    With a witness policy (C2SP tlog-policy) the log's checkpoints are offered to the witnesses in it that have a URL,
    and those are published that a quorum has cosigned.

    Example: `suyuan operator serve --database suyuan.db --listen 127.0.0.1:7443 --http 127.0.0.1:7480`
    """
    from server.main import configure_logs, serve  # noqa: PLC0415 - gRPC takes long to load, and help needs none

    configure_logs(as_json=json_logs, debug=debug)
    tls = _tls(tls_cert, tls_key, tls_client_ca)
    if http_prefix and http is None:
        raise typer.BadParameter("--http-prefix goes with --http")
    store = Store.open(database)
    signers = read_log_keys(log_keys, origin_of(store, database))
    vkeys = [signer.vkey for signer in signers]
    require_key_of_log(store, vkeys)
    policy = read_witness_policy(witness_policy, vkeys) if witness_policy is not None else None
    settings = Settings(
        listen=listen,
        tls=tls,
        ready_file=ready_file,
        witness_policy=policy,
        witness_pace=Pace(interval_s=witness_interval),
        key_allowance=KeyAllowance(key_rate, key_burst) if key_rate else None,
        metrics_listen=metrics,
        otlp_endpoint=otlp_endpoint,
    )
    http_settings = None if http is None else HttpSettings(listen=http, tls=tls, prefix=http_prefix)
    serve(settings, store, signers, http_settings)


def serve_http_command(
    database: DatabaseOption = DEFAULT_DATABASE,
    listen: Annotated[
        str,
        typer.Option(
            "--listen", envvar="SUYUAN_HTTP", metavar="HOST:PORT", help="HOST:PORT; port 0 takes a free one."
        ),
    ] = "127.0.0.1:7480",
    vkeys: Annotated[
        list[str] | None,
        typer.Option(
            "--vkey",
            envvar="SUYUAN_VKEY",
            metavar="VKEY",
            help="The log's verifier key, for the page; repeat it for one that changes its key.",
        ),
    ] = None,
    http_prefix: HttpPrefixOption = "",
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    metrics: MetricsOption = None,
    ready_file: ReadyFileOption = None,
    json_logs: JsonLogsOption = False,
) -> None:
    """Serve the log's files by HTTP (C2SP tlog-tiles) until SIGTERM or Ctrl-C.

    It only reads, and needs no signing key: any number of these may serve one database, beside `serve`.

    Example: `suyuan operator serve-http --database suyuan.db --listen 127.0.0.1:7480`
    """
    from server.main import configure_logs, serve_http  # noqa: PLC0415 - as above

    configure_logs(as_json=json_logs)
    keys = [VerifierKey.parse(key) for key in vkeys or []]
    settings = HttpSettings(
        listen=listen, tls=_tls(tls_cert, tls_key), prefix=http_prefix, metrics_listen=metrics
    )
    store = Store.open(database, read_only=True)
    require_signed_by(store, database, keys)
    serve_http(settings, store, keys, ready_file)


def _tls(cert: Path | None, key: Path | None, client_ca: Path | None = None) -> Tls | None:
    if (cert is None) != (key is None) or (client_ca is not None and cert is None):
        raise typer.BadParameter("--tls-cert and --tls-key go together, and --tls-client-ca with them")
    return Tls(cert, key, client_ca) if cert is not None and key is not None else None
