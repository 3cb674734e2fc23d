"""What commands work with: the service, the user's key, the circumstances of what is said.

Nothing is connected, read or asked for before a command needs it. `clients.cli.given` makes sessions from options.
"""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import typer

from clients.cli import catalogue
from clients.cli.codes import Subject, parse_time
from clients.cli.inputs import ask_passphrase, first_line, read_input, read_token
from clients.cli.output import Output
from clients.cli.settings import Settings, default_key_path
from clients.cli.status import Status
from clients.events import Circumstances, evidence_of, write_event
from clients.keyfile import read_key
from clients.purchase_token import PurchaseToken
from clients.texts import TextFolder
from clients.trust import FileTrust, TrustStore
from ledger.chain_key import ChainKey
from ledger.envelope import Envelope
from ledger.errors import BadInput, Reason
from ledger.event import Event
from ledger.form import Body
from ledger.keys import PrivateKey
from ledger.note import VerifierKey
from ledger.policy import Policy

if TYPE_CHECKING:
    from clients.sdk import LedgerClient


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
class Believing(Local):
    """What a command has that believes a log, and talks to nobody."""

    vkey_text: str | None
    policy_path: Path | None

    @cached_property
    def policy(self) -> Policy:
        """Whom to believe: the keys of one log, and the witnesses that must have seen what it shows.

        Keys that were told count instead of those in the policy's file.

        Raises:
            BadInput: `INVALID_REQUEST` if nobody told: whom to believe cannot be learnt from who answers; or if what
                was told names several logs.
        """
        vkeys = [VerifierKey.parse(word) for word in (self.vkey_text or "").split()]
        policy = Policy.of(*vkeys)
        if self.policy_path is not None:
            told = Policy.parse(read_input(self.policy_path, "policy"))
            policy = told.with_logs(*vkeys) if vkeys else told
        if not policy.logs:
            raise BadInput(
                Reason.INVALID_REQUEST,
                "verifier key of the log",
                given="none",
                expected="--vkey, $SUYUAN_VKEY or `vkey` in the configuration file. The log's operator prints it with "
                "`suyuan operator vkey`; get it in a way that you trust, for it decides what is believed",
            )
        if len(policy.origins) != 1:
            raise BadInput(
                Reason.INVALID_REQUEST,
                "logs to believe",
                given=", ".join(policy.origins),
                expected="one: say which by --vkey",
            )
        return policy

    @property
    def origin(self) -> str:
        """The log's identity."""
        return self.policy.origins[0]

    @property
    def vkeys(self) -> tuple[VerifierKey, ...]:
        """The log's verifier keys; several while it changes its key."""
        return self.policy.keys_of(self.origin)


@dataclass
class Session(Believing):
    """A command's dealings with one service."""

    target: str
    ca: Path | None
    timeout_s: float
    _clients: list[LedgerClient] = field(default_factory=list)

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients:
            client.close()

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

    def connect(self, trust: TrustStore, policy: Policy | None = None) -> LedgerClient:
        """A connection of its own, with its own memory of what it has seen; closed when the command ends.

        Args:
            trust: the memory.
            policy: whom to believe, if not whom the user believes.
        """
        from clients.sdk import LedgerClient  # noqa: PLC0415 - gRPC takes long to load, and not every call needs it

        client = LedgerClient(
            self.target,
            policy or self.policy,
            trust=trust,
            root_certificates=None if self.ca is None else read_input(self.ca, "root certificates"),
            timeout_s=self.timeout_s,
            witness_timeout_s=self.timeout_s,
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
    sure: bool = False

    @cached_property
    def signer(self) -> PrivateKey:
        """The party's key; its passphrase is asked for if it is encrypted."""
        return read_key(self.key, self._passphrase)

    def confirm(self, subjects: Iterable[Subject]) -> None:
        """Let the user see once more what is to be signed, where it was read from pictures or looks like a misreading.

        It is looked up in the ledger first (`clients.catalogue`). At a terminal the user is asked, unless `--yes` says
        not to; where a code is in doubt, that is not enough, and nobody there to ask ends the command.

        Raises:
            BadInput: `AMBIGUOUS_CODE` if a code is in doubt, and there is nobody to ask.
            BrokenProof: what the service said of the codes did not verify.
        """
        subjects = list(subjects)
        doubtful = catalogue.check(self, subjects)
        if self.sure:
            doubtful = []
        seen = [subject for subject in subjects if subject.from_picture]
        has_asker = sys.stdin.isatty() and not self.yes
        if doubtful and not has_asker:
            raise catalogue.doubt(subjects, doubtful)
        if not has_asker or not (seen or doubtful):
            return
        if seen:
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
