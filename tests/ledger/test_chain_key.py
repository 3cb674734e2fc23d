from __future__ import annotations

import copy
import doctest
import pickle
import re
from contextlib import suppress

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from identifier_strategies import (
    SET_82,
    carriers,
    drug_codes,
    gtins,
    lots,
    members,
    printed_gtins,
    s10_numbers,
    serials,
    ssccs,
    usccs,
    waybill_numbers,
)

import ledger.chain_key
from ledger.chain_key import LEDGER, MAX_BYTES, ChainKey, ChainKind
from ledger.errors import BadInput, Reason
from ledger.identifiers import printable

GTIN = "06901234567892"
SSCC = "106141412345678908"
USCC = "91110000600037341L"
DRUG = "81234567890123456789"
S10 = "RA123456785CN"

CANONICAL = (
    "the canonical spelling of one of ledger, 01/<gtin14>, 01/<gtin14>/10/<lot>, 01/<gtin14>/21/<serial>, "
    "00/<sscc18>, waybill/<carrier>/<number>, drug/<20 digits>, party/<USCC>, party/<USCC>/<member>"
)

S10_SHAPE = "two capital letters, nine digits, two capital letters"
MEMBER = "1 to 32 of A-Z, a-z, 0-9, '.', '_' and '-', beginning with a letter or digit"

KEYS = {
    ChainKind.LEDGER: "ledger",
    ChainKind.PRODUCT: f"01/{GTIN}",
    ChainKind.LOT: f"01/{GTIN}/10/A%2F7",
    ChainKind.SERIAL: f"01/{GTIN}/21/%25-._",
    ChainKind.LOGISTIC_UNIT: f"00/{SSCC}",
    ChainKind.WAYBILL: "waybill/sf/SF1234567890123",
    ChainKind.DRUG: f"drug/{DRUG}",
    ChainKind.PARTY: f"party/{USCC}",
    ChainKind.MEMBER: f"party/{USCC}/courier-0417",
}

keys = st.one_of(
    st.just(LEDGER),
    st.builds(ChainKey.product, gtins),
    st.builds(ChainKey.lot, gtins, lots),
    st.builds(ChainKey.serial, gtins, serials),
    st.builds(ChainKey.logistic_unit, ssccs),
    st.builds(ChainKey.waybill, carriers, waybill_numbers),
    st.builds(ChainKey.waybill, st.just("upu"), s10_numbers),
    st.builds(ChainKey.drug, drug_codes),
    st.builds(ChainKey.party, usccs),
    st.builds(ChainKey.member, usccs, members),
)


def refusal(call, *arguments, reason=Reason.BAD_CHAIN_KEY):
    with pytest.raises(BadInput) as caught:
        call(*arguments)
    assert caught.value.reason is reason
    return str(caught.value)


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(ledger.chain_key).failed == 0


def test_there_is_an_example_of_every_kind():
    assert set(KEYS) == set(ChainKind)


@pytest.mark.parametrize(("kind", "text"), KEYS.items())
def test_a_canonical_key_parses_to_itself_and_its_kind(kind, text):
    key = ChainKey.parse(text)
    assert key == text
    assert str(key) == text
    assert type(str(key)) is str
    assert key.kind is kind
    assert repr(key) == f"ChainKey('{text}')"
    assert ChainKey.parse(key) == ChainKey(text) == key


