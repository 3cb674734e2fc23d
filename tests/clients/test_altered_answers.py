"""Whatever is altered in an answer, anywhere: the client raises, or what it returns is the truth all the same.

Each field of each message in a true answer is altered in turn, one at a time, and given to a client that has seen
nothing before. Fields that are the service's word are left out; they are few, and named here.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.protobuf.message import Message
from town import LOT
from world import CARRIER_MEMBER, CUP, MERCHANT, PARCEL, TEA

from clients.sdk import LedgerClient
from ledger.errors import BrokenProof, LedgerError, ServiceFault

Alteration = tuple[str, Callable[[Any], None]]

THE_SERVICES_WORD = {"flags", "already_recorded"}


def alterations(message: Message) -> Iterator[Alteration]:
    """Every alteration of a message: what it is called, and what does it to a copy."""
    for field in message.DESCRIPTOR.fields:
        if field.name in THE_SERVICES_WORD:
            continue
        if field.is_repeated:
            yield from _of_a_list(field, getattr(message, field.name))
        elif field.message_type is not None:
            if message.HasField(field.name):
                yield f"{field.name} cleared", lambda copy, name=field.name: copy.ClearField(name)
                for what, alter in alterations(getattr(message, field.name)):
                    yield (
                        f"{field.name}.{what}",
                        lambda copy, name=field.name, alter=alter: alter(getattr(copy, name)),
                    )
        elif field.containing_oneof is None or message.HasField(field.name):
            for what, value in _other_values(field.name, getattr(message, field.name)):
                yield (
                    f"{field.name} {what}",
                    lambda copy, name=field.name, value=value: setattr(copy, name, value),
                )


def _of_a_list(field: Any, values: Any) -> Iterator[Alteration]:
    for number, value in enumerate(values):
        if isinstance(value, bytes) and 0 < number < len(values) - 1:
            continue  # of a proof's hashes, the first and the last: test_verify.py flips every bit
        what = f"{field.name}[{number}]"
        yield f"{what} twice", lambda copy, value=value: getattr(copy, field.name).append(value)
        yield f"{what} left out", lambda copy, number=number: getattr(copy, field.name).pop(number)
        if number:
            yield f"{what} before the one before", lambda copy, number=number: _swap(copy, field.name, number)
        if isinstance(value, Message):
            for inner, alter in alterations(value):
                yield (
                    f"{what}.{inner}",
                    lambda copy, number=number, alter=alter: alter(getattr(copy, field.name)[number]),
                )
        else:
            for inner, other in _other_values(what, value):
                yield (
                    f"{what} {inner}",
                    lambda copy, number=number, other=other: _put(copy, field.name, number, other),
                )


def _swap(copy: Any, name: str, number: int) -> None:
    values = list(getattr(copy, name))
    values[number - 1], values[number] = values[number], values[number - 1]
    copy.ClearField(name)
    getattr(copy, name).extend(values)


def _put(copy: Any, name: str, number: int, value: Any) -> None:
    getattr(copy, name)[number] = value


def _other_values(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, bool):
        yield "negated", not value
    elif isinstance(value, int):
        yield "plus 1", value + 1
        if value:
            yield "minus 1", value - 1
    elif isinstance(value, str):
        yield "longer", value + "x"
        if value:
            yield "empty", ""
    else:
        yield "longer", value + b"\x00"
        if value:
            yield "shorter", value[:-1]
            at = zlib.crc32(name.encode() + value) % len(value)
            yield f"flipped at {at}", value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]


def answers(town) -> dict[str, tuple[str, Callable[[LedgerClient], Any]]]:
    """By the method whose answer is altered, in what question."""
    return {
        "GetCheckpoint": ("GetCheckpoint", lambda it: it.checkpoint()),
        "AppendEvents": ("AppendEvents", lambda it: it.append([town.said["receipt"], town.said["lot"]])),
        "GetHistory": ("GetHistory", lambda it: it.history(PARCEL)),
        "GetHistory of a party": ("GetHistory", lambda it: it.party(MERCHANT)),
        "GetTrace": ("GetTrace", lambda it: it.trace(chain=LOT)),
        "GetTrace of a sale": ("GetTrace", lambda it: it.sale(event_id=town.id("lot_sale"))),
        "GetEntry": ("GetEntry", lambda it: it.entry(index=town.indexes["receipt"])),
        "GetEntry of an event": ("GetEntry", lambda it: it.entry(event_id=town.id("review"))),
        "GetInclusionProof": ("GetInclusionProof", lambda it: it.inclusion_proof(7)),
        "GetInclusionProof of a smaller tree": ("GetInclusionProof", lambda it: it.inclusion_proof(7, 12)),
        "GetConsistencyProof": ("GetConsistencyProof", lambda it: it.consistency_proof(5)),
        "GetConsistencyProof of smaller trees": (
            "GetConsistencyProof",
            lambda it: it.consistency_proof(8, 13),
        ),
        "GetParty": ("GetParty", lambda it: it.party(MERCHANT)),
        "GetParty of a signer": ("GetParty", lambda it: it.entry(index=town.indexes["lot"])),
        "GetKey": ("GetKey", lambda it: it.key(town.city.key("second").public_key.key_id)),
        "GetKey of a signer": ("GetKey", lambda it: it.entry(index=town.indexes["arrived"])),
        "GetSale": ("GetSale", lambda it: it.sale(event_id=town.id("sale"))),
        "GetSale of a buyer": ("GetSale", lambda it: it.sale(buyer_key_id=key_id(town, "buyer"))),
        "GetSale of a signer": ("GetSale", lambda it: it.entry(index=town.indexes["receipt"])),
        "ListParties": ("ListParties", lambda it: list(it.parties(4))),
        "ListListings": ("ListListings", lambda it: list(it.listings(TEA))),
        "LookUpChains": ("LookUpChains", lambda it: it.look_up([TEA, CUP])),
    }


def key_id(town, name):
    return town.city.key(name).public_key.key_id


@pytest.mark.parametrize("case", list(answers(None)))
def test_no_alteration_is_believed(town, liar, case):
    method, ask = answers(town)[case]
    true_answers = []
    liar.lies = {method: lambda _, answer: true_answers.append(answer)}
    truth = asked(town, liar, ask)
    original = true_answers[0]
    found = 0
    for what, alter in alterations(original):
        altered = type(original)()
        altered.CopyFrom(original)
        alter(altered)
        assert altered != original, f"{what} alters nothing"
        waiting = [altered]
        liar.lies = {method: lambda _, answer, waiting=waiting: waiting.pop() if waiting else answer}
        try:
            told = asked(town, liar, ask)
        except (BrokenProof, ServiceFault) as error:
            found += isinstance(error, BrokenProof)
            continue
        except LedgerError as error:
            pytest.fail(f"{what}: {type(error).__name__}: {error}")
        if told != truth:
            assert left_out(case, what, told, truth), f"{what} was believed: {told}"
    assert found


def left_out(case: str, what: str, told: Any, truth: Any) -> bool:
    """Whether something is merely not told: that there is no more of it is the service's word."""
    if not what.endswith("left out"):
        return False
    if case in {"ListParties", "ListListings"}:
        return set(told) < set(truth)
    if case == "LookUpChains":
        return all(set(told.get(chain, ())) <= set(entries) for chain, entries in truth.items())
    return case == "GetTrace" and set(told.entries) < set(truth.entries)


def asked(town, liar, ask):
    with LedgerClient(liar.target, town.service.vkey) as client:
        return ask(client)


def test_the_services_word_is_passed_on_as_it_is(town, liar):
    """Flags follow from the whole log before an entry: only an audit can tell whether they are right."""

    def lie(_, answer):
        for entry in answer.entries:
            entry.flags[:] = [3, 5]

    liar.lies = {"GetHistory": lie}
    entries = asked(town, liar, lambda it: it.history(PARCEL)).entries
    assert [entry.flags for entry in entries] == [(3, 5)] * 3
    assert [entry.signer for entry in entries] == [CARRIER_MEMBER] * 3
