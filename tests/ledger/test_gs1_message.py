from __future__ import annotations

import json
from contextlib import suppress
from urllib.parse import quote

import pytest
from biip.gs1_digital_link_uris import GS1DigitalLinkURI
from biip.gs1_messages import GS1Message
from hypothesis import assume, example, given
from hypothesis import strategies as st
from identifier_strategies import SET_82, digits, gtins, lots, serials

from ledger.errors import BadInput, Reason
from ledger.gs1_ai import is_complete
from ledger.gs1_message import (
    GROUP_SEPARATOR,
    LONGEST_WITHOUT_FNC1,
    bracketed,
    element_strings,
    parse_bracketed,
    parse_digital_link,
    parse_element_strings,
    parse_without_fnc1,
)
from ledger.reading import AIS_READ

GTIN = "06901234567892"
LINK_PATH = "a path that ends in /01/<GTIN> or /00/<SSCC>"
# Printed on a test symbol: AI (423) is one to five countries of three digits each, and here are thirteen
# digits.
ILL_FORMED = "1599123131030017501012A\x1d422123\x1d21123456\x1d4230123456789012"
FIXED_LENGTH = {"01", "11", "17", "3103"}

dates = st.dates().map(lambda day: day.strftime("%y%m%d"))
messages = st.fixed_dictionaries(
    {"01": gtins},
    optional={
        "10": lots,
        "11": dates,
        "17": dates,
        "21": serials,
        "240": st.text(SET_82, min_size=1, max_size=30),
        "3103": digits(6),
        "422": digits(3),
    },
).flatmap(lambda message: st.permutations(list(message.items())).map(dict))


def refusal(parse, text):
    with pytest.raises(BadInput) as caught:
        parse(text)
    assert caught.value.reason is Reason.BAD_IDENTIFIER
    return str(caught.value)


def as_element_strings(message):
    ended = "".join(
        ai + value + ("" if ai in FIXED_LENGTH else GROUP_SEPARATOR) for ai, value in message.items()
    )
    return ended.removesuffix(GROUP_SEPARATOR)


def without_fnc1(text, after=AIS_READ):
    return list(parse_without_fnc1(text, 2026, after))


def elements_of(biip_message):
    return {element.ai.ai: element.value for element in biip_message.element_strings}


@given(messages)
def test_element_strings_come_back_and_are_those_of_biip(message):
    text = as_element_strings(message)
    assert parse_element_strings(text) == message
    assert list(parse_element_strings(text)) == list(message)
    assert elements_of(GS1Message.parse(text)) == message


@given(messages)
def test_element_strings_are_written_with_no_more_separators_than_needed(message):
    assert element_strings(message) == as_element_strings(message)


@pytest.mark.parametrize(
    ("message", "refused"),
    [
        ({"05": "1"}, "application identifier: given 05, expected a known one"),
        ({"10": "A B"}, "value of AI (10): given A B, expected BATCH/LOT, format X..20"),
    ],
)
def test_what_is_no_message_is_not_written(message, refused):
    assert refusal(element_strings, message) == refused


@pytest.mark.parametrize(
    ("text", "ways"),
    [
        (f"01{GTIN}10A7", [{"01": GTIN, "10": "A7"}]),
        (
            f"01{GTIN}10A717271231",
            [{"01": GTIN, "10": "A717271231"}, {"01": GTIN, "10": "A7", "17": "271231"}],
        ),
        # The longest value first, and the last may be cut again.
        (
            f"01{GTIN}10A721B11260101",
            [
                {"01": GTIN, "10": "A721B11260101"},
                {"01": GTIN, "10": "A721B", "11": "260101"},
                {"01": GTIN, "10": "A7", "21": "B11260101"},
                {"01": GTIN, "10": "A7", "21": "B", "11": "260101"},
            ],
        ),
        # No such day, so no date; no second lot; a count (37) asks for an SSCC; a lot asks for a GTIN.
        (f"01{GTIN}10A717270231", [{"01": GTIN, "10": "A717270231"}]),
        (f"01{GTIN}10A710B", [{"01": GTIN, "10": "A710B"}]),
        ("10A717271231", []),
        # Too long for a lot, so one is missing for sure; and so where another one did arrive.
        (f"01{GTIN}10{'A' * 20}17271231", [{"01": GTIN, "10": "A" * 20, "17": "271231"}]),
        (
            f"01{GTIN}10{'A' * 20}17271231\x1d21S",
            [{"01": GTIN, "10": "A" * 20, "17": "271231", "21": "S"}],
        ),
        (f"01{GTIN}10A\x1d21S", [{"01": GTIN, "10": "A", "21": "S"}]),
        # Check digits hold in what is taken apart.
        (f"01{GTIN[:-1]}310A717271231", []),
        ("", []),
        ("\x1d", []),
    ],
)
def test_what_a_text_can_say_without_its_separators(text, ways):
    assert without_fnc1(text) == ways


