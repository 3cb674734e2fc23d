"""What commands work with: the service, the user's key, the circumstances of what is said.

`reading`, `signing` and `buying` declare the shared options and turn them, the environment and the configuration file
into a session. Nothing is connected, read or asked for before a command needs it.
"""

from __future__ import annotations

import os
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from getpass import getpass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import typer

from clients.cli.codes import Subject, parse_time
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
    ServerOption,
    TimeoutOption,
    TokenOption,
    VkeyOption,
    YesOption,
)
from clients.cli.output import Format, Output
from clients.cli.settings import DEFAULT_SERVER, Settings, default_key_path
from clients.cli.status import Status
from clients.events import Circumstances, Commitment, evidence_of, write_event
from clients.keyfile import read_key
from clients.purchase_token import PREFIX, PurchaseToken
from clients.texts import TextFolder
from clients.trust import FileTrust, TrustStore
from ledger.chain_key import ChainKey
from ledger.envelope import Envelope
from ledger.errors import BadInput, Reason
from ledger.event import Event
from ledger.form import Body
from ledger.identifiers import printable
from ledger.keys import PrivateKey
from ledger.note import VerifierKey

if TYPE_CHECKING:
    from clients.sdk import LedgerClient

MAX_INPUT_BYTES = 1_000_000
"""What is read of a file that holds a passphrase, a token or a text."""

DEFAULT_TIMEOUT_S: Final = "15"
STANDARD_INPUT: Final = Path("-")

_SECONDS = re.compile(r"[0-9]{1,5}(?:\.[0-9]{1,3})?")


@dataclass
class Local:
    """What a command has that talks to nobody."""

    settings: Settings
    out: Output

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of what was opened."""


@dataclass
class Session(Local):
    """A command's dealings with one service."""

    target: str
    vkey_text: str | None
    ca: Path | None
    timeout_s: float
    _clients: list[LedgerClient] = field(default_factory=list)

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients:
            client.close()

    @cached_property
    def vkey(self) -> VerifierKey:
        """The log's verifier key.

        Raises:
            BadInput: `INVALID_REQUEST` if nobody told it: whom to believe cannot be learnt from who answers.
        """
        if not self.vkey_text:
            raise BadInput(
                Reason.INVALID_REQUEST,
                "verifier key of the log",
                given="none",
                expected="--vkey, $SUYUAN_VKEY or `vkey` in the configuration file. The log's operator prints it with "
                "`suyuan operator vkey`; get it in a way that you trust, for it decides what is believed",
            )
        return VerifierKey.parse(self.vkey_text)

    @cached_property
    def trust(self) -> FileTrust:
        """The checkpoints that this user has verified."""
        return FileTrust(self.settings.state / "trust")

    @cached_property
    def texts(self) -> TextFolder:
        """The texts that this user's events commit to."""
        return TextFolder(self.settings.state / "texts")

    @cached_property
    def client(self) -> LedgerClient:
        """The service, through the SDK."""
        return self.connect(self.trust)

    def connect(self, trust: TrustStore) -> LedgerClient:
        """A connection of its own, with its own memory of what it has seen; closed when the command ends."""
        from clients.sdk import LedgerClient  # noqa: PLC0415 - gRPC takes long to load, and not every call needs it

        client = LedgerClient(
            self.target,
            self.vkey,
            trust=trust,
            root_certificates=None if self.ca is None else read_input(self.ca, "root certificates"),
            timeout_s=self.timeout_s,
        )
        self._clients.append(client)
        return client


@dataclass
class Speaking(Session, ABC):
    """A session in which something is said."""

    at: str | None = None
    place: str = ""
    gln: str = ""
    evidence: tuple[Path, ...] = ()

    @cached_property
    def circumstances(self) -> Circumstances:
        """When and where what is said happened; one moment for all that one command says."""
        if self.gln and not self.place:
            raise BadInput(Reason.INVALID_REQUEST, "--gln", given="no --place", expected="the region too")
        return Circumstances(
            parse_time(self.at), self.place, self.gln, tuple(evidence_of(path) for path in self.evidence)
        )

    @property
    @abstractmethod
    def signer(self) -> PrivateKey:
        """The key that signs."""

    def require_place(self) -> None:
        """Refuse to go on where nobody said where it happened.

        Raises:
            BadInput: `INVALID_REQUEST`.
        """
        if not self.place:
            raise BadInput(
                Reason.INVALID_REQUEST,
                "place",
                given="none",
                expected="where it happened: --place, $SUYUAN_PLACE or `place` in the configuration file",
            )

    def event(self, chain: ChainKey, body: Body) -> Event:
        """A new event under these circumstances."""
        return write_event(chain, body, self.circumstances)

    def seal(self, event: Event) -> Envelope:
        """An event, signed."""
        return Envelope.seal(event.raw, self.signer)


