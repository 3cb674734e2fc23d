"""Who may act: registration, keys, status.

A regulator accredits anyone but another regulator's members, a platform merchants, and every company but a platform
its own members. Over a party that
exists, the same authority is with its accreditor, with its company (if it is a member) and, unless it is a regulator
itself, with every regulator. A party may add and revoke its own keys.
"""

from __future__ import annotations

from dataclasses import replace

from ledger.chain_key import ChainKey, ChainKind
from ledger.errors import Conflict, NotAuthorized, Reason
from ledger.form import malformed
from ledger.keys import key_id_of
from ledger.rules.case import Case, Judgement
from ledger.rules.signer import Signer, role_name
from ledger.state import Party, PartyKey, PurchaseKey
from suyuan.v1 import event_pb2 as pb


def registration(case: Case, body: pb.PartyRegistration) -> Judgement:
    """An accreditor registers a party with its first key."""
    accreditor = _accreditor(case)
    is_member = case.chain.kind is ChainKind.MEMBER
    if is_member:
        _may_register_member(case, body, accreditor)
    else:
        _may_register_company(body, accreditor)
    if case.state.get(Party, str(case.chain)) is not None:
        raise Conflict(
            Reason.PARTY_EXISTS, "party", given=str(case.chain), expected="a party not yet registered"
        )
    if is_member == bool(body.name):
        expected = "no name: a member is a pseudonym" if is_member else "the company's public name"
        raise malformed("name", repr(body.name), expected)
    party = Party(
        party=str(case.chain),
        role=body.role,
        name=body.name,
        status=pb.PARTY_STATUS_ACTIVE,
        licence_until=body.licence_until,
        accreditor=accreditor.party,
        registered_index=case.index,
    )
    return Judgement((party, _new_key(case, body.public_key)))


def key_addition(case: Case, body: pb.KeyAddition) -> Judgement:
    """A party, or who has authority over it, adds a key."""
    _require_self_or_authority(case)
    return Judgement((_new_key(case, body.public_key),))


def key_revocation(case: Case, body: pb.KeyRevocation) -> Judgement:
    """A party, or who has authority over it, revokes a key; revoking it again changes nothing."""
    _require_self_or_authority(case)
    key = case.state.get(PartyKey, body.key_id)
    if key is None or key.party != str(case.chain):
        raise Conflict(
            Reason.KEY_UNKNOWN, "key", given=body.key_id.hex(), expected=f"id of a key of {case.chain}"
        )
    if key.revoked_at_us:
        return Judgement()
    return Judgement((replace(key, revoked_at_us=case.recorded_at_us),))


def status_change(case: Case, body: pb.PartyStatusChange) -> Judgement:
    """Who has authority over a party suspends or reinstates it, or renews its licence."""
    party = _registered(case)
    _require_authority(case, party)
    return Judgement(
        (replace(party, status=body.status, licence_until=body.licence_until or party.licence_until),)
    )


def _may_register_company(body: pb.PartyRegistration, accreditor: Party) -> None:
    if accreditor.role == pb.PARTY_ROLE_REGULATOR:
        return
    if accreditor.role != pb.PARTY_ROLE_PLATFORM or body.role != pb.PARTY_ROLE_MERCHANT:
        raise NotAuthorized(
            Reason.WRONG_ROLE,
            f"accreditor of a {role_name(body.role)}",
            given=f"{role_name(accreditor.role)} {accreditor.party}",
            expected="a regulator, or a platform for a merchant",
        )


def _may_register_member(case: Case, body: pb.PartyRegistration, accreditor: Party) -> None:
    company_name = str(case.chain.company)
    company = case.state.get(Party, company_name)
    if company is None:
        raise Conflict(Reason.PARTY_UNKNOWN, "company", given=company_name, expected="a registered party")
    if company.role == pb.PARTY_ROLE_REGULATOR:
        # Or one regulator could make itself another's voice.
        allowed = accreditor.party == company_name
    elif company.role == pb.PARTY_ROLE_PLATFORM:
        allowed = accreditor.role == pb.PARTY_ROLE_REGULATOR
    else:
        allowed = accreditor.role == pb.PARTY_ROLE_REGULATOR or accreditor.party == company_name
    if not allowed:
        raise NotAuthorized(
            Reason.NOT_ACCREDITOR,
            f"accreditor of {case.chain}",
            given=f"{role_name(accreditor.role)} {accreditor.party}",
            expected="its company, unless that is a platform, or a regulator, unless the company is one",
        )
    if body.role != company.role:
        raise NotAuthorized(
            Reason.WRONG_ROLE,
            "role of a member",
            given=role_name(body.role),
            expected=role_name(company.role),
        )


def _accreditor(case: Case) -> Party:
    """The company that signs as an accreditor: active, licensed, and with a key of its own, not a member's."""
    signer = case.signer
    if signer.party is None or (signer.party is not signer.company and signer.party != signer.company):
        raise NotAuthorized(
            Reason.WRONG_ROLE,
            "accreditor",
            given=f"member {signer.name}" if signer.party else "purchase key",
            expected="a company's or authority's own key",
        )
    _require_licence(signer, case.recorded_at_us)
    return signer.party


def _require_licence(signer: Signer, at_us: int) -> None:
    lapsed = signer.lapsed(at_us)
    if lapsed is not None:
        raise NotAuthorized(
            Reason.PARTY_NOT_ACTIVE,
            lapsed.party,
            given=f"a licence that ended on {lapsed.licence_until}",
            expected="a licence in force",
        )


def _registered(case: Case) -> Party:
    party = case.state.get(Party, str(case.chain))
    if party is None:
        raise Conflict(Reason.PARTY_UNKNOWN, "party", given=str(case.chain), expected="a registered party")
    return party


def _require_self_or_authority(case: Case) -> None:
    party = _registered(case)
    if case.signer.name != party.party:
        _require_authority(case, party)


def _require_authority(case: Case, party: Party) -> None:
    accreditor = _accreditor(case)
    oversees = (
        (accreditor.role == pb.PARTY_ROLE_REGULATOR and party.role != pb.PARTY_ROLE_REGULATOR)
        or accreditor.party == party.accreditor != party.party
        or (ChainKey.parse(party.party).kind is ChainKind.MEMBER and accreditor.party == _company_of(party))
    )
    if not oversees:
        raise NotAuthorized(
            Reason.NOT_ACCREDITOR,
            f"authority over {party.party}",
            given=f"{role_name(accreditor.role)} {accreditor.party}",
            expected=f"its accreditor {party.accreditor}, its company or a regulator",
        )


def _company_of(party: Party) -> str:
    return str(ChainKey.parse(party.party).company)


def _new_key(case: Case, spki: bytes) -> PartyKey:
    key_id = key_id_of(spki)
    if case.state.get(PartyKey, key_id) is not None or case.state.get(PurchaseKey, key_id) is not None:
        raise Conflict(
            Reason.KEY_IN_USE, "key", given=key_id.hex(), expected="a key that belongs to nobody yet"
        )
    return PartyKey(key_id, spki, str(case.chain), case.index, 0)
