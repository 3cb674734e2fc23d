from __future__ import annotations

from collections import Counter

import pytest
from world import ORIGIN

from clients.audit.memory import AuditMemory, Moment, forget, path_of
from ledger.audit import Standing
from ledger.errors import BadInput, Reason, ServiceFault
from ledger.findings import AuditReport, Finding
from ledger.frontier import Frontier, RightEdge


def moment(size):
    completed = {}
    frontier = Frontier().extend([bytes([number % 256]) * 32 for number in range(size)], completed)
    report = AuditReport(ORIGIN, chains=3, parties=2, signatures=9, kinds=Counter(listing=4), flagged=1)
    report.findings = [Finding(4, Reason.BAD_ENTRY, "what"), Finding(None, Reason.FORK, "where 在")]
    report.more_findings = 7
    edge, _ = RightEdge().extend(completed)
    return Moment(
        report, Standing(frontier, frontier, 77), edge, b"note", [(5, b"key", b"signature", b"event")]
    )


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 1_000])
def test_a_moment_comes_back_as_it_was(tmp_path, size):
    with AuditMemory(tmp_path / "audits" / "a", ORIGIN) as memory:
        assert memory.recall() == Moment(AuditReport(ORIGIN))
        memory.save(moment(size))
        assert memory.recall() == moment(size)
    with AuditMemory(tmp_path / "audits" / "a", ORIGIN) as memory:
        assert memory.recall() == moment(size)


def test_a_tree_that_was_not_told_is_not_remembered(tmp_path):
    known = moment(300)
    known.standing, known.edge = Standing(known.standing.computed, None, 77), None
    with AuditMemory(tmp_path / "a", ORIGIN) as memory:
        memory.save(known)
        assert memory.recall() == known


def test_what_was_not_saved_is_forgotten(tmp_path):
    with AuditMemory(tmp_path / "a", ORIGIN) as memory:
        memory.save(moment(3))
        known = moment(4)
        known.owed = [("no number", object(), b"", b"")]
        with pytest.raises(BadInput):
            memory.save(known)
    with AuditMemory(tmp_path / "a", ORIGIN) as memory:
        assert memory.recall() == moment(3)


def test_a_memory_of_another_log(tmp_path):
    with AuditMemory(tmp_path / "a", ORIGIN):
        pass
    with pytest.raises(BadInput) as caught, AuditMemory(tmp_path / "a", "ledger.test/other"):
        pass
    assert str(caught.value).startswith(f"memory of the audit {tmp_path / 'a'}: given that of {ORIGIN}, ")


def test_a_memory_in_use(tmp_path):
    with (
        AuditMemory(tmp_path / "a", ORIGIN),
        pytest.raises(ServiceFault) as caught,
        AuditMemory(tmp_path / "a", ORIGIN),
    ):
        pass
    assert caught.value.given == "in use by another audit"


def test_a_memory_is_for_its_owner_only(tmp_path):
    with AuditMemory(tmp_path / "a", ORIGIN) as memory:
        memory.save(moment(3))
        assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
            "a": 0o600,
            "a-wal": 0o600,
        }


def test_a_memory_that_others_could_read_is_made_private(tmp_path):
    (tmp_path / "a").touch()
    (tmp_path / "a").chmod(0o644)
    with AuditMemory(tmp_path / "a", ORIGIN):
        assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_a_damaged_memory(tmp_path):
    with AuditMemory(tmp_path / "a", ORIGIN) as memory:
        memory.save(moment(300))
        memory._connection.execute("UPDATE audit SET value = x'00' WHERE name = 'computed'")
        with pytest.raises(BadInput) as caught:
            memory.recall()
    assert caught.value.given == "a damaged file"


def test_a_folder_in_its_place(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(BadInput) as caught, AuditMemory(tmp_path / "a", ORIGIN):
        pass
    assert caught.value.reason is Reason.INVALID_REQUEST


def test_files_are_named_after_their_logs(tmp_path):
    assert path_of(tmp_path, "ledger.test/city").name == "ledger.test_city-62b4fa258b2e2c36.audit"
    assert path_of(tmp_path, "ledger.test_city") != path_of(tmp_path, "ledger.test/city")


def test_to_start_from_scratch_leaves_nothing(tmp_path):
    path = tmp_path / "a"
    with AuditMemory(path, ORIGIN) as memory:
        memory.save(moment(3))
        with pytest.raises(ServiceFault, match="in use by another audit"):
            forget(path)
        memory.save(moment(3))
    forget(path)
    assert list(tmp_path.iterdir()) == []
    forget(path)
