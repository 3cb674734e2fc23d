"""Videos for tests, made of labels: what a camera would see of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from scanner.labels import write_label

SIZE = (640, 480)
RATE = 10
"""Frames a second."""


def label_picture(text: str, folder: Path) -> Image.Image:
    """A label as pixels."""
    path = folder / "filmed.png"
    write_label(path, text)
    with Image.open(path) as picture:
        return picture.convert("L")


def frame_with(*labels: Image.Image, shift: int = 0) -> Image.Image:
    """A frame in which labels lie one above the other, so many pixels from the left."""
    frame = Image.new("L", SIZE, 200)
    for number, label in enumerate(labels):
        scale = min((SIZE[1] // len(labels) - 20) / label.height, (SIZE[0] - 80) / label.width)
        small = label.resize((int(label.width * scale), int(label.height * scale)))
        frame.paste(small, (10 + shift, 10 + number * SIZE[1] // len(labels)))
    return frame


def film(path: Path, frames: Iterable[Image.Image], codec: str = "MJPG", rate: float = RATE) -> Path:
    """A video file of these frames."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate, SIZE)
    assert writer.isOpened(), codec
    for frame in frames:
        writer.write(cv2.cvtColor(np.asarray(frame), cv2.COLOR_GRAY2BGR))
    writer.release()
    return path


def belt(labels: Sequence[Image.Image], *, frames: int = 3, between: int = 1) -> list[Image.Image]:
    """Labels that pass one after the other, each in so many frames, with empty ones between."""
    passing = []
    for label in labels:
        passing += [frame_with(label, shift=10 * number) for number in range(frames)]
        passing += [frame_with()] * between
    return passing
