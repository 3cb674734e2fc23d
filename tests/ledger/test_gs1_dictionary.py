"""The examples and counter-examples by which GS1 tries its Barcode Syntax Dictionary and its syntax engine.

They are those of the tests of both (Apache-2.0, GS1 AISBL), put in the order of our checks: what the dictionary
takes is taken, and what it refuses is refused. Not here are its lists of countries, currencies, kinds of packages
and coupons, of which our table knows the shape alone.
"""

from __future__ import annotations

import doctest

import pytest

import ledger.gs1_checks
from ledger.barcode import Symbology, read_barcode
from ledger.errors import BadInput
from ledger.gs1_ai import ai_named
from ledger.gs1_checks import gs1_check_pair
from ledger.gs1_message import GROUP_SEPARATOR, parse_bracketed, parse_digital_link, parse_element_strings

# AI, values that hold, values that do not.
VALUES = [
    (
        "00",
        "006141411234567890 123456789012345675",
        "123456789012345670 12345678901234567 12345678*012345675",
    ),
    ("01", "12345678901231 24012345678905", "12345678901232 24012345678909 1234567890123A 123456789012312"),
    ("03", "12345678901231", "12345678901232"),
    ("402", "12345678901234560", "12345678901234561"),
    ("414", "1234567890128 9520123456788", "1234567890129"),
    ("253", "1231231231232 1231231231232TEST5678901234567", "1231231231233 1231231231232TEST56789012345678"),
    ("255", "1231231231232 1231231231232123456789012", "1231231231232A 12312312312321234567890123"),
    ("8017", "123456789012345675", "123456789012345670"),
    (
        "8003",
        "02112345678900ABC 02112345678900 02112345678900ABCDEFGHIJKLMNOP",
        "02112345678901ABC 12112345678900",
    ),
    ("8006", "123456789012310101 123456789012310203", "123456789012310001 123456789012310100"),
    ("8026", "123456789012319999", "123456789012310302 123456789012320103"),
    (
        "8013",
        (
            "1987654Ad4X4bL5ttr2310c2K 12345678901234567890123NT 12345_ABCDEFGHIJKLMCP 12345_NOPQRSTUVWXYZDN "
            "12345_abcdefghijklmN3 12345_nopqrstuvwxyzP2 12345_!\"%&'()*+,-./LC 12345_0123456789:;<=>?62 "
            "7907665Bm8v2AB 97850l6KZm0yCD 225803106GSpEF 149512464PM+GH 62577B8fRG7HJK 515942070CYxLM "
            "390800494sP6NP 386830132uO+QR 53395376X1:nST 957813138Sb6UV 530790no0qOgWX 62185314IvwmYZ "
            "23956qk1&dB!23 794394895ic045 57453Uq3qA<H67 0881063PhHvY89 00000!HV 99999zzzzzzzzzzzzzzzzzzT2"
        ),
        (
            "1987654Ad4X4bL5ttr2310cXK 1987654Ad4X4bL5ttr2310c2X 33 2 1987654Ad4X4bL5ttr2310c2k "
            # The pair holds, and there is no company prefix.
            "22 !22 !!22"
        ),
    ),
    ("8014", "1987654Ad4X4bL5ttr2310c2K", "1987654Ad4X4bL5ttr2310cXK"),
    ("8004", "0123 012345 0123A 9520614141234567", "012 012A 01AA A0123"),
    ("8010", "0123-A/#", "012-A 0123a"),
    (
        "11",
        "000606 250606 500606 750606 990606 200131 200100 200229",
        "201301 200001 200132 190229 200431 2O0131",
    ),
    ("4324", "2001312359 2001000000", "2001312400 2001312360 2013012359"),
    ("7006", "200131", "200100 200230"),
    ("7007", "200131 200131200201", "200131200200 2001312002"),
    ("7003", "2001310000", "2001310060 2001002359"),
    ("7250", "20200229 18991231", "20190229 20201301 20200100"),
    ("7251", "202002292359", "202002292400"),
    ("8008", "20013123 2001312359 200131235959", "20013124 2001312360 200131235960 2001002359"),
    ("4309", "02790858483015297971 00000000000000000000 18000000003600000000", "18000000010000000000"),
    ("4309", "18000000003600000000", "18000000003600000001 0279085848301529797"),
    ("4330", "001234 001234-", "001234+ 00123 0012345"),
    ("4321", "0 1", "2 01"),
    ("4307", "CN", "C cn C1 CHN"),
    (
        "4300",
        "ABC A%20B %FF%Ff%ff ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHI",
        "%fg %g A% A%2 ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJ",
    ),
    ("7040", "1AB- 1ABz 1AB_ 1AB0", "1AB. 1AB AAB0 1AB*"),
    ("7241", "01 10 80 99", "00 11 79 0 100 AA"),
    ("7252", "0 1 2 9", "3 8 01"),
    ("7258", "1/1 1/3 3/3 8/9 9/9", "0/1 1/0 2/1 9/8 1/ /1 111 1-1"),
    (
        "8001",
        "12341234512398 12341234512309 12341234512319",
        "12341234512328 00001234512398 12340000012398 12341234500098",
    ),
    (
        "8007",
        (
            "FR7630006000011234567890189 DE91100000000123456789 GR9608100010000001234567890 "
            "MU43BOMM0101123456789101000MUR PK70BANK0000123456789000 PL10105000997603123456789123 "
            "RO09BCYP0000001234567890 SA4420000001234567891234 ES7921000813610123456789 CH5604835012345678009 "
            "GB98MIDL07009312345678 BE71096123456769 LC14BOSL123456789012345678901234"
        ),
        "BE71096123456760 be71096123456769 BE71 1271096123456769",
    ),
    ("8011", "1 10 210 1234567890", "0 01 012 A999 1234567890123"),
    ("242", "1 123456", "1234567 A"),
    ("8111", "1234", "123 12345"),
    ("7230", "123 121234567890123456789012345678", "12 1212345678901234567890123456789"),
    ("99", "1234 ABC", "~ABC ABC~ A^"),
]


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(ledger.gs1_checks).failed == 0


