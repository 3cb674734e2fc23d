"""A clock that jumps back: times never decrease along a log, and what was recorded goes on to verify."""

import asyncio
from itertools import pairwise

from filling import NOW
from world import COURIER, ORIGIN, City, parsed, signing_key

from ledger.audit import Auditor
from ledger.checkpoint import open_checkpoint
from ledger.note import NoteSigner
from ledger.sequence import Sequenced, Submission
from server.sequencer import Sequencer
from server.store import queries
from server.store.store import Store
from server.writer import Writer
from suyuan.v1 import event_pb2 as ev

SIGNER = NoteSigner(ORIGIN, signing_key("log")._key)
HOUR_US = 3_600_000_000


def test_times_never_decrease_when_the_clock_jumps_back_an_hour(tmp_path):
    city, jumps = City(), [0, 1_000, -HOUR_US, -HOUR_US + 5_000_000, -1, 2_000, -HOUR_US, HOUR_US]
    store = Store.create(str(tmp_path / "log.db"))
    now_us = NOW

    async def story():
        nonlocal now_us
        sequencer = Sequencer(Writer(store, SIGNER), clock=lambda: now_us)
        sequencer.start()
        await sequencer.append([Submission.read(one.raw) for one in city.founding()])
        for jump in jumps:
            now_us = NOW + jump
            scan = city.scan(ev.SHIPMENT_STAGE_IN_TRANSIT, by=COURIER)
            answer = await sequencer.append([Submission.read(scan.raw)])
            assert isinstance(answer.verdicts[0], Sequenced)
        await sequencer.stop()

    asyncio.run(story())
    with store.snapshot() as connection:
        leaves = [entry.data for entry in queries.entries_from(connection, 0, 1_000)]
        note = queries.head(connection).checkpoint
    store.close()
    times = [entry.recorded_at_us for entry, _, _ in map(parsed, leaves)]
    assert all(one <= other for one, other in pairwise(times))
    assert times[6:] == [NOW, *[NOW + 1_000] * 4, *[NOW + 2_000] * 2, NOW + HOUR_US]
    auditor = Auditor(ORIGIN)
    for data in leaves:
        auditor.read(data)
    report = auditor.conclude(open_checkpoint(note, ORIGIN, [SIGNER.vkey]))
    assert report.verified, report.findings
