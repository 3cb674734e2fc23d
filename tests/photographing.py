"""What a phone makes of a label: turned, smaller or larger, out of focus, unevenly lit, noisy, compressed."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

_TABLE = 190
"""The grey that the label lies on."""


@dataclass(frozen=True)
class Photograph:
    """How a picture is taken."""

    sharpness: float
    """Pixels to a module."""
    angle: float = 0.0
    """Degrees that the label is turned by."""
    tilt: float = 0.0
    """By how much the far edge of the label is shorter than the near one, as a part of it."""
    blur: float = 0.0
    """Standard deviation of what a point becomes, in modules."""
    darkest: int = 0
    lightest: int = 255
    shadow: float = 0.0
    """By how much one side of the picture is darker than the other, as a part of the brightness."""
    noise: float = 0.0
    """Standard deviation, in levels of 255."""
    quality: int = 95
    """Of the JPEG file."""
    seed: int = 0
    """Of the noise."""

    def of(self, label: Image.Image, module: float) -> Image.Image:
        """The photograph of a label on which a module is so many pixels wide."""
        image = _on_a_table(label)
        # Turned while it is large, as the lens sees it before the pixels do.
        image = _tilted(image, self.tilt)
        image = image.rotate(self.angle, Image.Resampling.BICUBIC, expand=True, fillcolor=_TABLE)
        scale = self.sharpness / module
        image = image.filter(ImageFilter.GaussianBlur(self.blur * module))
        size = (round(image.width * scale), round(image.height * scale))
        image = image.resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC)
        levels = np.asarray(image, dtype=np.float32) / 255
        levels = self.darkest + levels * (self.lightest - self.darkest)
        levels *= np.linspace(1, 1 - self.shadow, levels.shape[1], dtype=np.float32)
        random = np.random.default_rng(self.seed)
        levels += random.normal(0, self.noise, levels.shape)
        grainy = Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
        stream = io.BytesIO()
        grainy.save(stream, "JPEG", quality=self.quality)
        return Image.open(stream).convert("L")


def _on_a_table(label: Image.Image) -> Image.Image:
    edge = max(label.size) // 8
    image = Image.new("L", (label.width + 2 * edge, label.height + 2 * edge), _TABLE)
    image.paste(label, (edge, edge))
    return image


def _tilted(image: Image.Image, tilt: float) -> Image.Image:
    """The picture as seen from below its middle: its upper edge is farther away."""
    if not tilt:
        return image
    width, height = image.size
    inwards = width * tilt / 2
    # Pillow wants the way back: from the corners as they are seen to those of the flat label.
    seen = ((inwards, 0), (width - inwards, 0), (width, height), (0, height))
    flat = ((0, 0), (width, 0), (width, height), (0, height))
    rows = []
    for (x, y), (u, v) in zip(seen, flat, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    way_back = np.linalg.solve(np.array(rows), np.array(flat).reshape(8))
    return image.transform(
        image.size, Image.Transform.PERSPECTIVE, list(way_back), Image.Resampling.BICUBIC, fillcolor=_TABLE
    )
