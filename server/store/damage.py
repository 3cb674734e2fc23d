"""Damage in the database, as far as a row alone can tell it.

The service acts on what its tables say. Before it does, each value has to be of its column's type (SQLite keeps
whatever was put there), a key the one that its id stands for, and a party one with a role. That a row is what the log
has led to is for `operator check` to find out: a sale that has lost its receipt, or a party that is no longer suspended,
looks sound. Only the heads of chains, which a new entry carries for ever, are compared with the log when they are read
(`server.store.heads`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from ledger.chain_key import ChainKey
from ledger.errors import LedgerError, Reason, ServiceFault
from ledger.keys import key_id_of
from ledger.state import Party, PartyKey, PurchaseKey, Record
from suyuan.v1 import event_pb2


def damage_of(where: str, error: LedgerError) -> ServiceFault:
    """What to raise for something stored that a reader refuses: that is no fault of the caller's.

    Args:
        where: what is stored there.
        error: what the reader says of it, which goes on as it is.
    """
    return ServiceFault(
        Reason.STORE_DAMAGED, f"{where}: {error.subject}", given=error.given, expected=error.expected
    )


def shown_value(value: object) -> str:
    """A value of a column for people: bytes as hexadecimal digits, a text without what cannot be printed."""
    if isinstance(value, bytes):
        return value.hex()
    return ascii(value)[1:-1] if isinstance(value, str) else str(value)


def damaged(where: str, given: str, expected: str) -> ServiceFault:
    """What to raise for something stored that cannot be right."""
    return ServiceFault(Reason.STORE_DAMAGED, where, given=given, expected=expected)


def of_another_type(names: Sequence[str], types: Sequence[type], row: Sequence[object]) -> tuple[str, str]:
    """The first value of a row that is of another type than its column: what was given, what was expected."""
    name, value, expected = next(
        (name, value, expected)
        for name, value, expected in zip(names, row, types, strict=True)
        if type(value) is not expected
    )
    return f"{name} of type {type(value).__name__}", expected.__name__


def what_is_wrong(record: Record) -> tuple[str, str] | None:
    """What makes a record impossible although its values are of their types: what was given, what was expected."""
    look = _LOOKS.get(type(record))
    return None if look is None else look(record)


def _wrong_key(key: PartyKey | PurchaseKey) -> tuple[str, str] | None:
    if key_id_of(key.public_key) != key.key_id:
        return "another public key", "the key that this is the id of"
    return None


def _wrong_party_key(key: PartyKey) -> tuple[str, str] | None:
    return _wrong_key(key) or _wrong_name(key.party)


def _wrong_party(party: Party) -> tuple[str, str] | None:
    if party.role not in event_pb2.PartyRole.values() or party.status not in event_pb2.PartyStatus.values():
        return f"role {party.role}, status {party.status}", "a role and a status"
    try:
        if party.licence_until:
            date.fromisoformat(party.licence_until)
    except ValueError:
        return f"licence_until {party.licence_until!a}", "a date, or nothing"
    return _wrong_name(party.party)


def _wrong_name(party: str) -> tuple[str, str] | None:
    try:
        ChainKey.parse(party)
    except LedgerError:
        return f"party {party!a}", "a chain key"
    return None


_LOOKS: dict[type[Any], Callable[[Any], tuple[str, str] | None]] = {
    Party: _wrong_party,
    PartyKey: _wrong_party_key,
    PurchaseKey: _wrong_key,
}
