"""Units of a network: receptive fields, and the patches of images that activate a unit most."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hubel.core.errors import OptionError
from hubel.explain.heat_map import overlay
from hubel.explain.images import PreparedImage, prepare_images, to_input
from hubel.explain.layers import maps_at
from hubel.explain.untouched import untouched
from hubel.explain.wording import legend, words
from hubel.inference.predictor import Predictor
from hubel.inference.stream import batch_size
from hubel.plots.tiles import ImageTile, TileRow, draw_tiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PeakActivation", "Unit", "draw_unit", "peak_activations", "receptive_field", "top_patches"]

_NOISE_IMAGES = 3  # beside the image itself: where a ReLU is closed for one, it is open for another
_PER_ROW = 6

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Unit:
    """One channel of a layer.

    Attributes:
        layer: a name among `layer_names`.
        channel: channel number, from 0.
    """

    layer: str
    channel: int

    @classmethod
    def parse(cls, text: str) -> Unit:
        """Parse a unit written as "stage3:17".

        Raises:
            OptionError: it is written otherwise.
        """
        layer, _, channel = text.rpartition(":")
        if not layer or not channel.isdecimal():
            raise OptionError(f"a unit is a layer and a number, such as stage3:17, not {text!r}")
        return cls(layer, int(channel))

    def __str__(self) -> str:
        return f"{self.layer}:{self.channel}"


@dataclass(frozen=True, eq=False, kw_only=True)
class PeakActivation:
    """The maximum of a unit's map on one image.

    Attributes:
        image: the image.
        value: the unit's activation at the maximum.
        box: the receptive field there: left, upper, right, lower in pixels of the image.
        map: float32 `(h, w)`, the unit's whole map.
    """

    image: PreparedImage
    value: float
    box: Box
    map: Tensor

    def patch(self) -> ImageTile:
        """Return the receptive field's part of the image, captioned with the activation."""
        left, upper, right, lower = self.box
        h, w = self.image.pixels.shape[:2]
        aspect = self.image.aspect * h / w * (right - left) / (lower - upper)
        return ImageTile(self.image.pixels[upper:lower, left:right], f"{self.value:.3g}", aspect)


def receptive_field(network: nn.Module, x: Tensor, layer: str, row: int, column: int) -> Box:
    """Return the box of pixels that one position of a layer's map depends on: those with a gradient other than zero.

    The gradients are taken at the image itself and at noise images, so that closed ReLUs hide nothing.

    Args:
        network: any network, which is left unchanged.
        x: one image `(c, h, w)`, normalised.
        layer: a name among `layer_names`.
        row: row of the map.
        column: column of the map.

    Returns:
        Left, upper, right (excluded), lower (excluded).

    Raises:
        UnknownNameError: there is no such layer.
        OptionError: the layer outputs no map, or does not depend on the image.
    """
    generator = torch.Generator().manual_seed(0)
    with untouched(network) as frozen:
        noise = torch.randn(_NOISE_IMAGES, *x.shape, generator=generator).to(x)
        batch = torch.cat([x.detach().clone()[None], noise]).requires_grad_()
        maps = maps_at(frozen, batch.clone(), [layer])[layer]
        signs = torch.randn(maps.shape[:2], generator=generator).to(maps)
        touched = torch.autograd.grad((maps[:, :, row, column] * signs).sum(), batch)[0].abs().sum((0, 1)) > 0
    down, across = touched.any(1).nonzero().flatten().tolist(), touched.any(0).nonzero().flatten().tolist()
    if not down:
        raise OptionError(f"layer {layer} does not depend on the image")
    return across[0], down[0], across[-1] + 1, down[-1] + 1


def peak_activations(predictor: Predictor, images: Sequence[PreparedImage], unit: Unit) -> list[PeakActivation]:
    """Return the maximum of a unit's map on each image.

    Raises:
        UnknownNameError: there is no such layer.
        OptionError: the layer outputs no map, or has fewer channels.
    """
    x = to_input(predictor, images)
    with untouched(predictor.network) as frozen, torch.no_grad():
        maps = maps_at(frozen, x, [unit.layer])[unit.layer]
    if unit.channel >= maps.shape[1]:
        raise OptionError(f"layer {unit.layer} has the units 0 to {maps.shape[1] - 1}, not {unit.channel}")
    peaks = []
    for image, tensor, values in zip(images, x, maps[:, unit.channel].float(), strict=True):
        row, column = divmod(int(values.argmax()), values.shape[1])
        box = receptive_field(predictor.network, tensor, unit.layer, row, column)
        peaks.append(PeakActivation(image=image, value=float(values.max()), box=box, map=values.cpu()))
    return peaks


def top_patches(predictor: Predictor, images: Any, unit: Unit, *, count: int = 18) -> list[PeakActivation]:
    """Return the patches of a set of images that activate a unit most, one per image at most, the strongest first.

    Args:
        predictor: a trained model, which is left unchanged.
        images: see `prepare_images`.
        unit: the unit.
        count: number of patches at most.
    """
    best: list[PeakActivation] = []
    prepared = prepare_images(predictor, images)
    while batch := list(itertools.islice(prepared, batch_size(predictor.card.preprocess))):
        best = sorted([*best, *peak_activations(predictor, batch, unit)], key=lambda peak: -peak.value)[:count]
    return best


def draw_unit(
    unit: Unit, peaks: Iterable[PeakActivation], patches: Sequence[PeakActivation] = (), *, language: str = "en"
) -> Figure:
    """Draw images with the unit's receptive field at its maximum, and the patches that activate it most."""
    rows = []
    for peak in peaks:
        image, (left, upper, right, lower) = peak.image, peak.box
        caption = words("unit.field", language, w=right - left, h=lower - upper)
        field = ImageTile(image.pixels, caption, image.aspect, peak.box)
        activation = words("unit.activation", language, unit=unit)
        heat = ImageTile(overlay(image.pixels, _resized(peak.map, image)), activation, image.aspect)
        rows.append(TileRow([field, heat, peak.patch()], image.name))
    shown = [peak.patch() for peak in patches]
    for start in range(0, len(shown), _PER_ROW):
        rows.append(TileRow(shown[start : start + _PER_ROW], "" if start else words("unit.patches", language)))
    title = words("unit.title", language, unit=unit)
    return draw_tiles(rows, title, size=1.5, legend=legend("unit", language=language))


def _resized(values: Tensor, image: PreparedImage) -> NDArray[np.float32]:
    size = image.pixels.shape[:2]
    resized = nn.functional.interpolate(values[None, None], size, mode="bilinear", align_corners=False)
    return resized[0, 0].numpy()
