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
from hubel.explain.wording import legend, words
from hubel.plots.contact_sheet import contact_sheet
from hubel.plots.legend import Legend
from hubel.plots.tiles import ImageTile, TileRow, draw_tiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_explanation", "draw_methods", "draw_sheet"]

# Maps whose values vary from pixel to pixel show nothing to the eye: their absolute values are blurred for figures.
_FINE = ("integrated_gradients", "smoothgrad")
_BLUR = 100  # the blur's sigma is this part of the shorter side


def draw_explanation(explanation: Explanation, *, language: str = "en") -> Figure:
    """Draw the image beside its overlay, with the class and its score, and how to read it in a language."""
    image, method = explanation.image, explanation.method
    row = TileRow(
        [
            ImageTile(image.pixels, words("explanation.input", language), image.aspect),
            _tile(explanation, words("explanation.map", language, method=method, label=explanation.label)),
        ]
    )
    title = f"{explanation.label}  {explanation.score:.1%}"
    return draw_tiles([row], title, size=3.0, legend=_legend(method, language))


def draw_methods(
    explanations: Sequence[Sequence[Explanation]],
    faithfulness: Sequence[MethodFaithfulness] = (),
    title: str = "Methods",
    *,
    language: str = "en",
) -> Figure:
    """Draw one row per image: the image, then its overlay by each method, with the method's mean areas if given."""
    areas = {row.method: f"\n↑{row.insertion:.2f}  ↓{row.deletion:.2f}" for row in faithfulness}
    rows = []
    for number, group in enumerate(explanations):
        first, last = group[0], number == len(explanations) - 1
        tiles = [ImageTile(first.image.pixels, f"{first.label} {first.score:.0%}", first.image.aspect)]
        tiles += [_tile(one, one.method + (areas.get(one.method, "") if last else "")) for one in group]
        rows.append(TileRow(tiles))
    aside = words("methods.aside", language) if faithfulness else ""
    return draw_tiles(rows, title, size=1.45, aside=aside, legend=legend("methods", "evidence", language=language))


def draw_sheet(explanations: Sequence[Explanation], *, language: str = "en") -> Figure:
    """Draw a contact sheet of overlays, and how to read them."""
    captions = [f"{one.label}\n{one.score:.1%}" for one in explanations]
    images = [_overlay(one) for one in explanations]
    method = explanations[0].method
    title = words("sheet.title", language, method=method)
    return contact_sheet(images, captions, title, legend=_legend(method, language))


def _legend(method: str, language: str) -> Legend:
    return legend(method, "sensitivity" if method in _FINE else "evidence", language=language)


def _tile(explanation: Explanation, caption: str) -> ImageTile:
    return ImageTile(_overlay(explanation), caption, explanation.image.aspect)


def _overlay(explanation: Explanation) -> NDArray[np.uint8]:
    values: NDArray[Any] = explanation.map
    if explanation.method in _FINE:
        strength = torch.from_numpy(values).abs()[None, None]
        values = gaussian_blur(strength, max(0.5, min(values.shape) / _BLUR))[0, 0].numpy()
    return overlay(explanation.image.pixels, values)
