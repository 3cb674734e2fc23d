"""A service that lies: it stands between a client and a real service, and alters the answers on their way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from running import RunningService
from town import Town
from world import ORIGIN, Log, signing_key

from clients.sdk import LedgerClient
from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.cosignature import Cosigner
from ledger.entry import Entry
from ledger.errors import BrokenProof, Reason
from ledger.frontier import Frontier
from ledger.merkle import consistency_proof, inclusion_proof
from ledger.note import NoteSigner, SignedNote
from ledger.sequence import Sequenced
from suyuan.v1 import ledger_service_pb2, registry_service_pb2
from suyuan.v1 import ledger_service_pb2 as pb

Lie = Callable[[Any, Any], Any]
"""Takes a request and the true answer, and returns what to answer instead; it may alter the answer itself."""

_METHODS = {
    f"/{service.full_name}/{method.name}": method
    for module in (ledger_service_pb2, registry_service_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


@dataclass
class LyingService(grpc.GenericRpcHandler):
    """Passes every call on to the real service, and lies where it was told to."""

    real: grpc.Channel
    lies: dict[str, Lie] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    """Names of the methods that were called, with their requests."""
    target: str = ""

    def tell(self, method: str, lie: Lie) -> None:
        """Alter the answers of a method from now on."""
        self.lies[method] = lie

    def calls(self, method: str) -> list[Any]:
        """The requests that came for a method."""
        return [request for name, request in self.asked if name == method]

    def service(self, handler_call_details):
        """The handler of any method of both services."""
        path = handler_call_details.method
        method = _METHODS[path]
        question, answer = (_message(kind) for kind in (method.input_type, method.output_type))
        if method.server_streaming:
            return self._stream(path, method, question, answer)
        true = self.real.unary_unary(
            path, request_serializer=question.SerializeToString, response_deserializer=answer.FromString
        )

        def handle(request, context):
            self.asked.append((method.name, request))
            try:
                told = true(request, timeout=30)
            except grpc.RpcError as error:
                if method.name not in self.lies:
                    context.abort_with_status(rpc_status.to_status(rpc_status.from_call(error)))
                told = answer()
            lie = self.lies.get(method.name)
            if lie is None:
                return told
            altered = lie(request, told)
            if isinstance(altered, grpc.Status):
                context.abort_with_status(altered)
            return told if altered is None else altered

        return grpc.unary_unary_rpc_method_handler(
            handle,
            request_deserializer=question.FromString,
            response_serializer=lambda told: told if isinstance(told, bytes) else told.SerializeToString(),
        )

    def _stream(self, path, method, question, answer):
        """The handler of a method that answers again and again; a lie may also be a list, of answers and of a status that ends them."""
        true = self.real.unary_stream(
            path, request_serializer=question.SerializeToString, response_deserializer=answer.FromString
        )

        def handle(request, context):
            self.asked.append((method.name, request))
            told = true(request, timeout=60)
            context.add_callback(told.cancel)
            lie = self.lies.get(method.name)
            try:
                for one in told:
                    altered = None if lie is None else lie(request, one)
                    for other in altered if isinstance(altered, list) else [altered or one]:
                        if isinstance(other, grpc.Status):
                            context.abort_with_status(other)
                        yield other
            except grpc.RpcError as error:
                status = rpc_status.from_call(error)
                if status is not None:
                    context.abort_with_status(rpc_status.to_status(status))
                context.abort(error.code(), error.details())

        return grpc.unary_stream_rpc_method_handler(
            handle, request_deserializer=question.FromString, response_serializer=answer.SerializeToString
        )


@contextmanager
def lying_service(target: str, credentials: grpc.ServerCredentials | None = None) -> Iterator[LyingService]:
    """A liar in front of the service at this target, with TLS if it is given credentials."""
    with grpc.insecure_channel(target) as real, ThreadPoolExecutor(8) as workers:
        liar = LyingService(real)
        server = grpc.server(
            workers, handlers=[liar], options=[("grpc.so_reuseport", 0), ("grpc.max_send_message_length", -1)]
        )
        address = "127.0.0.1:0"
        port = (
            server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
        )
        liar.target = f"127.0.0.1:{port}"
        server.start()
        try:
            yield liar
        finally:
            server.stop(None).wait()


def log_signer(log_key: Path, origin: str = ORIGIN) -> NoteSigner:
    """What a service signs its checkpoints with: in the hands of a liar, whatever it likes."""
    return NoteSigner(origin, load_pem_private_key(log_key.read_bytes(), None))


CITY_SIGNER = NoteSigner(ORIGIN, signing_key("the log of the city")._key)
"""Signs for logs in memory."""


def head_of(log: Log, size: int | None = None) -> Checkpoint:
    """The checkpoint of a log, or of its beginning."""
    hashes = [entry.hash for entry in log.entries[:size]]
    return Checkpoint(ORIGIN, len(hashes), Frontier().extend(hashes).root())


def node_of(log: Log) -> Callable[[int, int], bytes]:
    """The node store of a log in memory."""
    nodes: dict[tuple[int, int], bytes] = {}
    Frontier().extend([entry.hash for entry in log.entries], nodes)
    return lambda level, index: nodes[level, index]


def prove(log: Log, index: int, size: int | None = None) -> pb.ProvenEntry:
    """An entry of a log with its proof, as a service sends it."""
    size = size or len(log.entries)
    entry = log.entries[index]
    flags = entry.recorded.flags if entry.recorded else ()
    return pb.ProvenEntry(
        index=index, entry=entry.data, inclusion_proof=inclusion_proof(index, size, node_of(log)), flags=flags
    )


def prove_growth(log: Log, old: int, new: int | None = None) -> list[bytes]:
    """The consistency proof between two sizes of a log."""
    return consistency_proof(old, new or len(log.entries), node_of(log))


def signed(checkpoint: Checkpoint, signer: NoteSigner = CITY_SIGNER, proof: list[bytes] | None = None):
    """A checkpoint as a service sends it."""
    return pb.ProvenCheckpoint(note=sign_checkpoint(checkpoint, signer), consistency_proof=proof or [])


def cosigning(service: RunningService, *witnesses: Cosigner, time_s: int = 1_790_000_000) -> Lie:
    """Has a log without witnesses answer as if these had cosigned its newest checkpoint."""

    def cosign(request, answer):
        if not request.witnessed:
            return
        if not answer.checkpoint.note:  # the service has said that there is none
            plain = service.ledger.GetCheckpoint(pb.GetCheckpointRequest(), timeout=30)
            answer.checkpoint.note = plain.checkpoint.note
        note = SignedNote.parse(answer.checkpoint.note)
        lines = [witness.cosign(note.text, time_s) for witness in witnesses]
        answer.checkpoint.note = note.with_signatures(*lines).encode()

    return cosign


def refusal(attempt: Callable[[], object], reason: Reason = Reason.BAD_ENTRY) -> str:
    """What a client says of a lie; it has to find it for this reason."""
    with pytest.raises(BrokenProof) as caught:
        attempt()
    assert caught.value.reason is reason, caught.value
    return str(caught.value)


def copy_of(client: LedgerClient) -> Log:
    """The log as a client can read it: to be forged in memory."""
    log = Log()
    for data, hash_ in client.entries():
        log.entries.append(Sequenced(Entry.parse(data), data, hash_, None))
    return log


def other_answer(town: Town, method: str, request: Any) -> Any:
    """The true answer to another question."""
    stub = town.service.registry if hasattr(town.service.registry, method) else town.service.ledger
    return getattr(stub, method)(request, timeout=20)


def refusing(reason: str, code: grpc.StatusCode, **metadata: str) -> grpc.Status:
    """A refusal that the service makes up."""
    status = status_pb2.Status(code=code.value[0], message="thing: given no")
    info = error_details_pb2.ErrorInfo(
        reason=reason, domain="suyuan", metadata={"subject": "thing", "given": "no", **metadata}
    )
    packed = any_pb2.Any()
    packed.Pack(info)
    status.details.append(packed)
    return rpc_status.to_status(status)


def _message(descriptor: Any) -> type[Message]:
    module = (
        ledger_service_pb2
        if descriptor.name in ledger_service_pb2.DESCRIPTOR.message_types_by_name
        else registry_service_pb2
    )
    return getattr(module, descriptor.name)
