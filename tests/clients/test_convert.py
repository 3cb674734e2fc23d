from __future__ import annotations

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st
from world import family_of

from clients.convert import Refused, error_of
from ledger.errors import Reason, ServiceFault


def status_of(
    reason="WRONG_ROLE", code=code_pb2.PERMISSION_DENIED, message="text", domain="suyuan", **metadata
):
    status = status_pb2.Status(code=code, message=message)
    info = error_details_pb2.ErrorInfo(reason=reason, domain=domain, metadata=metadata)
    packed = any_pb2.Any()
    packed.Pack(info)
    status.details.append(packed)
    return status


@pytest.mark.parametrize("reason", Reason)
def test_a_refusal_becomes_the_error_that_the_service_raised(reason):
    refused = Refused.of(status_of(reason, subject="thing", given="this", expected="that"))
    error = refused.error()
    assert (refused.reason, refused.subject, refused.given, refused.expected) == (
        reason,
        "thing",
        "this",
        "that",
    )
    assert str(error) == "thing: given this, expected that"
    assert error.reason is reason
    assert type(error) is family_of(error)


def test_what_was_not_told_stays_untold():
    error = Refused.of(status_of(subject="thing")).error()
    assert (str(error), error.given, error.expected) == ("thing", None, None)


def test_a_refusal_without_a_subject_takes_it_from_the_message():
    status = status_of(message="thing: given this, expected that", given="this", expected="that")
    assert str(Refused.of(status).error()) == "thing: given this, expected that"


def test_the_code_has_a_name():
    assert Refused.of(status_of()).code == "PERMISSION_DENIED"
    assert Refused.of(status_of(code=99)).code == "code 99"


@pytest.mark.parametrize("word", ["TOMORROWS_REASON", "wrong_role", "", "__class__"])
def test_a_reason_unknown_to_this_version(word):
    refused = Refused.of(status_of(word, message="no"))
    assert (refused.reason, isinstance(refused.reason, Reason)) == (word, False)
    error = refused.error()
    assert (type(error), error.reason) == (ServiceFault, Reason.UNREACHABLE)
    assert str(error) == (
        f"refusal by the service: given PERMISSION_DENIED for the reason {word or 'none'}: no, "
        "expected a reason known to this version"
    )


def test_a_refusal_of_another_domain_is_none_of_ours():
    assert Refused.of(status_of(domain="elsewhere.test")).reason == ""


def test_details_that_cannot_be_read_are_passed_over():
    status = status_of(subject="thing")
    broken = any_pb2.Any(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff")
    status.details.insert(0, broken)
    assert Refused.of(status).reason is Reason.WRONG_ROLE


@given(st.text(max_size=3000), st.text(max_size=3000))
def test_a_strangers_text_is_cut_and_printable(message, given_):
    refused = Refused.of(status_of(message=message, subject=message, given=given_))
    for text in (refused.message, refused.subject, refused.given):
        assert len(text) <= 1_001
        assert text.isprintable()


def test_colours_and_directions_do_not_get_through():
    status = status_of(subject="\x1b[31mred\x1b[0m \u202egnihton\n")
    assert str(Refused.of(status).error()) == "\ufffd[31mred\ufffd[0m \ufffdgnihton\ufffd"


class Call:
    """A call that failed, with what came along."""

    def __init__(self, code=grpc.StatusCode.UNKNOWN, details=None, metadata=()):
        self._code, self._details, self._metadata = code, details, metadata

    def code(self):
        return self._code

    def details(self):
        return self._details

    def trailing_metadata(self):
        return self._metadata


def with_details(status, **more):
    metadata = [
        ("grpc-status-details-bin", status if isinstance(status, bytes) else status.SerializeToString())
    ]
    return Call(grpc.StatusCode.PERMISSION_DENIED, "text", metadata, **more)


def test_a_failed_call_that_tells_why():
    error = error_of(with_details(status_of(subject="thing", given="this")), "host:1")
    assert (error.reason, str(error)) == (Reason.WRONG_ROLE, "thing: given this")


@pytest.mark.parametrize(
    "call",
    [
        Call(grpc.StatusCode.PERMISSION_DENIED, "text"),
        with_details(b"\xff"),
        with_details(status_of(code=code_pb2.NOT_FOUND)),
        with_details(status_of(message="another text")),
        with_details(status_of(domain="elsewhere.test")),
        with_details(status_pb2.Status(code=code_pb2.PERMISSION_DENIED, message="text")),
    ],
)
def test_a_failed_call_that_does_not_tell_why(call):
    error = error_of(call, "host:1")
    assert (type(error), error.reason) == (ServiceFault, Reason.UNREACHABLE)
    assert str(error) == "service at host:1: given PERMISSION_DENIED: text, expected an answer"


def test_a_failed_call_that_tells_nothing():
    assert (
        str(error_of(Call(), "host:1")) == "service at host:1: given UNKNOWN: no details, expected an answer"
    )
