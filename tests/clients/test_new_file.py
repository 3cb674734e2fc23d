from __future__ import annotations

import os
import stat

import pytest

from clients import new_file
from clients.new_file import move_to_new, write_new, write_private
from ledger.errors import BadInput


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def path(tmp_path):
    before = os.umask(0o022)
    yield tmp_path / "file"
    os.umask(before)


def test_a_private_file(path):
    write_private(path, b"secret")
    assert (path.read_bytes(), mode(path)) == (b"secret", 0o600)


def test_a_file_for_all(path):
    write_new(path, b"open")
    assert (path.read_bytes(), mode(path)) == (b"open", 0o644)


@pytest.mark.parametrize("write", [write_private, write_new])
def test_a_file_that_exists(path, write):
    path.write_text("precious")
    with pytest.raises(BadInput) as caught:
        write(path, b"x")
    assert str(caught.value) == f"file {path}: given a file that exists, expected a new file"
    assert path.read_text() == "precious"


def test_a_dangling_link_is_not_followed(path):
    path.symlink_to(path.parent / "elsewhere")
    with pytest.raises(BadInput, match="given a file that exists"):
        write_private(path, b"x")
    assert not (path.parent / "elsewhere").exists()


def test_a_folder_that_is_not_there(path):
    with pytest.raises(
        BadInput, match="given No such file or directory, expected a file that can be written"
    ):
        write_private(path / "file", b"x")


def test_half_a_file_is_not_left(path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(new_file.os, "fsync", full)
    with pytest.raises(BadInput, match="given No space left on device"):
        write_private(path, b"x")
    assert not path.exists()


def test_move(path):
    draft = path.with_name("draft")
    draft.write_text("x")
    move_to_new(draft, path)
    assert path.read_text() == "x"
    assert not draft.exists()


def test_move_never_replaces(path):
    draft = path.with_name("draft")
    draft.write_text("x")
    path.write_text("precious")
    with pytest.raises(BadInput, match="given a file that exists"):
        move_to_new(draft, path)
    assert path.read_text() == "precious"
    assert draft.read_text() == "x"


def test_move_of_nothing(path):
    with pytest.raises(BadInput, match="given No such file or directory"):
        move_to_new(path.with_name("draft"), path)
