"""A folder of grey photos that any network can tell apart: noise around a dark and a light level."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["draw_dark_and_light"]


def draw_dark_and_light(folder: Path, each: int) -> None:
    """Write `folder`/dark and `folder`/light, with so many photos of 8x8 pixels in each."""
    rng = np.random.default_rng(0)
    for name, level in (("dark", 60), ("light", 180)):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            pixels = (level + rng.normal(0, 20, (8, 8))).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number:02}.png")
