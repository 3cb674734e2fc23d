"""The connection to a service: one channel, deadlines on every call, errors as the ledger's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import grpc

from clients.convert import error_of
from clients.patience import Patience
from ledger.errors import Reason, ServiceFault
from suyuan.v1.ledger_service_pb2_grpc import LedgerServiceStub
from suyuan.v1.registry_service_pb2_grpc import RegistryServiceStub

if TYPE_CHECKING:
    from grpc import _CallIterator as Stream  # only the stubs have a name for it

MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""Answers that are larger are refused unread: what a service sends at most."""

MAX_REQUEST_BYTES = 4 * 1024 * 1024

Req = TypeVar("Req")
Res = TypeVar("Res")

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


class Transport:
    """One channel to one service. Safe to share among threads."""

    def __init__(self, target: str, *, root_certificates: bytes | None, timeout_s: float) -> None:
        """Connect when first called.

        Args:
            target: `host:port`.
            root_certificates: PEM certificates that the service's has to lead to; None: no TLS.
            timeout_s: seconds that a call may take.
        """
        self.target = target
        self.timeout_s = timeout_s
        self.closed = False
        if root_certificates is None:
            self._channel = grpc.insecure_channel(target, options=_OPTIONS)
        else:
            credentials = grpc.ssl_channel_credentials(root_certificates)
            self._channel = grpc.secure_channel(target, credentials, options=_OPTIONS)
        self.ledger = LedgerServiceStub(self._channel)
        self.registry = RegistryServiceStub(self._channel)

    def call(self, method: grpc.UnaryUnaryMultiCallable[Req, Res], request: Req) -> Res:
        """Ask, and wait for the answer until the deadline; again, where the service says when to come back.

        What it says that of it has not done: asking again repeats nothing.

        Raises:
            ServiceFault: `UNREACHABLE` if no answer came, none in time, or none that can be read.
            LedgerError: what the service refused, and why.
        """
        patience = Patience(self.timeout_s)
        while True:
            try:
                return self._call(method, request, patience.left_s)
            except grpc.RpcError as failed:
                error = error_of(failed, self.target)  # type: ignore[arg-type]  # it is a Call too
                delay_s = error.retry_after_s if isinstance(error, ServiceFault) else None
                if delay_s is None or not patience.wait(delay_s):
                    raise error from None

    def _call(self, method: grpc.UnaryUnaryMultiCallable[Req, Res], request: Req, timeout_s: float) -> Res:
        with self._open():
            return method(request, timeout=timeout_s)

    @contextmanager
    def stream(self, method: grpc.UnaryStreamMultiCallable[Req, Res], request: Req) -> Iterator[Stream[Res]]:
        """Ask for a stream of answers, which `next_of` gives; it is cancelled with the block. It has no deadline.

        Raises:
            ServiceFault: `UNREACHABLE` if this client is closed.
        """
        with self._open():
            answers = method(request)
        try:
            yield answers
        finally:
            answers.cancel()

    def next_of(self, answers: Stream[Res]) -> Res | None:
        """Wait for the next answer of a stream; None at its end.

        Raises:
            ServiceFault, LedgerError: as `call`.
        """
        try:
            return next(answers, None)
        except grpc.RpcError as error:
            raise error_of(error, self.target) from None  # type: ignore[arg-type]  # it is a Call too

    def exchange(
        self, method: grpc.StreamStreamMultiCallable[Req, Res], requests: Iterator[Req]
    ) -> Stream[Res]:
        """Begin a call that sends and hears; its answers, or a `grpc.RpcError`, come from iterating over it.

        Raises:
            ServiceFault: `UNREACHABLE` if this client is closed.
        """
        with self._open():
            return method(requests)

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
        """End the calls in flight and close the connection; closing again does nothing."""
        self.closed = True
        self._channel.close()
