"""One unit of a network: how much of the image it sees, and what excites it most."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from hubel.core.errors import OptionError
from hubel.explain.drawing import overlay
from hubel.explain.explanation import Picture, pictures, to_input
from hubel.explain.layer import maps_at
from hubel.explain.untouched import untouched
from hubel.inference.predictor import Predictor
from hubel.inference.stream import batch_size
from hubel.plots.tiles import Row, Tile, tiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Hit", "Unit", "draw_unit", "exciting_patches", "receptive_field", "strongest"]

_NOISY = 3  # noise images beside the image itself: where a ReLU is closed for one, it is open for another
_IN_A_ROW = 6

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Unit:
    """One map of a layer.

    Attributes:
        layer: a name among `layer_names`.
        channel: counts from 0.
    """

    layer: str
    channel: int

    @classmethod
    def parse(cls, text: str) -> Unit:
        """The unit that is written as "stage3:17".

        Raises:
            OptionError: it is written otherwise.
        """
        layer, _, channel = text.rpartition(":")
        if not layer or not channel.isdecimal():
            raise OptionError(f"a unit is a layer and a number, such as stage3:17, not {text!r}")
        return cls(layer, int(channel))

    def __str__(self) -> str:
        return f"{self.layer}:{self.channel}"


@dataclass(frozen=True, eq=False)
class Hit:
    """Where a unit answers most strongly on an image.

    Attributes:
        picture: the image.
        value: of the unit there.
        box: left, upper, right, lower of what it sees there, in pixels of the picture.
        map: float32 `(h, w)`, the unit's whole map.
    """

    picture: Picture
    value: float
    box: Box
    map: Tensor

    def patch(self) -> Tile:
        """What the unit sees."""
        left, upper, right, lower = self.box
        h, w = self.picture.pixels.shape[:2]
        aspect = self.picture.aspect * h / w * (right - left) / (lower - upper)
        return Tile(self.picture.pixels[upper:lower, left:right], f"{self.value:.3g}", aspect)


def receptive_field(network: nn.Module, x: Tensor, layer: str, row: int, column: int) -> Box:
    """The pixels of an image that a position of a layer depends on: those where a gradient is not zero.

    Taken over the image itself and some noise, so that closed ReLUs hide nothing.

    Args:
        network: any network, which stays as it is.
        x: one image `(c, h, w)`, normalised.
        layer: a name among `layer_names`.
        row: of the map.
        column: likewise.

    Returns:
        Left, upper, right (excluded), lower (excluded).

    Raises:
        UnknownNameError: there is no such layer.
        OptionError: it makes no maps.
    """
    generator = torch.Generator().manual_seed(0)
    with untouched(network) as quiet:
        noise = torch.randn(_NOISY, *x.shape, generator=generator).to(x)
        batch = torch.cat([x.detach().clone()[None], noise]).requires_grad_()
        maps = maps_at(quiet, batch.clone(), [layer])[layer]
        signs = torch.randn(maps.shape[:2], generator=generator).to(maps)
        touched = torch.autograd.grad((maps[:, :, row, column] * signs).sum(), batch)[0].abs().sum((0, 1)) > 0
    down, across = touched.any(1).nonzero().flatten().tolist(), touched.any(0).nonzero().flatten().tolist()
    if not down:
        raise OptionError(f"layer {layer} does not depend on the image")
    return across[0], down[0], across[-1] + 1, down[-1] + 1


def strongest(predictor: Predictor, group: Sequence[Picture], unit: Unit) -> list[Hit]:
    """Where a unit answers most strongly on each image.

    Raises:
        UnknownNameError: there is no such layer.
        OptionError: the layer makes no maps, or fewer.
    """
    x = to_input(predictor, group)
    with untouched(predictor.network) as quiet, torch.no_grad():
        maps = maps_at(quiet, x, [unit.layer])[unit.layer]
    if unit.channel >= maps.shape[1]:
        raise OptionError(f"layer {unit.layer} has the units 0 to {maps.shape[1] - 1}, not {unit.channel}")
    hits = []
    for picture, image, values in zip(group, x, maps[:, unit.channel].float(), strict=True):
        row, column = divmod(int(values.argmax()), values.shape[1])
        box = receptive_field(predictor.network, image, unit.layer, row, column)
        hits.append(Hit(picture, float(values.max()), box, values.cpu()))
    return hits


def exciting_patches(predictor: Predictor, images: Any, unit: Unit, *, count: int = 18) -> list[Hit]:
    """The places of a set of images that excite a unit most, at most one of each image, the best first.

    Args:
        predictor: a trained model, which stays as it is.
        images: see `pictures`.
        unit: which.
        count: how many places.
    """
    best: list[Hit] = []
    ready = pictures(predictor, images)
    while group := list(itertools.islice(ready, batch_size(predictor.card.preprocess))):
        best = sorted([*best, *strongest(predictor, group, unit)], key=lambda hit: -hit.value)[:count]
    return best


def draw_unit(unit: Unit, hits: Iterable[Hit], patches: Sequence[Hit] = ()) -> Figure:
    """Images with what a unit sees where it answers most strongly, and patches that excite it."""
    rows = []
    for hit in hits:
        picture, (left, upper, right, lower) = hit.picture, hit.box
        seen = Tile(picture.pixels, f"sees {right - left}x{lower - upper} pixels", picture.aspect, hit.box)
        heat = Tile(overlay(picture.pixels, _resized(hit.map, picture)), f"{unit} on the image", picture.aspect)
        rows.append(Row([seen, heat, hit.patch()], picture.name))
    shown = [hit.patch() for hit in patches]
    for start in range(0, len(shown), _IN_A_ROW):
        rows.append(Row(shown[start : start + _IN_A_ROW], "" if start else "what excites it most"))
    return tiles(rows, f"Unit {unit}", size=1.5)


def _resized(values: Tensor, picture: Picture) -> np.ndarray[Any, np.dtype[np.float32]]:
    size = picture.pixels.shape[:2]
    wide = nn.functional.interpolate(values[None, None], size, mode="bilinear", align_corners=False)
    return wide[0, 0].numpy()
