"""Hypothesis strategies for valid identifiers, in their stored spelling unless said otherwise."""

from __future__ import annotations

import string

from hypothesis import strategies as st

from ledger.identifiers import USCC_ALPHABET, gs1_check_digit, s10_check_digit, uscc_check_character

SET_82 = "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"


def digits(length):
    return st.text(string.digits, min_size=length, max_size=length)


def with_gs1_check_digit(length):
    return digits(length - 1).map(lambda body: body + gs1_check_digit(body))


printed_gtins = st.sampled_from([8, 12, 13, 14]).flatmap(with_gs1_check_digit)
gtins = with_gs1_check_digit(14)
ssccs = with_gs1_check_digit(18)
glns = with_gs1_check_digit(13)
drug_codes = digits(19).map(lambda rest: "8" + rest)

usccs = st.builds(
    lambda authority, region, organisation: (
        authority + region + organisation + uscc_check_character(authority + region + organisation)
    ),
    st.text(USCC_ALPHABET, min_size=2, max_size=2),
    digits(6),
    st.text(USCC_ALPHABET, min_size=9, max_size=9),
)

_two_letters = st.text(string.ascii_uppercase, min_size=2, max_size=2)
s10_numbers = st.builds(
    lambda service, serial, country: service + serial + s10_check_digit(serial) + country,
    _two_letters,
    digits(8),
    _two_letters,
)

lots = serials = st.text(SET_82, min_size=1, max_size=20)
carriers = st.from_regex(r"[a-z0-9][a-z0-9-]{0,15}", fullmatch=True).filter(lambda carrier: carrier != "upu")
waybill_numbers = st.from_regex(r"[A-Z0-9][A-Z0-9-]{2,30}[A-Z0-9]", fullmatch=True)
members = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", fullmatch=True)
