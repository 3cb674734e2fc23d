import pytest

from server.http.negotiation import accepts_gzip, entity_tag, has_it


@pytest.mark.parametrize(
    ("given", "accepted"),
    [
        (None, False),
        ("", False),
        ("identity", False),
        ("br, zstd", False),
        ("gzip", True),
        ("GZip", True),
        ("x-gzip", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("gzip;q=0.001", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzip;Q=0.0", False),
        ("*", True),
        ("*;q=0", False),
        ("*;q=0, gzip", True),
        ("gzip;q=0, *", False),
        ("gzipped", False),
        (";;,,q", False),
    ],
)
def test_who_can_read_gzip(given, accepted):
    assert accepts_gzip(given) is accepted


@pytest.mark.parametrize(
    ("given", "has"),
    [
        (None, False),
        ("*", True),
        (" * ", True),
        ('"0123"', True),
        ('W/"0123"', True),
        ('"x", "0123"', True),
        ('"x","0123","y"', True),
        ("0123", False),
        ('"01234"', False),
        ('"0123-gzip"', False),
        ('"0123', False),
        ('"*"', False),
    ],
)
def test_who_has_it(given, has):
    assert has_it(given, '"0123"') is has


def test_two_forms_have_two_tags():
    assert entity_tag("ab" * 32) == f'"{"ab" * 16}"'
    assert entity_tag("ab" * 32, gzipped=True) == f'"{"ab" * 16}-gzip"'
