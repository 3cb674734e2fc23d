from __future__ import annotations

import os

import pytest

from clients.pictures_read import PicturesRead
from ledger.errors import BadInput, Reason
from scanner.dropped import pictures_in


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "belt"
    folder.mkdir()
    for name in ("a.png", "b.png", os.fsdecode(b"caf\xe9\n.png")):
        (folder / name).write_bytes(name.encode(errors="surrogateescape"))
    return folder


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


def memory_of(state):
    [path] = (state / "watched").glob("*.jsonl")
    return path


def known(state, folder, **more):
    with PicturesRead.of(state, folder, **more) as memory:
        return memory.known


def read_all(state, folder):
    with PicturesRead.of(state, folder) as memory:
        for sight in pictures_in(folder):
            memory.add(sight)


def test_a_second_run_knows_what_the_first_one_read(state, folder):
    assert known(state, folder) == []
    read_all(state, folder)
    assert sorted(known(state, folder)) == sorted(pictures_in(folder))
    assert known(state, folder / ".." / "belt") == known(state, folder)


def test_it_is_written_before_the_run_ends(state, folder):
    with PicturesRead.of(state, folder) as memory:
        memory.add(pictures_in(folder)[0])
        assert len(memory_of(state).read_text().splitlines()) == 1


def test_from_scratch(state, folder):
    read_all(state, folder)
    assert known(state, folder, from_scratch=True) == []
    assert known(state, folder) == []


def test_what_is_gone_is_forgotten_and_what_was_renamed_is_not(state, folder):
    read_all(state, folder)
    (folder / "a.png").unlink()
    (folder / "b.png").rename(folder / "c.png")
    names = [sight.name for sight in known(state, folder)]
    assert "a.png" not in names
    assert "b.png" in names


def test_a_share_that_is_not_there_forgets_nothing(state, folder):
    read_all(state, folder)
    away = folder.rename(folder.with_name("away"))
    folder.mkdir()
    assert len(known(state, folder)) == 3
    folder.rmdir()
    away.rename(folder)
    assert len(known(state, folder)) == 3


def test_a_line_that_a_crash_has_torn(state, folder):
    read_all(state, folder)
    path = memory_of(state)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5] + b"\n[1]\n{}\n\xff\n" + whole[:3])
    assert len(known(state, folder)) == 2
    assert len(path.read_text().splitlines()) == 2


def test_one_process_watches_a_folder(state, folder):
    with PicturesRead.of(state, folder), pytest.raises(BadInput) as caught:
        known(state, folder)
    assert str(caught.value) == (
        f"folder {os.fspath(folder)!r}: given one that another process of yours watches, "
        "expected one process for each; stop the other first"
    )
    assert known(state, folder) == []


def test_a_state_folder_that_is_a_file(state, folder):
    state.write_text("")
    with pytest.raises(BadInput) as caught:
        known(state, folder)
    assert caught.value.reason is Reason.INVALID_REQUEST
    assert "Not a directory, expected a file that can be read and written" in str(caught.value)
