"""Who is asked."""

import pytest
from misbehaving import cosigner, ml_dsa_cosigner

from ledger.errors import BadInput
from ledger.policy import Policy
from server.witnessing.endpoint import endpoints_of

A, A_PQ, B = cosigner("a").vkey, ml_dsa_cosigner("a").vkey, cosigner("b").vkey


def policy(*lines):
    return Policy.parse("".join(f"{line}\n" for line in lines).encode())


def refused(*lines):
    with pytest.raises(BadInput) as caught:
        endpoints_of(policy(*lines))
    return str(caught.value)


def test_keys_of_one_url_are_one_witness():
    found = endpoints_of(
        policy(
            f"witness a {A} https://a.test/w/",
            f"witness b {B} http://b.test:8080",
            f"witness a-pq {A_PQ} https://A.test/w",
            "quorum none",
        )
    )
    assert [(one.url, one.names, one.keys) for one in found] == [
        ("https://a.test/w", ("a", "a-pq"), (A, A_PQ)),
        ("http://b.test:8080", ("b",), (B,)),
    ]
    assert found[0].label == "a, a-pq"


def test_witnesses_without_a_url_are_not_asked():
    found = endpoints_of(policy(f"witness a {A}", f"witness b {B} http://b.test/", "quorum b"))
    assert [one.url for one in found] == ["http://b.test"]


def test_without_a_quorum_nobody_need_be_asked():
    assert endpoints_of(policy("quorum none")) == ()


def test_a_quorum_that_can_never_be():
    assert refused(f"witness a {A}", "quorum a") == (
        "witnesses with a URL: given none, expected enough for a quorum: a"
    )
    assert refused(f"witness a {A} http://a.test", f"witness b {B}", "group g all a b", "quorum g") == (
        "witnesses with a URL: given a, expected enough for a quorum: 2 of (a, b)"
    )


@pytest.mark.parametrize(
    "url",
    [
        "a.test",
        "ftp://a.test",
        "http://",
        "http://user:secret@a.test",
        "http://a.test?x=1",
        "http://a.test/#x",
        "http://a.test:x",
        "http://a.test:99999",
        "http://ä.test",
        "http://[::1",
    ],
)
def test_urls_that_cannot_be_asked(url):
    said = refused(f"witness a {A} {url}", "quorum a")
    assert said.startswith("URL of the witness a: given ")
    assert "secret" not in said
    assert said.endswith("expected http(s)://HOST[:PORT][/PATH], without a user, a query or a fragment")


def test_too_many():
    from hashlib import sha256

    from ledger.note import COSIGNATURE_ED25519, VerifierKey

    keys = [VerifierKey.of(f"w{n}", sha256(b"%d" % n).digest(), COSIGNATURE_ED25519) for n in range(101)]
    lines = [f"witness w{n} {key} http://w{n}.test" for n, key in enumerate(keys)]
    assert refused(*lines, "quorum w0") == "witnesses to ask: given 101, expected at most 100"
