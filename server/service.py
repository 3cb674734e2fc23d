"""A running service: its parts, how they start, and how they stop."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from ledger.checkpoint import Checkpoint
from ledger.errors import BadInput, Reason, ServiceFault
from ledger.note import NoteSigner, SignedNote
from server.admission import Admission, PublicKeys
from server.allowance import Allowances
from server.arrivals import Arrivals
from server.config import Settings, Tls, advertised, require_address
from server.grpc.answers import Answers
from server.grpc.appends import Appends
from server.grpc.errors import ErrorInterceptor
from server.grpc.ledger_service import LedgerService
from server.grpc.receiving import OPTIONS as RECEIVING_OPTIONS
from server.grpc.receiving import ReceivingInterceptor
from server.grpc.registry_service import RegistryService
from server.grpc.streams import Streams
from server.grpc.watching import Watching
from server.health import Health
from server.proofs import Proofs
from server.sequencer import Sequencer
from server.store import queries
from server.store.queries import StoredHead
from server.store.store import Store
from server.telemetry.telemetry import Telemetry
from server.turn import Duties, Turn
from server.verifying import SignatureProcesses
from server.witnessing.publication import take_up
from server.witnessing.pusher import Pusher
from server.writer import Writer
from suyuan.v1 import (
    ledger_service_pb2,
    ledger_service_pb2_grpc,
    registry_service_pb2,
    registry_service_pb2_grpc,
)

LEDGER = ledger_service_pb2.DESCRIPTOR.services_by_name["LedgerService"].full_name
APPEND = f"{LEDGER}/AppendEvents"
"""What gRPC's health service calls the recording of events, which only one of a log's processes does."""

REGISTRY = registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"].full_name

_LAST_WORDS_S = 1.0
"""How long a stream of answers may take to tell its reader that the service stops."""

log = structlog.get_logger(__name__)


class Service:
    """One ledger, served."""

    def __init__(self, settings: Settings, store: Store, signers: Sequence[NoteSigner]) -> None:
        """Nothing is running yet.

        Args:
            settings: how it is set up.
            store: the log.
            signers: the log's keys; several while it changes its key. None if the service only reads.

        Raises:
            BadInput: as `Pusher` and `Telemetry` say.
        """
        self._settings = settings
        self._store = store
        self._signers = signers
        self._pusher = self._new_pusher()
        self.telemetry = Telemetry(settings.metrics_listen, settings.otlp_endpoint)
        self.telemetry.watch(store)
        self._writer = None if settings.read_only else Writer(store, *signers)
        self._sequencer: Sequencer | None = None
        self.turn: Turn | None = None
        """Whether this process writes; None if it never does."""
        if self._writer is not None:
            duties = Duties(self._begin_turn, self._end_turn, self._tell_turn)
            self.turn = Turn(store, settings.lease_seconds, duties)
            self._writer.fence = self.turn.fence
            self._sequencer = Sequencer(
                self._writer, limits=settings.limits, observer=self.telemetry.observer
            )
        self._verifying = self.telemetry.threads(settings.verify_threads, "verify")
        self._checking = SignatureProcesses(settings.verify_threads)
        self._reading = self.telemetry.threads(settings.read_threads, "read")
        self._receipts = self.telemetry.threads(1, "receipts")
        self._health = health.aio.HealthServicer()
        self._errors = ErrorInterceptor()
        self.health = Health(
            store,
            is_alive=lambda: self._sequencer is None or self._sequencer.is_alive,
            writes=lambda: self.turn is not None and self.turn.writes,
        )
        """Whether it is well."""
        self._looking: asyncio.Task[None] | None = None
        self._server = self._build(store)
        self._serving = False
        self.address = ""
        """Where it listens, once started."""

    async def start(self) -> None:
        """Take up the log and begin to answer.

        If another process writes the log, this one waits for its turn, and answers reads meanwhile.

        Raises:
            ServiceFault: as `Writer.load`, `Writer.sign_anew` and `take_up` say.
            BadInput: `NOT_FOUND` if the database holds no log, `INVALID_REQUEST` if the address cannot be had, or a
                TLS file cannot be read.
        """
        head = self._head()
        if head is None:
            raise BadInput(
                Reason.NOT_FOUND, "log", given="no genesis", expected="a database made by operator init"
            )
        self.address = self._listen()
        if self._sequencer is not None and self.turn is not None:
            self._sequencer.start()
            await self.turn.start(advertised(self.address, self._settings.advertise))
        self._arrivals.start()
        await self.telemetry.start(
            self.health,
            self._store,
            policy=self._settings.witness_policy,
            sequencer=self._sequencer,
            pusher=lambda: self._pusher if self.turn is not None and self.turn.term else None,
            turn=self.turn,
        )
        await self._server.start()
        self.health.started()
        await self._tell_health(ready=True)
        self._looking = asyncio.create_task(self.health.follow(self._tell_health))
        self._serving = True
        log.info(
            "serving",
            address=self.address,
            tls=self._settings.tls is not None,
            origin=Checkpoint.parse(SignedNote.parse(head.checkpoint).text).origin,
            size=head.size,
            writes=self.turn is not None and self.turn.writes,
        )

    async def stop(self) -> None:
        """Take no new calls, let those in flight end, write what waits, and end."""
        if self._serving:
            log.info("stopping")
        self.health.stopping()
        if self._looking is not None:
            self._looking.cancel()
        if self.turn is not None:
            self.turn.drain()
        await self._health.enter_graceful_shutdown()
        self._streams.stop()
        await self._arrivals.stop()
        await self._end_calls()
        await self._end_turn()
        await self.telemetry.stop()
        if self._sequencer is not None and self.turn is not None:
            await self._sequencer.stop()
            # Only now, when nothing is written any more, may another process begin.
            await self.turn.stop()
        self.health.close()
        self._verifying.shutdown()
        self._checking.close()
        self._reading.shutdown()
        self._receipts.shutdown()
        await asyncio.to_thread(self.telemetry.flush)
        if self._serving:
            head = self._writer.head if self._writer is not None else None
            log.info("stopped", size=head.size if head is not None else None)

    def _head(self) -> StoredHead | None:
        """The log's head, after a look that the log is sound where this process may come to write it."""
        if self._writer is not None:
            self._writer.load()
            return self._writer.head
        with self._store.snapshot() as connection:
            return queries.head(connection)

    def _new_pusher(self) -> Pusher | None:
        policy, vkeys = self._settings.witness_policy, [signer.vkey for signer in self._signers]
        return Pusher(self._store, policy, vkeys, self._settings.witness_pace) if policy is not None else None

    async def _begin_turn(self) -> None:
        """Take up the log, and what of it is published."""
        if self._sequencer is not None:
            await asyncio.to_thread(self._sequencer.begin_turn)
        published = await asyncio.to_thread(
            take_up, self._store, self._signers, self._settings.witness_policy
        )
        self._pusher = self._new_pusher()
        if self._pusher is not None:
            self._pusher.start(published)

    async def _end_turn(self) -> None:
        """Ask no witnesses any more: whoever writes does."""
        if self._pusher is not None:
            await asyncio.to_thread(self._pusher.stop)

    async def _tell_turn(self, refusal: ServiceFault | None) -> None:
        """Admit appends, or refuse them."""
        if self._sequencer is not None and refusal is None:
            self._sequencer.admit()
        elif self._sequencer is not None and refusal is not None:
            # Another process's turn ends what this one was writing by itself; a database that is silent does not.
            self._sequencer.refuse(refusal, abandon=refusal.reason is not Reason.STANDBY)
        status = health_pb2.HealthCheckResponse
        await self._health.set(APPEND, status.SERVING if refusal is None else status.NOT_SERVING)

    async def _end_calls(self) -> None:
        """Let the calls in flight end, and cut off streams of answers that nobody takes: they would never end."""
        ending = asyncio.create_task(self._server.stop(self._settings.stop_seconds))
        idle = asyncio.create_task(self._errors.idle())
        await asyncio.wait((ending, idle), return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()
        await self._server.stop(min(_LAST_WORDS_S, self._settings.stop_seconds))
        await ending

    async def wait(self) -> None:
        """Return when the server has ended."""
        await self._server.wait_for_termination()

    async def _tell_health(self, *, ready: bool) -> None:
        """Have gRPC's health service say so."""
        status = health_pb2.HealthCheckResponse
        for name in ("", LEDGER, REGISTRY):
            await self._health.set(name, status.SERVING if ready else status.NOT_SERVING)

    def _build(self, store: Store) -> grpc.aio.Server:
        receiving = ReceivingInterceptor(
            self._settings.limits, leaving=frozenset({f"/{LEDGER}/StreamAppend"})
        )
        server = grpc.aio.server(
            interceptors=[*self.telemetry.interceptors, receiving, self._errors],
            maximum_concurrent_rpcs=self._settings.concurrent_calls,
            options=[
                ("grpc.max_receive_message_length", self._settings.max_request_bytes),
                ("grpc.max_send_message_length", self._settings.max_answer_bytes),
                *RECEIVING_OPTIONS,
                ("grpc.so_reuseport", 0),
                ("grpc.http2.min_ping_interval_without_data_ms", 30_000),
                ("grpc.keepalive_permit_without_calls", 1),
            ],
        )
        proofs = Proofs(store)
        answers = Answers(store, proofs, self._reading, self._receipts)
        allowance = self._settings.key_allowance
        admission = Admission(
            PublicKeys(store),
            self._verifying,
            self._settings.verify_threads,
            self._settings.limits,
            processes=self._checking,
            allowances=None if allowance is None else Allowances(allowance),
            observer=self.telemetry.observer,
        )
        self._arrivals = Arrivals(answers.size)
        if self._sequencer is not None:
            self._sequencer.announce = self._arrivals.announce
            self._sequencer.coming = lambda: admission.under_way
        watching = Watching(
            answers,
            self._arrivals,
            most=self._settings.watchers,
            readers=max(1, self._settings.read_threads // 2),
        )
        appends = Appends(admission, self._sequencer, answers, proofs)
        self._streams = Streams(appends, self._settings.limits)
        ledger = LedgerService(appends, self._streams, answers, proofs, watching)
        ledger_service_pb2_grpc.add_LedgerServiceServicer_to_server(ledger, server)
        registry_service_pb2_grpc.add_RegistryServiceServicer_to_server(RegistryService(answers), server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection(
            [LEDGER, REGISTRY, health.SERVICE_NAME, reflection.SERVICE_NAME], server
        )
        return server

    def _listen(self) -> str:
        listen, tls = require_address(self._settings.listen), self._settings.tls
        try:
            if tls is None:
                port = self._server.add_insecure_port(listen)
            else:
                port = self._server.add_secure_port(listen, _credentials(tls))
        except RuntimeError as error:
            expected = "host:port that is free to listen on"
            raise BadInput(Reason.INVALID_REQUEST, "address", given=listen, expected=expected) from error
        return f"{listen.rpartition(':')[0]}:{port}"


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    try:
        certificate, key = tls.certificate.read_bytes(), tls.private_key.read_bytes()
        client_ca = tls.client_ca.read_bytes() if tls.client_ca else None
    except OSError as error:
        raise _bad_tls(f"file {error.filename}", error.strerror or "no file", "a PEM file") from error
    # gRPC would only say that it cannot listen.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(tls.certificate, tls.private_key, password="")
    except (ssl.SSLError, ValueError) as error:
        files = f"files {tls.certificate} and {tls.private_key}"
        expected = "a PEM certificate chain, and the PEM private key of its first certificate, not encrypted"
        raise _bad_tls(files, "something else", expected) from error
    try:
        if tls.client_ca is not None:
            context.load_verify_locations(tls.client_ca)
    except ssl.SSLError as error:
        raise _bad_tls(f"file {tls.client_ca}", "something else", "PEM certificates of a CA") from error
    return grpc.ssl_server_credentials(
        [(key, certificate)], client_ca, require_client_auth=client_ca is not None
    )


def _bad_tls(files: str, given: str, expected: str) -> BadInput:
    return BadInput(Reason.INVALID_REQUEST, f"TLS {files}", given=given, expected=expected)
