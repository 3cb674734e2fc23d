"""What a service refuses, as the ledger's own errors.

A refusal travels as a `google.rpc.Status` whose ErrorInfo (domain "suyuan") carries the reason as in
`suyuan.v1.ErrorReason`, and what was given and expected. It becomes the `LedgerError` that the service raised, of the
family that the reason's number tells. Everything else that goes wrong with a call is a `ServiceFault`: `UNREACHABLE`.

A refusal is the service's word, and its texts are a stranger's: they are cut and freed of what does not print before
anybody sees them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import grpc
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from ledger.errors import (
    BadInput,
    BrokenProof,
    Conflict,
    LedgerError,
    NotAuthorized,
    Reason,
    ServiceFault,
)
from suyuan.v1 import errors_pb2

DOMAIN = "suyuan"
"""The `domain` of every ErrorInfo of a service."""

MAX_TEXT = 1_000
"""Characters of a service's text that are shown."""

_FAMILIES = (BadInput, NotAuthorized, Conflict, BrokenProof, ServiceFault)
_KNOWN = "a reason known to this version"


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a service did not record an event: its word."""

    reason: Reason | str
    """A `Reason`; other text if it is unknown to this version."""
    message: str
    given: str | None
    expected: str | None
    code: str
    """Name of the `google.rpc.Code`, such as `PERMISSION_DENIED`."""
    subject: str = ""
    """What it speaks of."""
    retry_after_s: float | None = None
    """Seconds after which it may go better, where the service says so."""

    @classmethod
    def of(cls, status: status_pb2.Status) -> Refused:
        """What a status says."""
        info = _error_info(status)
        metadata: Mapping[str, str] = info.metadata if info is not None else {}
        word = info.reason if info is not None else ""
        message = _shown(status.message)
        return cls(
            reason=Reason(word) if word in Reason.__members__ else _shown(word),
            message=message,
            given=_shown(metadata["given"]) if "given" in metadata else None,
            expected=_shown(metadata["expected"]) if "expected" in metadata else None,
            code=_code_name(status.code),
            subject=_shown(metadata["subject"])
            if "subject" in metadata
            else message.partition(": given ")[0],
            retry_after_s=_retry_after_s(status),
        )

    def error(self) -> LedgerError:
        """The same as the error that the service raised, to be raised here."""
        if not isinstance(self.reason, Reason):
            given = f"{self.code} for the reason {self.reason or 'none'}: {self.message}"
            return ServiceFault(Reason.UNREACHABLE, "refusal by the service", given=given, expected=_KNOWN)
        number = errors_pb2.ErrorReason.Value(f"ERROR_REASON_{self.reason}")
        family = _FAMILIES[number // 20]
        error = family(self.reason, self.subject, given=self.given, expected=self.expected)
        if isinstance(error, ServiceFault):
            error.retry_after_s = self.retry_after_s
        return error


def error_of(call: grpc.Call, target: str) -> LedgerError:
    """Why a call failed.

    Args:
        call: the failed call.
        target: where it went, for the message.
    """
    status = _status_of(call)
    if status is not None and _error_info(status) is not None:
        return Refused.of(status).error()
    code, details = call.code(), call.details()
    name = code.name if isinstance(code, grpc.StatusCode) else str(code)
    return ServiceFault(
        Reason.UNREACHABLE,
        f"service at {target}",
        given=f"{name}: {_shown(details or 'no details')}",
        expected="an answer",
    )


def _status_of(call: grpc.Call) -> status_pb2.Status | None:
    try:
        return rpc_status.from_call(call)
    except (ValueError, DecodeError):  # what came beside the status contradicts it, or is no status
        return None


def _retry_after_s(status: status_pb2.Status) -> float | None:
    for detail in status.details:
        info = error_details_pb2.RetryInfo()
        try:
            if detail.Unpack(info):
                return max(0.0, float(info.retry_delay.seconds) + float(info.retry_delay.nanos) / 1e9)
        except DecodeError:
            continue
    return None


def _error_info(status: status_pb2.Status) -> error_details_pb2.ErrorInfo | None:
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        try:
            if detail.Unpack(info) and info.domain == DOMAIN:
                return info
        except DecodeError:
            continue
    return None


def _code_name(code: int) -> str:
    return code_pb2.Code.Name(code) if code in code_pb2.Code.values() else f"code {code}"


def _shown(text: str) -> str:
    cut = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in cut)
