"""Built-in datasets: real handwritten digits, and the teaching set of X and O images."""

from __future__ import annotations

import gzip
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import OptionError, UnknownNameError
from hubel.core.random import uniform
from hubel.data.sources.arrays import ArraySource
from hubel.data.sources.kind import SourceKind, SourceRequest

__all__ = ["DATA_SETS", "KIND", "XO", "digits", "draw_xo", "read_digits", "xo"]

_MOST_PIXELS = 2**32
_DRAWN_AT_ONCE = 256


def digits() -> ArraySource:
    """Return the 1,797 handwritten digits of scikit-learn: 8x8 pixels, 16 grey levels above black.

    Source: Alpaydin & Kaynak 1998, "Optical recognition of handwritten digits", UCI Machine Learning Repository.
    """
    images, classes = read_digits()
    return ArraySource(np.rint(images * (255 / 16)).astype(np.uint8), classes, name="digits")


@cache
def read_digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the digits as `(1797, 8, 8)` from 0 to 16, and their classes, as `sklearn.datasets.load_digits` does.

    They are read from the file in the package: importing it takes over a second, which a first run need not wait for.
    """
    package = find_spec("sklearn")
    assert package is not None  # required by pyproject.toml
    assert package.origin is not None
    file = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    with gzip.open(file, "rt", encoding="ascii") as lines:
        table = np.loadtxt(lines, delimiter=",")
    return table[:, :64].reshape(-1, 8, 8), table[:, 64].astype(np.int64)


@dataclass(frozen=True)
class XO:
    """Settings of the X and O images: white strokes on black, half of each letter.

    Attributes:
        size: height and width in pixels, at least 5.
        count: number of images.
        shift: largest shift of the centre, as a share of the size, 0 to 0.5.
        scale: the smallest size of the letter as a share of the largest, above 0, up to 1.
        rotate: the largest rotation either way, in degrees.
        thicker: the largest thickness of the stroke as a multiple of the smallest, at least 1.
        noise: the share of pixels that are inverted, 0 to 0.5.
        seed: another seed draws other images.
    """

    size: int = 15
    count: int = 1000
    shift: float = 0.1
    scale: float = 0.7
    rotate: float = 15.0
    thicker: float = 1.5
    noise: float = 0.02
    seed: int = 0

    def __post_init__(self) -> None:
        ranges = {
            "size": (5, 1024),
            "count": (2, 10_000_000),
            "shift": (0, 0.5),
            "scale": (0.05, 1),
            "rotate": (0, 180),
            "thicker": (1, 10),
            "noise": (0, 0.5),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise OptionError(f"the X and O images take a {name} from {low} to {high}, not {value}")
        if self.count * self.size**2 > _MOST_PIXELS:
            raise OptionError(f"{self.count:,} images of {self.size}x{self.size} pixels are more than memory holds")

    @classmethod
    def from_numbers(cls, values: Mapping[str, float]) -> XO:
        """Build settings from numbers by name.

        Raises:
            UnknownNameError: there is no such setting.
            OptionError: a value is out of range, or a fraction where a whole number is meant.
        """
        usual = asdict(cls())
        for name, value in values.items():
            if name not in usual:
                raise UnknownNameError("setting of the X and O images", name, usual)
            if isinstance(usual[name], int) and value % 1 != 0:
                raise OptionError(f"the X and O images take a whole number for {name}, not {value}")
        return cls(**{name: type(usual[name])(value) for name, value in values.items()})


def draw_xo(spec: XO, numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Draw the images with these numbers, uint8 `(n, size, size)`, 0 or 255; even numbers are X, odd ones O.

    A pixel is white where its centre lies within half a stroke of the letter: of the two diagonals of a square, or of
    the circle in it.
    """

    def drawn(setting: int, low: float, high: float) -> NDArray[np.float64]:
        return low + (high - low) * uniform(spec.seed, setting, numbers)[:, None, None]

    centre = (spec.size - 1) / 2
    row, column = np.mgrid[: spec.size, : spec.size] - centre
    x = column - drawn(0, -spec.shift, spec.shift) * spec.size
    y = row - drawn(1, -spec.shift, spec.shift) * spec.size
    turn = np.radians(drawn(2, -spec.rotate, spec.rotate))
    x, y = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    reach = (centre - 0.5) * drawn(3, spec.scale, 1.0)
    stroke = spec.size / 9 * drawn(4, 1.0, spec.thicker)
    to_diagonal = np.abs(np.abs(x) - np.abs(y)) / math.sqrt(2)
    cross = (to_diagonal <= stroke / 2) & (np.maximum(np.abs(x), np.abs(y)) <= reach)
    circle = np.abs(np.hypot(x, y) - reach + stroke / 4) <= stroke / 2
    white = np.where((numbers % 2 == 0)[:, None, None], cross, circle)
    pixel = np.arange(spec.size**2).reshape(spec.size, spec.size)
    inverted = uniform(spec.seed, 5, numbers[:, None, None], pixel) < spec.noise
    return np.where(white ^ inverted, 255, 0).astype(np.uint8)


def xo(spec: XO | None = None) -> ArraySource:
    """Draw all X and O images of some settings, the usual ones if None."""
    spec = spec or XO()
    numbers = np.arange(spec.count)
    # Drawing takes many times the memory of the images.
    parts = [draw_xo(spec, numbers[i : i + _DRAWN_AT_ONCE]) for i in range(0, spec.count, _DRAWN_AT_ONCE)]
    return ArraySource(np.concatenate(parts), np.where(numbers % 2 == 0, "X", "O"), name="xo")


DATA_SETS = {"digits": digits, "xo": xo}


def _recognises(request: SourceRequest) -> bool:
    if request.xo is not None:
        return True
    named = isinstance(request.data, str | Path) and str(request.data) in DATA_SETS
    return named and not request.path.exists()  # a folder of this name in the current one comes first


def _open(request: SourceRequest) -> ArraySource:
    if request.xo is None:
        return DATA_SETS[str(request.data)]()
    if request.data != "xo":
        raise OptionError(f"the settings of the X and O images belong to the dataset xo, not to {request.data}")
    return xo(request.xo)


KIND = SourceKind(
    name=f"the name of a built-in dataset ({', '.join(DATA_SETS)})",
    recognises=_recognises,
    open=_open,
    multi_label=True,
)
