"""Whether a service lives, and whether it is ready to be asked.

It lives as long as its event loop turns and its writer's thread runs; one that does not should be started anew. It is
ready while its database answers too and it is not about to stop; one that is not should be left alone for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from ledger.errors import LedgerError
from server.store import queries
from server.store.store import Store

LOOK_S = 2.0
"""Between two looks of those who are told when something changes."""

ANSWER_S = 3.0
"""How long the database may take to answer before it counts as one that does not."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Condition:
    """How a service is."""

    alive: bool = True
    writes: bool = False
    """Whether it is this process that records events."""
    size: int | None = None
    """Entries that the database shows; None if it does not answer."""
    lacks: tuple[str, ...] = field(default=())
    """Why it is not ready, for people; nothing if it is."""

    @property
    def ready(self) -> bool:
        """Whether it should be asked."""
        return not self.lacks

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {"ready": self.ready, "writes": self.writes, "entries": self.size, "lacks": list(self.lacks)}


class Health:
    """Looks at a service."""

    def __init__(
        self,
        store: Store,
        *,
        is_alive: Callable[[], bool] | None = None,
        writes: Callable[[], bool] | None = None,
    ) -> None:
        """Begin as one that has not started.

        Args:
            store: the log's database.
            is_alive: whether the thread that writes is there; where nothing is written there is none to miss.
            writes: whether this process records events now.
        """
        self._store = store
        self._is_alive = is_alive or (lambda: True)
        self._writes = writes or (lambda: False)
        self._stage = "it is starting"
        # One thread: a database that hangs holds up one look and no more.
        self._looking = ThreadPoolExecutor(1, thread_name_prefix="health")
        self._look: asyncio.Future[int] | None = None

    def started(self) -> None:
        """It answers from now on."""
        self._stage = ""

    def stopping(self) -> None:
        """It is about to stop."""
        self._stage = "it is stopping"

    def close(self) -> None:
        """Look no more. A look that hangs is left behind."""
        self._looking.shutdown(wait=False, cancel_futures=True)

    @property
    def alive(self) -> bool:
        """Whether it lives; whoever learns this from the event loop knows that the loop turns."""
        return self._stage != "" or self._is_alive()

    async def follow(self, tell: Callable[..., Awaitable[None]]) -> None:
        """Look every `LOOK_S` for ever, and tell whenever it has become ready or is so no more.

        Args:
            tell: is called with `ready`; the first time only when that is no longer true.
        """
        ready = True
        while True:
            await asyncio.sleep(LOOK_S)
            condition = await self.condition()
            if condition.ready != ready:
                ready = condition.ready
                (log.info if ready else log.warning)("ready" if ready else "not_ready", lacks=condition.lacks)
                await tell(ready=ready)

    async def condition(self) -> Condition:
        """Look now; takes no longer than `ANSWER_S`."""
        lacks = [self._stage] if self._stage else []
        if not self.alive:
            lacks.append("the thread that writes has ended")
        size: int | None = None
        try:
            size = await self._size()
            if not size:
                lacks.append("the database holds no log")
        except TimeoutError:
            lacks.append(f"the database has not answered in {ANSWER_S:g} s")
        except LedgerError as error:
            lacks.append(str(error))
        return Condition(self.alive, self.alive and not self._stage and self._writes(), size, tuple(lacks))

    async def _size(self) -> int:
        """What the database answers to the look that is going on, or to a new one."""
        if self._look is None or self._look.done():
            self._look = asyncio.get_running_loop().run_in_executor(self._looking, self._read)
            self._look.add_done_callback(_heard)
        return await asyncio.wait_for(asyncio.shield(self._look), ANSWER_S)

    def _read(self) -> int:
        with self._store.snapshot() as connection:
            head = queries.head(connection)
        return head.size if head else 0


def _heard(look: asyncio.Future[int]) -> None:
    """Take note of how a look ended that nobody waits for any more; whoever waits is told all the same."""
    with suppress(asyncio.CancelledError):
        look.exception()
