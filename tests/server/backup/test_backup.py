"""Backups: what comes back is what was there, and nothing else is taken for it."""

from __future__ import annotations

import gzip
import json
import stat

import pytest
from filling import NOW, long_scan, record
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from postgresql import empty_database
from sqlalchemy import delete, select
from world import ORIGIN, signing_key

from ledger.chain_key import ChainKey
from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.errors import BadInput, BrokenProof, Conflict, LedgerError, Reason, ServiceFault
from ledger.merkle import leaf_hash, root_of
from ledger.note import NoteSigner
from ledger.sequence import Submission
from server.backup import restoring
from server.backup.format import BackupReader
from server.backup.restoring import restore, verify
from server.backup.rollback import Outside, Seen, ask_outside
from server.backup.taking import take
from server.published import Published, read_published, write_published
from server.rebuild import check
from server.store import queries
from server.store.store import Store
from server.store.tables import PROJECTIONS, entries, log_head
from server.writer import Writer


@pytest.fixture
def full(writer, city):
    """A writer whose log holds a life, and some long entries."""
    record(writer, *city.founding(), *city.life())
    record(writer, *[long_scan(city) for _ in range(5)])
    return writer


@pytest.fixture
def backup(full, store, signer, tmp_path):
    """A backup of it."""
    path = tmp_path / "log.backup"
    take(store, [signer.vkey], path)
    return path


@pytest.fixture
def target_database(tmp_path):
    """Where it is restored to."""
    return str(tmp_path / "restored.db")


@pytest.fixture
def target(target_database):
    """The same, opened."""
    made = Store.create(target_database)
    yield made
    made.close()


class OnBoth:
    """Tests that restore into either database."""

    @pytest.fixture(params=["sqlite", "postgresql"])
    def target_database(self, request, tmp_path):
        if request.param == "sqlite":
            yield str(tmp_path / "restored.db")
        else:
            with empty_database() as url:
                yield url


def rows(store):
    with store.snapshot() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(select(table))), key=repr)
            for table in (log_head, entries, *PROJECTIONS)
        }


def plain(path):
    return gzip.decompress(path.read_bytes())


def refused(path, signer, reason, part):
    """Reading it all fails, and says why."""
    with pytest.raises(LedgerError, match=part) as caught:
        verify(BackupReader(path), [signer.vkey])
    assert caught.value.reason is reason


@pytest.mark.sqlite_only
class TestTaking:
    def test_it_says_what_it_wrote_for_its_owner_alone(self, full, store, signer, tmp_path):
        path = tmp_path / "log.backup"
        seen = []
        made = take(store, [signer.vkey], path, lambda done, total: seen.append((done, total)))
        size = full.head.size
        assert (made.checkpoint.size, made.checkpoint.root) == (size, full.head.root)
        assert (made.bytes, seen[-1]) == (path.stat().st_size, (size, size))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert sorted(one.name for one in tmp_path.iterdir() if "backup" in one.name) == ["log.backup"]

    def test_the_same_log_gives_the_same_file(self, backup, store, signer, tmp_path):
        again = tmp_path / "again"
        take(store, [signer.vkey], again)
        assert again.read_bytes() == backup.read_bytes()

    def test_a_file_that_exists_is_left_alone(self, full, store, signer, tmp_path):
        path = tmp_path / "taken"
        path.write_text("precious")
        with pytest.raises(BadInput, match="given a file that exists, expected a new file"):
            take(store, [signer.vkey], path)
        assert path.read_text() == "precious"

    def test_what_a_crash_has_left_is_written_over(self, full, store, signer, tmp_path):
        draft = tmp_path / ".log.backup.draft"
        draft.write_bytes(b"x" * 1_000_000)
        draft.chmod(0o666)
        take(store, [signer.vkey], tmp_path / "log.backup")
        assert not draft.exists()
        verify(BackupReader(tmp_path / "log.backup"), [signer.vkey])
        assert stat.S_IMODE((tmp_path / "log.backup").stat().st_mode) == 0o600

    def test_a_damaged_log_gives_no_file(self, full, store, signer, tmp_path):
        with store.transaction() as connection:
            connection.execute(delete(entries).where(entries.c.idx == 7))
        with pytest.raises(ServiceFault, match="entry 7: given none, expected an entry") as caught:
            take(store, [signer.vkey], tmp_path / "log.backup")
        assert caught.value.reason is Reason.STORE_DAMAGED
        assert not list(tmp_path.glob("*backup*")) + list(tmp_path.glob(".*draft"))

    def test_the_key_of_another_log_does_not_serve(self, full, store, tmp_path):
        other = NoteSigner(ORIGIN, signing_key("other")._key)
        with pytest.raises(BrokenProof):
            take(store, [other.vkey], tmp_path / "log.backup")


