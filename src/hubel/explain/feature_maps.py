"""Activation maps: the feature maps of each section or of one layer for one image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from hubel.explain.images import PreparedImage, to_input
from hubel.explain.layers import maps_at, section_names
from hubel.explain.untouched import untouched
from hubel.explain.wording import legend, words
from hubel.inference.predictor import Predictor
from hubel.plots.colour_maps import apply_colour_map, apply_diverging_colour_map
from hubel.plots.tiles import ImageTile, TileRow, draw_tiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["activation_maps", "draw_activation_maps"]

_PER_ROW = 10
_MOST = 60  # maps of one layer that are drawn
_SATURATED = 99.9  # percentile of a layer that has the full colour


def activation_maps(
    predictor: Predictor, image: PreparedImage, layer: str | None = None
) -> dict[str, NDArray[np.float32]]:
    """Return the maps `(k, h, w)` of one image by layer: of each section, or of one layer.

    Args:
        predictor: a trained model, which is left unchanged.
        image: the image.
        layer: a name among `layer_names`, such as "stage2.block1".

    Raises:
        UnknownNameError: there is no such layer.
        OptionError: the layer outputs no map.
    """
    x = to_input(predictor, [image])
    names = [layer] if layer else section_names(predictor.network, x)
    with untouched(predictor.network) as frozen, torch.no_grad():
        return {name: maps[0].float().cpu().numpy() for name, maps in maps_at(frozen, x, names).items()}


def draw_activation_maps(
    image: PreparedImage, maps: Mapping[str, NDArray[np.float32]], *, language: str = "en"
) -> Figure:
    """Draw each layer's maps, those of the highest variance first, with one colour scale per layer.

    Ten maps of each layer are drawn, or 60 of a single layer.
    """
    rows = [TileRow([ImageTile(image.pixels, aspect=image.aspect)], image.name)]
    for name, values in maps.items():
        k, h, w = values.shape
        order = np.argsort(-values.std((1, 2)), kind="stable")[: _MOST if len(maps) == 1 else _PER_ROW]
        label = words("maps.many" if k > 1 else "maps.one", language, layer=name, k=k, w=w, h=h)
        tiles = [ImageTile(_coloured(values[unit], values), f"{name}:{unit}", image.aspect) for unit in order.tolist()]
        for start in range(0, len(tiles), _PER_ROW):
            rows.append(TileRow(tiles[start : start + _PER_ROW], "" if start else label))
    scales = sorted({"signed" if values.min() < 0 else "activation" for values in maps.values()})
    shown = legend("maps_signed" if "signed" in scales else "maps", *scales, language=language)
    return draw_tiles(rows, words("maps.title", language), size=1.0, legend=shown)


def _coloured(values: NDArray[Any], layer: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a map `(h, w)` as RGB in the colour scale of its layer; diverging if the layer has negative values."""
    largest = float(np.percentile(np.abs(layer), _SATURATED)) or 1.0
    if layer.min() < 0:
        return apply_diverging_colour_map(values, largest)
    return apply_colour_map(values, "magma", high=largest)