@pytest.mark.parametrize(
    ("defect", "text"),
    [
        ("empty", ""),
        ("blank behind", f"01/{GTIN} "),
        ("line end", f"01/{GTIN}\n"),
        ("blank before", f" 01/{GTIN}"),
        ("slash behind", f"01/{GTIN}/"),
        ("slash before", f"/01/{GTIN}"),
        ("two slashes", f"01//{GTIN}"),
        ("13 digits", "01/6901234567892"),
        ("15 digits", "01/006901234567892"),
        ("full-width digits", "01/０６９０１２３４５６７８９２"),
        ("name instead of AI", f"gtin/{GTIN}"),
        ("web address", f"https://example.com/01/{GTIN}"),
        ("empty lot", f"01/{GTIN}/10/"),
        ("lot of 21 characters", f"01/{GTIN}/10/{'A' * 21}"),
        ("lot of 21 encoded characters", f"01/{GTIN}/10/{'%2F' * 21}"),
        ("small hexadecimal digits", f"01/{GTIN}/10/A%2f7"),
        ("letter needlessly encoded", f"01/{GTIN}/10/%41"),
        ("hyphen needlessly encoded", f"01/{GTIN}/10/%2D"),
        ("full stop needlessly encoded", f"01/{GTIN}/10/%2E"),
        ("underscore needlessly encoded", f"01/{GTIN}/10/%5F"),
        ("reserved character as it is", f"01/{GTIN}/10/A+7"),
        ("per cent as it is", f"01/{GTIN}/10/A%7"),
        ("half an escape", f"01/{GTIN}/10/A%2"),
        ("blank encoded, which is not of set 82", f"01/{GTIN}/10/A%20B"),
        ("hash encoded, which is not of set 82", f"01/{GTIN}/10/A%23"),
        ("dollar encoded, which is not of set 82", f"01/{GTIN}/10/%24"),
        ("tilde, which is not of set 82", f"01/{GTIN}/10/A~B"),
        ("NUL encoded", f"01/{GTIN}/10/%00"),
        ("UTF-8 encoded", f"01/{GTIN}/10/%E6%BA%AF"),
        ("lot and serial number", f"01/{GTIN}/10/A/21/B"),
        ("variant", f"01/{GTIN}/22/A"),
        ("path climbing up", f"01/{GTIN}/10/../21/B"),
        ("17 digits", "00/10614141234567890"),
        ("serial number of a logistic unit", f"00/{SSCC}/21/A"),
        ("capital carrier", "waybill/SF/SF1234567890123"),
        ("no carrier", "waybill//SF1234567890123"),
        ("carrier of 17 characters", f"waybill/{'a' * 17}/1234"),
        ("carrier beginning with a hyphen", "waybill/-sf/SF1234567890123"),
        ("carrier with an underscore", "waybill/s_f/SF1234567890123"),
        ("small letters", "waybill/sf/sf1234567890123"),
        ("number of 3 characters", "waybill/sf/123"),
        ("number of 33 characters", f"waybill/sf/{'1' * 33}"),
        ("number ending in a hyphen", "waybill/jd/JDVA00123456789-1-1-"),
        ("number beginning with a hyphen", "waybill/jd/-12345"),
        ("number with a blank", "waybill/sf/SF 123456"),
        ("19 digits", "drug/8123456789012345678"),
        ("21 digits", "drug/812345678901234567890"),
        ("17 characters", "party/91110000600037341"),
        ("small letter", "party/91110000600037341l"),
        ("empty member", f"party/{USCC}/"),
        ("member of 33 characters", f"party/{USCC}/{'m' * 33}"),
        ("member beginning with a full stop", f"party/{USCC}/.m"),
        ("member with a name in Chinese", f"party/{USCC}/张三"),
        ("member of a member", f"party/{USCC}/a/b"),
        ("ledger in capitals", "LEDGER"),
        ("more than the ledger", "ledger/1"),
        ("lone surrogate", "01/\ud800"),
        ("10 kB", "01/" + "0" * 10_000),
    ],
)
def test_any_other_spelling_is_refused(defect, text):
    given = printable(text)
    assert refusal(ChainKey.parse, text) == f"chain key: given {given}, expected {CANONICAL}"
    refusal(ChainKey, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("01/06901234567891", "GTIN 06901234567891 check digit in chain key: given 1, expected 2"),
        ("01/06901234567891/10/A", "GTIN 06901234567891 check digit in chain key: given 1, expected 2"),
        ("01/06901234567891/21/A", "GTIN 06901234567891 check digit in chain key: given 1, expected 2"),
        ("00/106141412345678900", "SSCC 106141412345678900 check digit in chain key: given 0, expected 8"),
        (
            "party/91110000600037341M",
            "USCC 91110000600037341M check character in chain key: given M, expected L",
        ),
        (
            "party/91110000600037341M/m",
            "USCC 91110000600037341M check character in chain key: given M, expected L",
        ),
        (
            "waybill/upu/RA123456786CN",
            "S10 number RA123456786CN check digit in chain key: given 6, expected 5",
        ),
        (
            "drug/71234567890123456789",
            "drug trace code in chain key: given 71234567890123456789, expected 20 digits beginning with 8",
        ),
        (
            "waybill/upu/1234567890",
            f"S10 number in chain key: given 1234567890, expected {S10_SHAPE}",
        ),
        (
            "waybill/ems/RA123456785CN",
            "carrier of an S10 number in chain key: given ems, expected upu, whoever carries it",
        ),
    ],
)
def test_a_key_that_looks_right_and_is_not_says_why(text, message):
    assert refusal(ChainKey.parse, text) == message


