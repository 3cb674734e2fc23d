"""How quickly the service answers those who ask for a product's history, with proofs, one after another."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TypeVar

from sqlalchemy import select

from benchmarks import load
from benchmarks.load import Timed
from benchmarks.report import Figure, half_and_most_ms
from benchmarks.serving import Serving
from benchmarks.town import LONG_WAY
from server.store.store import Store
from server.store.tables import entries
from suyuan.v1 import ledger_service_pb2 as pb

T = TypeVar("T")

_SUBJECTS = 500
"""Different chains and sales that are asked for, taken from the whole log."""

_WARM_UP = 20


def long_chains(database: str) -> list[str]:
    """Chains of 20 events: parcels that went a long way."""
    last_scan = (entries.c.chain_seq == LONG_WAY - 1) & entries.c.chain.startswith("waybill/")
    with closing(Store.open(database, read_only=True)) as store, store.snapshot() as connection:
        return _spread(connection.execute(select(entries.c.chain).where(last_scan)).scalars().all())


def sales(database: str, size: int) -> list[bytes]:
    """Ids of sales of which more is said, from everywhere in a log of that size."""
    step = max(size // (4 * _SUBJECTS), 1)
    some = (entries.c.idx % step == 0) & entries.c.sale.is_not(None)
    with closing(Store.open(database, read_only=True)) as store, store.snapshot() as connection:
        found = connection.execute(select(entries.c.sale).where(some)).scalars().all()
    return _spread([bytes(sale) for sale in found if sale is not None])


def _spread(found: Sequence[T]) -> list[T]:
    return list(found[:: max(len(found) // _SUBJECTS, 1)])


def history(serving: Serving, chains: Sequence[str], count: int) -> Figure:
    """Chains of 20 events."""
    asked = [pb.GetHistoryRequest(chain=chain) for chain in chains]
    timed = _ask(serving, "GetHistory", [one.SerializeToString() for one in asked], count)
    for answer in timed.answers:
        found = pb.GetHistoryResponse.FromString(answer).entries
        if len(found) != LONG_WAY or not all(entry.inclusion_proof for entry in found):
            raise SystemExit(f"a history: given {len(found)} entries, expected {LONG_WAY}, all with proofs")
    return _line("history", timed, serving)


def trace(serving: Serving, sales: Sequence[bytes], count: int) -> Figure:
    """The stories of sales, with their parcels."""
    asked = [pb.GetTraceRequest(sale=sale) for sale in sales]
    timed = _ask(serving, "GetTrace", [one.SerializeToString() for one in asked], count)
    if not all(pb.GetTraceResponse.FromString(answer).entries for answer in timed.answers):
        raise SystemExit("a trace: given no entries, expected those of a sale")
    return _line("trace", timed, serving)


def _ask(serving: Serving, method: str, asked: Sequence[bytes], count: int) -> Timed:
    if not asked:
        raise SystemExit(f"{method}: given a log with nothing to ask for, expected more entries")
    messages = [asked[number % len(asked)] for number in range(count)]
    load.run(load.unary(serving.target, method, messages[:_WARM_UP], 1))
    return load.run(load.unary(serving.target, method, messages, 1))


def _line(name: str, timed: Timed, serving: Serving) -> Figure:
    p50_ms, p99_ms = half_and_most_ms(timed.latencies_s)
    return Figure(
        name,
        in_flight=1,
        value=round(len(timed.answers) / timed.seconds, 1),
        unit="answers/s",
        p50_ms=p50_ms,
        p99_ms=p99_ms,
        server_rss_mb=serving.rss_mb(),
    )
