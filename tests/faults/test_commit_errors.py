"""A disk that fails at any use of it while a batch is committed, before or after the use took effect.

Whatever fails, the batch is recorded whole or not at all, and what is sent again is recorded once.
`SUYUAN_SOAK=1` tries many more patterns of failures.
"""

import shutil
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

import pytest
from filling import NOW, record
from hypothesis import given, settings
from hypothesis import strategies as st
from soaking import times
from world import ORIGIN, City, signing_key

from ledger.errors import Reason, ServiceFault
from ledger.note import NoteSigner
from ledger.sequence import Resent, Sequenced, Submission
from server.rebuild import check
from server.store import engine
from server.store.store import Store
from server.writer import Writer

MEMORY = Path("/dev/shm")

SIGNER = NoteSigner(ORIGIN, signing_key("log")._key)


class Disk:
    """What stands between a store and its database, and fails when it is told to."""

    def __init__(self):
        self.uses = 0
        self.fails = lambda _: False
        """Whether the use of this number fails; they are counted from 1."""
        self.too_late = False
        """Whether what fails has taken effect."""

    def __getattr__(self, name):
        """All else that the store asks of the driver."""
        return getattr(sqlite3, name)

    def connect(self, *args, **kwargs):
        """As `sqlite3.connect`; each statement, commit and rollback of the connection is a use of the disk."""
        disk = self

        class Cursor(sqlite3.Cursor):
            def execute(self, *asked):
                return disk.use(lambda: sqlite3.Cursor.execute(self, *asked))

            def executemany(self, *asked):
                return disk.use(lambda: sqlite3.Cursor.executemany(self, *asked))

        class Connection(sqlite3.Connection):
            def cursor(self, _=None):
                return sqlite3.Connection.cursor(self, Cursor)

            def commit(self):
                disk.use(lambda: sqlite3.Connection.commit(self))

            def rollback(self):
                disk.use(lambda: sqlite3.Connection.rollback(self))

        return sqlite3.connect(*args, factory=Connection, **kwargs)

    @contextmanager
    def failing(self, fails, *, too_late):
        """Fail at these uses, counted from now on, until the end of the block."""
        self.uses, self.fails, self.too_late = 0, fails, too_late
        try:
            yield
        finally:
            self.fails = lambda _: False

    def use(self, use):
        self.uses += 1
        if not self.fails(self.uses):
            return use()
        if self.too_late:
            use()
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_IOERR, "SQLITE_IOERR"
        raise error


@pytest.fixture(scope="module")
def founded(tmp_path_factory):
    """A database with the city's founding, and a batch for it: new events, one sent again, and one that is refused."""
    path, city = tmp_path_factory.mktemp("founded") / "log.db", City()
    store = Store.create(str(path))
    founding = city.founding()
    record(Writer(store, SIGNER), *founding)
    store.close()
    life = city.life()
    return path, [*life[:5], founding[1], city.sale(by="stranger"), *life[5:]]


@contextmanager
def writing(path):
    """A writer on a copy of a database, and the disk below it."""
    # In memory where there is such a folder: hundreds of commits that are written through take their time elsewhere.
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        copy = Path(folder, "log.db")
        shutil.copy(path, copy)
        disk = Disk()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(engine, "sqlite3", disk)
            store = Store.open(str(copy))
            writer = Writer(store, SIGNER)
            writer.load()
            try:
                yield writer, disk, copy
            finally:
                store.close()


def write(writer, batch):
    return writer.write([Submission.read(envelope.raw) for envelope in batch], NOW).batch.verdicts


def answer_or_fault(writer, batch):
    try:
        return write(writer, batch)
    except ServiceFault as fault:
        return fault


def rows_of(database):
    """All that is in a database, by somebody else's connection."""
    with closing(sqlite3.connect(database)) as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
        ).fetchall()
        return {name: sorted(connection.execute(f'SELECT * FROM "{name}"'), key=repr) for (name,) in tables}


def require_answered(verdicts, batch):
    """All have their receipts, but for the one that is refused."""
    kinds = [isinstance(verdict, Sequenced | Resent) for verdict in verdicts]
    assert kinds == [number != 6 for number in range(len(batch))], verdicts
    assert verdicts[6].reason is Reason.UNKNOWN_KEY


@pytest.fixture(scope="module")
def whole(founded):
    """The rows after the batch, on a disk that never failed; a replay leads to the same."""
    path, batch = founded
    with writing(path) as (writer, _, database):
        require_answered(write(writer, batch), batch)
        assert check(writer._store, [SIGNER.vkey]).none
        return rows_of(database)


@pytest.mark.parametrize("too_late", [False, True], ids=["without effect", "too late"])
def test_one_failure_anywhere_is_made_good_by_trying_again(founded, whole, too_late):
    path, batch = founded
    for failing in count(1):
        with writing(path) as (writer, disk, database):
            with disk.failing(lambda use, at=failing: use == at, too_late=too_late):
                require_answered(write(writer, batch), batch)
                reached = disk.uses >= failing
            assert rows_of(database) == whole
        if not reached:
            break
    assert failing > 10, "a commit without statements"


@pytest.mark.parametrize("too_late", [False, True], ids=["without effect", "too late"])
def test_a_disk_that_fails_from_some_moment_on_loses_nothing_and_repeats_nothing(founded, whole, too_late):
    path, batch = founded
    before = rows_of(path)
    for first in count(1):
        with writing(path) as (writer, disk, database):
            with disk.failing(lambda use, at=first: use >= at, too_late=too_late):
                outcome = answer_or_fault(writer, batch)
                failed = isinstance(outcome, ServiceFault)
                if failed:
                    assert outcome.reason is Reason.STORE_UNAVAILABLE
                    assert str(outcome) == "database: given disk I/O error, expected an answer"
                else:
                    require_answered(outcome, batch)
                # Others read on: they find the log as it was before the batch, or as it is after it.
                found = rows_of(database)
                assert found == whole or (failed and found == before)
            require_answered(write(writer, batch), batch)
            assert rows_of(database) == whole
        if not failed:
            break
    assert first > 10, "a commit without statements"


@settings(max_examples=times(25, 5_000))
@given(uses=st.frozensets(st.integers(1, 70), max_size=12), too_late=st.booleans())
def test_any_pattern_of_failures_leaves_one_log(founded, whole, uses, too_late):
    path, batch = founded
    with writing(path) as (writer, disk, database):
        with disk.failing(uses.__contains__, too_late=too_late):
            for _ in range(3):
                answer_or_fault(writer, batch)
        require_answered(write(writer, batch), batch)
        assert rows_of(database) == whole
