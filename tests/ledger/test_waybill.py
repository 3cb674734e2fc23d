from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from identifier_strategies import digits, s10_numbers

from ledger.chain_key import ChainKey
from ledger.errors import BadInput, Reason
from ledger.waybill import CARRIERS, explicit_waybill, waybill_of, waybills_by_shape


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("SF1234567890123", "waybill/sf/SF1234567890123"),
        ("SF123456789012", "waybill/sf/SF123456789012"),
        ("SF123456789012345", "waybill/sf/SF123456789012345"),
        ("sf1234567890123", "waybill/sf/SF1234567890123"),
        ("YT1234567890123", "waybill/yto/YT1234567890123"),
        ("JD0012345678901", "waybill/jd/JD0012345678901"),
        ("JDVA00123456789", "waybill/jd/JDVA00123456789"),
        ("JDX001234567890", "waybill/jd/JDX001234567890"),
        ("JT1234567890123", "waybill/jt/JT1234567890123"),
        ("DPK123456789012", "waybill/deppon/DPK123456789012"),
    ],
)
def test_letters_name_the_carrier(text, key):
    assert waybills_by_shape(text) == ([key], [])


@pytest.mark.parametrize(
    ("text", "carriers"),
    [
        ("75312345678901", ["zto", "sto"]),
        ("773123456789012", ["zto", "sto"]),
        ("431234567890123", ["yunda"]),
    ],
)
def test_digits_alone_only_tell_who_it_may_be(text, carriers):
    assert waybills_by_shape(text) == ([], [ChainKey.waybill(carrier, text) for carrier in carriers])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SF",
        "SF12345678901",
        "SF1234567890123456",
        "YT123456789012",
        "SF12345678901２",
        "ſf1234567890123",
        "7531234567890",
    ],
)
def test_other_shapes_suggest_nobody(text):
    assert waybills_by_shape(text) == ([], [])


@given(s10_numbers)
def test_no_shape_takes_an_s10_number(number):
    assert waybills_by_shape(number) == ([], [])


@pytest.mark.parametrize("suffix", ["", "-1-1-", "-2-3-", "-12-120-45"])
def test_the_packages_of_a_jd_shipment_share_its_waybill(suffix):
    key = "waybill/jd/JDVA00123456789"
    assert waybills_by_shape(f"JDVA00123456789{suffix}") == ([key], [])
    assert waybill_of("jd", f"jdva00123456789{suffix}") == key
    assert explicit_waybill(f"jd:JDVA00123456789{suffix}") == key


@pytest.mark.parametrize("carrier", sorted(CARRIERS - {"upu"}))
def test_a_known_carrier_may_be_named_before_any_number(carrier):
    assert explicit_waybill(f"{carrier}:12345678") == f"waybill/{carrier}/12345678"
    assert explicit_waybill(f"{carrier.upper()}:abc-1234") == f"waybill/{carrier}/ABC-1234"


def test_an_s10_number_is_of_the_postal_union_whoever_is_named():
    assert (
        explicit_waybill("ems:EA123456785CN")
        == explicit_waybill("upu:EA123456785CN")
        == "waybill/upu/EA123456785CN"
    )


@pytest.mark.parametrize(
    "text", ["", "sf", "SF1234567890123", "tel:13800138000", "WIFI:T:WPA", "urn:epc:id", ":1234"]
)
def test_other_words_before_a_colon_name_no_carrier(text):
    assert explicit_waybill(text) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sf:", "waybill number: given an empty text, expected 4 to 32 of A-Z, 0-9 and inner '-'"),
        ("sf:SF 123", "waybill number: given SF 123, expected 4 to 32 of A-Z, 0-9 and inner '-'"),
        ("upu:RA123456786CN", "S10 number RA123456786CN check digit: given 6, expected 5"),
    ],
)
def test_a_named_carrier_with_no_waybill_number_is_refused(text, message):
    with pytest.raises(BadInput) as caught:
        explicit_waybill(text)
    assert caught.value.reason is Reason.BAD_IDENTIFIER
    assert str(caught.value) == message


@given(digits(13), st.sampled_from(["SF", "YT", "JD", "JT"]))
def test_every_number_of_a_shape_has_one_key_in_every_spelling(number, letters):
    ([key], possible) = waybills_by_shape(letters + number)
    assert possible == []
    assert waybill_of(key.carrier, letters.lower() + number) == key
    assert ChainKey.parse(str(key)) == key


@given(st.text())
def test_no_text_raises_anything_but_a_refusal(text):
    assert all(isinstance(keys, list) for keys in waybills_by_shape(text))
    with suppress(BadInput):
        explicit_waybill(text)
    with suppress(BadInput):
        waybill_of("jd", text)
