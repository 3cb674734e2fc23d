from __future__ import annotations

import doctest

from hypothesis import given
from hypothesis import strategies as st
from identifier_strategies import printed_gtins

import ledger.misreading
from ledger.chain_key import ChainKey
from ledger.identifiers import gs1_check_digit
from ledger.misreading import MOST_NEAR, near_products


def checked(body):
    return ChainKey.product(body + gs1_check_digit(body))


def test_the_examples():
    assert doctest.testmod(ledger.misreading).failed == 0


@given(printed_gtins, st.data())
def test_nearness_is_mutual_among_numbers_of_one_length(gtin, data):
    chain = ChainKey.product(gtin)
    near = near_products(chain)
    assert chain not in near
    assert near == tuple(sorted(set(near)))
    assert len(near) <= MOST_NEAR
    other = data.draw(st.sampled_from(near))
    # A digit that became 0 at the front may have made another, shorter kind of number of it.
    assert chain in near_products(other) or printed(other) != printed(chain)


def printed(chain):
    return next(length for length in (8, 13, 14) if chain.gtin.startswith("0" * (14 - length)))


@given(st.from_regex(r"[1-9][0-9]{11}", fullmatch=True), st.integers(0, 11), st.integers(0, 9))
def test_any_one_wrong_digit_is_near(body, place, digit):
    wrong = body[:place] + str(digit) + body[place + 1 :]
    assert (checked(wrong) in near_products(checked(body))) == (wrong != body)


@given(st.from_regex(r"[1-9][0-9]{11}", fullmatch=True), st.integers(0, 10), st.sampled_from([1, 2]))
def test_digits_that_changed_places_are_near(body, place, apart):
    if place + apart >= len(body):
        return
    swapped = list(body)
    swapped[place], swapped[place + apart] = swapped[place + apart], swapped[place]
    wrong = "".join(swapped)
    assert (checked(wrong) in near_products(checked(body))) == (wrong != body)


def test_what_a_check_digit_never_shows_is_near():
    read, printed = ChainKey.product("6903214567892"), ChainKey.product("6901234567892")
    assert read in near_products(printed)
    swapped, truth = checked("690163456789"), checked("690613456789")
    assert swapped.gtin[-1] == truth.gtin[-1]
    assert swapped in near_products(truth)


def test_two_wrong_digits_are_not_near():
    assert checked("690123456700") not in near_products(checked("690123456789"))


def test_a_short_number_stays_short():
    near = near_products(ChainKey.product("96385074"))
    assert len(near) == 7 * 9 + 6 + 5
    assert all(chain.gtin.startswith("000000") for chain in near)


def test_of_a_lot_or_an_item_the_products_are_near():
    product = near_products(ChainKey.product("6901234567892"))
    assert near_products(ChainKey.lot("6901234567892", "A7")) == product
    assert near_products(ChainKey.serial("6901234567892", "17")) == product


def test_numbers_that_run_on_have_no_near_ones():
    for text in (
        "00/106141412345678908",
        "waybill/sf/SF1234567890123",
        "drug/81234567890123456789",
        "ledger",
    ):
        assert near_products(ChainKey.parse(text)) == ()
