"""Which files a user means by files, folders and patterns."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from clients.cli.pictures import Pictures


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def named(*arguments: str) -> tuple[list[str], list[str]]:
    pictures = Pictures.named(map(Path, arguments))
    return pictures.paths, [str(refusal) for refusal in pictures.refusals]


def test_a_file_that_is_named_need_not_look_like_a_picture_nor_exist():
    touch("notes.txt")
    assert named("notes.txt", "missing.png") == (["notes.txt", "missing.png"], [])


def test_a_folder_is_all_pictures_in_it_by_name():
    touch(
        "in/b.JPG",
        "in/a.png",
        "in/deep/c.pdf",
        "in/deep/d.heic",
        "in/notes.txt",
        "in/.hidden.png",
        "in/.git/e.png",
    )
    assert named("in") == (["in/a.png", "in/b.JPG", "in/deep/c.pdf", "in/deep/d.heic"], [])


def test_a_link_to_a_folder_is_not_followed_and_one_to_a_file_is():
    touch("in/a.png", "other/b.png")
    Path("in/round").symlink_to("..", target_is_directory=True)
    Path("in/linked.png").symlink_to("../other/b.png")
    assert named("in") == (["in/a.png", "in/linked.png"], [])


def test_a_pattern_is_all_that_matches():
    touch("in/a.png", "in/deep/b.png", "in/c.jpg")
    assert named("in/**/*.png") == (["in/a.png", "in/deep/b.png"], [])
    assert named("i?") == (["in/a.png", "in/c.jpg", "in/deep/b.png"], [])


def test_a_file_whose_name_looks_like_a_pattern_is_that_file():
    touch("a[1].png", "a1.png")
    assert named("a[1].png") == (["a[1].png"], [])


def test_a_pattern_that_nothing_matches_and_a_folder_without_pictures_stop_no_other():
    touch("a.png", "empty/notes.txt")
    assert named("*.bmp", "empty", "a.png") == (
        ["a.png"],
        [
            "picture '*.bmp': given a pattern that no file matches, expected one that matches some",
            (
                "picture 'empty': given a folder without pictures, expected files such as .bmp, .gif, .heic, .heif, "
                ".jpeg, .jpg, .pdf, .png, .tif, .tiff, .webp"
            ),
        ],
    )


@contextmanager
def as_nobody() -> Iterator[None]:
    """Where root runs the tests, whom no folder is closed to, be somebody else for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_without_rights_is_told_and_the_rest_is_read():
    # Not in pytest's folder, into which nobody else may look.
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        Path(folder).chmod(0o755)
        touch("in/a.png", "in/secret/b.png")
        Path("in/secret").chmod(0)
        with as_nobody():
            found = named("in")
        Path("in/secret").chmod(0o700)
    assert found == (
        ["in/a.png"],
        [
            (
                "picture 'in/secret': given a folder that cannot be read (Permission denied), "
                "expected one that can be read"
            )
        ],
    )


def test_a_name_that_no_file_can_have_is_left_to_whoever_opens_it():
    assert named("a\0*.png") == (["a\0*.png"], [])
