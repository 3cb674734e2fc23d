from __future__ import annotations

import os

import pytest

from ledger.errors import BadInput, Reason
from scanner import dropped
from scanner.dropped import Drops, Sight, pictures_in

A = Sight("a.png", 1, 100, 1_000)
B = Sight("b.png", 2, 200, 500)


def test_a_picture_is_whole_when_it_has_stayed_as_it_is():
    drops = Drops()
    assert drops.look([A], 0.0) == []
    assert drops.waiting
    assert drops.look([A], 0.9) == []
    assert drops.look([A], 1.0) == [A]


def test_a_picture_that_grows_is_waited_for():
    drops = Drops()
    for second in range(5):
        assert drops.look([A._replace(size=100 + second, changed_ns=second)], float(second)) == []
    grown = A._replace(size=104, changed_ns=4)
    assert drops.look([grown], 4.9) == []
    assert drops.look([grown], 5.0) == [grown]


def test_each_is_read_once_and_the_earliest_first():
    drops = Drops()
    drops.look([A, B], 0.0)
    assert drops.look([A, B], 1.0) == [B, A]
    drops.take(B)
    assert drops.look([A, B], 1.1) == [A]
    drops.take(A)
    assert drops.look([A, B], 2.0) == []
    assert not drops.waiting


def test_one_that_could_not_be_taken_is_offered_again():
    drops = Drops()
    drops.look([A], 0.0)
    assert drops.look([A], 1.0) == drops.look([A], 1.5) == [A]


def test_a_new_name_makes_no_new_picture():
    drops = Drops()
    drops.look([A], 0.0)
    assert drops.look([A._replace(name="renamed.png")], 1.0) == [A._replace(name="renamed.png")]
    drops.take(A)
    assert drops.look([A._replace(name="renamed.png")], 3.0) == []


def test_a_picture_that_is_written_over_is_another_one():
    drops = Drops([A])
    again = A._replace(changed_ns=2_000)
    assert drops.look([again], 0.0) == []
    assert drops.look([again], 1.0) == [again]


def test_an_inode_that_was_given_out_anew():
    drops = Drops([A])
    other = Sight("b.png", A.inode, A.size + 1, A.changed_ns + 1)
    drops.look([other], 0.0)
    assert drops.look([other], 1.0) == [other]


def test_a_file_system_that_gives_out_inodes_anew():
    drops = Drops([A])
    drops.look([A._replace(inode=77)], 0.0)
    assert drops.look([A._replace(inode=77)], 9.0) == []


def test_two_names_of_one_file_are_one_picture():
    drops = Drops()
    twice = [A, A._replace(name="link.png")]
    drops.look(twice, 0.0)
    assert len(drops.look(twice, 1.0)) == 1


def test_an_empty_file_is_given_more_time():
    empty = A._replace(size=0)
    drops = Drops()
    drops.look([empty], 0.0)
    assert drops.look([empty], 9.0) == []
    assert drops.waiting
    assert drops.look([empty], 10.0) == [empty]


def test_what_was_gone_for_a_while_begins_anew():
    drops = Drops()
    drops.look([A], 0.0)
    assert drops.look([], 0.5) == []
    assert not drops.waiting
    assert drops.look([A], 1.2) == []
    assert drops.look([A], 2.2) == [A]


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(dropped, "MAX_GONE", 2)
    gone = [Sight(f"{number}.png", number, 9, 9) for number in range(10, 20)]
    drops = Drops([A, *gone])
    assert drops.look([], 0.0) == []
    assert drops.knows(gone[0])
    assert drops.look([A], 0.0) == []
    assert drops.knows(A)
    assert not any(map(drops.knows, gone))


def test_pictures_in_a_folder(tmp_path):
    for name in ("b.PNG", "a.jpeg", "photo.jpg.part", ".hidden.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"12345")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "nothing.png").symlink_to("missing")
    (tmp_path / "link.png").symlink_to("b.PNG")
    os.mkfifo(tmp_path / "pipe.png")
    sights = {sight.name: sight for sight in pictures_in(tmp_path)}
    assert sorted(sights) == ["a.jpeg", "b.PNG", "link.png"]
    status = (tmp_path / "b.PNG").stat()
    assert sights["b.PNG"] == Sight("b.PNG", status.st_ino, 5, status.st_mtime_ns)
    (tmp_path / "b.PNG").rename(tmp_path / "c.png")
    assert not Drops([sights["b.PNG"]]).look(
        [one for one in pictures_in(tmp_path) if one.name == "c.png"], 9.0
    )


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("missing", "No such file or directory"),
        ("file.png", "Not a directory"),
        ("a\0b", "a name that no folder can have"),
    ],
)
def test_what_is_no_folder(tmp_path, name, given):
    (tmp_path / "file.png").touch()
    with pytest.raises(BadInput) as caught:
        pictures_in(tmp_path / name)
    assert caught.value.reason is Reason.INVALID_REQUEST
    assert str(caught.value) == (
        f"folder {os.fspath(tmp_path / name)!r}: given {given}, expected a folder that can be read"
    )
