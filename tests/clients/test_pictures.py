"""Many pictures in several processes: what is read comes in order, whatever becomes of one file or one process."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing
from pathlib import Path

import pytest

from clients.pictures import WORTH_STARTING, Read, read_file, read_files
from clients.processes import Helper
from scanner.labels import write_label


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_label(folder / "label.png", "6901234567892")
    (folder / "broken.png").write_bytes((folder / "label.png").read_bytes()[:200])
    return folder


def texts(read: Read) -> list[list[str]]:
    return [[symbol.text for symbol in page] for page in read.pages]


def children() -> set[int]:
    """Ids of the processes that this one has started and that have not ended."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid() and fields[0] != "Z":
            found.add(int(stat.parent.name))
    return found


def test_the_order_is_that_of_the_files_and_one_that_is_broken_stops_no_other(folder):
    names = ["label.png", "broken.png", "missing.png"] * (WORTH_STARTING // 3)
    paths = [str(folder / name) for name in names]
    read = list(read_files(paths, 2))
    assert [one.path for one in read] == paths
    assert [texts(one) for one in read] == [[["6901234567892"]], [], []] * (WORTH_STARTING // 3)
    assert [str(one.refusal) for one in read[1:3]] == [str(read_file(path).refusal) for path in paths[1:3]]
    assert read[0] == read_file(paths[0])


def test_few_files_start_no_process(folder, monkeypatch):
    monkeypatch.setattr(Helper, "start", None)
    read = list(read_files([str(folder / "label.png")] * (WORTH_STARTING - 1), 64))
    assert [texts(one) for one in read] == [[["6901234567892"]]] * (WORTH_STARTING - 1)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_a_process_that_dies_costs_one_file_and_none_is_left(folder):
    before = children()
    paths = [str(folder / "label.png")] * (WORTH_STARTING * 2)
    with closing(read_files(paths, 2)) as files:
        read = [next(files)]
        # The other one that was started is multiprocessing's own, which looks after what processes share.
        for child in children() - before:
            if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(child, signal.SIGKILL)
        read += files
    assert [one.path for one in read] == paths
    lost = [one for one in read if one.refusal is not None]
    assert len(lost) <= 2
    for one in lost:
        assert "the process" in str(one.refusal) or "ended the process" in str(one.refusal)
    assert all(texts(one) == [["6901234567892"]] for one in read if one.refusal is None)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_closing_early_leaves_no_process(folder):
    before = children()
    with closing(read_files([str(folder / "label.png")] * (WORTH_STARTING * 2), 2)) as files:
        next(files)
    left = {
        child
        for child in children() - before
        if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes()
    }
    assert left == set()


def test_a_page_that_takes_for_ever_is_given_up(folder):
    paths = [str(folder / "label.png")] * WORTH_STARTING
    begun = time.monotonic()
    # Nothing is read within no time at all, not even what a process needs to start.
    read = list(read_files(paths, 2, patience_s=0))
    assert [one.path for one in read] == paths
    assert {str(one.refusal) for one in read} == {
        f"picture {paths[0]!r}: given a page that is not read within 0 s, expected a sound picture"
    }
    assert time.monotonic() - begun < 300
