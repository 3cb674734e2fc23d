"""A log on each database, its processes, and senders that never rest."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager

import pytest
from postgresql import cluster, empty_database
from running import new_log
from takeover import Line, Sender, check_database, entries_of, processes, writer_of
from world import ORIGIN, event_id, parsed

from ledger.audit import Auditor
from ledger.checkpoint import open_checkpoint
from ledger.note import VerifierKey
from suyuan.v1 import ledger_service_pb2 as pb


class Ledger:
    """A log with two processes, and what may be asked of them."""

    def __init__(self, log, where, made, lines):
        self.log, self.where, self.made, self.lines = log, where, made, lines
        self.vkey = log.vkey

    @property
    def targets(self):
        return ",".join(one.listen for one in self.made)

    def begin(self):
        """Start all; the first writes, and has recorded the founding."""
        for one in self.made:
            one.start()
        writer = writer_of(self.made)
        assert all(result.HasField("receipt") for result in writer.append(*self.log.founding).results)
        return writer, next(one for one in self.made if one is not writer)

    @contextmanager
    def sending(self, count=2):
        """Senders at work for the length of the block; then everything is looked at."""
        senders = [Sender(self.targets, self.vkey, number + 1) for number in range(count)]
        try:
            yield senders
        finally:
            for sender in senders:
                sender.stop()
        self.look(senders)

    def look(self, senders):
        """Each event is there once, where its receipt said; the log is whole, and nobody has ever signed another."""
        alive = writer_of(self.made)
        leaves = entries_of(alive)
        note = alive.ledger.GetCheckpoint(pb.GetCheckpointRequest(), timeout=60).checkpoint.note
        auditor = Auditor(ORIGIN)
        for leaf in leaves:
            auditor.read(leaf)
        report = auditor.conclude(open_checkpoint(note, ORIGIN, [VerifierKey.parse(self.vkey)]))
        assert report.verified, report.findings
        indexes = {}
        for index, leaf in enumerate(leaves):
            assert indexes.setdefault(event_id(parsed(leaf)[1]), index) == index, (
                "an event was recorded twice"
            )
        times = [parsed(leaf)[0].recorded_at_us for leaf in leaves]
        assert times == sorted(times)
        for sender in senders:
            assert sender.count > 0
            for said, (_, index) in sender.acknowledged.items():
                assert indexes[said] == index
        check_database(self.log, self.where)


@contextmanager
def served_twice(folder, database, *flags):
    """A log that two processes are to serve; on PostgreSQL each has a line of its own to the server."""
    with ExitStack() as stack:
        if database == "sqlite":
            log = new_log(folder)
            where, wheres, lines = str(log.database), [str(log.database)] * 2, []
        else:
            where = stack.enter_context(empty_database())
            log = new_log(folder, url=where)
            lines = [Line(cluster().socket) for _ in range(2)]
            for line in lines:
                stack.callback(line.close)
            name = where.partition("?")[0].rpartition("/")[2]
            wheres = [f"postgresql://suyuan@127.0.0.1:{line.port}/{name}" for line in lines]
        made = stack.enter_context(processes(log, folder, wheres, *flags))
        for one, line in zip(made, lines, strict=False):
            one.line = line
        yield Ledger(log, where, made, lines)


@pytest.fixture
def on_postgresql(tmp_path):
    with served_twice(tmp_path, "postgresql") as ledger:
        yield ledger


@pytest.fixture
def on_sqlite(tmp_path):
    with served_twice(tmp_path, "sqlite") as ledger:
        yield ledger