def test_only_some_identifiers_are_looked_for_where_a_separator_is_missing():
    pallet = {"00": "106141412345678908", "02": GTIN, "37": "125", "10": "A7"}
    assert without_fnc1("".join(ai + value for ai, value in pallet.items()), {"10"}) == [pallet]
    assert without_fnc1(f"01{GTIN}10A240B", {"240"})[1:] == [{"01": GTIN, "10": "A", "240": "B"}]
    assert without_fnc1(f"01{GTIN}10A240B") == [{"01": GTIN, "10": "A240B"}]


@given(messages)
def test_a_message_that_lost_its_separators_is_among_what_it_can_say(message):
    assume(is_complete(message.keys()))
    swallowed = as_element_strings(message).replace(GROUP_SEPARATOR, "")
    assume(len(swallowed) <= LONGEST_WITHOUT_FNC1)
    try:
        ways = without_fnc1(swallowed, message.keys())
    except BadInput:
        # A few of the messages have some hundred ways and more.
        return
    assert message in ways


@pytest.mark.parametrize(
    "text",
    [
        f"01{GTIN}" + "2110" * 28,
        f"01{GTIN}10" + "21" * 55,
        f"01{GTIN}" + "10A21B22C240D" * 8,
        f"01{GTIN}10A".ljust(LONGEST_WITHOUT_FNC1 + 1, "7"),
    ],
)
def test_where_there_are_too_many_ways_nobody_says_that_there_are_no_others(text):
    with pytest.raises(BadInput) as caught:
        without_fnc1(text, AIS_READ | {"240"})
    assert str(caught.value).endswith("expected FNC1, without which they may say too many things")


@pytest.mark.parametrize("text", ["2A" * 64, "17000000" * 16, "20" * 127, "8003" * 64, "0" * 256])
def test_looking_for_missing_separators_ends(text):
    assert without_fnc1(text) == []


@given(messages)
def test_separators_more_than_needed_change_nothing(message):
    text = GROUP_SEPARATOR + "".join(ai + value + GROUP_SEPARATOR for ai, value in message.items())
    assert parse_element_strings(text) == message


@given(messages)
@example({"10": "A(17)251231"})
@example({"10": "(((", "21": ")"})
def test_bracketed_messages_come_back(message):
    assert parse_bracketed(bracketed(message)) == message


@given(messages)
def test_digital_links_are_those_of_biip(message):
    path = {ai: value for ai, value in message.items() if ai in {"01", "10", "21"}}
    ordered = {ai: path[ai] for ai in ("01", "10", "21") if ai in path}
    segments = "".join(f"/{ai}/{quote(value, safe='')}" for ai, value in ordered.items())
    query = "&".join(f"{ai}={quote(value, safe='')}" for ai, value in message.items() if ai not in path)
    uri = f"https://example.com/some/path{segments}?{query}"
    assert parse_digital_link(uri) == message
    assert elements_of(GS1DigitalLinkURI.parse(uri)) == message


