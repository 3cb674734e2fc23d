"""How a log begins, and how its rules change."""

from __future__ import annotations

from dataclasses import replace

from ledger.errors import Conflict, NotAuthorized, Reason
from ledger.rules.case import Case, Judgement
from ledger.state import Charter, Party, PartyKey
from suyuan.v1 import event_pb2 as pb

FORMAT_VERSION = 1
"""The version of docs/format.md that this code reads and writes."""

KNOWN_RULES = range(1, 2)
"""The versions of the rules that this code can judge by."""


def genesis(case: Case, body: pb.Genesis) -> Judgement:
    """Entry 0: the log's identity, its versions, and the root regulator with its key."""
    if body.format_version != FORMAT_VERSION:
        raise Conflict(
            Reason.RULES_VERSION, "format version", given=body.format_version, expected=FORMAT_VERSION
        )
    require_known(body.rules_version)
    charter = Charter(str(case.chain), body.origin, body.format_version, body.rules_version, body.regulator)
    party = Party(
        party=body.regulator,
        role=pb.PARTY_ROLE_REGULATOR,
        name=body.regulator_name,
        status=pb.PARTY_STATUS_ACTIVE,
        licence_until="",
        accreditor=body.regulator,
        registered_index=case.index,
    )
    key = PartyKey(case.signer.key_id, body.regulator_key, body.regulator, case.index, 0)
    return Judgement((charter, party, key))


def rules_adoption(case: Case, body: pb.RulesAdoption) -> Judgement:
    """The root regulator adopts the next version of the rules."""
    charter = case.state.get(Charter, str(case.chain))
    if charter is None or case.signer.name != charter.regulator:
        raise NotAuthorized(
            Reason.WRONG_ROLE,
            "signer",
            given=case.signer.name or "purchase key",
            expected="the root regulator" if charter is None else f"the root regulator {charter.regulator}",
        )
    if body.rules_version != charter.rules_version + 1:
        raise Conflict(
            Reason.RULES_VERSION,
            "rules version",
            given=body.rules_version,
            expected=f"{charter.rules_version + 1}, the one after that in force",
        )
    return Judgement((replace(charter, rules_version=body.rules_version),))


def require_known(rules_version: int) -> None:
    """Refuse a version of the rules that this code cannot judge by.

    Raises:
        Conflict: `RULES_VERSION`.
    """
    if rules_version not in KNOWN_RULES:
        known = ", ".join(map(str, KNOWN_RULES))
        raise Conflict(
            Reason.RULES_VERSION,
            "rules version",
            given=rules_version,
            expected=f"one that this version of the software knows: {known}",
        )
