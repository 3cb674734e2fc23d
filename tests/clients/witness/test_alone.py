"""A database has one witness process."""

import signal

import pytest
from witnessing import SmallLog, new_witness, post, running_witness

from clients.witness.alone import alone
from ledger.errors import BadInput, Reason

LOG = SmallLog()


def test_a_second_process_on_one_database_is_refused(tmp_path):
    with running_witness(tmp_path, logs=[LOG.vkey]) as witness:
        refused = witness.run("--listen", "127.0.0.1:0")
        assert refused.returncode == 2
        assert refused.stderr.splitlines()[-1] == (
            f"Error: database {witness.database}: given one that another witness process serves, "
            "expected one process for each; stop the other first [INVALID_REQUEST]"
        )
        # The first one goes on, and what only reads is not refused.
        assert post(witness.url, LOG.request(0, 1)).status == 200
        assert witness.run("--evidence").returncode == 0


def test_a_process_that_was_killed_keeps_no_other_from_its_database(tmp_path):
    witness = new_witness(tmp_path, logs=[LOG.vkey])
    for old in range(3):
        witness.start()
        assert post(witness.url, LOG.request(old, old + 1)).status == 200
        assert witness.stop(signal.SIGKILL) == -signal.SIGKILL
    assert (tmp_path / "witness.db-lock").stat().st_mode & 0o777 == 0o600


def test_other_databases_in_the_same_folder(tmp_path):
    with alone(tmp_path / "a.db"), alone(tmp_path / "b.db"):
        with pytest.raises(BadInput) as caught, alone(tmp_path / "a.db"):
            pytest.fail("it was let in")
        assert caught.value.reason is Reason.INVALID_REQUEST
    with alone(tmp_path / "a.db"):
        pass


def test_a_lock_is_let_go_of_when_the_block_raises(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyError), alone(tmp_path / "a.db"):
            raise KeyError


def test_a_folder_that_is_not_there(tmp_path):
    path = tmp_path / "missing" / "a.db"
    with pytest.raises(BadInput) as caught, alone(path):
        pytest.fail("it was let in")
    assert str(caught.value) == (
        f"file {path}-lock: given No such file or directory, expected a file that can be locked"
    )
