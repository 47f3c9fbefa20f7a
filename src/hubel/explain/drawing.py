"""Explanations as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from hubel.explain.explanation import Explanation, Faithfulness
from hubel.explain.faithfulness import blurred
from hubel.plots.contact_sheet import contact_sheet
from hubel.plots.tiles import Row, Tile, in_colours, tiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_explanation", "draw_methods", "draw_sheet", "overlay"]

_STRONGEST = 99.5  # percentile that has the full colour: single pixels must not darken all others
# Maps of single pixels, of which the eye sees nothing: their absolute values are blurred before they are drawn.
_FINE = ("integrated_gradients", "smoothgrad")
_SOFT = 100  # part of the shorter side
_COVER = 0.75  # share of the heat's colour where the map is highest
_DIM = 0.75  # of the photo's brightness under the heat


def overlay(pixels: NDArray[np.uint8], values: NDArray[Any]) -> NDArray[np.uint8]:
    """An image, in grey, under the heat of a map: from nothing at zero and below to yellow.

    Args:
        pixels: uint8 `(h, w, 1)` or RGB `(h, w, 3)`.
        values: `(h, w)`.

    Returns:
        RGB uint8 `(h, w, 3)`.
    """
    heat = np.clip(values, 0, None)
    heat = np.clip(heat / (float(np.percentile(heat, _STRONGEST)) or float(heat.max()) or 1.0), 0, 1)
    grey = pixels.mean(2, keepdims=True)
    cover = _COVER * heat[..., None] ** 0.7
    mixed = (1 - cover) * grey * _DIM + cover * in_colours(heat, "inferno", high=1.0)
    return np.asarray(np.rint(np.clip(mixed, 0, 255)), np.uint8)


def draw_explanation(explanation: Explanation) -> Figure:
    """The photo beside its overlay, with the class and its score."""
    picture = explanation.picture
    seen = Tile(picture.pixels, "what the network sees", picture.aspect)
    row = Row([seen, _tile(explanation, f"{explanation.method}: where “{explanation.label}” comes from")])
    return tiles([row], f"{explanation.label}  {explanation.score:.1%}", size=3.0)


def draw_methods(
    explanations: Sequence[Sequence[Explanation]], table: Sequence[Faithfulness] = (), title: str = "Methods"
) -> Figure:
    """One row for each image: the photo, then what each method says of it, with its mean areas if given."""
    by_name = {row.method: f"\n↑{row.insertion:.2f}  ↓{row.deletion:.2f}" for row in table}
    rows = []
    for place, group in enumerate(explanations):
        picture = group[0].picture
        photo = Tile(picture.pixels, f"{group[0].label} {group[0].score:.0%}", picture.aspect)
        last = place == len(explanations) - 1
        rows.append(
            Row([photo, *(_tile(one, one.method + (by_name.get(one.method, "") if last else "")) for one in group)])
        )
    aside = "means over the images: ↑ insertion, higher is better; ↓ deletion, lower is better" if table else ""
    return tiles(rows, title, size=1.45, aside=aside)


def draw_sheet(explanations: Sequence[Explanation]) -> Figure:
    """The overlays of many images on one sheet."""
    captions = [f"{one.label}\n{one.score:.1%}" for one in explanations]
    images = [_overlay(one) for one in explanations]
    return contact_sheet(images, captions, f"{explanations[0].method}: where the class comes from")


def _tile(one: Explanation, caption: str) -> Tile:
    return Tile(_overlay(one), caption, one.picture.aspect)


def _overlay(one: Explanation) -> NDArray[np.uint8]:
    values = one.map
    if one.method in _FINE:
        strength = torch.from_numpy(values).abs()[None, None]
        values = blurred(strength, max(0.5, min(values.shape) / _SOFT))[0, 0].numpy()
    return overlay(one.picture.pixels, values)