@pytest.mark.parametrize(
    ("defect", "text", "message"),
    [
        ("nothing", "", "GS1 message: given an empty text, expected an application identifier and its value"),
        (
            "only separators",
            "\x1d\x1d",
            "GS1 message: given an empty text, expected an application identifier and its value",
        ),
        (
            "unknown AI",
            f"01{GTIN}05123",
            "element string: given 05123, expected an application identifier and its value",
        ),
        (
            "GTIN cut short",
            "010690123456789",
            "value of AI (01): given 0690123456789, expected GTIN, format N14",
        ),
        (
            "separator within a GTIN",
            "0106901\x1d234567892",
            "value of AI (01): given 06901, expected GTIN, format N14",
        ),
        (
            "digits of another script",
            "01０６９０１２３４５６７８９２",
            "value of AI (01): given "
            + "".join(f"\\uff1{digit}" for digit in GTIN)
            # The identifier itself is ASCII, so it is recognised; its value is not.
            + ", expected GTIN, format N14",
        ),
        (
            "FNC1 left out after a lot of greatest length",
            f"01{GTIN}10{'A' * 20}17251231",
            f"value of AI (10): given {'A' * 20}17251231, expected BATCH/LOT, format X..20",
        ),
        (
            "character outside set 82",
            f"01{GTIN}10A#B",
            "value of AI (10): given A#B, expected BATCH/LOT, format X..20",
        ),
        (
            "empty lot",
            f"01{GTIN}10\x1d17251231",
            "value of AI (10): given an empty text, expected BATCH/LOT, format X..20",
        ),
        (
            "two lots",
            "10A\x1d10B",
            "second value of AI (10): given B, expected the same as the first, A",
        ),
    ],
)
def test_wrong_element_strings_are_refused(defect, text, message):
    assert refusal(parse_element_strings, text) == message


def test_one_value_said_twice_is_one_value():
    assert parse_element_strings("10A\x1d17251231\x1d10A") == {"10": "A", "17": "251231"}


@pytest.mark.parametrize("text", ["(01)06901234567892 (10)A7", "(01) 06901234567892 (10) A7 "])
def test_blanks_around_bracketed_values_are_no_part_of_them(text):
    assert parse_bracketed(text) == {"01": GTIN, "10": "A7"}


@pytest.mark.parametrize(
    ("defect", "text", "message"),
    [
        ("nothing", "", "GS1 message: given an empty text, expected an application identifier and its value"),
        (
            "no bracket",
            f"01{GTIN}",
            f"bracketed message: given 01{GTIN}, expected (AI)value, an inner '(' written '\\('",
        ),
        (
            "bracket in a value",
            f"(01){GTIN}(10)A(B",
            "bracketed message: given (B, expected (AI)value, an inner '(' written '\\('",
        ),
        (
            "backslash in a value",
            "(10)A\\B",
            "bracketed message: given \\B, expected (AI)value, an inner '(' written '\\('",
        ),
        (
            "junk in brackets",
            f"(01){GTIN}(x)",
            "bracketed message: given (x), expected (AI)value, an inner '(' written '\\('",
        ),
        (
            "AI in full-width digits",
            "(０1)069",
            "bracketed message: given (\\uff101)069, expected (AI)value, an inner '(' written '\\('",
        ),
        ("unknown AI", "(05)1", "bracketed message: given (05)1, expected a known application identifier"),
        (
            "AI and more",
            "(0106)1",
            "bracketed message: given (0106)1, expected a known application identifier",
        ),
        (
            "GTIN of 13 digits",
            "(01)6901234567892",
            "value of AI (01): given 6901234567892, expected GTIN, format N14",
        ),
        (
            "blank within",
            "(10)A B",
            "value of AI (10): given A B, expected BATCH/LOT, format X..20",
        ),
        ("two lots", "(10)A(10)B", "second value of AI (10): given B, expected the same as the first, A"),
    ],
)
def test_wrong_bracketed_messages_are_refused(defect, text, message):
    assert refusal(parse_bracketed, text) == message


