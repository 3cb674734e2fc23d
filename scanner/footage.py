"""A camera or a video file to frames: 8 bits of grey each, and when it was taken.

OpenCV reads both. Of video files only what lies in regular files is opened, and nothing that one of them points to on
a network. A camera that gives no picture is asked again for a moment, as cables and drivers hiccup, and then it is
taken for gone: whoever watches a belt has to hear of it.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import cv2
import numpy as np
from cv2.typing import MatLike
from PIL import Image

from ledger.errors import BadInput, Reason

TRIES: Final = 10
"""How often a camera is asked for a picture before it is taken for gone."""

_PAUSE_S: Final = 0.2
"""Between two of these."""
_USUAL_RATE: Final = 25.0
"""Frames a second of a video that does not tell."""
_CUT_SHORT_S: Final = 0.5
"""So much and a tenth may be missing of the length that a video tells: what it tells is often an estimate."""

# Read by OpenCV once, when it first opens anything; what the user has set stays. What FFmpeg and the drivers find wrong
# is told in our own words.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "protocol_whitelist;file")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class Frame(NamedTuple):
    """One picture of many."""

    at_s: float
    """Seconds from the beginning of the video; of a camera, by a clock that only goes on."""
    picture: Image.Image
    """In mode `L`."""


class Footage:
    """An open camera or video file; to be closed."""

    def __init__(
        self,
        capture: cv2.VideoCapture,
        name: str,
        *,
        clock: Callable[[], float] | None = None,
        pause_s: float = _PAUSE_S,
    ) -> None:
        """Take over what OpenCV has opened.

        Args:
            capture: opened.
            name: what it is called in errors.
            clock: tells the time of a live picture in seconds; None: it is a recording, which has its own time and ends.
            pause_s: how long to wait for a live picture that did not come.
        """
        self._capture = capture
        self._name = name
        self._clock = clock
        self._pause_s = pause_s

    @classmethod
    def of_camera(cls, number: int) -> Footage:
        """The camera of this number, as the system counts them from 0.

        Raises:
            BadInput: `Reason.INVALID_REQUEST`: there is none, or it cannot be opened.
        """
        capture = cv2.VideoCapture(number)
        name = f"camera {number}"
        if not capture.isOpened():
            raise _refusal(
                name, "none, or one that is in use or not permitted", "a camera that can be opened"
            )
        # What waits in the driver is older than what is in sight.
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return cls(capture, name, clock=time.monotonic)

    @classmethod
    def of_video(cls, path: Path) -> Footage:
        """The video file at `path`.

        Raises:
            BadInput: `Reason.INVALID_REQUEST`: no such file, not a file, unreadable, empty, no video that can be read, or
                one of too many pixels.
        """
        name = f"video {os.fspath(path)!r}"
        expected = "a video file, such as AVI, MP4, MKV or WebM"
        try:
            status = path.stat()
            with path.open("rb") if stat.S_ISREG(status.st_mode) else nullcontext():
                given = _unreadable(status)
        except FileNotFoundError:
            given = "no such file"
        except OSError as error:
            given = f"a file that cannot be read ({error.strerror})"
        except ValueError:
            given = "a name that no file can have"
        if given is not None:
            raise _refusal(name, given, expected)
        # From the root: nothing in the name can be taken for a protocol.
        capture = cv2.VideoCapture(os.fspath(path.absolute()), cv2.CAP_FFMPEG)
        if not capture.isOpened():
            raise _refusal(name, "a file in no such format, or a damaged one", expected)
        pixels = capture.get(cv2.CAP_PROP_FRAME_WIDTH) * capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        if Image.MAX_IMAGE_PIXELS is not None and pixels > Image.MAX_IMAGE_PIXELS:
            capture.release()
            raise _refusal(name, "frames of too many pixels", f"at most {Image.MAX_IMAGE_PIXELS} pixels")
        return cls(capture, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the camera or file go."""
        self._capture.release()

    @property
    def is_live(self) -> bool:
        """Whether this is what a camera sees now, and has no end."""
        return self._clock is not None

    @property
    def total(self) -> int:
        """Frames of a recording, as it tells; 0 where it does not, or there is no end."""
        told = self._capture.get(cv2.CAP_PROP_FRAME_COUNT) if self._clock is None else 0
        return int(told) if 0 < told < 2**53 else 0

    def frames(self) -> Iterator[Frame]:
        """What there is to see, frame by frame.

        Raises:
            BadInput: `Reason.INVALID_REQUEST`: the camera gives no picture any more; the video is damaged or was cut short,
                and what could be read was told before.
        """
        return self._recorded() if self._clock is None else self._live(self._clock)

    def _live(self, clock: Callable[[], float]) -> Iterator[Frame]:
        missed = 0
        while missed < TRIES:
            there, pixels = self._capture.read()
            if there:
                missed = 0
                yield Frame(clock(), _grey(pixels))
            else:
                missed += 1
                time.sleep(self._pause_s)
        raise _refusal(self._name, "no picture any more", "a camera that stays connected")

    def _recorded(self) -> Iterator[Frame]:
        total, told_rate = self.total, self._capture.get(cv2.CAP_PROP_FPS)
        rate = told_rate if 0 < told_rate < 1e6 else _USUAL_RATE
        number, at_s = 0, 0.0
        while True:
            there, pixels = self._capture.read()
            if not there:
                break
            told_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1_000
            # Some containers tell no times, and some tell them backwards.
            at_s = max(at_s, told_s if told_s > 0 else number / rate)
            number += 1
            yield Frame(at_s, _grey(pixels))
        missing_s = total / rate - at_s - 1 / rate
        if not number or missing_s > _CUT_SHORT_S + total / rate / 10:
            given = f"{number} of {total} frames" if total else f"{number} frames"
            raise _refusal(self._name, f"{given}, for it is cut short or damaged", "a whole one")


def _unreadable(status: os.stat_result) -> str | None:
    """What would block or never end when read, such as a pipe, or holds nothing; None for a file with something in it."""
    if stat.S_ISDIR(status.st_mode):
        return "a folder"
    if not stat.S_ISREG(status.st_mode):
        return "something that is not a regular file"
    return None if status.st_size else "an empty file"


def _grey(pixels: MatLike) -> Image.Image:
    """A frame as OpenCV gives it: blue, green and red; or grey already, as industrial cameras do, of 8 or 16 bits."""
    if pixels.dtype != np.uint8:
        pixels = cv2.normalize(pixels, np.empty(0), 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)
    if pixels.ndim == 3:
        pixels = pixels[:, :, 0] if pixels.shape[2] == 1 else cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    return Image.fromarray(np.ascontiguousarray(pixels))


def _refusal(name: str, given: str, expected: str) -> BadInput:
    return BadInput(Reason.INVALID_REQUEST, name, given=given, expected=expected)