@pytest.mark.parametrize(("ai", "value"), [(ai, value) for ai, good, _ in VALUES for value in good.split()])
def test_what_the_dictionary_takes(ai, value):
    assert ai_named(ai).fault(value, 2026) is None


@pytest.mark.parametrize(("ai", "value"), [(ai, value) for ai, _, bad in VALUES for value in bad.split()])
def test_what_the_dictionary_refuses(ai, value):
    assert ai_named(ai).fault(value, 2026)


@pytest.mark.parametrize("ai", sorted({ai for ai, _, _ in VALUES}))
def test_no_value_is_empty(ai):
    assert ai_named(ai).fault("", 2026)


def test_letters_must_be_among_what_is_highly_individualised():
    body = "12345678901234567890123"
    value = body + gs1_check_pair(body)
    assert value == "12345678901234567890123NT"
    assert ai_named("8013").fault(value, 2026) is None
    assert ai_named("8014").fault("1234" + gs1_check_pair("1234"), 2026) is None
    # Both check characters may come out as digits.
    numbers = (f"9999{n:05}" for n in range(100_000))
    number = next(one for one in numbers if gs1_check_pair(one).isdigit())
    assert (
        ai_named("8014").fault(number + gs1_check_pair(number), 2026)
        == "at least one character that is no digit"
    )


@pytest.mark.parametrize("body", ["1" * 24, "é", "1 2"])
def test_what_no_check_pair_completes(body):
    with pytest.raises(BadInput) as caught:
        gs1_check_pair(body)
    assert caught.value.expected == "at most 23 characters of GS1 set 82"


def sound(elements):
    """Whether the values hold too, as the engine demands at once."""
    return all(ai_named(ai).fault(value, 2026) is None for ai, value in elements.items())


def accepted(parse, text):
    try:
        return sound(parse(text))
    except BadInput:
        return False


# FNC1 as ^. The engine wants one in front, which scanners do not send.
ELEMENT_STRINGS_TAKEN = """
    991234  0112345678901231  0112345678901231^  0112345678901231991234  0112345678901231^991234
    2421 242123456 242123456^10ABC123 242123456^
    81111234 81111234^10ABC123  800112341234512398 800112341234512398^0112345678901231
    800302112345678900ABC 800302112345678900 800302112345678900^10ABC123
    7230121234567890123456789012345678 7230123
    1012345 01123456789012311012345 31001234561012345 1012345^11991225 390012345^11991225 1012345(11)991225
"""
ELEMENT_STRINGS_REFUSED = """
    ^ 891234 99~ABC 99ABC~ 01A2345678901231 011234567890123A 0112345678901234 011234567890123
    01123456789012312 011234567890123^ 01123456789012345^ 01123456789012345^991234
    2421234567 8111123 811112345 80011234123451239 8001123412345123981
    80011234123451239^0112345678901231 8001123412345123981^01123456789012312
    800302112345678901ABC 800302112345678900ABCDEFGHIJKLMNOPQ
    72301212345678901234567890123456789 723012
"""


@pytest.mark.parametrize("text", ELEMENT_STRINGS_TAKEN.split())
def test_element_strings_that_the_engine_takes(text):
    assert accepted(parse_element_strings, text.replace("^", GROUP_SEPARATOR))


@pytest.mark.parametrize("text", ELEMENT_STRINGS_REFUSED.split())
def test_element_strings_that_the_engine_refuses(text):
    assert not accepted(parse_element_strings, text.replace("^", GROUP_SEPARATOR))
    with pytest.raises(BadInput):
        read_barcode(text.replace("^", GROUP_SEPARATOR), Symbology.GS1_128)


