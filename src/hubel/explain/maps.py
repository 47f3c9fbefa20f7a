"""What each layer sees: its maps for one image, as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from hubel.explain.explanation import Picture, to_input
from hubel.explain.layer import maps_at, section_names
from hubel.explain.untouched import untouched
from hubel.inference.predictor import Predictor
from hubel.plots.tiles import Row, Tile, in_colours, signed_colours, tiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["activation_maps", "coloured", "draw_maps"]

_IN_A_ROW = 10
_MOST = 60  # maps of one layer that are drawn
_STRONGEST = 99.9  # percentile of a layer that has the full colour


def activation_maps(predictor: Predictor, picture: Picture, layer: str | None = None) -> dict[str, NDArray[np.float32]]:
    """Maps `(k, h, w)` of one image by layer: of each section, or of one layer.

    Args:
        predictor: a trained model, which stays as it is.
        picture: the image.
        layer: a name among `layer_names`, such as "stage2.block1".

    Raises:
        UnknownNameError: there is no such layer.
        OptionError: it makes no maps.
    """
    x = to_input(predictor, [picture])
    names = [layer] if layer else section_names(predictor.network, x)
    with untouched(predictor.network) as quiet, torch.no_grad():
        return {name: maps[0].float().cpu().numpy() for name, maps in maps_at(quiet, x, names).items()}


def draw_maps(picture: Picture, maps: Mapping[str, NDArray[np.float32]]) -> Figure:
    """The maps of each layer that vary most, in the same colours within a layer; of a single layer, up to 60."""
    aspect = picture.aspect
    rows = [Row([Tile(picture.pixels, aspect=aspect)], picture.name)]
    for name, values in maps.items():
        k, h, w = values.shape
        order = np.argsort(-values.std((1, 2)), kind="stable")[: _MOST if len(maps) == 1 else _IN_A_ROW]
        label = f"{name}: {k} map{'s' if k > 1 else ''} of {w}x{h}" + (", those first that vary most" if k > 1 else "")
        painted = [Tile(coloured(values[unit], values), f"{name}:{unit}", aspect) for unit in order.tolist()]
        parts = [painted[start : start + _IN_A_ROW] for start in range(0, len(painted), _IN_A_ROW)]
        rows += [Row(part, "" if place else label) for place, part in enumerate(parts)]
    return tiles(rows, "Activation maps", size=1.0)


def coloured(values: NDArray[Any], layer: NDArray[Any]) -> NDArray[np.uint8]:
    """A map `(h, w)` in colours that are the same for all maps of its layer; with red and blue if some are negative."""
    most = float(np.percentile(np.abs(layer), _STRONGEST)) or 1.0
    return signed_colours(values, most) if layer.min() < 0 else in_colours(values, "magma", high=most)
