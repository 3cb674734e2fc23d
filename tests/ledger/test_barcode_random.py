"""Random texts, and identifiers with something wrong in them, by the thousand: no crash and no wrong accept.

`SUYUAN_SOAK=1` reads a million. What is accepted is judged by arithmetic that stands here, not by the ledger's.
"""

from __future__ import annotations

import re
import string
from random import Random
from urllib.parse import unquote

import pytest
from identifier_strategies import SET_82
from soaking import tell, times

from ledger.barcode import MAX_CHARACTERS, Symbology, read_barcode
from ledger.chain_key import ChainKey
from ledger.errors import BadInput, Reason

TEXTS = times(3_000, 1_000_000)

USCC = "0123456789ABCDEFGHJKLMNPQRTUWXY"
ALPHABETS = [
    string.digits,
    string.digits + "\x1d",
    "0123456789()",
    "01\x1d27",
    string.ascii_uppercase + string.digits,
    SET_82,
    SET_82 + "\x1d",
    string.printable,
    "".join(map(chr, range(256))) + "溯源０１\ud800",
]
MARKS = ["", "", "", "]C1", "]d2", "]Q3", "]e0", "]E0", "]E4", "]I1", "]C0", "]Q1", "]", "]C"]
BEGINNINGS = [
    "",
    "01",
    "00",
    "(01)",
    "(00)",
    "10",
    "21",
    "17",
    "https://a.cn/01/",
    "https://a.cn/",
    "01/",
    "sf:",
    "zto:",
]


def mod_10(body):
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(body)))
    return str((10 - total % 10) % 10)


def mod_11(serial):
    check = (
        11
        - sum(int(digit) * weight for digit, weight in zip(serial, (8, 6, 4, 2, 3, 5, 9, 7), strict=True))
        % 11
    )
    return str({10: 0, 11: 5}.get(check, check))


def mod_31(body):
    total = sum(USCC.index(character) * 3**place for place, character in enumerate(body))
    return USCC[(31 - total % 31) % 31]


def holds(chain):
    """Whether what a chain key names has the shape and the check digits that it must have."""
    kind, _, rest = chain.partition("/")
    number, _, more = rest.partition("/")
    if kind == "01":
        qualified = re.fullmatch(r"(?:(?:10|21)/([^/]+))?", more)
        value = unquote(qualified[1] or "A") if qualified else ""
        return (
            re.fullmatch("[0-9]{14}", number) and number[-1] == mod_10(number[:-1]) and 0 < len(value) <= 20
        )
    if kind == "00":
        return re.fullmatch("[0-9]{18}", rest) and rest[-1] == mod_10(rest[:-1])
    if kind == "drug":
        return re.fullmatch("8[0-9]{19}", rest)
    if kind == "party":
        return re.fullmatch("[0-9A-Z]{18}", number) and number[-1] == mod_31(number[:-1])
    if kind == "waybill":
        return number != "upu" or more[10] == mod_11(more[2:10])
    return chain == "ledger"


def drawn(random, alphabet, least, most):
    return "".join(random.choices(alphabet, k=random.randint(least, most)))


def guarded(random):
    """A number with a check digit or character that holds, and where in it that stands."""
    match random.randrange(4):
        case 0:
            body = drawn(random, string.digits, 13, 13)
            return body + mod_10(body), 13
        case 1:
            body = drawn(random, string.digits, 17, 17)
            return body + mod_10(body), 17
        case 2:
            # Not digits alone, which could be an SSCC too.
            body = "9" + random.choice("AG") + drawn(random, string.digits, 6, 6) + drawn(random, USCC, 9, 9)
            return body + mod_31(body), 17
        case _:
            serial = drawn(random, string.digits, 8, 8)
            return f"R{random.choice('ABC')}{serial}{mod_11(serial)}CN", 10


def spelled(random, number):
    """A text that names a guarded number, in one of its spellings."""
    lot = drawn(random, SET_82, 1, 20)
    if len(number) == 14:
        return random.choice(
            [
                number,
                f"]I1{number}",
                f"01{number}",
                f"]C101{number}10{lot}",
                f"01{number}10{lot}\x1d17271231",
                f"(01){number}(17)271231(10){lot.replace('(', '')}A",
                f"https://a.cn/01/{number}?17=271231",
                f"https://a.cn/x/01/{number}/10/A7",
                f"01/{number}",
            ]
        )
    if number.isdigit():
        return random.choice(
            [
                number,
                f"00{number}",
                f"]C100{number}",
                f"(00){number}",
                f"https://a.cn/00/{number}",
                f"00/{number}",
            ]
        )
    if len(number) == 18:
        return random.choice([number, f"]Q1{number}", f"party/{number}", number.lower()])
    return random.choice([number, number.lower(), f"]C0{number}", f"waybill/upu/{number}", f"upu:{number}"])


