"""Figures of explanations: attribution maps as heat maps over their images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from hubel.explain.comparison import MethodFaithfulness
from hubel.explain.explanation import Explanation
from hubel.explain.faithfulness import gaussian_blur
from hubel.explain.heat_map import overlay
from hubel.plots.contact_sheet import contact_sheet
from hubel.plots.tiles import ImageTile, TileRow, draw_tiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_explanation", "draw_methods", "draw_sheet"]

# Maps whose values vary from pixel to pixel show nothing to the eye: their absolute values are blurred for figures.
_FINE = ("integrated_gradients", "smoothgrad")
_BLUR = 100  # the blur's sigma is this part of the shorter side


def draw_explanation(explanation: Explanation) -> Figure:
    """Draw the image beside its overlay, with the class and its score."""
    image = explanation.image
    row = TileRow(
        [
            ImageTile(image.pixels, "network input", image.aspect),
            _tile(explanation, f"{explanation.method}: evidence for “{explanation.label}”"),
        ]
    )
    return draw_tiles([row], f"{explanation.label}  {explanation.score:.1%}", size=3.0)


def draw_methods(
    explanations: Sequence[Sequence[Explanation]],
    faithfulness: Sequence[MethodFaithfulness] = (),
    title: str = "Methods",
) -> Figure:
    """Draw one row per image: the image, then its overlay by each method, with the method's mean areas if given."""
    areas = {row.method: f"\n↑{row.insertion:.2f}  ↓{row.deletion:.2f}" for row in faithfulness}
    rows = []
    for number, group in enumerate(explanations):
        first, last = group[0], number == len(explanations) - 1
        tiles = [ImageTile(first.image.pixels, f"{first.label} {first.score:.0%}", first.image.aspect)]
        tiles += [_tile(one, one.method + (areas.get(one.method, "") if last else "")) for one in group]
        rows.append(TileRow(tiles))
    aside = "means over the images: ↑ insertion, higher is better; ↓ deletion, lower is better" if faithfulness else ""
    return draw_tiles(rows, title, size=1.45, aside=aside)


def draw_sheet(explanations: Sequence[Explanation]) -> Figure:
    """Draw a contact sheet of overlays."""
    captions = [f"{one.label}\n{one.score:.1%}" for one in explanations]
    images = [_overlay(one) for one in explanations]
    return contact_sheet(images, captions, f"{explanations[0].method}: evidence for the class")


def _tile(explanation: Explanation, caption: str) -> ImageTile:
    return ImageTile(_overlay(explanation), caption, explanation.image.aspect)


def _overlay(explanation: Explanation) -> NDArray[np.uint8]:
    values: NDArray[Any] = explanation.map
    if explanation.method in _FINE:
        strength = torch.from_numpy(values).abs()[None, None]
        values = gaussian_blur(strength, max(0.5, min(values.shape) / _BLUR))[0, 0].numpy()
    return overlay(explanation.image.pixels, values)
