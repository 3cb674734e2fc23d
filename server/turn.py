"""Taking turns: of the processes that serve one log, one writes and the others wait for their turn.

Whoever writes holds the lease in the database (`server.store.lease`) and renews it. The others look at it twice a
second. One of them takes it once it was given back, has run out by the database's clock, or belongs to a process of
this machine that is gone. It has run out too if it has not changed for as long as it lasts by the clock of whoever
looks: the database's may have been set back.

The lease only decides who tries. What keeps the log whole is the fence: each transaction that writes the log looks,
under the database's write lock, whether the lease still is of this very turn; and beneath it the compare-and-swap of
the head. A process that was frozen or cut off while another took its turn therefore writes nothing when it comes back,
however late, and waits again.

A turn that nobody has taken goes on, though its lease has run out. But while the database does not let it be renewed,
appends are refused with what the database says: their senders had better ask elsewhere than wait.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import structlog
from sqlalchemy import Connection

from ledger.errors import LedgerError, Reason, ServiceFault
from server.process_identity import is_gone, process_identity
from server.store.lease import (
    Holder,
    Lease,
    clock_us,
    read_lease,
    release_lease,
    renew_lease,
    take_lease,
)
from server.store.store import Store

LOOK_S = 0.5
"""Between two looks at the lease."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Duties:
    """What a service does at the ends of its turns, on the event loop."""

    begin: Callable[[], Awaitable[None]]
    """Take up the log. What it raises ends the turn."""
    end: Callable[[], Awaitable[None]]
    """Leave to others what only the process that writes does; the log is theirs already."""
    tell: Callable[[ServiceFault | None], Awaitable[None]]
    """Say why nothing is recorded here now; with None, that it is."""


