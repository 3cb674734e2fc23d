from __future__ import annotations

import sys
from pathlib import Path

import pytest


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "scripts")
    import benchmarks

    # How fast this machine is, is not what this test asks.
    monkeypatch.setattr(benchmarks, "CEILING_S", 0.01)
    yield benchmarks
    for name in ("benchmarks", "benchlog"):
        sys.modules.pop(name, None)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks for memory in /proc")
def test_the_benchmark_of_audits(benchmarks, tmp_path, capsys):
    benchmarks.bench_audit(600, tmp_path, jobs=1)
    rows = capsys.readouterr().out.splitlines()
    assert [row[:20].strip() for row in rows] == [
        "Ed25519 ceiling", "audit from scratch", "audit to ceiling", "the same", "peak memory", "memory file",
        "audit of 1 % more", "audit of nothing new",
    ]  # fmt: skip
    assert "600 entries in " in rows[1]
    assert " 6 entries, " in rows[6]
    assert (tmp_path / "log-600" / "checkpoint").exists(), "kept for the next time"