@given(printed_gtins, lots)
@example("96385074", SET_82[:20])
@example("96385074", SET_82[20:40])
@example("96385074", SET_82[40:60])
@example("96385074", SET_82[62:])
@example("96385074", "..")
def test_lots_and_serials_come_back_as_they_went_in(gtin, value):
    lot, serial = ChainKey.lot(gtin, value), ChainKey.serial(gtin, value)
    assert lot != serial
    assert lot.kind is ChainKind.LOT
    assert serial.kind is ChainKind.SERIAL
    for key, back in ((lot, lot.lot_number), (serial, serial.serial_number)):
        assert back == value
        assert key.gtin == gtin.zfill(14)
        assert key.product_chain == ChainKey.product(gtin) == f"01/{key.gtin}"
        assert key.is_product
        assert not key.is_parcel


@pytest.mark.parametrize("character", sorted(set(SET_82)))
def test_a_character_stands_for_itself_exactly_if_rfc_3986_calls_it_unreserved(character):
    spelled = ChainKey.lot(GTIN, character).removeprefix(f"01/{GTIN}/10/")
    unreserved = character.isalnum() or character in "-._"
    assert spelled == (character if unreserved else f"%{ord(character):02X}")


@given(ssccs, drug_codes)
def test_logistic_units_and_drugs_come_back_as_they_went_in(sscc, code):
    unit, drug = ChainKey.logistic_unit(sscc), ChainKey.drug(code)
    assert (unit.kind, unit.sscc, unit.is_parcel, unit.is_product) == (
        ChainKind.LOGISTIC_UNIT,
        sscc,
        True,
        False,
    )
    assert (drug.kind, drug.drug_code, drug.is_parcel, drug.is_product) == (ChainKind.DRUG, code, False, True)
    assert drug.product_chain is drug


@given(usccs, members)
def test_parties_come_back_as_they_went_in(uscc, name):
    party, member = ChainKey.party(uscc), ChainKey.member(uscc, name)
    assert (party.kind, party.uscc, party.company) == (ChainKind.PARTY, uscc, party)
    assert (member.kind, member.uscc, member.member_name) == (ChainKind.MEMBER, uscc, name)
    assert member.company == party
    assert not any([party.is_product, party.is_parcel, member.is_product, member.is_parcel])


@given(carriers, waybill_numbers)
def test_waybills_come_back_as_they_went_in(carrier, number):
    key = ChainKey.waybill(carrier, number)
    assert key == ChainKey.waybill(carrier, number.lower())
    assert (key.kind, key.waybill_number, key.is_parcel) == (ChainKind.WAYBILL, number, True)
    assert key.carrier in {carrier, "upu"}


@given(carriers, s10_numbers)
def test_an_s10_number_has_one_key_whoever_carries_it(carrier, number):
    key = ChainKey.waybill("upu", number)
    assert key == f"waybill/upu/{number}"
    assert ChainKey.waybill(carrier, number) == ChainKey.waybill(carrier, number.lower()) == key
    refusal(ChainKey.parse, f"waybill/{carrier}/{number}")


@given(keys)
def test_every_key_parses_back_and_keeps_to_the_limit(key):
    assert ChainKey.parse(str(key)) == key
    assert ChainKey.parse(str(key)).kind is key.kind
    assert key.isascii()
    assert len(key.encode()) <= MAX_BYTES


@given(keys, st.data())
def test_a_key_with_one_character_changed_is_another_key_or_none(key, data):
    place = data.draw(st.integers(0, len(key) - 1))
    changed = key[:place] + data.draw(st.characters()) + key[place + 1 :]
    assume(changed != key)
    with suppress(BadInput):
        assert ChainKey.parse(changed) != key


@given(gtins, st.data())
def test_a_key_with_a_wrong_digit_in_its_gtin_is_none(gtin, data):
    place, digit = data.draw(st.integers(0, 13)), data.draw(st.sampled_from("0123456789"))
    assume(digit != gtin[place])
    refusal(ChainKey.parse, f"01/{gtin[:place]}{digit}{gtin[place + 1 :]}/10/A")


@given(
    st.one_of(st.text(), st.from_regex(r"(01|00|waybill|drug|party)/[0-9A-Z%/-]{0,40}"), st.binary().map(str))
)
def test_no_text_raises_anything_but_a_refusal(text):
    with suppress(BadInput):
        ChainKey.parse(text)


