"""A log changes its key: the old one and the new one sign side by side, and its identity stays its origin."""

import os
import shutil

import pytest
from damaging import tamper
from filling import record
from running import new_log, operator
from world import ORIGIN, signing_key

from ledger.checkpoint import open_checkpoint
from ledger.errors import BadInput, ServiceFault
from ledger.note import NoteSigner, SignedNote
from server.config import read_log_keys
from server.rebuild import check, rebuild
from server.store import queries
from server.writer import Writer

OLD = NoteSigner(ORIGIN, signing_key("log")._key)
NEW = NoteSigner(ORIGIN, signing_key("next log")._key)


def signers_of(note):
    """Which of the two keys signed, by a full verification of both."""
    ids = {line.key_id for line in SignedNote.parse(note).signatures}
    signed = [key for key in (OLD, NEW) if key.vkey.key_id in ids]
    for key in signed:
        open_checkpoint(note, ORIGIN, [key.vkey])
    return signed


def loaded(store, *signers):
    writer = Writer(store, *signers)
    writer.load()
    writer.sign_anew()
    return writer


@pytest.fixture
def founded(store, writer, city):
    """A log that only the old key has signed."""
    record(writer, *city.founding())
    assert signers_of(writer.head.checkpoint) == [OLD]
    return writer


def test_a_new_key_beside_the_old_signs_the_newest_checkpoint_at_once(store, founded):
    before = founded.head
    after = loaded(store, OLD, NEW).head
    assert signers_of(after.checkpoint) == [OLD, NEW]
    assert (after.size, after.root, after.recorded_at_us) == (before.size, before.root, before.recorded_at_us)
    with store.snapshot() as connection:
        assert queries.head(connection) == after


def test_every_further_checkpoint_is_signed_by_both(store, founded, city):
    writer = loaded(store, OLD, NEW)
    record(writer, city.listing())
    assert signers_of(writer.head.checkpoint) == [OLD, NEW]


def test_the_old_key_can_go_once_the_new_one_has_signed(store, founded, city):
    loaded(store, OLD, NEW)
    writer = loaded(store, NEW)
    assert signers_of(writer.head.checkpoint) == [OLD, NEW]
    record(writer, city.listing())
    assert signers_of(writer.head.checkpoint) == [NEW]


def test_the_new_key_alone_is_refused_as_long_as_it_has_signed_nothing(store, founded):
    with pytest.raises(ServiceFault, match="signatures of the note: given 1 by unknown keys") as caught:
        loaded(store, NEW)
    assert f"1 by unknown keys, expected one by {NEW.vkey.label}" in str(caught.value)


def test_a_head_that_was_put_there_is_not_signed_by_the_new_key(store, founded):
    tamper(store, "UPDATE log_head SET root = zeroblob(32)")
    with pytest.raises(ServiceFault, match="root by the tiles"):
        loaded(store, OLD, NEW)
    with store.snapshot() as connection:
        assert signers_of(queries.head(connection).checkpoint) == [OLD]


def test_signing_anew_with_nothing_to_add_writes_nothing(store, founded):
    before = founded.head
    assert loaded(store, OLD).head == before
    assert loaded(store, OLD, NEW).head == loaded(store, NEW, OLD).head


def test_a_writer_that_ran_meanwhile_goes_on(store, founded, city):
    loaded(store, OLD, NEW)
    record(founded, city.listing())
    assert signers_of(founded.head.checkpoint) == [OLD]
    again = loaded(store, OLD, NEW)
    assert (again.head.size, signers_of(again.head.checkpoint)) == (founded.head.size, [OLD, NEW])


def test_a_log_that_grew_between_loading_and_signing_anew(store, founded, city):
    writer = Writer(store, OLD, NEW)
    writer.load()
    record(founded, city.listing())
    writer.sign_anew()
    assert (writer.head.size, signers_of(writer.head.checkpoint)) == (founded.head.size, [OLD, NEW])


def test_rebuild_and_check_go_by_any_of_the_keys(store, founded):
    for keys in ([OLD.vkey], [NEW.vkey, OLD.vkey]):
        assert rebuild(store, keys) == founded.head.size
        assert check(store, keys).none


def test_several_keys_from_the_environment_and_one_key_twice(tmp_path, monkeypatch):
    log = new_log(tmp_path / "log")
    new, copy = tmp_path / "log-2.pem", tmp_path / "copy.pem"
    files = ("--database", log.database)
    monkeypatch.setenv("SUYUAN_LOG_KEY", f"{log.log_key}{os.pathsep}{new}")
    done = operator("init", "--genesis", log.folder / "genesis.bin", *files)
    assert done.stdout.count("Verifier key: ledger.test/city+") == 2
    shutil.copy(log.log_key, copy)
    done = operator("vkey", *files, "--log-key", log.log_key, "--log-key", copy, check=False)
    assert done.returncode != 0
    assert f"log key {copy}: given the key of {log.log_key}, expected another key" in done.stderr


def test_the_passphrase_is_that_of_the_key_that_has_one(tmp_path, monkeypatch):
    monkeypatch.setenv("SUYUAN_LOG_KEY_PASSPHRASE", "correct horse")
    plain, encrypted = tmp_path / "plain.pem", tmp_path / "encrypted.pem"
    plain.write_bytes(signing_key("log").to_pem())
    encrypted.write_bytes(signing_key("next log").to_pem(b"correct horse"))
    for path in (plain, encrypted):
        path.chmod(0o600)
    assert [one.vkey for one in read_log_keys([plain, encrypted], ORIGIN)] == [OLD.vkey, NEW.vkey]
    monkeypatch.setenv("SUYUAN_LOG_KEY_PASSPHRASE", "wrong")
    with pytest.raises(BadInput, match=r"encrypted.pem: given something else"):
        read_log_keys([plain, encrypted], ORIGIN)
