"""The augmentation policy: one flat table of settings, which a TOML file can hold."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from hubel.core.errors import OptionError, UnknownNameError
from hubel.core.text_files import bounded, read_text
from hubel.data.augment.colour import Axes
from hubel.data.augment.operation import Operation, Stage
from hubel.data.augment.operations import OPERATIONS, settings_of

__all__ = ["CHOICES", "RANGES", "Policy", "read_toml"]

# Principal axes of the RGB values of ImageNet, each times its eigenvalue, in units of full scale: the three numbers
# that are published with AlexNet's reimplementations (eigenvalues 0.2175, 0.0188, 0.0045).
_IMAGENET: Axes = (
    (-0.12343125, -0.126324, -0.126933),
    (0.01352096, -0.0000846, -0.01306224),
    (0.00180405, -0.003663, 0.00189135),
)

_SETTINGS = {setting.name: setting for one in OPERATIONS for setting in (*one.settings, *one.options)}
# Lowest and highest value of each number.
RANGES = {name: setting.span for name, setting in _SETTINGS.items() if setting.span is not None} | {"repeats": (1, 64)}
CHOICES = {"fill": ("black", "edge", "reflect")} | {
    name: setting.choices for name, setting in _SETTINGS.items() if setting.choices
}
_SWITCHES = settings_of(*Stage)
# What leaves whole pixels can be done on images of the network's size.
_INTERPOLATING = settings_of(Stage.INTERPOLATION, Stage.AUTOMATIC)
_RECOLOURING = settings_of(Stage.COLOUR, Stage.EFFECT, Stage.AUTOMATIC)
_MOVING = settings_of(Stage.WHOLE_PIXEL, Stage.INTERPOLATION, Stage.AUTOMATIC)


@dataclass(frozen=True)
class Policy:
    """Ranges of the random augmentation of training images. The defaults change nothing.

    All draws are uniform and independent, unless said otherwise.

    Attributes:
        mirror: whether left and right are exchanged for half of the images.
        alternate: whether the halves change places from epoch to epoch, so that two epochs show each image both ways,
            instead of being drawn anew (Jordan 2024, arXiv:2404.00498, Section 3.6).
        flip: whether top and bottom are exchanged for half of the images.
        shift: the largest shift in each direction, as a share of height and width.
        crop: the least share of the image's area that is cut out; 1 leaves it whole.
        aspect: the largest factor by which the shape of that crop differs from the image's; it stays in the image, so
            its area may become smaller by that factor.
        rotate: the largest rotation, in degrees.
        shear: the largest slant of each axis, in degrees.
        scale: the largest factor of size, larger and smaller (log-uniform).
        perspective: the largest shift of each corner, as a share of height and width.
        warp: the largest local displacement in each direction, as a share of the sides (Simard et al. 2003): a smooth
            field.
        fill: what comes in from outside of the image: black, edge or reflect. Always black where `resize` pads.
        brightness: the largest difference of the factor of all values from 1.
        contrast: the same of the distance from the image's mean grey.
        saturation: the same of the distance from each pixel's grey.
        hue: the largest rotation of the colours around grey, in degrees, at equal lightness (in YIQ, not in HSV).
        channels: the largest shift of each channel, in units of full scale.
        pca: standard deviation of the normal factors of the principal colours; 0.1 in AlexNet (Krizhevsky et al. 2012,
            Section 4.1).
        axes: the principal colours of the data set: three eigenvectors of the covariance of RGB, each times its
            eigenvalue, in units of full scale. Measured on the training images unless given; here those of ImageNet.
        grey: the share of images that lose their colour.
        blur: the largest standard deviation of a Gaussian blur, as a share of the shorter side.
        noise: the largest standard deviation of Gaussian noise, in units of full scale.
        jpeg: the lowest quality of a JPEG compression; 100 compresses nothing.
        posterize: the share of images of which each channel keeps 3 to 6 bits.
        solarize: the share of images of which values above a level are inverted.
        solarize_add: the largest amount that is added to values below the middle, in units of full scale; then clipped.
        equalize: the share of images whose histograms are equalised.
        erase: the side of a square that is set to the image's mean, as a share of the shorter side; its centre is
            anywhere in the image, so it may lie half outside (DeVries & Taylor 2017, arXiv:1708.04552).
        erase_odds: the share of images in which it is erased.
        automatic: operations of a fixed list, drawn for each image: none, trivialaugment (Mueller & Hutter 2021,
            arXiv:2103.10158, the wide ranges) or randaugment (Cubuk et al. 2019, arXiv:1909.13719).
        operations: how many of them an image gets; trivialaugment takes 1.
        strength: of each, 0 to 30; trivialaugment draws it.
        mixup: alpha of Beta(alpha, alpha), the share of two blended images (Zhang et al. 2017, arXiv:1710.09412); 0 for
            never.
        cutmix: likewise, of a pasted rectangle (Yun et al. 2019, arXiv:1905.04899). With both, each gets half of the
            batches.
        mosaic: the share of images that are shown beside three others, each in its part of the input (Bochkovskiy et
            al. 2020, arXiv:2004.10934); for boxes and masks.
        repeats: how often an image appears in an epoch, each time with other draws, while other images wait for the
            next epoch (Hoffer et al. 2019, arXiv:1901.09335).
    """

    mirror: bool = False
    alternate: bool = False
    flip: bool = False
    shift: float = 0.0
    crop: float = 1.0
    aspect: float = 1.0
    rotate: float = 0.0
    shear: float = 0.0
    scale: float = 1.0
    perspective: float = 0.0
    warp: float = 0.0
    fill: str = "black"
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    channels: float = 0.0
    pca: float = 0.0
    axes: Axes = _IMAGENET
    grey: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    jpeg: int = 100
    posterize: float = 0.0
    solarize: float = 0.0
    solarize_add: float = 0.0
    equalize: float = 0.0
    erase: float = 0.0
    erase_odds: float = 1.0
    automatic: str = "none"
    operations: int = 1
    strength: float = 9.0
    mixup: float = 0.0
    cutmix: float = 0.0
    mosaic: float = 0.0
    repeats: int = 1

    def __post_init__(self) -> None:
        for entry in fields(self):
            value, default = getattr(self, entry.name), entry.default
            wanted = (int, float) if isinstance(default, float) else type(default)
            if not isinstance(value, wanted) or (isinstance(value, bool) and not isinstance(default, bool)):
                kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a name in quotes"}
                expected = kinds.get(type(default), "three rows of three numbers")
                raise OptionError(f"augmentation: {entry.name} is {expected}, not {value!r}")
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise OptionError(f"augmentation: {name} is from {low:g} to {high:g}, not {value!r}")
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise UnknownNameError(f"{name} of an augmentation", getattr(self, name), known)
        if not _are_axes(self.axes):
            raise OptionError(f"augmentation: axes is three rows of three numbers, not {self.axes!r}")

    @property
    def keeps_pixels(self) -> bool:
        """Tell whether images only move by whole pixels, so that those of the network's size will do."""
        return self._switched_on.isdisjoint(_INTERPOLATING)

    @property
    def keeps_colours(self) -> bool:
        """Tell whether no value of a pixel changes, the erased square aside."""
        return self._switched_on.isdisjoint(_RECOLOURING)

    @property
    def keeps_place(self) -> bool:
        """Tell whether every pixel stays at its position."""
        return self._switched_on.isdisjoint(_MOVING)

    @cached_property
    def _switched_on(self) -> frozenset[str]:
        """The settings of operations that differ from their defaults."""
        return frozenset(name for name in _SWITCHES if getattr(self, name) != getattr(Policy, name))

    def is_on(self, operation: Operation[Any]) -> bool:
        """Tell whether a setting of this operation differs from its default, which switches it off."""
        return not self._switched_on.isdisjoint(operation.switches)

    def values_of(self, operation: Operation[Any]) -> tuple[Any, ...]:
        """Return the values of an operation's settings and options, as its record's functions take them."""
        return tuple(getattr(self, setting.name) for setting in (*operation.settings, *operation.options))

    def to_json(self) -> dict[str, Any]:
        """Return as plain JSON values everything that differs from its default."""
        default = asdict(Policy())
        return {name: value for name, value in asdict(self).items() if value != default[name]}

    def to_text(self) -> str:
        """Return one line of JSON, which `find_policy` takes for a name."""
        return json.dumps(self.to_json(), sort_keys=True)

    @classmethod
    def from_json(cls, values: Mapping[str, Any], base: Policy | None = None) -> Policy:
        """Return the policy that `to_json` has written; what is missing is as in `base`, or the default.

        Raises:
            UnknownNameError: there is no such setting.
            OptionError: a value of the wrong type, or out of range.
        """
        known = [entry.name for entry in fields(cls)]
        for name in values:
            if name not in known:
                raise UnknownNameError("setting of an augmentation", name, known)
        read = dict(values)
        if _are_axes(read.get("axes")):
            read["axes"] = tuple(tuple(float(number) for number in axis) for axis in read["axes"])
        return replace(base or cls(), **read)

    def to_toml(self) -> str:
        """Return the text of a TOML file, a line for each setting that differs from its default."""
        # TOML writes booleans, numbers, strings and lists of these as JSON does.
        return "".join(f"{name} = {json.dumps(value)}\n" for name, value in self.to_json().items())


def read_toml(path: Path) -> dict[str, Any]:
    """Read the table of a TOML file.

    Raises:
        OptionError: there is no such file, or it is no TOML.
    """
    text = read_text(path, expected="a table of an augmentation policy")
    try:
        table: dict[str, Any] = bounded(tomllib.loads(text))
    except (ValueError, RecursionError) as error:
        raise OptionError(f"{path}: no TOML: {' '.join(str(error).split())}") from None
    return table


def _are_axes(value: Any) -> bool:
    """Tell whether these are three rows of three numbers."""
    if not isinstance(value, tuple | list) or len(value) != 3:
        return False
    if not all(isinstance(axis, tuple | list) and len(axis) == 3 for axis in value):
        return False
    numbers = [number for axis in value for number in axis]
    return all(isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) for n in numbers)
