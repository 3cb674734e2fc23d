"""Whom to believe: the logs, the witnesses, and how many of them must have seen the same.

Source: C2SP tlog-policy. A policy is a text of lines:

    log ledger.example/fuzhou+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k
    witness consumers consumers.example/w1+… https://consumers.example/witness
    witness university university.example/w1+…
    group outsiders any consumers university
    quorum outsiders

`log` lines give the keys that checkpoints are signed with; two of the same name are one log that changes its key.
`witness` lines name keys that cosign. A `group` has seen a checkpoint if enough of its members have: a number, `any`
or `all`. `quorum` says which witness or group has to have seen a checkpoint before it is believed; `none` asks for no
cosignature. Names are for use within the text only.

Strictly read, as the specification has it: what a line may not say is an error that names the line.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from ledger.checkpoint import Checkpoint, open_checkpoint
from ledger.cosignature import COSIGNATURE_TYPES, Cosignature, cosignatures_of
from ledger.errors import BadInput, BrokenProof, LedgerError, Reason
from ledger.note import ED25519, SignedNote, VerifierKey

NONE = "none"
"""The predefined name of a quorum that needs nobody."""

MAX_LINES = 1_000
MAX_BYTES = 1_000_000

_NOT_ALLOWED = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_NUMBER = re.compile(r"[1-9][0-9]{0,3}")


@dataclass(frozen=True, slots=True)
class PolicyLog:
    """A log that is believed."""

    vkey: VerifierKey
    url: str = ""


@dataclass(frozen=True, slots=True)
class PolicyWitness:
    """A witness that counts."""

    name: str
    """What the policy calls it."""
    vkey: VerifierKey
    url: str = ""
    """Its submission prefix (C2SP tlog-witness), or empty."""


@dataclass(frozen=True, slots=True)
class Group:
    """Witnesses and groups of which some suffice."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Which checkpoints are believed."""

    logs: tuple[PolicyLog, ...] = ()
    witnesses: tuple[PolicyWitness, ...] = ()
    groups: tuple[Group, ...] = ()
    quorum: str = NONE
    text: str = field(default="quorum none\n", compare=False, repr=False)
    """As it was read, comments and all."""

    @classmethod
    def parse(cls, raw: bytes) -> Policy:
        """The policy that these bytes say.

        Raises:
            BadInput: `INVALID_REQUEST`; the message names the line. `BAD_KEY` or `UNSUPPORTED_ALGORITHM` for a key.
        """
        return _Reading().read(raw)

    @classmethod
    def of(cls, *vkeys: VerifierKey) -> Policy:
        """The policy to believe whatever one of these keys has signed, which are keys of one log or of several."""
        text = "".join(f"log {vkey}\n" for vkey in vkeys) + f"quorum {NONE}\n"
        return cls(tuple(PolicyLog(vkey) for vkey in vkeys), text=text)

    def with_logs(self, *vkeys: VerifierKey) -> Policy:
        """The same witnesses and quorum, for logs that sign with these keys and no others."""
        return replace(self, logs=tuple(PolicyLog(vkey) for vkey in vkeys))

    @property
    def origins(self) -> tuple[str, ...]:
        """The logs that it names, each once."""
        return tuple(dict.fromkeys(log.vkey.name for log in self.logs))

    @property
    def needs_witnesses(self) -> bool:
        """Whether a checkpoint needs any cosignature."""
        return self.quorum != NONE

    def keys_of(self, origin: str) -> tuple[VerifierKey, ...]:
        """The keys of the log of this name, which may be changing its key and have several."""
        return tuple(log.vkey for log in self.logs if log.vkey.name == origin)

    def satisfied_by(self, names: Collection[str]) -> bool:
        """Whether these witnesses, by the policy's names, are a quorum."""
        seen = {NONE, *names}
        # A group names only what stands before it, so one pass settles all of them.
        for group in self.groups:
            if sum(member in seen for member in group.members) >= group.threshold:
                seen.add(group.name)
        return self.quorum in seen

    def cosignatures(self, note: SignedNote) -> tuple[Cosignature, ...]:
        """The cosignatures below a note by this policy's witnesses, each verified.

        Raises:
            BrokenProof: one of them does not verify (`BAD_NOTE`).
        """
        return cosignatures_of(note, [witness.vkey for witness in self.witnesses])

    def names_of(self, cosignatures: Iterable[Cosignature]) -> tuple[str, ...]:
        """What the policy calls those who cosigned, in its own order."""
        keys = {cosignature.key for cosignature in cosignatures}
        return tuple(witness.name for witness in self.witnesses if witness.vkey in keys)

    def require_quorum(self, note: bytes | SignedNote) -> tuple[Cosignature, ...]:
        """Refuse a checkpoint that not enough witnesses have seen; returns the cosignatures that count.

        The log's own signature is another question (`open`).

        Raises:
            BrokenProof: `UNWITNESSED`; `BAD_NOTE` if a cosignature that bears the name of a witness does not verify.
        """
        signed = note if isinstance(note, SignedNote) else SignedNote.parse(note)
        cosignatures = self.cosignatures(signed)
        names = self.names_of(cosignatures)
        if not self.satisfied_by(names):
            origin = signed.text.partition("\n")[0]
            raise BrokenProof(
                Reason.UNWITNESSED,
                f"cosignatures of the checkpoint of {origin[:80]}",
                given=", ".join(map(printable_name, names)) or "none that count",
                expected=f"a quorum: {self.wanted}",
            )
        return cosignatures

    def open(self, note: bytes, origin: str) -> tuple[Checkpoint, tuple[Cosignature, ...]]:
        """The checkpoint in a note, after all that this policy asks for: the log's signature and a quorum.

        Raises:
            BadInput: the policy names no key of this log (`BAD_KEY`).
            BrokenProof: as `open_checkpoint` and `require_quorum` say.
        """
        checkpoint = open_checkpoint(note, origin, self.keys_of(origin))
        return checkpoint, self.require_quorum(note)

    @property
    def wanted(self) -> str:
        """The quorum, for people."""
        return self.describe(self.quorum)

    def describe(self, name: str) -> str:
        """Who stands behind a name, for people: `2 of (a, b, c)`."""
        told: dict[str, str] = {}
        # As in `satisfied_by`; each name is a member once, so the text is no longer than the policy.
        for group in self.groups:
            inner = ", ".join(told.get(member) or printable_name(member) for member in group.members)
            told[group.name] = f"{group.threshold} of ({inner})"
        return told.get(name) or printable_name(name)