@pytest.mark.parametrize(
    "uri",
    [
        f"https://id.gs1.org/01/{GTIN}/10/A%2F7/21/S1",
        f"http://example.com/01/{GTIN}/10/A%2F7/21/S1",
        f"HTTPS://EXAMPLE.COM/01/{GTIN}/10/A%2F7/21/S1",
        f"https://user@example.com:8443/01/{GTIN}/10/A%2F7/21/S1",
        f"https://[2001:db8::1]/01/{GTIN}/10/A%2F7/21/S1",
        f"https://example.com/shop/2026/01/{GTIN}/10/A%2F7/21/S1",
        f"https://example.com/01/{GTIN}/21/S1/10/A%2F7",
        f"https://example.com/10/A%2F7/21/S1/01/{GTIN}",
        f"https://example.com/01/{GTIN}?21=S1&10=A%2F7",
        f"https://example.com/01/{GTIN}/21/S1?10=A/7",
        f"https://example.com/01/{GTIN}/10/%41%2f7/21/%531",
        f"https://example.com/00/faux/01/{GTIN}/10/A%2F7/21/S1",
        f"https://example.com/20/10/01/{GTIN}/10/A%2F7/21/S1",
        f"https://example.com/17/x/01/{GTIN}/10/A%2F7/21/S1",
        f"https://example.com/01/{GTIN}?&&&10=A%2F7&&&singleton&99&21=S1&&",
        f"https://example.com/01/{GTIN}/10/A%2F7/21/S1?utm_source=box&linkType=all&&x=%ZZ",
        f"https://example.com/01/{GTIN}/10/A%2F7/21/S1?10=A%2F7#top",
        f"https://example.com/01/{GTIN}/10/A%2F7/21/S1#?10=B",
        "https://example.com/01/6901234567892/10/A%2F7/21/S1",
    ],
)
def test_a_digital_link_reads_the_same_wherever_and_however_it_is_written(uri):
    assert parse_digital_link(uri) == {"01": GTIN, "10": "A/7", "21": "S1"}


@pytest.mark.parametrize(
    ("printed", "stored"), [("96385074", "00000096385074"), ("036000291452", "00036000291452")]
)
def test_a_short_gtin_in_a_digital_link_is_padded(printed, stored):
    assert parse_digital_link(f"https://example.com/01/{printed}") == {"01": stored}


def test_a_plus_sign_in_a_query_is_itself_since_no_value_has_blanks():
    assert parse_digital_link(f"https://example.com/01/{GTIN}?10=A+B")["10"] == "A+B"


@pytest.mark.parametrize(
    ("defect", "text", "message"),
    [
        ("no URI", f"01/{GTIN}", f"GS1 Digital Link: given 01/{GTIN}, expected an http or https URI"),
        (
            "another scheme",
            f"ftp://example.com/01/{GTIN}",
            f"GS1 Digital Link: given ftp://example.com/01/{GTIN}, expected an http or https URI",
        ),
        (
            "no host",
            f"https:///01/{GTIN}",
            f"GS1 Digital Link: given https:///01/{GTIN}, expected an http or https URI",
        ),
        (
            "no identifier",
            "https://example.com/products/7",
            f"GS1 Digital Link: given https://example.com/products/7, expected {LINK_PATH}",
        ),
        (
            "compressed",
            "https://example.com/AQnYUc1gmiF",
            f"GS1 Digital Link: given https://example.com/AQnYUc1gmiF, expected {LINK_PATH}",
        ),
        (
            "what is identified only in the query",
            f"https://example.com/10/A7?01={GTIN}",
            f"GS1 Digital Link: given https://example.com/10/A7?01={GTIN}, expected {LINK_PATH}",
        ),
        (
            "product in the query of an asset's link",
            f"https://example.com/8004/9520614141234567?01={GTIN}",
            f"query of a GS1 Digital Link: given 01={GTIN}, expected an AI that may stand there",
        ),
        (
            "unknown AI in the query",
            f"https://example.com/01/{GTIN}?99=ABC&999=faux",
            "query of a GS1 Digital Link: given 999=faux, expected an AI that may stand there",
        ),
        (
            "unknown AI in the path",
            f"https://example.com/01/{GTIN}/89/ABC123?99=XYZ",
            f"GS1 Digital Link: given https://example.com/01/{GTIN}/89/ABC123?99=XYZ, expected {LINK_PATH}",
        ),
        (
            "two products",
            f"https://example.com/01/00000096385074/01/{GTIN}",
            f"second value of AI (01): given {GTIN}, expected the same as the first, 00000096385074",
        ),
        (
            "what a browser takes away",
            f"https://example.com/01/{GTIN}/10/..",
            (
                f"path of a GS1 Digital Link: given /01/{GTIN}/10/.., "
                "expected no '.' and '..', which browsers take away"
            ),
        ),
        (
            "blank in the host",
            f"https://exam ple.com/01/{GTIN}",
            f"GS1 Digital Link: given https://exam ple.com/01/{GTIN}, expected an http or https URI",
        ),
        (
            "host of another script",
            f"https://例子.example/01/{GTIN}",
            f"GS1 Digital Link: given https://\\u4f8b\\u5b50.example/01/{GTIN}, expected an http or https URI",
        ),
        (
            "empty value",
            f"https://example.com/01/{GTIN}?10=",
            "value of AI (10): given an empty text, expected BATCH/LOT, format X..20",
        ),
        (
            "slash behind",
            f"https://example.com/01/{GTIN}/",
            f"GS1 Digital Link: given https://example.com/01/{GTIN}/, expected {LINK_PATH}",
        ),
        (
            "half an escape",
            f"https://example.com/01/{GTIN}/10/A%2",
            "percent-encoding: given %2, expected % and two hexadecimal digits",
        ),
        (
            "UTF-8",
            f"https://example.com/01/{GTIN}/10/%E6%BA%AF",
            "value of AI (10): given \\xe6\\xba\\xaf, expected BATCH/LOT, format X..20",
        ),
        (
            "NUL",
            f"https://example.com/01/{GTIN}/10/%00",
            "value of AI (10): given \\x00, expected BATCH/LOT, format X..20",
        ),
        (
            "path and query at odds",
            f"https://example.com/01/{GTIN}/10/A?10=B",
            "second value of AI (10): given B, expected the same as the first, A",
        ),
        (
            "ten digits",
            "https://example.com/01/6901234567",
            "value of AI (01): given 6901234567, expected GTIN, format N14",
        ),
    ],
)
def test_wrong_digital_links_are_refused(defect, text, message):
    assert refusal(parse_digital_link, text) == message


