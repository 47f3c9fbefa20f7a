"""What happens to one image: drawn from a policy, as a function of keys such as `(seed, epoch, sample)` alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.random import bits, uniform
from hubel.data.augment.automatic import OPERATIONS, Operation
from hubel.data.augment.geometry import Step
from hubel.data.augment.policy import Policy

__all__ = ["Change", "draw", "draw_colours"]

# The numbers of the draws. Their order decides every random value, so new ones come at the end.
_DRAWS = (
    "down", "right", "mirror", "erase_y", "erase_x", "erase", "flip", "area", "shape", "cut_y", "cut_x", "rotate",
    "shear_x", "shear_y", "scale", "brightness", "contrast", "saturation", "hue", "red", "green", "blue",
    "pca_size_1", "pca_size_2", "pca_size_3", "pca_turn_1", "pca_turn_2", "pca_turn_3", "grey", "blur", "noise", "jpeg",
    "posterize", "bits", "solarize", "level", "equalize", *(f"corner_{i}" for i in range(8)),
)  # fmt: skip
_PLACE = {name: place for place, name in enumerate(_DRAWS)}
_AUTOMATIC, _FIELD, _KEY = 1000, 2000, 3000  # from here on: three of each operation; the warp's field; the noise's key
_CELLS = 5  # of the field, in each direction, whose corners move
_LEAST_BITS, _MOST_BITS = 3, 6

Luck = list[float]  # of one image
Keys = tuple[NDArray[Any], ...]


@dataclass(frozen=True, eq=False)
class Change:
    """The parameters of one image. Shares are of the picture's or the input's sides, so they fit any resolution.

    Attributes:
        cut: of the picture: height, width, and how far down and right it lies of all that it could, shares from 0 to 1.
        moves: of the input, in order; see `geometry.MOVES`.
        field: local moves, x and y as shares of the input's sides, `(rows, columns, 2)`; None for none.
        colours: changes of values, in order; see `colour.MATRICES` and `effects.EFFECTS`.
        erase: side of the square as a share of the input's shorter side, and y and x of its centre; None for none.
        fill: what lies outside of the picture.
        key: of the noise.
    """

    cut: tuple[float, float, float, float] = (1.0, 1.0, 0.0, 0.0)
    moves: tuple[Step, ...] = ()
    field: NDArray[np.float64] | None = None
    colours: tuple[Step, ...] = ()
    erase: tuple[float, float, float] | None = None
    fill: str = "black"
    key: int = 0

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Left, top, width and height of the cut from a picture of this size, in whole pixels."""
        rows = min(height, max(1, round(height * self.cut[0])))
        columns = min(width, max(1, round(width * self.cut[1])))
        return round(self.cut[3] * (width - columns)), round(self.cut[2] * (height - rows)), columns, rows


def draw(policy: Policy, *keys: int | NDArray[Any]) -> list[Change]:
    """A change for each combination of keys, which broadcast to `(n,)`; see `hubel.core.random.uniform`."""
    whole = _whole(keys)
    movers = _switched_on(policy, _WHOLE_MOVES if policy.keeps_pixels else _MOVES)
    colourers, fields = _switched_on(policy, _COLOURS), _fields(policy, whole)
    changes = []
    for i, (row, noise) in enumerate(_luck(policy, whole)):
        moves, colours = _made(policy, row, movers), _made(policy, row, colourers)
        if policy.automatic != "none":
            for operation, value in _automatic(policy, tuple(key[i] for key in whole)):
                (moves if operation.moves else colours).append((operation.name, operation.values(*value)))
        local, erase = None if fields is None else fields[i], _erase(policy, row)
        changes.append(Change(_cut(policy, row), tuple(moves), local, tuple(colours), erase, policy.fill, noise))
    return changes