class Turn:
    """One process's part in it. For one event loop, but for `fence`."""

    def __init__(self, store: Store, seconds: float, duties: Duties) -> None:
        """Nobody waits yet.

        Args:
            store: the log's database.
            seconds: how long the lease lasts each time.
            duties: the service's.
        """
        self._store = store
        self._seconds = seconds
        self._every_s = seconds / 3
        self._duties = duties
        # One thread: a database that hangs holds up one question and no more.
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="turn")
        self._me = Holder(os.urandom(16), "", process_identity())
        self._mine: Lease | None = None
        self._renewed_at = 0.0
        self._fenced = (0, 0.0)
        """When the fence last renewed the lease, by the database's clock and by this process's; perhaps in vain."""
        self._renewal: asyncio.Future[Lease | None] | None = None
        self._asked_at = 0.0
        self._fault: ServiceFault | None = None
        self._refusal: ServiceFault | None = None
        self._seen: tuple[Lease, float] | None = None
        self._rest_until = 0.0
        self._lost = False
        self._draining = self._stopping = False
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: asyncio.Task[None] | None = None

    @property
    def writes(self) -> bool:
        """Whether it is this process that records events now."""
        return self._mine is not None and self._refusal is None

    @property
    def term(self) -> int:
        """Number of the turn that this process has; 0 while it waits."""
        return self._mine.term if self._mine is not None else 0

    async def start(self, address: str) -> None:
        """Begin the turn if it is free; otherwise wait for it from now on.

        Args:
            address: where clients find this process.

        Raises:
            ServiceFault: as `Duties.begin` raises, unless the database is only not available now.
        """
        self._me = Holder(self._me.id, address, self._me.process)
        self._loop = asyncio.get_running_loop()
        try:
            await self._look()
        except ServiceFault as fault:
            if fault.reason not in {Reason.STORE_UNAVAILABLE, Reason.STANDBY}:
                raise
            await self._refuse(fault)
        self._running = self._loop.create_task(self._run())

    def drain(self) -> None:
        """Begin no more turns; the one that there is goes on until `stop`."""
        self._draining = True

    async def stop(self) -> None:
        """Give the turn back, so that the next process begins at once. Nothing may be written any more."""
        self._draining = self._stopping = True
        self._wake.set()
        if self._running is not None:
            await asyncio.wait([self._running], timeout=self._seconds)
            self._running.cancel()
        mine, self._mine = self._mine, None
        if mine is not None:
            await self._give_back(mine)
        self._asking.shutdown(wait=False, cancel_futures=True)

    def fence(self, connection: Connection) -> None:
        """Let a transaction go on only while this process has its turn, and renew the lease in it when it is time.

        So a writer that never rests does not have to wait for the lock to show that it lives.

        Raises:
            ServiceFault: `STANDBY`.
        """
        mine, there = self._mine, read_lease(connection)
        if mine is None or there is None or not there.is_turn_of(mine):
            if self._loop is not None:
                with suppress(RuntimeError):  # the loop has ended: nobody is left to tell
                    self._loop.call_soon_threadsafe(self._learn_of_loss, mine)
            raise _standby(there)
        at_us, at = self._fenced
        if there.renewed_us == at_us:
            # It was committed: only now is that known here.
            self._renewed_at = max(self._renewed_at, at)
        now = time.monotonic()
        if now - max(self._renewed_at, at) >= self._every_s:
            self._fenced = (renew_lease(connection, mine), now)

    def _learn_of_loss(self, lost: Lease | None) -> None:
        if self._mine is lost:
            self._lost = True
            self._wake.set()

    async def _run(self) -> None:
        failing = False
        while not self._stopping:
            try:
                if self._mine is not None:
                    await self._keep(self._mine)
                elif not self._draining and time.monotonic() >= self._rest_until:
                    await self._look()
                failing = False
            except LedgerError as error:
                if not failing:
                    log.warning("turn_failed", reason=error.reason, error=str(error))
                failing = True
                if self._mine is None and isinstance(error, ServiceFault):
                    await self._refuse(error)
            except Exception:
                log.exception("turn_crashed")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_S)
            if not self._stopping:
                self._wake.clear()

    # Waiting

    async def _look(self) -> None:
        """See whose turn it is, and begin this process's if it is nobody's."""
        there = await self._ask(self._take_if_free)
        if there.holder.id != self._me.id:
            await self._refuse(_standby(there))
            return
        self._mine, self._lost, self._fault = there, False, None
        try:
            await self._duties.begin()
        except BaseException:
            # Perhaps another process can. It gets the time to try.
            self._mine, self._rest_until = None, time.monotonic() + self._seconds
            await self._give_back(there)
            raise
        log.info("turn_begun", term=there.term)
        await self._admit()

    def _take_if_free(self) -> Lease:
        """The lease: this process's own, if it was free."""
        with self._store.snapshot() as connection:
            there = read_lease(connection)
            if there is not None and not self._is_free(there, clock_us(connection)):
                return there
        began = time.monotonic()
        with self._store.transaction() as connection:
            there = read_lease(connection)
            if there is not None and not self._is_free(there, clock_us(connection)):
                return there
            there = take_lease(connection, there, self._me, round(self._seconds * 1_000_000))
        self._renewed_at = began
        return there

    def _is_free(self, there: Lease, now_us: int) -> bool:
        # Its own id stands there if it took the lease without hearing of it.
        if there.is_free(now_us) or there.holder.id == self._me.id or is_gone(there.holder.process):
            return True
        if self._seen is None or self._seen[0] != there:
            self._seen = there, time.monotonic()
        return time.monotonic() - self._seen[1] > there.lasts_us / 1_000_000

    # Keeping

    async def _keep(self, mine: Lease) -> None:
        """Renew the lease when it is time; see what has become of it."""
        if self._lost:
            await self._give_up(mine, None)
            return
        now = time.monotonic()
        if self._renewal is None and now - self._renewed_at >= self._every_s:
            self._asked_at = now
            self._renewal = asyncio.get_running_loop().run_in_executor(self._asking, self._renew, mine)
        if self._renewal is not None:
            await asyncio.wait([self._renewal], timeout=LOOK_S)
            if self._renewal.done():
                await self._renewed(mine, self._renewal)
        if self._mine is mine and time.monotonic() - self._renewed_at > self._seconds:
            await self._run_out()

    def _renew(self, mine: Lease) -> Lease | None:
        """Renew the lease, if it is still of this turn; returns what is there."""
        began = time.monotonic()
        with self._store.transaction() as connection:
            there = read_lease(connection)
            if there is not None and there.is_turn_of(mine):
                renew_lease(connection, mine)
        if there is not None and there.is_turn_of(mine):
            self._renewed_at = max(self._renewed_at, began)
        return there

    async def _renewed(self, mine: Lease, renewal: asyncio.Future[Lease | None]) -> None:
        self._renewal = None
        try:
            there = renewal.result()
        except ServiceFault as fault:
            if self._fault is None:
                log.warning("lease_not_renewed", term=mine.term, error=str(fault))
            self._fault = fault
            return
        self._fault = None
        if there is None or not there.is_turn_of(mine):
            await self._give_up(mine, there)
        elif self._refusal is not None:
            log.info("lease_renewed", term=mine.term)
            await self._admit()

    async def _run_out(self) -> None:
        """Refuse appends, if it is the database that keeps the lease from being renewed and not this process's sleep."""
        fault = self._fault
        if fault is None and self._renewal is not None and time.monotonic() - self._asked_at >= self._every_s:
            given = f"no answer for {time.monotonic() - self._asked_at:.0f} s"
            fault = ServiceFault(Reason.STORE_UNAVAILABLE, "database", given=given, expected="an answer")
        if fault is not None and self._refusal is None:
            log.warning("lease_run_out", term=self.term, error=str(fault))
            await self._refuse(fault)

    async def _give_up(self, mine: Lease, there: Lease | None) -> None:
        """Another process has its turn, or nobody: this one waits, and may find the latter."""
        log.warning("turn_lost", term=mine.term, to=there.holder.address if there else None)
        if self._renewal is not None:
            self._renewal.add_done_callback(_heard)
        self._mine, self._lost, self._renewal = None, False, None
        await self._refuse(_standby(there))
        await self._duties.end()

    async def _give_back(self, mine: Lease) -> None:
        """Have the lease end now; one that cannot be given back runs out by itself."""

        def release() -> None:
            with self._store.transaction() as connection:
                release_lease(connection, mine)

        try:
            await asyncio.wait_for(self._ask(release), self._seconds)
        except TimeoutError:
            log.warning("lease_not_released", term=mine.term, error="no answer from the database")
        except LedgerError as error:
            log.warning("lease_not_released", term=mine.term, error=str(error))
        else:
            log.info("turn_ended", term=mine.term)

    async def _ask(self, question: Callable[[], T]) -> T:
        """Ask the database, on the thread for that."""
        return await asyncio.get_running_loop().run_in_executor(self._asking, question)

    async def _admit(self) -> None:
        self._refusal = None
        await self._duties.tell(None)

    async def _refuse(self, why: ServiceFault) -> None:
        if self._refusal is None or str(self._refusal) != str(why):
            self._refusal = why
            await self._duties.tell(why)


def _heard(renewal: asyncio.Future[Lease | None]) -> None:
    """Take note of how a renewal ended that nobody waits for any more."""
    if not renewal.cancelled():
        renewal.exception()


def _standby(there: Lease | None) -> ServiceFault:
    address = f", {there.holder.address}" if there is not None and there.holder.address else ""
    return ServiceFault(
        Reason.STANDBY,
        "append",
        given="a process that waits for its turn",
        expected=f"the process that writes{address}",
    )
