"""Filters of the first convolution, beside images that maximise units of deeper layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hubel.core.errors import OptionError
from hubel.core.random import permutation
from hubel.data.samples import blank_input
from hubel.explain.activation_maximisation import maximise_activation
from hubel.explain.images import check_predictor
from hubel.explain.layers import maps_at, section_names
from hubel.explain.untouched import untouched
from hubel.explain.wording import legend, words
from hubel.inference.device import device_of
from hubel.inference.predictor import Predictor
from hubel.plots.tiles import ImageTile, TileRow, draw_tiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_filters", "first_filters", "weights_to_image"]

_STEPS = 32  # of the ascent: fewer than `maximise_activation`'s, since the figure has units of all sections
_SMALL = 0.4  # scale of the first layer's filters, which are many
_PER_ROW, _MOST = 14, 98


def first_filters(network: nn.Module) -> NDArray[np.float32]:
    """Return the weights `(out, in, h, w)` of the first convolution.

    Raises:
        OptionError: the network has no convolution.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            return module.weight.detach().float().cpu().numpy()
    raise OptionError("the network has no convolution and thus no filters; try --templates")


def weights_to_image(weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return weights `(c, h, w)` as a uint8 image, grey at zero.

    Three channels become RGB `(h, w, 3)`; the mean of any other number of channels becomes `(h, w)`.
    """
    values = weights.transpose(1, 2, 0) if len(weights) == 3 else weights.mean(0)
    largest = float(np.abs(values).max()) or 1.0
    return np.asarray(np.rint(127.5 * (1 + values / largest)), np.uint8)


def draw_filters(predictor: Predictor, layer: str | None = None, *, units: int = 6, language: str = "en") -> Figure:
    """Draw the first layer's filters, and for each section images that maximise a sample of its units.

    Args:
        predictor: a trained model, which is left unchanged.
        layer: a name among `layer_names`, to draw three times as many units of this layer only.
        units: units of each section, a random sample that is the same each time.
        language: of the captions, en or ko.
    """
    check_predictor(predictor)
    network, preprocess = predictor.network, predictor.card.preprocess
    x = blank_input(preprocess, device_of(network))
    filters = first_filters(network)
    rows = []
    if layer is None:
        tiles = [ImageTile(weights_to_image(weights)) for weights in filters[:_MOST]]
        shape = "x".join(map(str, filters.shape[:0:-1]))
        label = words("filters.first", language, shown=len(tiles), all=len(filters), shape=shape)
        rows = _rows(tiles, label, per_row=_PER_ROW, scale=_SMALL)
    with untouched(network) as frozen, torch.no_grad():
        names = [layer] if layer else section_names(frozen, x)
        channels_of = {name: maps.shape[1] for name, maps in maps_at(frozen, x, names).items()}
    for name, channels in channels_of.items():
        sample = sorted(permutation(channels, 0)[: 3 * units if layer else units].tolist())
        images = maximise_activation(network, preprocess, sample, name, steps=_STEPS)
        tiles = [ImageTile(image, f"{name}:{unit}") for image, unit in zip(images, sample, strict=True)]
        label = words("filters.units", language, layer=name, shown=len(sample), all=channels)
        rows += _rows(tiles, label, per_row=units)
    title = words("filters.title", language)
    return draw_tiles(rows, title, size=1.1, legend=legend("filters", "weight", language=language))


def _rows(tiles: list[ImageTile], label: str, *, per_row: int, scale: float = 1.0) -> list[TileRow]:
    """Return tiles in rows, the label above the first one."""
    starts = range(0, len(tiles), per_row)
    return [TileRow(tiles[start : start + per_row], "" if start else label, scale) for start in starts]