def harmed(random, text):
    """The text with something done to it."""
    place = random.randrange(len(text))
    match random.randrange(5):
        case 0:
            return text[:place] + text[place + 1 :]
        case 1:
            return text[:place] + drawn(random, random.choice(ALPHABETS), 1, 3) + text[place:]
        case 2:
            return text[:place] + random.choice(random.choice(ALPHABETS)) + text[place + 1 :]
        case 3:
            return text[:place] + text[place : place + 2][::-1] + text[place + 2 :]
        case _:
            return text[:place]


def read(text, random):
    """The chain that a text is said to name, or None; anything else that comes out is a failure."""
    symbology = random.choice([None] * 20 + list(Symbology))
    carrier = random.choice([None] * 20 + ["sf", "upu", "jd", "X"])
    refused = None
    try:
        reading = read_barcode(text, symbology, carrier=carrier, year=random.randint(1990, 2090))
    except BadInput as refusal:
        refused = refusal
    if refused:
        assert refused.reason in {Reason.BAD_IDENTIFIER, Reason.BAD_CHAIN_KEY, Reason.AMBIGUOUS_CODE}
        assert len(str(refused)) < 3_000
        assert refused.reason is not Reason.AMBIGUOUS_CODE or refused.candidates
        return None
    chain = reading.chain
    assert holds(chain), (text, chain)
    assert ChainKey.parse(str(chain)) == chain == read_barcode(str(chain)).chain
    return chain


def names(text, number):
    """Whether a text is said to name the thing of a number. As another kind of thing is wrong too."""
    try:
        return number in read_barcode(text).chain.split("/")
    except BadInput:
        return False


def test_random_texts():
    random = Random(1)
    accepted = 0
    for _ in range(TEXTS // 2):
        alphabet = random.choice(ALPHABETS)
        longest = random.choice([8, 14, 20, 40, 40, 200 if random.randrange(50) else MAX_CHARACTERS + 9])
        text = random.choice(MARKS) + random.choice(BEGINNINGS) + drawn(random, alphabet, 0, longest)
        accepted += read(text, random) is not None
    tell(f"random texts: {accepted} of {TEXTS // 2} name something")
    # The check digits let one text in ten through; a test that accepts nothing would have tried nothing.
    assert accepted > TEXTS // 1_000


def test_identifiers_to_which_something_was_done():
    random = Random(2)
    accepted = 0
    for _ in range(TEXTS // 4):
        text = harmed(random, spelled(random, guarded(random)[0]))
        accepted += read(text, random) is not None
    tell(f"harmed identifiers: {accepted} of {TEXTS // 4} name something")
    assert accepted > TEXTS // 200


def test_a_wrong_check_digit_never_passes():
    random = Random(3)
    passed = 0
    for _ in range(TEXTS // 4):
        number, place = guarded(random)
        alphabet = USCC if len(number) == 18 and not number.isdigit() else string.digits
        other = random.choice(alphabet.replace(number[place], ""))
        wrong = number[:place] + other + number[place + 1 :]
        state = random.getstate()
        text = spelled(random, wrong)
        random.setstate(state)
        right = spelled(random, number)
        assert not names(text, wrong), text
        passed += names(right, number)
    # With the right digit it is read, but for what is ambiguous then: an ITF-14 that may be a lot or a waybill.
    assert passed > TEXTS // 4 * 0.7


@pytest.mark.parametrize(
    "number", ["06901234567892", "10614141000415", "96385074", "036000291452", "106141412345678908"]
)
def test_every_wrong_check_digit_of_a_number_in_every_spelling(number):
    key = "00" if len(number) == 18 else "01"
    full = number if key == "00" else number.zfill(14)
    for digit in set(string.digits) - {number[-1]}:
        wrong = full[:-1] + digit
        for text in (
            f"]C1{key}{wrong}",
            f"]d2{key}{wrong}10A7",
            f"{key}{wrong}",
            f"\x1d{key}{wrong}",
            f"({key}){wrong}",
            f"https://a.cn/{key}/{wrong}",
            f"https://a.cn/{key}/{wrong}?10=A7",
            f"{key}/{wrong}",
        ):
            with pytest.raises(BadInput) as caught:
                read_barcode(text)
            assert "check digit" in str(caught.value)