@dataclass
class Signing(Speaking):
    """A session of a party, which signs with its key file."""

    key: Path = field(default_factory=default_key_path)
    passphrase_file: Path | None = None
    yes: bool = False

    @cached_property
    def signer(self) -> PrivateKey:
        """The party's key; its passphrase is asked for if it is encrypted."""
        return read_key(self.key, self._passphrase)

    def confirm(self, subjects: Iterable[Subject]) -> None:
        """Let the user see once more what was read from pictures, before it is signed.

        At a terminal the user is asked, unless `--yes` says not to.
        """
        seen = [subject for subject in subjects if subject.from_picture]
        if not seen or self.yes or not sys.stdin.isatty():
            return
        self.out.note("Read from pictures; compare with what is printed on them:")
        for subject in seen:
            self.out.note(f"  {subject.chain}  ({subject.source})")
        # Not by input(), which writes to standard output, where results go.
        print("Sign this? [y/N]: ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            self.out.note("Nothing was signed.")
            raise typer.Exit(Status.NEGATIVE)

    def _passphrase(self) -> bytes:
        if self.passphrase_file is not None:
            return first_line(self.passphrase_file)
        told = os.environ.get("SUYUAN_KEY_PASSPHRASE")
        if told:
            return told.encode()
        return ask_passphrase(f"Passphrase of {self.key}: ")


@dataclass
class Buying(Speaking):
    """A session of a buyer, who signs with the purchase key."""

    token_path: Path | None = None

    @cached_property
    def token(self) -> PurchaseToken:
        """The purchase token."""
        return read_token(self.token_path)

    @property
    def signer(self) -> PrivateKey:
        """The purchase key."""
        return self.token.key


def local(*, output: FormatOption = None, config: ConfigOption = None) -> Local:
    """What a command has that talks to nobody."""
    settings = Settings.load(config)
    return Local(settings, output_of(output, settings))


def reading(
    *,
    output: FormatOption = None,
    server: ServerOption = None,
    vkey: VkeyOption = None,
    ca: CaOption = None,
    timeout: TimeoutOption = None,
    config: ConfigOption = None,
) -> Session:
    """A session that only asks."""
    return Session(**_service(output=output, server=server, vkey=vkey, ca=ca, timeout=timeout, config=config))


def signing(
    *,
    key: KeyOption = None,
    passphrase_file: PassphraseFileOption = None,
    at: AtOption = None,
    place: PlaceOption = None,
    gln: GlnOption = None,
    evidence: EvidenceOption = None,
    yes: YesOption = False,
    output: FormatOption = None,
    server: ServerOption = None,
    vkey: VkeyOption = None,
    ca: CaOption = None,
    timeout: TimeoutOption = None,
    config: ConfigOption = None,
) -> Signing:
    """A session of a party."""
    service = _service(output=output, server=server, vkey=vkey, ca=ca, timeout=timeout, config=config)
    settings: Settings = service["settings"]
    return Signing(
        **service,
        **_circumstances(settings, at, place, gln, evidence),
        key=key or settings.path("key") or default_key_path(),
        passphrase_file=passphrase_file or settings.path("passphrase_file"),
        yes=yes,
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
    ca: CaOption = None,
    timeout: TimeoutOption = None,
    config: ConfigOption = None,
) -> Buying:
    """A session of a buyer."""
    service = _service(output=output, server=server, vkey=vkey, ca=ca, timeout=timeout, config=config)
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


def read_token(path: Path | None) -> PurchaseToken:
    """The purchase token from a text file, a picture, standard input (`-`), or else `$SUYUAN_TOKEN`.

    Raises:
        BadInput: `INVALID_REQUEST` if there is none or it cannot be read, `BAD_KEY` if it is no token. What was read
            is not repeated in messages: it may be a secret with a slip in it.
    """
    if path is None:
        told = os.environ.get("SUYUAN_TOKEN")
        if not told:
            raise BadInput(
                Reason.INVALID_REQUEST,
                "purchase token",
                given="none",
                expected="--token FILE, --token - for standard input, or the token in $SUYUAN_TOKEN",
            )
        return PurchaseToken.parse(told)
    content = read_input(path, "purchase token")
    if content.startswith(PREFIX.encode()) or path == STANDARD_INPUT:
        return PurchaseToken.parse(content.decode("utf-8", "replace"))
    return PurchaseToken.parse(_text_of_picture(path) or content.decode("utf-8", "replace"))


def read_input(path: Path, what: str) -> bytes:
    """A small file, or standard input where the path is `-`.

    Raises:
        BadInput: `INVALID_REQUEST`.
    """
    try:
        if path == STANDARD_INPUT:
            content = sys.stdin.buffer.read(MAX_INPUT_BYTES + 1)
        else:
            with path.open("rb") as file:
                content = file.read(MAX_INPUT_BYTES + 1)
    except OSError as error:
        raise BadInput(
            Reason.INVALID_REQUEST, f"{what} {path}", given=error.strerror, expected="a file that can be read"
        ) from error
    return content


def read_text(text: str | None, path: Path | None) -> str | None:
    """The words that a user gives as `--text` or `--text-file`; None if there are none.

    Raises:
        BadInput: `INVALID_REQUEST` if both are given, or the file is not UTF-8.
    """
    if text is not None and path is not None:
        raise BadInput(
            Reason.INVALID_REQUEST, "text", given="--text and --text-file", expected="one of the two"
        )
    if path is None:
        return text
    try:
        return read_input(path, "text").decode("utf-8").strip("\r\n")
    except UnicodeDecodeError:
        raise BadInput(
            Reason.INVALID_REQUEST, f"text {path}", given="other bytes", expected="UTF-8"
        ) from None


def commitment_to(text: str | None, path: Path | None) -> Commitment | None:
    """A commitment to the words that a user gives as `--text` or `--text-file`; None if there are none.

    Raises:
        BadInput: as `read_text` and `Commitment.to`.
    """
    words = read_text(text, path)
    return None if words is None else Commitment.to(words)


def first_line(path: Path) -> bytes:
    """The first line of a file with a passphrase, without its end."""
    return read_input(path, "passphrase file").split(b"\n", 1)[0].removesuffix(b"\r")


def ask_passphrase(prompt: str) -> bytes:
    """Ask for a passphrase at the terminal, without showing it.

    Raises:
        BadInput: `INVALID_REQUEST` if there is no terminal.
    """
    if not sys.stdin.isatty():
        raise BadInput(
            Reason.INVALID_REQUEST,
            "passphrase",
            given="none, and no terminal to ask at",
            expected="--passphrase-file FILE or $SUYUAN_KEY_PASSPHRASE",
        )
    return getpass(prompt).encode()


def _service(
    *,
    output: Format | None,
    server: str | None,
    vkey: str | None,
    ca: Path | None,
    timeout: str | None,
    config: Path | None,
) -> dict[str, Any]:
    settings = Settings.load(config)
    return {
        "settings": settings,
        "out": output_of(output, settings),
        "target": server or settings.text("server") or DEFAULT_SERVER,
        "vkey_text": vkey or settings.text("vkey"),
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


def _seconds(text: str) -> float:
    if not _SECONDS.fullmatch(text) or float(text) == 0:
        raise BadInput(
            Reason.INVALID_REQUEST, "timeout", given=printable(text), expected="seconds, more than 0"
        )
    return float(text)


def _text_of_picture(path: Path) -> str | None:
    """The purchase token among the symbols on a picture; None if it is no picture or has none."""
    from scanner.decode import decode_image  # noqa: PLC0415 - readers take long to load, and few calls need them

    try:
        symbols = decode_image(path)
    except BadInput:
        return None
    return next((symbol.text for symbol in symbols if symbol.text.startswith(PREFIX)), None)
