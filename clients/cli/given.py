"""The options that commands share, and the session that they make.

`local`, `believing`, `reading`, `signing` and `buying` go with `clients.cli.commands.command`: their parameters become options, and
what they return is handed to the command. Options come before the environment, the environment before the file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from clients.cli.options import (
    AtOption,
    CaOption,
    ConfigOption,
    EvidenceOption,
    FormatOption,
    GlnOption,
    KeyOption,
    PassphraseFileOption,
    PlaceOption,
    PolicyOption,
    ServerOption,
    SureOption,
    TimeoutOption,
    TokenOption,
    VkeyOption,
    YesOption,
)
from clients.cli.output import Format, Output
from clients.cli.session import Believing, Buying, Local, Session, Signing
from clients.cli.settings import DEFAULT_SERVER, Settings, default_key_path
from ledger.errors import BadInput, Reason
from ledger.identifiers import printable

DEFAULT_TIMEOUT_S: Final = "15"

_SECONDS: Final = re.compile(r"[0-9]{1,5}(?:\.[0-9]{1,3})?")

_ADDRESS: Final = re.compile(r"(?:\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


def local(*, output: FormatOption = None, config: ConfigOption = None) -> Local:
    """What a command has that talks to nobody."""
    settings = Settings.load(config)
    return Local(settings, output_of(output, settings))


def believing(
    *,
    output: FormatOption = None,
    vkey: VkeyOption = None,
    policy: PolicyOption = None,
    config: ConfigOption = None,
) -> Believing:
    """What a command has that verifies offline."""
    settings = Settings.load(config)
    return Believing(
        settings,
        output_of(output, settings),
        vkey or settings.text("vkey"),
        policy or settings.path("policy"),
    )


def reading(
    *,
    output: FormatOption = None,
    server: ServerOption = None,
    vkey: VkeyOption = None,
    policy: PolicyOption = None,
    ca: CaOption = None,
    timeout: TimeoutOption = None,
    config: ConfigOption = None,
) -> Session:
    """A session that only asks."""
    return Session(
        **_service(
            output=output, server=server, vkey=vkey, policy=policy, ca=ca, timeout=timeout, config=config
        )
    )


def signing(
    *,
    key: KeyOption = None,
    passphrase_file: PassphraseFileOption = None,
    at: AtOption = None,
    place: PlaceOption = None,
    gln: GlnOption = None,
    evidence: EvidenceOption = None,
    yes: YesOption = False,
    sure: SureOption = False,
    output: FormatOption = None,
    server: ServerOption = None,
    vkey: VkeyOption = None,
    policy: PolicyOption = None,
    ca: CaOption = None,
    timeout: TimeoutOption = None,
    config: ConfigOption = None,
) -> Signing:
    """A session of a party."""
    service = _service(
        output=output, server=server, vkey=vkey, policy=policy, ca=ca, timeout=timeout, config=config
    )
    settings: Settings = service["settings"]
    return Signing(
        **service,
        **_circumstances(settings, at, place, gln, evidence),
        key=key or settings.path("key") or default_key_path(),
        passphrase_file=passphrase_file or settings.path("passphrase_file"),
        yes=yes,
        sure=sure,
    )


def signing_offline(
    *,
    key: KeyOption = None,
    passphrase_file: PassphraseFileOption = None,
    at: AtOption = None,
    output: FormatOption = None,
    config: ConfigOption = None,
) -> Signing:
    """A session of a party that signs and sends nothing."""
    return signing(key=key, passphrase_file=passphrase_file, at=at, output=output, config=config)


def buying(
    *,
    token: TokenOption = None,
    at: AtOption = None,
    place: PlaceOption = None,
    evidence: EvidenceOption = None,
    output: FormatOption = None,
    server: ServerOption = None,
    vkey: VkeyOption = None,
    policy: PolicyOption = None,
    ca: CaOption = None,
    timeout: TimeoutOption = None,
    config: ConfigOption = None,
) -> Buying:
    """A session of a buyer."""
    service = _service(
        output=output, server=server, vkey=vkey, policy=policy, ca=ca, timeout=timeout, config=config
    )
    return Buying(
        **service, **_circumstances(service["settings"], at, place, None, evidence), token_path=token
    )


def output_of(chosen: Format | None, settings: Settings) -> Output:
    """Where results go, as options, environment or the configuration file have it.

    Raises:
        BadInput: `INVALID_REQUEST` if the file names a format that there is not.
    """
    told = chosen or settings.text("format") or Format.TEXT
    try:
        return Output(Format(told))
    except ValueError:
        raise BadInput(
            Reason.INVALID_REQUEST,
            "format in the configuration file",
            given=told,
            expected=" or ".join(Format),
        ) from None


def _service(
    *,
    output: Format | None,
    server: str | None,
    vkey: str | None,
    policy: Path | None,
    ca: Path | None,
    timeout: str | None,
    config: Path | None,
) -> dict[str, Any]:
    settings = Settings.load(config)
    return {
        "settings": settings,
        "out": output_of(output, settings),
        "target": _addresses(server or settings.text("server") or DEFAULT_SERVER),
        "vkey_text": vkey or settings.text("vkey"),
        "policy_path": policy or settings.path("policy"),
        "ca": ca or settings.path("ca"),
        "timeout_s": _seconds(timeout or settings.text("timeout") or DEFAULT_TIMEOUT_S),
    }


def _circumstances(
    settings: Settings, at: str | None, place: str | None, gln: str | None, evidence: list[Path] | None
) -> dict[str, Any]:
    return {
        "at": at,
        "place": place or settings.text("place") or "",
        "gln": gln or settings.text("gln") or "",
        "evidence": tuple(evidence or ()),
    }


def _addresses(text: str) -> str:
    """One address, or those of several processes of one service."""
    for address in text.split(","):
        # gRPC would take a port modulo 65536, and look for a name without one somewhere else.
        match = _ADDRESS.fullmatch(address)
        if match is None or not 1 <= int(match[1]) <= 65_535:
            expected = (
                "HOST:PORT, such as ledger.example:7443 or [2001:db8::1]:7443, with a port from 1 to 65535"
            )
            raise BadInput(Reason.INVALID_REQUEST, "server", given=printable(address), expected=expected)
    return text


def _seconds(text: str) -> float:
    if not _SECONDS.fullmatch(text) or float(text) == 0:
        raise BadInput(
            Reason.INVALID_REQUEST,
            "timeout",
            given=printable(text),
            expected="seconds, more than 0 and less than 100000",
        )
    return float(text)