def draw_colours(policy: Policy, *keys: int | NDArray[Any]) -> list[tuple[list[Step], int]]:
    """Of the same changes only those of values, and the key of their noise."""
    colourers = _switched_on(policy, _COLOURS)
    return [(_made(policy, row, colourers), noise) for row, noise in _luck(policy, _whole(keys))]


def _whole(keys: tuple[int | NDArray[Any], ...]) -> Keys:
    """The keys, each `(n,)`."""
    return np.broadcast_arrays(*(np.asarray(_word(key)) for key in keys), np.zeros(1, np.uint8))[:-1]


def _luck(policy: Policy, keys: Keys) -> Iterator[tuple[Luck, int]]:
    """The numbers of each image, with the sums of PCA colour at their end, and the key of its noise."""
    luck = uniform(*(key[:, None] for key in keys), np.arange(len(_DRAWS)))
    if policy.pca:
        luck = np.concatenate([luck, _principal(policy, luck)], 1)
    noise = bits(*keys, _KEY) >> np.uint64(1)
    return zip(luck.tolist(), noise.tolist(), strict=True)


def _word(key: int | NDArray[Any]) -> NDArray[Any] | np.uint64:
    """A key as 64 bits; those of a Python number may be more than an array takes."""
    return np.uint64(key % 2**64) if isinstance(key, int) else key


def _at(luck: Luck, name: str) -> float:
    return luck[_PLACE[name]]


def _signed(luck: Luck, name: str, most: float) -> float:
    return (2 * _at(luck, name) - 1) * most


def _cut(policy: Policy, luck: Luck) -> tuple[float, float, float, float]:
    area = policy.crop + (1 - policy.crop) * _at(luck, "area")
    shape = math.exp(_signed(luck, "shape", math.log(policy.aspect)) / 2)
    side = math.sqrt(area)
    return min(1.0, side * shape), min(1.0, side / shape), _at(luck, "cut_y"), _at(luck, "cut_x")


Maker = Callable[[Policy, Luck], tuple[float, ...] | None]


def _factor(name: str) -> Maker:
    return lambda policy, luck: (1 + _signed(luck, name, getattr(policy, name)),)


def _one(name: str) -> Maker:
    return lambda policy, luck: (_signed(luck, name, getattr(policy, name)),)


def _each(setting: str, names: tuple[str, ...]) -> Maker:
    return lambda policy, luck: tuple(_signed(luck, name, getattr(policy, setting)) for name in names)


def _up_to(name: str) -> Maker:
    return lambda policy, luck: (getattr(policy, name) * _at(luck, name),)


def _for_some(name: str, values: Maker, share: float | None = None) -> Maker:
    """To a share of the images, which the setting itself says unless given."""

    def made(policy: Policy, luck: Luck) -> tuple[float, ...] | None:
        happens = _at(luck, name) < (getattr(policy, name) if share is None else share)
        return values(policy, luck) if happens else None

    return made


def _nothing(policy: Policy, luck: Luck) -> tuple[float, ...]:
    return ()