@pytest.mark.parametrize(
    ("construct", "arguments", "message"),
    [
        (ChainKey.product, ["6901234567891"], "GTIN 6901234567891 check digit: given 1, expected 2"),
        (ChainKey.logistic_unit, ["1"], "SSCC: given 1, expected 18 digits"),
        (ChainKey.drug, ["1"], "drug trace code: given 1, expected 20 digits beginning with 8"),
        (
            ChainKey.lot,
            [GTIN, ""],
            "lot number: given an empty text, expected 1 to 20 characters of GS1 set 82",
        ),
        (ChainKey.lot, [GTIN, "A B"], "lot number: given A B, expected 1 to 20 characters of GS1 set 82"),
        (ChainKey.lot, [GTIN, "A#"], "lot number: given A#, expected 1 to 20 characters of GS1 set 82"),
        (
            ChainKey.serial,
            [GTIN, "溯源"],
            "serial number: given \\u6eaf\\u6e90, expected 1 to 20 characters of GS1 set 82",
        ),
        (
            ChainKey.serial,
            [GTIN, "x" * 21],
            f"serial number: given {'x' * 21}, expected 1 to 20 characters of GS1 set 82",
        ),
        (
            ChainKey.waybill,
            ["SF", "SF1234567890123"],
            "carrier: given SF, expected 1 to 16 of a-z, 0-9 and '-', not beginning with '-'",
        ),
        (
            ChainKey.waybill,
            ["sf", "SF/1"],
            "waybill number: given SF/1, expected 4 to 32 of A-Z, 0-9 and inner '-'",
        ),
        # The long s is a small letter whose capital is S.
        (
            ChainKey.waybill,
            ["sf", "ſF1234"],
            "waybill number: given \\u017fF1234, expected 4 to 32 of A-Z, 0-9 and inner '-'",
        ),
        (
            ChainKey.waybill,
            ["upu", "RA123456786CN"],
            "S10 number RA123456786CN check digit: given 6, expected 5",
        ),
        (
            ChainKey.member,
            [USCC, "zhang san"],
            f"member: given zhang san, expected {MEMBER}",
        ),
        (
            ChainKey.party,
            ["91110000600037341M"],
            "USCC 91110000600037341M check character: given M, expected L",
        ),
        (
            ChainKey.member,
            ["91110000600037341M", "m"],
            "USCC 91110000600037341M check character: given M, expected L",
        ),
    ],
)
def test_a_key_is_not_made_of_wrong_parts(construct, arguments, message):
    assert refusal(construct, *arguments, reason=Reason.BAD_IDENTIFIER) == message


PARTS = {
    "product_chain": ("product", "drug or lot or product or serial"),
    "company": ("company", "member or party"),
    "gtin": ("GTIN", "lot or product or serial"),
    "lot_number": ("lot number", "lot"),
    "serial_number": ("serial number", "serial"),
    "sscc": ("SSCC", "logistic_unit"),
    "carrier": ("carrier", "waybill"),
    "waybill_number": ("waybill number", "waybill"),
    "drug_code": ("drug trace code", "drug"),
    "uscc": ("USCC", "member or party"),
    "member_name": ("member", "member"),
}


@pytest.mark.parametrize(("part", "name", "kinds"), [(part, *told) for part, told in PARTS.items()])
def test_a_part_that_a_kind_does_not_have_is_refused(part, name, kinds):
    for kind, text in KEYS.items():
        key = ChainKey.parse(text)
        if kind in kinds.split(" or "):
            assert getattr(key, part)
        else:
            message = refusal(getattr, key, part)
            assert message == f"{name} of a chain key: given {text}, expected a chain of kind {kinds}"


def test_what_is_sold_and_what_is_carried():
    assert {kind for kind, text in KEYS.items() if ChainKey.parse(text).is_product} == {
        ChainKind.PRODUCT,
        ChainKind.LOT,
        ChainKind.SERIAL,
        ChainKind.DRUG,
    }
    assert {kind for kind, text in KEYS.items() if ChainKey.parse(text).is_parcel} == {
        ChainKind.WAYBILL,
        ChainKind.LOGISTIC_UNIT,
    }


@given(keys)
def test_a_key_is_the_same_entry_of_a_dictionary_as_its_text(key):
    assert {str(key): 1}[key] == {key: 1}[str(key)] == 1
    assert hash(key) == hash(str(key))


@given(keys)
def test_a_key_survives_copying_and_pickling(key):
    for twin in (copy.copy(key), copy.deepcopy(key), pickle.loads(pickle.dumps(key))):
        assert twin == key
        assert type(twin) is ChainKey
        assert twin.kind is key.kind


def test_a_key_takes_no_other_kind_or_attribute():
    key = ChainKey.parse(f"01/{GTIN}")
    with pytest.raises(AttributeError):
        key.kind = ChainKind.LOT
    with pytest.raises(AttributeError):
        key.remark = "new"


def test_parsing_the_same_text_again_gives_the_same_key():
    assert ChainKey.parse(f"01/{GTIN}") is ChainKey.parse("01/" + GTIN)


def test_set_82_is_that_of_the_general_specifications():
    assert len(set(SET_82)) == 82
    assert all(re.fullmatch(r"[!-_a-z]", character) for character in SET_82)
    assert not set("#$@[\\]^`{|}~ ") & set(SET_82)
