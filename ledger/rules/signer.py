"""Who speaks: the holder of a key, and what it may do.

A key belongs to a party (a company, an authority, or a member of one) or to the buyer of one sale. A member acts in
its company's role; to accredit others, only the company's own keys will do.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache

from ledger.chain_key import ChainKey
from ledger.errors import Conflict, NotAuthorized, Reason
from ledger.event import Event, Kind, moment
from ledger.keys import key_id_of
from ledger.state import Party, PartyKey, PurchaseKey, Reader
from ledger.value import value
from suyuan.v1 import event_pb2 as pb

_DAY_US = 24 * 60 * 60 * 1_000_000
_CHINA_US = 8 * 60 * 60 * 1_000_000
_EPOCH = date(1970, 1, 1)
_KEPT = 16_384


@value(frozen=True, slots=True)
class Signer:
    """Who signed an event."""

    key_id: bytes
    public_key: bytes
    """DER SubjectPublicKeyInfo."""
    party: Party | None = None
    """The holder; None for a buyer."""
    company: Party | None = None
    """The company that the holder is or belongs to; None for a buyer."""
    revoked_at_us: int = 0
    """When the key's revocation was recorded; 0: not revoked."""
    purchase: PurchaseKey | None = None
    """The purchase whose buyer signed; None for a party."""

    @property
    def name(self) -> str:
        """Chain key of the party; empty for a buyer."""
        return self.party.party if self.party else ""

    @property
    def role(self) -> int:
        """A value of `suyuan.v1.PartyRole`; 0 for a buyer."""
        return self.party.role if self.party else 0

    def require_active(self) -> None:
        """Refuse a revoked key, a suspended party and a member of a suspended company.

        Raises:
            NotAuthorized: `KEY_REVOKED` or `PARTY_NOT_ACTIVE`.
        """
        if self.revoked_at_us:
            raise NotAuthorized(
                Reason.KEY_REVOKED,
                f"key {self.key_id.hex()} of {self.name}",
                given=f"a key revoked at {moment(self.revoked_at_us).isoformat()}",
                expected="a key that is not revoked",
            )
        for party in (self.party, self.company):
            if party is not None and not party.active:
                raise NotAuthorized(
                    Reason.PARTY_NOT_ACTIVE,
                    party.party,
                    given="a suspended party",
                    expected="an active party",
                )

    def require_role(self, *roles: int, otherwise: str = "") -> Party:
        """The company of a signer that has one of these roles.

        Args:
            roles: those that may speak.
            otherwise: who else may, for the message; whoever calls has found that it is not this one.

        Raises:
            NotAuthorized: `WRONG_ROLE`.
        """
        if self.company is None or self.role not in roles:
            raise NotAuthorized(
                Reason.WRONG_ROLE,
                "signer",
                given=f"{role_name(self.role)} {self.name}".rstrip(),
                expected=" or ".join([*map(role_name, roles), *filter(None, [otherwise])]),
            )
        return self.company

    def lapsed(self, at_us: int) -> Party | None:
        """The party whose licence had run out at this time: the signer or its company; None if neither had."""
        for party in (self.party, self.company):
            if party is not None and licence_lapsed(party.licence_until, at_us):
                return party
        return None


def identify(event: Event, key_id: bytes, state: Reader) -> Signer:
    """Who holds the key that an event names as its signer's.

    The genesis is signed by the key that it names itself; nobody is registered before it.

    Raises:
        NotAuthorized: `UNKNOWN_KEY`.
    """
    if event.kind is Kind.GENESIS:
        genesis = event.message.genesis
        if key_id_of(genesis.regulator_key) == key_id:
            root = Party(genesis.regulator, pb.PARTY_ROLE_REGULATOR, genesis.regulator_name, pb.PARTY_STATUS_ACTIVE,
                         "", genesis.regulator, 0)  # fmt: skip
            return Signer(key_id, genesis.regulator_key, root, root)
    key = state.get(PartyKey, key_id)
    if key is not None:
        party = _party(key.party, state)
        company = company_of(key.party)
        holder = party if company == key.party else _party(company, state)
        return Signer(key_id, key.public_key, party, holder, key.revoked_at_us)
    purchase = state.get(PurchaseKey, key_id)
    if purchase is not None:
        return Signer(key_id, purchase.public_key, purchase=purchase)
    raise NotAuthorized(
        Reason.UNKNOWN_KEY,
        "signing key",
        given=key_id.hex(),
        expected="a key of a registered party or of a purchase",
    )


def role_name(role: int) -> str:
    """What a role is called in messages."""
    return "purchase key" if role == 0 else pb.PartyRole.Name(pb.PartyRole.ValueType(role))[11:].lower()


def licence_lapsed(licence_until: str, at_us: int) -> bool:
    """Whether a licence had run out at this time; it holds to the end of its last day in China.

    Args:
        licence_until: the last day (ISO 8601), or empty: then it never does.
        at_us: microseconds since 1970-01-01T00:00:00Z.
    """
    return bool(licence_until) and at_us >= _end_us(licence_until)


@lru_cache(maxsize=_KEPT)
def company_of(party: str) -> str:
    """Chain key of the company that a party is, or belongs to."""
    return str(ChainKey.parse(party).company)


@lru_cache(maxsize=_KEPT)
def _end_us(last_day: str) -> int:
    """When the day after this one begins in China, microseconds since 1970-01-01T00:00:00Z."""
    days = date.fromisoformat(last_day).toordinal() + 1 - _EPOCH.toordinal()
    return days * _DAY_US - _CHINA_US


def _party(name: str, state: Reader) -> Party:
    party = state.get(Party, name)
    if party is None:
        raise Conflict(Reason.PARTY_UNKNOWN, "party", given=name, expected="a registered party")
    return party
