"""The Python SDK: a client of one ledger that verifies every answer before it returns it.

    with LedgerClient("ledger.example:7443", "ledger.example/fuzhou+…+…", trust=FileTrust(folder)) as client:
        receipt = client.append_one(envelope)
        for entry in client.history("01/06901234567892").entries:
            print(entry.event.kind, entry.signer)

The client is told once whom to believe: the log's verifier key. From then on it believes no word of whoever answers
under the address. Each answer has to come with a checkpoint that the log signed and that continues the newest one
seen before; each entry with a proof that it is in that checkpoint's tree; each signature has to hold under a key that
the log itself introduced; and what is answered has to be what was asked. If any of it fails, `BrokenProof` is raised
and nothing is returned. It is never retried: such an answer is a bug or a lie.

What no proof can show is the service's word, and the docstrings say so: flags, and that there is nothing more.

Errors are those of `ledger.errors`. What the service refuses is raised as the error that it tells; `ServiceFault` with
`UNREACHABLE` says that no answer came.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from clients import registry
from clients.answers import Appended, History, Trace, VerifiedKey, VerifiedParty, VerifiedSale
from clients.convert import Refused
from clients.proofs import ConsistencyProof, InclusionProof, root_by_inclusion
from clients.session import Session
from clients.story import Story
from clients.trust import FileTrust, MemoryTrust, TrustStore
from clients.verify import VerifiedEntry, broken_chain, mismatch, verify_chain, verify_receipt
from ledger.chain_key import ChainKey
from ledger.checkpoint import Checkpoint
from ledger.envelope import Envelope
from ledger.errors import BadInput, Conflict, Reason
from ledger.event import Kind
from ledger.keys import key_id_of
from ledger.merkle import EMPTY_ROOT, MAX_TREE_SIZE, verify_consistency
from ledger.note import ED25519, VerifierKey
from ledger.state import Listed, Party
from suyuan.v1 import event_pb2
from suyuan.v1 import ledger_service_pb2 as pb
from suyuan.v1 import registry_service_pb2 as registry_pb

__all__ = [
    "Appended",
    "ConsistencyProof",
    "FileTrust",
    "History",
    "InclusionProof",
    "LedgerClient",
    "MemoryTrust",
    "Refused",
    "Trace",
    "TrustStore",
    "VerifiedEntry",
    "VerifiedKey",
    "VerifiedParty",
    "VerifiedSale",
]

MAX_BATCH_EVENTS = 500
MAX_BATCH_BYTES = 2 * 1024 * 1024
"""Events and bytes of envelopes that go into one request."""

HISTORY_PAGE = 100
LIST_PAGE = 100
ENTRIES_PAGE = 1_000