def printable_name(name: str) -> str:
    """A name, which may be any bytes, as it can be shown."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class _Reading:
    """A policy being read, line by line."""

    def __init__(self) -> None:
        self._logs: list[PolicyLog] = []
        self._witnesses: list[PolicyWitness] = []
        self._groups: list[Group] = []
        self._quorum: str | None = None
        self._defined: set[str] = set()
        self._used: set[str] = set()
        self._line = 0

    def read(self, raw: bytes) -> Policy:
        if len(raw) > MAX_BYTES:
            raise self._wrong("policy", f"{len(raw)} bytes", f"at most {MAX_BYTES} bytes")
        if raw and not raw.endswith(b"\n"):
            raise self._wrong("end of the policy", repr(raw[-16:]), "a newline")
        found = _NOT_ALLOWED.search(raw)
        if found:
            self._line = raw.count(b"\n", 0, found.start()) + 1
            raise self._wrong("character", repr(found[0]), "no control characters but tab and newline")
        # Names are opaque octets: this decoding keeps any two of them apart, and any text as it was.
        text = raw.decode("utf-8", "surrogateescape")
        lines = text.split("\n")[:-1]
        if len(lines) > MAX_LINES:
            raise self._wrong("policy", f"{len(lines)} lines", f"at most {MAX_LINES} lines")
        for number, line in enumerate(lines, 1):
            self._line = number
            words = [word for word in re.split(r"[ \t]+", line) if word]
            if words and not words[0].startswith("#"):
                self._read_line(words)
        if self._quorum is None:
            raise BadInput(Reason.INVALID_REQUEST, "policy", given="no quorum line", expected="exactly one")
        return Policy(tuple(self._logs), tuple(self._witnesses), tuple(self._groups), self._quorum, text)

    def _read_line(self, words: list[str]) -> None:
        match words:
            case ["log", vkey, *url] if len(url) <= 1:
                self._log(vkey, *url)
            case ["witness", name, vkey, *url] if len(url) <= 1:
                self._witness(name, vkey, *url)
            case ["group", name, threshold, *members]:
                self._group(name, threshold, tuple(members))
            case ["quorum", name]:
                self._read_quorum(name)
            case _:
                expected = (
                    "log VKEY [URL], witness NAME VKEY [URL], group NAME any|all|NUMBER NAME…, or quorum NAME"
                )
                raise self._wrong("line", repr(printable_name(" ".join(words))[:80]), expected)

    def _log(self, vkey: str, url: str = "") -> None:
        key = self._key(vkey, (ED25519,), "0x01 (Ed25519)")
        if any(log.vkey.public_key == key.public_key for log in self._logs):
            raise self._wrong("log", "a public key that stands there already", "each key once")
        self._logs.append(PolicyLog(key, url))

    def _witness(self, name: str, vkey: str, url: str = "") -> None:
        key = self._key(vkey, COSIGNATURE_TYPES, "0x04 or 0x06 (cosignature)")
        if any(witness.vkey.public_key == key.public_key for witness in self._witnesses):
            raise self._wrong("witness", "a public key that stands there already", "each key once")
        self._define(name)
        self._witnesses.append(PolicyWitness(name, key, url))

    def _group(self, name: str, threshold: str, members: tuple[str, ...]) -> None:
        if not members:
            raise self._wrong(f"group {printable_name(name)}", "no members", "at least one")
        for member in members:
            # "Each defined name can be listed as a group member at most once": nobody's word counts twice.
            if member not in self._defined or member in self._used:
                given = f"{printable_name(member)}, {'a member already' if member in self._used else 'not defined'}"
                raise self._wrong(
                    f"member of group {printable_name(name)}", given, "a name defined above, used once"
                )
            self._used.add(member)
        if threshold == "any":
            needed = 1
        elif threshold == "all":
            needed = len(members)
        else:
            needed = int(threshold) if _NUMBER.fullmatch(threshold) else 0
            if not 1 <= needed <= len(members):
                raise self._wrong(
                    f"threshold of group {printable_name(name)}",
                    repr(printable_name(threshold)[:20]),
                    f"any, all, or 1 to {len(members)}",
                )
        self._define(name)
        self._groups.append(Group(name, needed, members))

    def _read_quorum(self, name: str) -> None:
        if self._quorum is not None:
            raise self._wrong("quorum", "a second quorum line", "exactly one")
        if name != NONE and name not in self._defined:
            raise self._wrong("quorum", printable_name(name), "none, or a name defined above")
        self._quorum = name

    def _define(self, name: str) -> None:
        if name == NONE or name in self._defined:
            raise self._wrong("name", printable_name(name), "a name of its own, and not `none`")
        self._defined.add(name)

    def _key(self, vkey: str, types: tuple[int, ...], expected: str) -> VerifierKey:
        try:
            key = VerifierKey.parse(vkey)
        except LedgerError as error:
            raise BadInput(
                error.reason,
                f"policy, line {self._line}: {error.subject}",
                given=error.given,
                expected=error.expected,
            ) from error
        if key.key_type not in types:
            raise self._wrong("key type", f"0x{key.key_type:02x}", expected, Reason.UNSUPPORTED_ALGORITHM)
        return key

    def _wrong(
        self, subject: str, given: object, expected: str, reason: Reason = Reason.INVALID_REQUEST
    ) -> BadInput:
        where = f"policy, line {self._line}: {subject}" if self._line else subject
        return BadInput(reason, where, given=given, expected=expected)
