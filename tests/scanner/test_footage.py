from __future__ import annotations

import os
from itertools import count

import cv2
import numpy as np
import pytest
from filming import RATE, SIZE, belt, film, frame_with, label_picture
from PIL import Image

from ledger.errors import BadInput, Reason
from scanner.decode import decode_pixels
from scanner.footage import TRIES, Footage
from scanner.sighting import Agreement, Sightings


@pytest.fixture
def tea(tmp_path):
    return label_picture("6901234567892", tmp_path)


def refusal(attempt):
    with pytest.raises(BadInput) as caught:
        attempt()
    assert caught.value.reason is Reason.INVALID_REQUEST
    return str(caught.value)


def frames_of(path):
    with Footage.of_video(path) as footage:
        return list(footage.frames())


@pytest.mark.parametrize(("codec", "suffix"), [("MJPG", "avi"), ("mp4v", "mp4"), ("FFV1", "mkv")])
def test_every_frame_with_its_time(tmp_path, tea, codec, suffix):
    path = film(tmp_path / f"belt.{suffix}", belt([tea]), codec)
    with Footage.of_video(path) as footage:
        assert footage.total == 4
        frames = list(footage.frames())
    assert [round(frame.at_s * RATE) for frame in frames] == [0, 1, 2, 3]
    assert all((frame.picture.mode, frame.picture.size) == ("L", SIZE) for frame in frames)
    assert [[one.text for one in decode_pixels(frame.picture)] for frame in frames] == [
        ["6901234567892"]
    ] * 3 + [[]]


def test_from_a_video_to_codes_that_count(tmp_path):
    passing = [label_picture(text, tmp_path) for text in ("6901234567892", "SF1234567890123", "96385074")]
    once = [frame_with(label_picture("6923450657713", tmp_path))]
    path = film(tmp_path / "belt.avi", [*belt(passing), *once, *belt(passing[:1])])
    sightings, told = Sightings(Agreement()), []
    for frame in frames_of(path):
        told += [
            (round(frame.at_s * RATE), one.text)
            for one in sightings.see(decode_pixels(frame.picture), frame.at_s)
        ]
    assert told == [(1, "6901234567892"), (5, "SF1234567890123"), (9, "96385074")]


def test_a_camera_that_vanishes(tmp_path, tea):
    """A recording that is taken for a live picture: when it ends, no picture comes any more."""
    path = film(tmp_path / "belt.avi", belt([tea]))
    ticks = count()
    capture = cv2.VideoCapture(str(path))
    footage = Footage(capture, "camera 3", clock=lambda: float(next(ticks)), pause_s=0)
    seen = []

    def watch():
        seen.extend(footage.frames())

    assert refusal(watch) == ("camera 3: given no picture any more, expected a camera that stays connected")
    assert [frame.at_s for frame in seen] == [0.0, 1.0, 2.0, 3.0]
    assert footage.total == 0
    footage.close()


class Hiccups:
    """A recording of which every picture comes only when it is asked for often enough."""

    def __init__(self, path):
        self.capture = cv2.VideoCapture(str(path))
        self.asked = 0

    def read(self):
        self.asked += 1
        return self.capture.read() if self.asked % TRIES == 0 else (False, None)


def test_a_camera_that_hiccups_is_asked_again(tmp_path, tea):
    path = film(tmp_path / "belt.avi", belt([tea]))
    footage = Footage(Hiccups(path), "camera 0", clock=lambda: 0.0, pause_s=0)
    frames = footage.frames()
    assert len([next(frames) for _ in range(4)]) == 4
    assert "given no picture any more" in refusal(lambda: next(frames))


def test_a_camera_that_is_not_there(capfd):
    assert refusal(lambda: Footage.of_camera(99)) == (
        "camera 99: given none, or one that is in use or not permitted, expected a camera that can be opened"
    )
    assert capfd.readouterr() == ("", "")


def no_such(folder):
    return folder / "missing.avi", "no such file"


def is_a_folder(folder):
    return folder, "a folder"


def is_a_pipe(folder):
    os.mkfifo(folder / "pipe")
    return folder / "pipe", "something that is not a regular file"


def is_empty(folder):
    (folder / "empty.avi").touch()
    return folder / "empty.avi", "an empty file"


def is_none(folder):
    (folder / "noise.avi").write_bytes(bytes(range(256)) * 40)
    return folder / "noise.avi", "a file in no such format, or a damaged one"


def has_no_index(folder):
    path = film(folder / "whole.mp4", [frame_with()] * 5, "mp4v")
    (folder / "cut.mp4").write_bytes(path.read_bytes()[:1_500])
    return folder / "cut.mp4", "a file in no such format, or a damaged one"


def points_to_a_network(folder):
    (folder / "list.m3u8").write_text("#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/video.ts\n")
    return folder / "list.m3u8", "a file in no such format, or a damaged one"


def has_no_name(folder):
    return folder / "a\0b", "a name that no file can have"


@pytest.mark.parametrize(
    "case",
    [no_such, is_a_folder, is_a_pipe, is_empty, is_none, has_no_index, points_to_a_network, has_no_name],
)
def test_what_is_no_video(tmp_path, capfd, case):
    path, given = case(tmp_path)
    assert refusal(lambda: Footage.of_video(path)) == (
        f"video {os.fspath(path)!r}: given {given}, expected a video file, such as AVI, MP4, MKV or WebM"
    )
    assert capfd.readouterr() == ("", "")


def test_a_video_that_is_cut_short_is_read_so_far(tmp_path, capfd):
    whole = film(tmp_path / "whole.avi", [frame_with()] * 40).read_bytes()
    path = tmp_path / "cut.avi"
    path.write_bytes(whole[: len(whole) // 2])
    seen = []

    def watch():
        with Footage.of_video(path) as footage:
            for frame in footage.frames():
                seen.append(frame)  # noqa: PERF402 - what came before the end is kept

    assert refusal(watch) == (
        f"video {os.fspath(path)!r}: given {len(seen)} of 40 frames, for it is cut short or damaged, "
        "expected a whole one"
    )
    assert 0 < len(seen) < 40
    assert capfd.readouterr() == ("", "")


def test_frames_of_too_many_pixels(tmp_path, monkeypatch):
    path = film(tmp_path / "large.avi", [frame_with()])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 640 * 480 - 1)
    assert "given frames of too many pixels, expected at most 307199 pixels" in refusal(
        lambda: Footage.of_video(path)
    )


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1), (4, 6, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pixels_of_any_camera_become_grey(shape, dtype):
    from scanner.footage import _grey

    picture = _grey(np.arange(np.prod(shape), dtype=dtype).reshape(shape))
    assert (picture.mode, picture.size) == ("L", (6, 4))
    assert picture.getextrema()[1] > picture.getextrema()[0]
