"""The connection to a service: deadlines on every call, errors as the ledger's own.

A service may be several processes on one database. What one of them does not answer, or leaves to the one that writes,
is asked of the next, until the time is up. That repeats nothing: reads change nothing, and an event that is sent again
gets its first receipt.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import grpc

from clients.convert import error_of
from clients.patience import Patience
from clients.targets import Targets, parse_targets
from ledger.errors import LedgerError, Reason, ServiceFault
from suyuan.v1.ledger_service_pb2_grpc import LedgerServiceStub
from suyuan.v1.registry_service_pb2_grpc import RegistryServiceStub

if TYPE_CHECKING:
    from grpc import _CallIterator as Stream  # only the stubs have a name for it

MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""Answers that are larger are refused unread: what a service sends at most."""

MAX_REQUEST_BYTES = 4 * 1024 * 1024

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 1.0
"""Between two rounds of asking all processes: the first pause, and the last, each twice as long as the one before."""

Req = TypeVar("Req")
Res = TypeVar("Res")

_ELSEWHERE = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
"""What another process may answer."""

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
    ("grpc.max_send_message_length", MAX_REQUEST_BYTES),
    # A connection that died without a word is noticed while a call waits; an idle one costs nobody anything.
    ("grpc.keepalive_time_ms", 300_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 0),
    # Connections are this client's own, so that closing it closes them.
    ("grpc.use_local_subchannel_pool", 1),
)
_OPTIONS_OF_SEVERAL = (
    *_OPTIONS,
    # Whoever was killed and started again is found again soon; while it is away the others are asked.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)


@dataclass(frozen=True, slots=True)
class Answers(Generic[Res]):
    """A stream of answers, and the number of the process that gives them."""

    call: Stream[Res]
    number: int


class Transport:
    """The channels to one service. Safe to share among threads."""

    def __init__(self, target: str, *, root_certificates: bytes | None, timeout_s: float) -> None:
        """Connect when first called.

        Args:
            target: `host:port`, or several with commas between them.
            root_certificates: PEM certificates that the service's has to lead to; None: no TLS.
            timeout_s: seconds that a call may take.

        Raises:
            BadInput: as `parse_targets` says.
        """
        names = parse_targets(target)
        self.target = target
        self.timeout_s = timeout_s
        self.closed = False
        options = _OPTIONS if len(names) == 1 else _OPTIONS_OF_SEVERAL
        if root_certificates is None:
            channels = [grpc.insecure_channel(name, options=options) for name in names]
        else:
            credentials = grpc.ssl_channel_credentials(root_certificates)
            channels = [grpc.secure_channel(name, credentials, options=options) for name in names]
        self._targets = Targets(names, channels)
        channel = channels[0] if len(names) == 1 else self._targets
        self.ledger = LedgerServiceStub(channel)
        self.registry = RegistryServiceStub(channel)

    def call(self, method: grpc.UnaryUnaryMultiCallable[Req, Res], request: Req) -> Res:
        """Ask, and wait for the answer until the deadline; again, where the service says when to come back.

        What it says that of it has not done: asking again repeats nothing.

        Of several processes each gets its share of the time that is left, so that one which is silent does not use it up.

        Raises:
            ServiceFault: `UNREACHABLE` if no answer came, none in time, or none that can be read.
            LedgerError: what the service refused, and why.
        """
        patience, pause_s = Patience(self.timeout_s), FIRST_PAUSE_S
        several, asked = self.several, 0
        while True:
            number, share = self._targets.current, several - asked % several
            try:
                return self._call(method, request, patience.left_s / share)
            except grpc.RpcError as failed:
                error = error_of(failed, self._targets.names[number])  # type: ignore[arg-type]  # it is a Call too
                elsewhere = several > 1 and not self.closed and _may_go_elsewhere(failed, error)
            if elsewhere:
                self._targets.leave(number)
                asked += 1
                if asked % several:
                    continue
                if pause_s >= patience.left_s:
                    raise error
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                delay_s = error.retry_after_s if isinstance(error, ServiceFault) else None
                if delay_s is None or not patience.wait(delay_s):
                    raise error

    def _call(self, method: grpc.UnaryUnaryMultiCallable[Req, Res], request: Req, timeout_s: float) -> Res:
        with self._open():
            return method(request, timeout=timeout_s)

    @contextmanager
    def stream(self, method: grpc.UnaryStreamMultiCallable[Req, Res], request: Req) -> Iterator[Answers[Res]]:
        """Ask for a stream of answers, which `next_of` gives; it is cancelled with the block. It has no deadline.

        Raises:
            ServiceFault: `UNREACHABLE` if this client is closed.
        """
        number = self._targets.current
        with self._open():
            call = method(request)
        try:
            yield Answers(call, number)
        finally:
            call.cancel()

    def next_of(self, answers: Answers[Res]) -> Res | None:
        """Wait for the next answer of a stream; None at its end. If it fails, the next stream is of the next process.

        Raises:
            ServiceFault, LedgerError: as `call`.
        """
        try:
            return next(answers.call, None)
        except grpc.RpcError as failed:
            if failed.code() is grpc.StatusCode.CANCELLED:
                self._targets.leave(answers.number)  # it was silent
            raise self.fault_of(failed, answers.number) from None

    def exchange(
        self, method: grpc.StreamStreamMultiCallable[Req, Res], requests: Iterator[Req]
    ) -> Stream[Res]:
        """Begin a call that sends and hears; its answers, or a `grpc.RpcError`, come from iterating over it.

        Raises:
            ServiceFault: `UNREACHABLE` if this client is closed.
        """
        with self._open():
            return method(requests)

    @property
    def current(self) -> int:
        """The number of the process that the next call goes to."""
        return self._targets.current

    @property
    def several(self) -> int:
        """How many processes there are."""
        return len(self._targets.names)

    @property
    def share_s(self) -> float:
        """How long each process may be silent, if all are to be asked in the time that a call may take."""
        return self.timeout_s / self.several

    def leave(self, number: int) -> None:
        """Have the next call go to another process than this one."""
        self._targets.leave(number)

    def fault_of(self, failed: grpc.RpcError, number: int) -> LedgerError:
        """What a failed call of a process tells; where another one may do better, the next call goes there."""
        error = error_of(failed, self._targets.names[number])  # type: ignore[arg-type]  # it is a Call too
        if _may_go_elsewhere(failed, error):
            self._targets.leave(number)
        return error

    @contextmanager
    def _open(self) -> Iterator[None]:
        """Say of a closed client that it is one."""
        try:
            yield
        except ValueError:
            if not self.closed:
                raise
            raise self._closed_client() from None

    def unreachable(self, given: str) -> ServiceFault:
        """What to raise where the service does not answer."""
        return ServiceFault(
            Reason.UNREACHABLE, f"service at {self.target}", given=given, expected="an answer"
        )

    def _closed_client(self) -> ServiceFault:
        return ServiceFault(
            Reason.UNREACHABLE, f"service at {self.target}", given="a closed client", expected="an open one"
        )

    def close(self) -> None:
        """End the calls in flight and close the connections; closing again does nothing."""
        self.closed = True
        self._targets.close()


def _may_go_elsewhere(failed: grpc.RpcError, error: LedgerError) -> bool:
    """Whether another process may answer what one has not. That witnesses are missing is true of all of them."""
    return failed.code() in _ELSEWHERE and error.reason is not Reason.NO_QUORUM
