"""What happens to an envelope before it is sequenced: it is parsed, and its signature is checked, on worker threads.

The signature check is nearly all of the work; where there is much of it, processes do it (`server.verifying`). A key
that is not known yet (it may be registered by an event ahead in the queue) is no refusal here: the sequencer looks
again.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias, TypeGuard

from ledger.errors import LedgerError, ServiceFault
from ledger.keys import PublicKey
from ledger.sequence import Submission
from ledger.state import PartyKey, PurchaseKey
from server.allowance import Allowances
from server.gathering import Gathering
from server.limits import Limits
from server.observer import Observer
from server.store.records import find
from server.store.store import Store
from server.verifying import SignatureProcesses

Admitted: TypeAlias = "Submission | LedgerError"

_PORTION = 64
"""Envelopes that one worker takes at a time."""


class PublicKeys:
    """Keys by id, from the database, the last used ones kept. Safe to share among threads.

    What a key id stands for never changes; whether its holder may still use it is for the rules.
    """

    def __init__(self, store: Store, limit: int = 50_000) -> None:
        self._store = store
        self._limit = limit
        self._keys: dict[bytes, PublicKey] = {}
        self._lock = threading.Lock()

    def find(self, key_ids: Iterable[bytes]) -> dict[bytes, PublicKey]:
        """Those of these keys that are recorded; what is damaged of them is left to whoever judges to find."""
        wanted = set(key_ids)
        found: dict[bytes, PublicKey] = {}
        with self._lock:
            for key_id in wanted:
                key = self._keys.pop(key_id, None)
                if key is not None:
                    self._keys[key_id] = found[key_id] = key
        missing = wanted - found.keys()
        if missing:
            loaded = self._load(missing)
            found |= loaded
            with self._lock:
                self._keys |= loaded
                while len(self._keys) > self._limit:
                    del self._keys[next(iter(self._keys))]
        return found

    def _load(self, key_ids: set[bytes]) -> dict[bytes, PublicKey]:
        with self._store.snapshot() as connection:
            of_parties = find(connection, PartyKey, key_ids)
            of_buyers = find(connection, PurchaseKey, key_ids - of_parties.keys())
        recorded = [*of_parties.values(), *of_buyers.values()]
        return {
            key.key_id: PublicKey.parse(key.public_key)
            for key in recorded
            if not isinstance(key, ServiceFault)
        }


class Admission:
    """Parses and verifies envelopes, as many at once as the limits allow."""

    def __init__(
        self,
        keys: PublicKeys,
        workers: ThreadPoolExecutor,
        threads: int,
        limits: Limits,
        *,
        processes: SignatureProcesses | None = None,
        allowances: Allowances | None = None,
        observer: Observer | None = None,
    ) -> None:
        """Args: `threads` of the workers may verify at once; without `allowances` no key is limited.

        `processes` check signatures where there are many; without any, the workers do.
        """
        self._keys = keys
        self._processes = processes
        self._parts = Gathering(self._admit, workers, threads=threads, portion=_PORTION)
        self._limits = limits
        self._allowances = allowances
        self._observer = observer or Observer()
        self._events = 0
        self._bytes = 0

    @property
    def under_way(self) -> int:
        """Events of calls that are being looked at."""
        return self._events

    async def admit(self, envelopes: Sequence[bytes]) -> list[Admitted]:
        """For each envelope a submission, verified if its key is known, or why it is refused.

        Args:
            envelopes: serialised, of one request.

        Raises:
            ServiceFault: `OVERLOADED` if too many are being looked at.
        """
        events, size = len(envelopes), sum(map(len, envelopes))
        self._limits.require_room(self._events + events, self._bytes + size)
        self._events += events
        self._bytes += size
        began = time.perf_counter()
        try:
            return self.allow(await self.look_at(envelopes), began)
        finally:
            self._events -= events
            self._bytes -= size

    def allow(
        self, looked_at: list[Admitted], began: float, run_out: AbstractSet[bytes] = frozenset()
    ) -> list[Admitted]:
        """Refuse what a key has no allowance for (`RATE_LIMITED`); to be called in the order of recording.

        Of a key that has used up its allowance all further events in a request are refused: what is recorded of each
        signer is the beginning of what it sent, in order.

        Args:
            looked_at: what `look_at` made of a request.
            began: when that began, by `time.perf_counter()`.
            run_out: ids of keys that may have nothing recorded, whatever they are allowed.
        """
        outcomes = looked_at
        if self._allowances is not None:
            outcomes = _within(self._allowances, looked_at, run_out)
        self._observer.admitted(outcomes, time.perf_counter() - began)
        return outcomes

    async def look_at(self, envelopes: Sequence[bytes]) -> list[Admitted]:
        """Parse and verify, for whoever has seen to it that there is room, and asks `allow` next."""
        if len(envelopes) <= _PORTION:
            return await self._parts.do(envelopes, len(envelopes))
        parts = [envelopes[start : start + _PORTION] for start in range(0, len(envelopes), _PORTION)]
        admitted = await asyncio.gather(*(self._parts.do(part, len(part)) for part in parts))
        return [one for part in admitted for one in part]

    def _admit(self, parts: list[Sequence[bytes]]) -> list[list[Admitted]]:
        read: list[list[Admitted]] = [[_read(raw) for raw in envelopes] for envelopes in parts]
        submissions = [one for part in read for one in part if isinstance(one, Submission)]
        keys = self._keys.find(one.envelope.key_id for one in submissions)
        believed = self._believed(submissions, keys)
        return [[one if id(one) in believed else _verified(one, keys) for one in part] for part in read]

    def _believed(self, submissions: Sequence[Submission], keys: dict[bytes, PublicKey]) -> set[int]:
        """Those (by identity) whose signatures a process has found to hold; all others are still to be looked at."""
        if self._processes is None:
            return set()
        claimed = [
            (one, key)
            for one in submissions
            if (key := keys.get(one.envelope.key_id)) is not None and one.envelope.may_be_of(key)
        ]
        held = self._processes.check(
            [(key.spki, one.envelope.signature, one.envelope.payload) for one, key in claimed]
        )
        if held is None:
            return set()
        believed = set()
        for (one, key), holds in zip(claimed, held, strict=True):
            if holds:
                one.verified_by = key
                believed.add(id(one))
        return believed


def _within(
    allowances: Allowances, admitted: Sequence[Admitted], run_out: AbstractSet[bytes]
) -> list[Admitted]:
    """What the signers may have recorded now, and refusals for the rest."""
    signed = Counter(one.envelope.key_id for one in admitted if _is_verified(one))
    granted = {
        key_id: allowances.take(key_id, 0 if key_id in run_out else events)
        for key_id, events in signed.items()
    }
    refusals = {
        key_id: allowances.refusal(key_id, signed[key_id] - events)
        for key_id, events in granted.items()
        if events < signed[key_id]
    }
    within: list[Admitted] = []
    for one in admitted:
        if _is_verified(one):
            key_id = one.envelope.key_id
            within.append(one if granted[key_id] else refusals[key_id])
            granted[key_id] -= granted[key_id] > 0
        else:
            within.append(one)
    return within


def run_out_of(looked_at: Sequence[Admitted], allowed: Sequence[Admitted]) -> set[bytes]:
    """Ids of the keys that had no allowance for all of their events in a request.

    Args:
        looked_at: what `Admission.look_at` made of it.
        allowed: what `Admission.allow` made of that.
    """
    return {
        one.envelope.key_id
        for one, other in zip(looked_at, allowed, strict=True)
        if _is_verified(one) and one is not other
    }


def _is_verified(one: Admitted) -> TypeGuard[Submission]:
    return isinstance(one, Submission) and one.verified_by is not None


def _read(raw: bytes) -> Admitted:
    try:
        return Submission.read(raw)
    except LedgerError as refusal:
        return refusal


def _verified(one: Admitted, keys: dict[bytes, PublicKey]) -> Admitted:
    if isinstance(one, Submission) and one.envelope.key_id in keys:
        try:
            one.verify(keys[one.envelope.key_id])
        except LedgerError as refusal:
            return refusal
    return one