class TestFromEitherIntoEither(OnBoth):
    def test_every_row_comes_back(self, backup, store, target, signer):
        reader, seen = BackupReader(backup), []
        verify(reader, [signer.vkey])
        checkpoint = restore(reader, target, [signer.vkey], lambda *how_far: seen.append(how_far))
        assert rows(target) == rows(store)
        assert check(target, [signer.vkey]).none
        assert seen[-1] == (checkpoint.size, checkpoint.size)


@pytest.mark.sqlite_only
class TestRestoring:
    def test_the_log_goes_on_from_there(self, backup, full, target, signer, city):
        restore(BackupReader(backup), target, [signer.vkey])
        writer = Writer(target, signer)
        writer.load()
        submission = Submission.read(city.listing(ChainKey.serial("06901234567892", "B1")).raw)
        both = [one.write([submission], NOW).head for one in (writer, full)]
        assert both[0] == both[1]

    def test_in_many_pieces(self, backup, store, target, signer, monkeypatch):
        monkeypatch.setattr(restoring, "_CHUNK", 3)
        reader = BackupReader(backup)
        size = reader.header.checkpoint.size
        leaves = [leaf_hash(data) for chunk in reader.chunks(100) for data in chunk]
        known = [Checkpoint(ORIGIN, some, root_of(leaves[:some])) for some in (1, 2, 3, 4, 9, size - 1, size)]
        verify(reader, [signer.vkey], known)
        restore(reader, target, [signer.vkey])
        assert rows(target) == rows(store)

    def test_the_published_checkpoint_comes_along(self, full, target, signer, city, tmp_path):
        store = full._store
        with store.transaction() as connection:
            write_published(connection, Published.parse(full.head.checkpoint))
        record(full, city.listing(ChainKey.serial("06901234567892", "B2")))
        take(store, [signer.vkey], tmp_path / "published.backup")
        reader = BackupReader(tmp_path / "published.backup")
        verify(reader, [signer.vkey])
        restore(reader, target, [signer.vkey])
        with store.snapshot() as ours, target.snapshot() as theirs:
            assert read_published(theirs) == read_published(ours)
        assert check(target, [signer.vkey]).none

    def test_a_database_with_a_log_is_left_alone(self, backup, store, signer):
        before = rows(store)
        with pytest.raises(BadInput, match="database: given a log, expected a new one, or one without a log"):
            restore(BackupReader(backup), store, [signer.vkey])
        assert rows(store) == before

    def test_a_log_that_has_lost_its_head_is_left_alone(self, backup, store, signer):
        with store.transaction() as connection:
            connection.execute(delete(log_head))
        before = rows(store)
        with pytest.raises(BadInput, match="given rows in entries"):
            restore(BackupReader(backup), store, [signer.vkey])
        assert rows(store) == before


class Cut(BaseException):
    """The process ends here."""


@pytest.mark.sqlite_only
class TestInterrupted(OnBoth):
    @pytest.fixture(autouse=True)
    def _small_pieces(self, monkeypatch):
        monkeypatch.setattr(restoring, "_CHUNK", 4)

    def cut_off(self, backup, target, signer, monkeypatch):
        """A restore that ends after some pieces as a crash would: nothing is cleared away."""

        def cut(done, _):
            if done > 8:
                raise Cut

        with monkeypatch.context() as patch:
            patch.setattr(restoring, "_empty", lambda _: (_ for _ in ()).throw(Cut))
            with pytest.raises(Cut):
                restore(BackupReader(backup), target, [signer.vkey], cut)

    def test_what_is_left_is_no_log_and_the_next_try_makes_one(
        self, backup, store, target, signer, monkeypatch
    ):
        self.cut_off(backup, target, signer, monkeypatch)
        with target.snapshot() as connection:
            assert queries.entries_from(connection, 0, 100)
        writer = Writer(target, signer)
        writer.load()
        assert writer.head is None
        restore(BackupReader(backup), target, [signer.vkey])
        assert rows(target) == rows(store)
        assert check(target, [signer.vkey]).none

    def test_an_error_leaves_an_empty_database(self, backup, target, signer):
        def fail(done, _):
            if done > 8:
                raise BadInput(Reason.INVALID_REQUEST, "x")

        with pytest.raises(BadInput):
            restore(BackupReader(backup), target, [signer.vkey], fail)
        assert not any(rows(target).values())

    def test_of_two_at_once_the_first_gives_way(self, backup, store, target, signer):
        started = []

        def start_another(done, _):
            if done > 8 and not started:
                started.append(done)
                restore(BackupReader(backup), target, [signer.vkey])

        with pytest.raises(Conflict, match="another restore at work"):
            restore(BackupReader(backup), target, [signer.vkey], start_another)
        assert started
        assert rows(target) == rows(store)