# In the order in which they happen: the setting that switches it on, its name, and its values; None where an image is
# left alone.
_CORNERS = tuple(f"corner_{i}" for i in range(8))
_MOVES: tuple[tuple[str, str, Maker], ...] = (
    ("mirror", "mirror", _for_some("mirror", _nothing, 0.5)),
    ("flip", "flip", _for_some("flip", _nothing, 0.5)),
    ("rotate", "rotate", _one("rotate")),
    ("shear", "shear", _each("shear", ("shear_x", "shear_y"))),
    ("scale", "scale", lambda policy, luck: (math.exp(_signed(luck, "scale", math.log(policy.scale))),)),
    ("perspective", "perspective", _each("perspective", _CORNERS)),
    ("shift", "shift", _each("shift", ("right", "down"))),
)
# Where nothing is interpolated, and moves are by whole pixels.
_WHOLE_MOVES: tuple[tuple[str, str, Maker], ...] = (
    ("shift", "slide", lambda policy, luck: (_at(luck, "right"), _at(luck, "down"), policy.shift)),
    *_MOVES[:2],
)
# What is one matrix comes first.
_COLOURS: tuple[tuple[str, str, Maker], ...] = (
    *((name, name, _factor(name)) for name in ("brightness", "contrast", "saturation")),
    ("hue", "hue", _one("hue")),
    ("channels", "channels", _each("channels", ("red", "green", "blue"))),
    ("pca", "channels", lambda policy, luck: tuple(luck[-3:])),
    ("grey", "saturation", _for_some("grey", lambda policy, luck: (0.0,))),
    ("posterize", "posterize", _for_some("posterize", lambda policy, luck: (_depth(luck),))),
    ("solarize", "solarize", _for_some("solarize", lambda policy, luck: (255 * _at(luck, "level"),))),
    ("equalize", "equalize", _for_some("equalize", _nothing)),
    ("blur", "blur", _up_to("blur")),
    ("noise", "noise", _up_to("noise")),
    ("jpeg", "jpeg", lambda policy, luck: (float(round(policy.jpeg + (100 - policy.jpeg) * _at(luck, "jpeg"))),)),
)


def _switched_on(policy: Policy, table: tuple[tuple[str, str, Maker], ...]) -> list[tuple[str, Maker]]:
    return [(name, make) for setting, name, make in table if getattr(policy, setting) != getattr(Policy, setting)]


def _made(policy: Policy, luck: Luck, makers: list[tuple[str, Maker]]) -> list[Step]:
    made = ((name, make(policy, luck)) for name, make in makers)
    return [(name, values) for name, values in made if values is not None]


def _depth(luck: Luck) -> float:
    return float(_LEAST_BITS + int(_at(luck, "bits") * (_MOST_BITS - _LEAST_BITS + 1)))


def _principal(policy: Policy, luck: NDArray[np.float64]) -> NDArray[np.float64]:
    """AlexNet's sums of the principal colours, each by a normal factor (Box & Muller 1958): `(n, 3)`, of full scale."""
    size, turn = (luck[:, _PLACE[f"pca_{name}_1"] :][:, :3] for name in ("size", "turn"))
    factors = np.sqrt(-2 * np.log1p(-size)) * np.cos(2 * np.pi * turn)
    # Written out: a product of matrices may be rounded otherwise for another number of images.
    sums = [sum(factors[:, i] * policy.axes[i][channel] for i in range(3)) for channel in range(3)]
    return policy.pca * np.stack([np.asarray(one) for one in sums], 1)


def _automatic(policy: Policy, keys: tuple[Any, ...]) -> list[tuple[Operation, tuple[float, float]]]:
    """The drawn operations, each with its strength (0 to 1) and its sign."""
    table = OPERATIONS[policy.automatic]
    number = 1 if policy.automatic == "trivialaugment" else policy.operations
    luck = uniform(*keys, _AUTOMATIC + np.arange(3 * number)).reshape(number, 3)
    drawn = []
    for which, strength, sign in luck.tolist():
        level = math.floor(31 * strength) / 30 if policy.automatic == "trivialaugment" else policy.strength / 30
        drawn.append((table[int(which * len(table))], (level, 1.0 if sign < 0.5 else -1.0)))
    return drawn


def _fields(policy: Policy, keys: Keys) -> NDArray[np.float64] | None:
    """The local moves of each image, `(n, rows, columns, 2)`."""
    if not policy.warp:
        return None
    side = _CELLS + 1
    luck = uniform(*(key[:, None] for key in keys), _FIELD + np.arange(2 * side * side))
    return np.asarray((2 * luck - 1) * policy.warp).reshape(-1, side, side, 2)


def _erase(policy: Policy, luck: Luck) -> tuple[float, float, float] | None:
    if not policy.erase or _at(luck, "erase") >= policy.erase_odds:
        return None
    return policy.erase, _at(luck, "erase_y"), _at(luck, "erase_x")
