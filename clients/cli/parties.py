"""Who may speak: what regulators, platforms, merchants and couriers do alike about parties and their keys."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from clients.cli.codes import parse_hash, parse_party
from clients.cli.forms import number
from clients.cli.inputs import read_input
from clients.cli.recording import Draft, record
from clients.cli.session import Session, Signing
from clients.cli.words import Role
from ledger.chain_key import ChainKey
from ledger.errors import BadInput, Conflict, NotAuthorized, Reason
from ledger.identifiers import printable
from ledger.keys import PublicKey
from suyuan.v1 import event_pb2 as pb

PartyArgument = Annotated[
    str, typer.Argument(metavar="PARTY", help="USCC of a company, or <USCC>/<member>, or the chain key.")
]
MemberArgument = Annotated[
    str, typer.Argument(metavar="MEMBER", help="A pseudonym such as a badge number, never a person's name.")
]
OptionalMemberArgument = Annotated[
    str | None,
    typer.Argument(metavar="MEMBER", help="Whose key it is; by default the company's own."),
]
PublicKeyOption = Annotated[
    Path,
    typer.Option(
        "--public-key",
        metavar="FILE",
        help="The party's public key, the .pub file that `suyuan keygen` made.",
    ),
]
NameOption = Annotated[str, typer.Option("--name", metavar="NAME", help="Public name of the company.")]
LicenceNumberOption = Annotated[
    str, typer.Option("--licence-number", metavar="NUMBER", help="Number of the business licence.")
]
LicenceUntilOption = Annotated[
    str, typer.Option("--licence-until", metavar="DATE", help="Last day of the licence, as 2027-03-31.")
]
OwnPartyOption = Annotated[
    str | None,
    typer.Option(
        "--party",
        envvar="SUYUAN_PARTY",
        metavar="PARTY",
        help="Your company; by default the holder of your key.",
    ),
]


def register(
    session: Signing,
    chain: ChainKey,
    role: Role,
    public_key: Path,
    *,
    name: str = "",
    licence_number: str = "",
    licence_until: str = "",
) -> None:
    """Record the registration of a party."""
    body = pb.PartyRegistration(
        role=number(role),
        name=name,
        public_key=read_public_key(public_key).spki,
        licence_number=licence_number,
        licence_until=check_date(licence_until),
    )
    record(session, [Draft.write(session, f"registration as {role}", chain, body)])


def register_member(session: Signing, member: str, role: Role, public_key: Path, party: str | None) -> None:
    """Record the registration of a member of the signer's own company."""
    company = own_company(session, party)
    register(session, ChainKey.member(company.uscc, member), role, public_key)


def add_key(session: Signing, chain: ChainKey, public_key: Path) -> None:
    """Record one key more of a party."""
    body = pb.KeyAddition(public_key=read_public_key(public_key).spki)
    record(session, [Draft.write(session, "one key more", chain, body)])


def add_own_key(session: Signing, member: str | None, public_key: Path, party: str | None) -> None:
    """Record one key more of the signer's own company, or of a member of it."""
    company = own_company(session, party)
    chain = company if member is None else ChainKey.member(company.uscc, member)
    add_key(session, chain, public_key)


def own_company(session: Signing, told: str | None) -> ChainKey:
    """The company that signs: as told, or the one that the signer's key belongs to.

    Raises:
        NotAuthorized: `UNKNOWN_KEY` if the ledger does not know the key.
    """
    named = told or session.settings.text("party")
    if named:
        return parse_party(named).company
    key_id = session.signer.public_key.key_id
    return ChainKey.parse(party_of_key(session, key_id)).company


def party_of_key(session: Session, key_id: bytes) -> str:
    """Chain key of the party that holds a key.

    Raises:
        NotAuthorized: `UNKNOWN_KEY` if nobody does.
    """
    try:
        return session.client.key(key_id).key.party
    except Conflict as error:
        if error.reason is not Reason.NOT_FOUND:
            raise
        raise NotAuthorized(
            Reason.UNKNOWN_KEY, "key", given=key_id.hex(), expected="a key of a registered party"
        ) from None


def read_public_key(path: Path) -> PublicKey:
    """A public key from a PEM file.

    Raises:
        BadInput: `INVALID_REQUEST` if it cannot be read, `BAD_KEY` if it is none.
    """
    pem = read_input(path, "public key")
    expected = "a PEM public key, the .pub file that `suyuan keygen` makes"
    if b"PRIVATE KEY" in pem:
        raise BadInput(
            Reason.BAD_KEY,
            f"public key {path}",
            given="a private key, not to be shown to anyone",
            expected=expected,
        )
    try:
        spki = load_pem_public_key(pem).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        raise BadInput(
            Reason.BAD_KEY, f"public key {path}", given="something else", expected=expected
        ) from None
    return PublicKey.parse(spki)


def read_key_id(text: str) -> bytes:
    """The id of a key: 64 hexadecimal digits, or that of the public key in a file.

    Raises:
        BadInput: `BAD_IDENTIFIER`, or as `read_public_key`.
    """
    path = Path(text)
    if len(text) != 64 and path.is_file():
        return read_public_key(path).key_id
    return parse_hash("key", text)


def check_date(text: str) -> str:
    """A date of a licence, or nothing.

    Raises:
        BadInput: `INVALID_REQUEST` if it is no date.
    """
    try:
        if text and date.fromisoformat(text).isoformat() != text:
            raise ValueError  # noqa: TRY301 - one message for both
    except ValueError:
        raise BadInput(
            Reason.INVALID_REQUEST, "--licence-until", given=printable(text), expected="a date as 2027-03-31"
        ) from None
    return text


class PartyNames:
    """Public names of parties, each asked for once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._names: dict[str, str] = {}

    def of(self, party: str) -> str:
        """The name of a company, or of a member's company with the member's pseudonym; empty for a buyer."""
        if not party:
            return ""
        if party not in self._names:
            chain = ChainKey.parse(party)
            company = self._session.client.party(chain.company).party.name
            self._names[party] = company if chain == chain.company else f"{company} / {chain.member_name}"
        return self._names[party]
