"""What may happen to a training image, and how far: one flat table, which a TOML file can hold."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from hubel.core.errors import OptionError, UnknownNameError

__all__ = ["Policy"]

Axes = tuple[tuple[float, float, float], ...]

# Principal axes of the RGB values of ImageNet, each times its eigenvalue, in units of full scale: the three numbers
# that are published with AlexNet's reimplementations (eigenvalues 0.2175, 0.0188, 0.0045).
_IMAGENET: Axes = (
    (-0.12343125, -0.126324, -0.126933),
    (0.01352096, -0.0000846, -0.01306224),
    (0.00180405, -0.003663, 0.00189135),
)

# Lowest and highest value of each number.
_RANGES: dict[str, tuple[float, float]] = {
    "shift": (0, 1),
    "crop": (0.01, 1),
    "aspect": (1, 4),
    "rotate": (0, 180),
    "shear": (0, 80),
    "scale": (1, 4),
    "perspective": (0, 0.4),
    "warp": (0, 0.2),
    "brightness": (0, 1),
    "contrast": (0, 1),
    "saturation": (0, 1),
    "hue": (0, 180),
    "channels": (0, 1),
    "pca": (0, 10),
    "grey": (0, 1),
    "blur": (0, 0.1),
    "noise": (0, 1),
    "jpeg": (1, 100),
    "posterize": (0, 1),
    "solarize": (0, 1),
    "equalize": (0, 1),
    "erase": (0, 1),
    "erase_odds": (0, 1),
    "operations": (1, 16),
    "strength": (0, 30),
    "mixup": (0, 100),
    "cutmix": (0, 100),
    "repeats": (1, 64),
}
_CHOICES = {
    "fill": ("black", "edge", "reflect"),
    "automatic": ("none", "trivialaugment", "randaugment"),
}
# What leaves whole pixels, so that it can be done on images of the network's size; all others interpolate.
_INTERPOLATED = ("crop", "aspect", "rotate", "shear", "scale", "perspective", "warp", "automatic")
_COLOURED = (
    "brightness", "contrast", "saturation", "hue", "channels", "pca", "grey",
    "blur", "noise", "jpeg", "posterize", "solarize", "equalize",
)  # fmt: skip
_MOVED = ("mirror", "flip", "shift")


@dataclass(frozen=True)
class Policy:
    """How far the images of an epoch may differ from those of the index. The usual values change nothing.

    All draws are uniform and independent, unless said otherwise.

    Attributes:
        mirror: whether left and right are exchanged for half of the images.
        flip: whether top and bottom are exchanged for half of the images.
        shift: the largest move in each direction, as a share of height and width.
        crop: the least share of the picture's area that is cut out; 1 keeps it whole.
        aspect: the largest factor by which the shape of that cut differs from the picture's; it stays in the picture,
            so its area may become smaller by that factor.
        rotate: the largest turn, in degrees.
        shear: the largest slant of each axis, in degrees.
        scale: the largest factor of size, larger and smaller (log-uniform).
        perspective: the largest move of each corner, as a share of height and width.
        warp: the largest local move in each direction, as a share of the sides (Simard et al. 2003): a smooth field.
        fill: what comes in from outside of the picture: black, edge or reflect. Always black where `fit` pads.
        brightness: the largest change of the factor of all values, 1.
        contrast: the same of the distance from the picture's mean grey.
        saturation: the same of the distance from each pixel's grey.
        hue: the largest turn of the colours around grey, in degrees, lightness kept (in YIQ, not in HSV).
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
        equalize: the share of images whose histograms are equalised.
        erase: the side of a square that is set to the image's mean, as a share of the smaller side; it is placed
            anywhere, half outside included (DeVries & Taylor 2017, arXiv:1708.04552).
        erase_odds: the share of images in which it is erased.
        automatic: operations of a fixed list, drawn for each image: none, trivialaugment (Mueller & Hutter 2021,
            arXiv:2103.10158, the wide ranges) or randaugment (Cubuk et al. 2019, arXiv:1909.13719).
        operations: how many of them an image gets; trivialaugment takes 1.
        strength: of each, 0 to 30; trivialaugment draws it.
        mixup: of each batch with another order of itself: alpha of Beta(alpha, alpha) (Zhang et al. 2017,
            arXiv:1710.09412); 0 for never.
        cutmix: likewise, of a rectangle (Yun et al. 2019, arXiv:1905.04899). With both, each takes half of the batches.
        repeats: how often an image stands in an epoch, each time changed otherwise, while other images wait for the
            next one (Hoffer et al. 2019, arXiv:1901.09335).
    """

    mirror: bool = False
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
    equalize: float = 0.0
    erase: float = 0.0
    erase_odds: float = 1.0
    automatic: str = "none"
    operations: int = 1
    strength: float = 9.0
    mixup: float = 0.0
    cutmix: float = 0.0
    repeats: int = 1

    def __post_init__(self) -> None:
        for entry in fields(self):
            value, usual = getattr(self, entry.name), entry.default
            wanted = (int, float) if isinstance(usual, float) else type(usual)
            if not isinstance(value, wanted) or (isinstance(value, bool) and not isinstance(usual, bool)):
                words = {bool: "true or false", int: "a whole number", float: "a number", str: "a name in quotes"}
                expected = words.get(type(usual), "three rows of three numbers")
                raise OptionError(f"augmentation: {entry.name} is {expected}, not {value!r}")
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise OptionError(f"augmentation: {name} is from {low:g} to {high:g}, not {value!r}")
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise UnknownNameError(f"{name} of an augmentation", getattr(self, name), known)
        if not _are_axes(self.axes):
            raise OptionError(f"augmentation: axes is three rows of three numbers, not {self.axes!r}")

    @property
    def keeps_pixels(self) -> bool:
        """Whether images only move by whole pixels, so that those of the network's size will do."""
        return self._is_usual(_INTERPOLATED)

    @property
    def keeps_colours(self) -> bool:
        """Whether no value of a pixel changes."""
        return self._is_usual((*_COLOURED, "automatic"))

    @property
    def keeps_place(self) -> bool:
        """Whether every pixel stays where it is."""
        return self._is_usual((*_INTERPOLATED, *_MOVED))

    def _is_usual(self, names: tuple[str, ...]) -> bool:
        return all(getattr(self, name) == getattr(Policy, name) for name in names)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values, everything that is not as usual."""
        usual = asdict(Policy())
        return {name: value for name, value in asdict(self).items() if value != usual[name]}

    def to_text(self) -> str:
        """As one line of JSON, which `policy` takes for a name."""
        return json.dumps(self.to_json(), sort_keys=True)

    @classmethod
    def from_json(cls, values: Mapping[str, Any], base: Policy | None = None) -> Policy:
        """The inverse of `to_json`; what is missing is as in `base`, or as usual.

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
        """As the text of a TOML file, a line for each setting that is not as usual."""
        # TOML writes booleans, numbers, strings and lists of these as JSON does.
        return "".join(f"{name} = {json.dumps(value)}\n" for name, value in self.to_json().items())


def read_toml(path: Path) -> dict[str, Any]:
    """The table of a TOML file.

    Raises:
        OptionError: there is no such file, or it is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise OptionError(f"{path}: no such file; expected a table of an augmentation policy") from None
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{path}: cannot be read ({' '.join(str(error).split())})") from None
    except tomllib.TOMLDecodeError as error:
        raise OptionError(f"{path}: no TOML: {' '.join(str(error).split())}") from None


def _are_axes(value: Any) -> bool:
    """Whether these are three rows of three numbers."""
    if not isinstance(value, tuple | list) or len(value) != 3:
        return False
    if not all(isinstance(axis, tuple | list) and len(axis) == 3 for axis in value):
        return False
    numbers = [number for axis in value for number in axis]
    return all(isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) for n in numbers)