BRACKETED_TAKEN = r"""
    (01)12345678901231 (10)12345 (01)12345678901231(10)12345 (3100)123456(10)12345 (10)12345(11)991225
    (3900)12345(11)991225 (10)12345\(11)991225 (10)12345\( (8013)1987654Ad4X4bL5ttr2310c2K
"""
BRACKETED_REFUSED = r"""
    (10)(11)98765 (10)12345(11) (1A)12345 1(12345 12345 ()12345 (1)12345 (12345)12345 (15 (1 (
    (01)123456789012312(10)12345 (10)12345^ (17)9(90)217 (8013)1987654Ad4X4bL5ttr2310cXK
"""


@pytest.mark.parametrize("text", BRACKETED_TAKEN.split())
def test_bracketed_messages_that_the_engine_takes(text):
    assert accepted(parse_bracketed, text)


@pytest.mark.parametrize("text", BRACKETED_REFUSED.split())
def test_bracketed_messages_that_the_engine_refuses(text):
    assert not accepted(parse_bracketed, text)


LINKS_TAKEN = {
    "http://a/00/006141411234567890": "(00)006141411234567890",
    "https://a/more/stem/00/006141411234567890": "(00)006141411234567890",
    "https://a/00/faux/00/006141411234567890": "(00)006141411234567890",
    "https://a/01/2112345678900": "(01)02112345678900",
    "https://a/01/416000336108": "(01)00416000336108",
    "https://a/01/02345673": "(01)00000002345673",
    "https://a/01/12312312312333/22/TEST/10/ABC/21/XYZ": "(01)12312312312333(22)TEST(10)ABC(21)XYZ",
    "https://a/01/12312312312333/235/TEST": "(01)12312312312333(235)TEST",
    "https://a/253/1231231231232TEST5678901234567": "(253)1231231231232TEST5678901234567",
    "https://a/8018/123456789012345675/8019/123": "(8018)123456789012345675(8019)123",
    "https://a/stem/00/006141411234567890?99=ABC": "(00)006141411234567890(99)ABC",
    "https://a/stem/401/12345678?99=ABC": "(401)12345678(99)ABC",
    "https://a/01/12312312312333?99=ABC&98=XYZ": "(01)12312312312333(99)ABC(98)XYZ",
    "https://a/01/12312312312333?&&&99=ABC&&&&&&98=XYZ&&&": "(01)12312312312333(99)ABC(98)XYZ",
    "https://a/01/12312312312333?99=ABC&unknown=666&98=XYZ": "(01)12312312312333(99)ABC(98)XYZ",
    "https://a/01/12312312312333?singleton&99=ABC&98=XYZ": "(01)12312312312333(99)ABC(98)XYZ",
    "https://a/01/12312312312333/22/ABC%2d123?99=ABC&98=XYZ%2f987": (
        "(01)12312312312333(22)ABC-123(99)ABC(98)XYZ/987"
    ),
    "https://brand.example.com/some-extra/pathinfo/01/9520123456788": "(01)09520123456788",
    "https://id.gs1.org/01/09520123456788/10/ABC1/21/12345?17=180426": (
        "(01)09520123456788(10)ABC1(21)12345(17)180426"
    ),
    "https://example.com/01/9520123456788?3103=000195&3922=0299&17=201225": (
        "(01)09520123456788(3103)000195(3922)0299(17)201225"
    ),
    "https://id.gs1.org/00/952012345678912345?02=09520123456788&37=25&10=ABC123": (
        "(00)952012345678912345(02)09520123456788(37)25(10)ABC123"
    ),
    "https://id.gs1.org/414/9520123456788/254/32a%2Fb": "(414)9520123456788(254)32a/b",
}
LINKS_REFUSED = [
    "",
    "ftp://",
    "http://",
    "http:///",
    "http://a",
    "http://a/",
    "https://00/006141411234567890",
    "https://a/253/1231231231232TEST56789012345678",
    "https://a/stem/00/006141411234567890/",
    "https://a/01/12312312312333?99=ABC&999=faux",
    "https://example.com/01/9520123456788/89/ABC123?99=XYZ",
    "https://example.com/01/9520123456788?99=XYZ&89=ABC123",
]


@pytest.mark.parametrize(("uri", "elements"), LINKS_TAKEN.items())
def test_digital_links_that_the_engine_takes(uri, elements):
    assert parse_digital_link(uri) == parse_bracketed(elements)
    assert sound(parse_digital_link(uri))


@pytest.mark.parametrize("uri", LINKS_REFUSED)
def test_digital_links_that_the_engine_refuses(uri):
    with pytest.raises(BadInput):
        parse_digital_link(uri)