@pytest.mark.parametrize("end", ["", "#", "%", "%4"])
@pytest.mark.parametrize(("ai", "most"), [("4300", 35), ("4302", 70), ("7256", 90)])
def test_percent_encoded_characters_count_as_they_stand(ai, most, end):
    # In some tables a pair may count as one character or as six, which takes exponentially many mixtures to refuse.
    with pytest.raises(BadInput):
        parse_element_strings(ai + "%41%41" * 100 + end)
    assert parse_element_strings(ai + "%41" * (most // 3)) == {ai: "%41" * (most // 3)}


@pytest.mark.parametrize(
    "text",
    [
        "30\x1d" * 3_000,
        "99a\x1d" * 3_000,
        "21" * 5_000,
        "(99)a" * 3_000,
        "(" * 10_000,
        "(10)\\(" * 2_000,
        "https://" + "a" * 10_000,
        "https://a" + "/99" * 5_000,
        "https://a" + "/99/a" * 3_000 + "\n",
        "https://a/01?" + "99=a&" * 3_000,
        "https://a/10/" + "%41" * 5_000,
        # Forty thousand elements, each of which says the same.
        "2000" * 40_000,
        "20\x1d" * 40_000,
        "https://a" + "/10/A" * 40_000 + "/01/06901234567892",
    ],
)
def test_long_hostile_text_is_read_or_refused(text):
    for parse in (parse_element_strings, parse_bracketed, parse_digital_link):
        with suppress(BadInput):
            parse(text)


@given(
    st.one_of(
        st.text(),
        st.from_regex(r"((01|10|17|21|99|310[0-9]|43[0-9]{2})[0-9A-Za-z%\x1d]{0,30}){1,4}"),
        st.from_regex(r"(\((01|10|17|21|99)\)[\x20-\x7e]{0,30}){1,4}"),
        st.from_regex(
            r"https?://[\x20-\x7e]{0,9}(/(01|10|17|21|99)/[0-9A-Za-z%]{0,30}){1,4}(\?[\x20-\x7e]{0,30})?"
        ),
    )
)
def test_no_text_raises_anything_but_a_refusal(text):
    for parse in (parse_element_strings, parse_bracketed, parse_digital_link):
        with suppress(BadInput):
            parse(text)


def test_the_element_strings_of_real_symbols_are_those_of_biip(shared):
    images = json.loads((shared / "barcodes" / "MANIFEST.json").read_text())["images"]
    texts = [image["expected"] for image in images if str(image["symbology"]).startswith("GS1 DataBar")]
    read = [parse_element_strings(text) for text in texts if text != ILL_FORMED]
    assert read == [elements_of(GS1Message.parse(text)) for text in texts if text != ILL_FORMED]
    assert len(read) == 6
    assert refusal(parse_element_strings, ILL_FORMED) == (
        "value of AI (423): given 0123456789012, expected COUNTRY - INITIAL PROCESS, format N3 [N3] [N3] [N3] [N3]"
    )