@pytest.mark.sqlite_only
class TestDamage:
    def test_another_version(self, backup, signer, tmp_path):
        other = tmp_path / "other"
        other.write_bytes(gzip.compress(plain(backup).replace(b"backup/1", b"backup/2", 1)))
        refused(other, signer, Reason.INVALID_REQUEST, r"given suyuan-backup/2\\n, expected suyuan-backup/1")

    @pytest.mark.parametrize(
        "content", [b"", b"junk", gzip.compress(b""), gzip.compress(b"x" * 3_000_000)], ids=range(4)
    )
    def test_something_else(self, content, signer, tmp_path):
        other = tmp_path / "other"
        other.write_bytes(content)
        refused(other, signer, Reason.INVALID_REQUEST, "backup ")

    @pytest.mark.parametrize(
        "header",
        [
            b"{}", b"[]", b"1", b"{", b'{"checkpoint": 1, "published": ""}', b'{"checkpoint": "x", "published": ""}',
            b"[" * 100_000, b'{"checkpoint": "' + b"x" * 2_000_000,
        ],
        ids=range(8),
    )  # fmt: skip
    def test_a_header_that_is_none(self, header, signer, tmp_path):
        other = tmp_path / "other"
        other.write_bytes(gzip.compress(b"suyuan-backup/1\n" + header + b"\n"))
        refused(other, signer, Reason.INVALID_REQUEST, "header of the backup")

    def test_a_file_that_is_cut_off_anywhere(self, backup, signer, tmp_path):
        whole, cut = backup.read_bytes(), tmp_path / "cut"
        for length in [*range(1, len(whole), max(1, len(whole) // 40)), len(whole) - 1]:
            cut.write_bytes(whole[:length])
            refused(cut, signer, Reason.INVALID_REQUEST, "backup ")

    def test_more_behind_the_end(self, backup, signer, tmp_path):
        longer = tmp_path / "longer"
        longer.write_bytes(gzip.compress(plain(backup) + b"x"))
        refused(longer, signer, Reason.INVALID_REQUEST, "given other bytes than were written")

    def test_a_history_that_somebody_else_has_signed(self, backup, tmp_path):
        other = NoteSigner(ORIGIN, signing_key("other")._key)
        refused(backup, other, Reason.BAD_NOTE, "signature")

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_any_changed_byte_is_found(self, backup, signer, tmp_path, data):
        whole = bytearray(plain(backup))
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] ^= data.draw(st.integers(1, 255))
        changed = tmp_path / "changed"
        changed.write_bytes(gzip.compress(bytes(whole), 1))
        with pytest.raises(LedgerError):
            verify(BackupReader(changed), [signer.vkey])


@pytest.mark.sqlite_only
class TestOutside:
    def seen(self, tmp_path, signer, size, root=bytes(32)):
        path = tmp_path / f"seen-{size}"
        path.write_bytes(sign_checkpoint(Checkpoint(ORIGIN, size, root), signer))
        return path

    def test_an_older_backup_is_refused(self, backup, signer, tmp_path):
        size = BackupReader(backup).header.checkpoint.size
        outside = ask_outside(None, [self.seen(tmp_path, signer, size + 3)], [signer.vkey])
        with pytest.raises(BrokenProof) as caught:
            outside.require_not_older(size)
        assert caught.value.reason is Reason.ROLLBACK
        assert str(caught.value) == (
            f"backup: given {size} entries, 3 fewer than {tmp_path}/seen-{size + 3} has seen, "
            f"expected at least {size + 3}: a newer backup"
        )
        outside.require_not_older(size + 3)

    def test_a_backup_of_another_history_is_a_fork(self, backup, signer):
        size = BackupReader(backup).header.checkpoint.size
        for some in (1, size - 1, size):
            with pytest.raises(BrokenProof) as caught:
                verify(BackupReader(backup), [signer.vkey], [Checkpoint(ORIGIN, some, bytes(32))])
            assert caught.value.reason is Reason.FORK

    def test_a_checkpoint_that_the_log_has_not_signed_says_nothing(self, signer, tmp_path):
        other = NoteSigner(ORIGIN, signing_key("other")._key)
        with pytest.raises(BrokenProof):
            ask_outside(None, [self.seen(tmp_path, other, 3)], [signer.vkey])
        with pytest.raises(BadInput, match="given No such file or directory, expected a signed note"):
            ask_outside(None, [tmp_path / "none"], [signer.vkey])

    def test_silence_that_could_hide_a_quorum_is_refused(self):
        outside = Outside((Seen("w1", Checkpoint(ORIGIN, 3, bytes(32))),), ("w2 (no answer)",), True)
        with pytest.raises(ServiceFault, match="w2 \\(no answer\\)") as caught:
            outside.require_not_older(3)
        assert caught.value.reason is Reason.UNREACHABLE
        Outside(silent=("w2 (no answer)",)).require_not_older(3)


@pytest.mark.sqlite_only
def test_the_header_is_json_with_two_notes(backup):
    magic, header, _ = plain(backup).split(b"\n", 2)
    assert (magic, set(json.loads(header))) == (b"suyuan-backup/1", {"checkpoint", "published"})


def test_a_backup_that_is_not_there(tmp_path):
    with pytest.raises(BadInput, match="given No such file or directory, expected a file that can be read"):
        BackupReader(tmp_path / "none")
