"""What a policy makes of some photos, before anything is trained: a sheet of variants, and one of each change alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError, OptionError
from hubel.core.files import numbered_folder
from hubel.core.random import permutation
from hubel.data.augment import Change, Policy, changed, find_policy
from hubel.data.augment.automatic import OPERATIONS
from hubel.data.augment.named import SMALL
from hubel.data.augment.preview_sheet import Row, sheet
from hubel.data.dataset import Dataset, open_dataset
from hubel.data.index import Index
from hubel.data.loading import with_principal_axes
from hubel.data.preprocess import Preprocess
from hubel.plots.png import save_figure

__all__ = ["Preview", "alone", "preview"]

VARIANTS = 8
_ROWS = 6
_MINUS, _TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
_SIZE = 224
_KEYSTONE = (1, 0, -1, 0, 1, 0, -1, 0)  # the corners' moves that enlarge the upper edge
_FIELD = 2 * np.random.Generator(np.random.PCG64(3)).random((6, 6, 2)) - 1  # an example of a warp
_IN_SIGMA = 2.0  # of the principal colours, for which no value is the strongest

Values = tuple[float, ...]
End = tuple[str, Change]


@dataclass(frozen=True)
class Preview:
    """What was drawn.

    Attributes:
        policy: what the images were changed by.
        variants: the sheet of photos and their variants.
        operations: the sheet of each change alone; None for a policy that has none.
        preprocess: the input that the images were made for.
    """

    policy: Policy
    variants: Path
    operations: Path | None
    preprocess: Preprocess


def preview(data: Any, name: str, out: Path | None = None, *, size: int = 0, seed: int = 0) -> Preview:
    """Draw two sheets of images that a policy has changed, as the first epochs of a training would see them.

    Args:
        data: labelled images, or a plain folder of them; see `open_dataset`.
        name: of the policy; see `hubel.data.augment.policy`.
        out: the file of the first sheet; that of the second one has "-operations" added to its name. A file in a new
            folder below `runs/` if not given.
        size: of the network's input, in pixels; 0 is the images' own size for small ones, and 224 for photos.
        seed: of the draws.

    Raises:
        HubelError: there are no such images or policy.
    """
    if out is not None and out.suffix.lower() != ".png":
        raise OptionError(f"a preview is a .png file, not {out}")
    if size < 0:
        raise OptionError(f"size is a number of pixels, not {size}")
    dataset = _opened(data)
    index = dataset.index
    rows = _some(index, seed)
    preprocess = _input(index, rows, size)
    policy = find_policy(name, channels=preprocess.channels, size=min(preprocess.height, preprocess.width))
    policy = with_principal_axes(policy, dataset.images(preprocess))
    images = dataset.images(preprocess, rows)
    shown = []
    for place, row in enumerate(rows.tolist()):
        places = np.full(VARIANTS, place)
        variants = images.augmented(places, policy, seed, np.arange(VARIANTS))
        shown.append(Row(_title(index, row), [*images.pixels(places[:1]), *variants]))
    heads = ["as it is", *(f"epoch {epoch + 1}" for epoch in range(VARIANTS))]
    out = out or numbered_folder(Path("runs"), f"preview-{dataset.name}") / "augmentation.png"
    save_figure(sheet(shown, heads, f"Augmentation: {_words(name)}", gap_after=1), out)
    single = alone(policy)
    if not single:
        return Preview(policy, out, None, preprocess)
    # Changes of colour show best on what has most of it.
    most = int(np.argmax([np.ptp(row.tiles[0], axis=2).mean() for row in shown]))
    picture, second = images.decoded(most), out.with_name(f"{out.stem}-operations{out.suffix}")
    pairs = [_pair(picture, preprocess, title, ends) for title, ends in single]
    save_figure(sheet(pairs, ["weakest", "strongest"], f"Each change alone: {_words(name)}", across=4), second)
    return Preview(policy, out, second, preprocess)


def _words(name: str) -> str:
    return Path(name).name if name.lower().endswith(".toml") else name


def _title(index: Index, row: int) -> str:
    label, name = index.labels[index.label[row]] if len(index.labels) else "", Path(index.paths[row]).name
    return f"{label}: {name}" if label else name


def _opened(data: Any) -> Dataset:
    """Return the images with their classes, if they have any."""
    try:
        return open_dataset(data)
    except DataError:
        return open_dataset(data, labelled=False)


def _some(index: Index, seed: int) -> NDArray[np.int64]:
    """Some images, of as many classes as there are."""
    rows = index.usable()
    if not len(rows):
        raise DataError(f"{index.name} has no image that can be read")
    mixed = rows[permutation(len(rows), seed)]
    # The n-th image of each class before the (n + 1)-th of any.
    turn = np.zeros(len(mixed), np.int64)
    for code in np.unique(index.label[mixed]):
        here = index.label[mixed] == code
        turn[here] = np.arange(here.sum())
    return np.asarray(mixed[np.argsort(turn, kind="stable")][:_ROWS])


def _input(index: Index, rows: NDArray[np.int64], size: int) -> Preprocess:
    heights, widths = index.height[index.usable()], index.width[index.usable()]
    channels = int(index.channels[index.usable()].max())
    height = width = size or _SIZE
    if not size and max(heights.max(), widths.max()) <= SMALL:
        height, width = int(heights.max()), int(widths.max())
    plain = (0.0,) * channels, (1.0,) * channels
    return Preprocess(height, width, channels, "crop" if min(height, width) >= SMALL else "squash", "bilinear", *plain)


def _pair(pixels: NDArray[np.uint8], preprocess: Preprocess, title: str, ends: tuple[End, End]) -> Row:
    tiles = [changed(pixels, preprocess, change) for _, change in ends]
    return Row(title, tiles, [caption for caption, _ in ends])


def alone(policy: Policy) -> list[tuple[str, tuple[End, End]]]:
    """Each change that a policy has, at both ends of its range: its name, and a caption and a change for each end."""
    usual = Policy()
    found = [(name, ends(policy)) for name, ends in _ENDS.items() if getattr(policy, name) != getattr(usual, name)]
    for operation in OPERATIONS.get(policy.automatic, ())[1:]:
        level = 1.0 if policy.automatic == "trivialaugment" else policy.strength / 30
        step = {sign: (operation.name, operation.values(level, sign)) for sign in (-1.0, 1.0)}
        both: list[End] = []
        for _, values in step.values():
            move = ((operation.name, values),)
            change = Change(moves=move, fill=policy.fill) if operation.moves else Change(colours=move)
            both.append((_numbers(operation.name, values), change))
        if both[0][0] == both[1][0]:
            both[0] = ("as it is", Change())
        found.append((operation.name, (both[0], both[1])))
    return found


# By operation: how its values are written, and the factor before.
_UNITS = {
    "shear": ("{:+.3g}°", 1),
    "shift": ("{:+.3g} %", 100),
    "rotate": ("{:+.3g}°", 1),
    "posterize": ("{:g} bits", 1),
}


def _numbers(name: str, values: Values) -> str:
    text, times = _UNITS.get(name, ("from {:.3g} on" if name == "solarize" else f"{_TIMES} {{:.3g}}", 1))
    words = ", ".join(text.format(times * value) if value or name == "solarize" else "0" for value in values)
    return words.replace("-", _MINUS) or "done"


def _times(low: float, high: float) -> tuple[str, str]:
    return f"{_TIMES} {low:.3g}", f"{_TIMES} {high:.3g}"


def _two(name: str, low: Values, high: Values, captions: tuple[str, str], fill: str | None) -> tuple[End, End]:
    """Both ends of a move (with its fill) or of a change of values."""
    first, second = (
        Change(colours=((name, values),)) if fill is None else Change(moves=((name, values),), fill=fill)
        for values in (low, high)
    )
    return (captions[0], first), (captions[1], second)


def _signed(name: str, times: int, unit: str, scale: float = 1.0) -> Callable[[Policy], tuple[End, End]]:
    """A move by as much in one direction as in the other."""

    def ends(policy: Policy) -> tuple[End, End]:
        most = float(getattr(policy, name))
        captions = (f"{_MINUS}{most * scale:.3g}{unit}", f"+{most * scale:.3g}{unit}")
        return _two(name, (-most,) * times, (most,) * times, captions, policy.fill)

    return ends


def _factor(name: str) -> Callable[[Policy], tuple[End, End]]:
    def ends(policy: Policy) -> tuple[End, End]:
        most = float(getattr(policy, name))
        return _two(name, (1 - most,), (1 + most,), _times(1 - most, 1 + most), None)

    return ends


def _from_nothing(change: Callable[[Policy], Change], caption: Callable[[Policy], str]) -> Any:
    return lambda policy: (("as it is", Change()), (caption(policy), change(policy)))


def _principal(policy: Policy) -> tuple[End, End]:
    far = _IN_SIGMA * policy.pca
    most = tuple(float(far * sum(axis[channel] for axis in policy.axes)) for channel in range(3))
    less = tuple(-value for value in most)
    return _two("channels", less, most, (f"{_MINUS}{_IN_SIGMA:g} deviations", f"+{_IN_SIGMA:g} deviations"), None)


# By setting: what both ends of its range look like, and are called.
_ENDS: dict[str, Callable[[Policy], tuple[End, End]]] = {
    "mirror": _from_nothing(lambda policy: Change(moves=(("mirror", ()),)), lambda policy: "half of them"),
    "flip": _from_nothing(lambda policy: Change(moves=(("flip", ()),)), lambda policy: "half of them"),
    "shift": _signed("shift", 2, " %", 100),
    "crop": _from_nothing(
        lambda policy: Change(cut=(policy.crop**0.5, policy.crop**0.5, 0.5, 0.5)),
        lambda policy: f"{policy.crop:.0%} of the area",
    ),
    "aspect": lambda policy: (
        (f"{policy.aspect:.3g} times as high", Change(cut=(1.0, 1 / policy.aspect, 0.5, 0.5))),
        (f"{policy.aspect:.3g} times as wide", Change(cut=(1 / policy.aspect, 1.0, 0.5, 0.5))),
    ),
    "rotate": _signed("rotate", 1, "°"),
    "shear": _signed("shear", 2, "°"),
    "scale": lambda policy: _two(
        "scale",
        (1 / policy.scale,),
        (policy.scale,),
        (f"{_TIMES} {1 / policy.scale:.3g}", f"{_TIMES} {policy.scale:.3g}"),
        policy.fill,
    ),
    "perspective": lambda policy: _two(
        "perspective",
        tuple(policy.perspective * move for move in _KEYSTONE),
        tuple(-policy.perspective * move for move in _KEYSTONE),
        (f"nearer above, by {policy.perspective:.0%}", f"nearer below, by {policy.perspective:.0%}"),
        policy.fill,
    ),
    "warp": _from_nothing(
        lambda policy: Change(field=policy.warp * _FIELD, fill=policy.fill),
        lambda policy: f"{policy.warp:.1%} of the side",
    ),
    **{name: _factor(name) for name in ("brightness", "contrast", "saturation")},
    "hue": lambda policy: _two(
        "hue", (-policy.hue,), (policy.hue,), (f"{_MINUS}{policy.hue:.3g}°", f"+{policy.hue:.3g}°"), None
    ),
    "channels": lambda policy: _two(
        "channels",
        (policy.channels, 0.0, -policy.channels),
        (-policy.channels, 0.0, policy.channels),
        (f"red +{policy.channels:.0%}, blue {_MINUS}", f"red {_MINUS}{policy.channels:.0%}, blue +"),
        None,
    ),
    "pca": _principal,
    "grey": _from_nothing(
        lambda policy: Change(colours=(("saturation", (0.0,)),)), lambda policy: f"{policy.grey:.0%} of them"
    ),
    "posterize": lambda policy: _two("posterize", (6.0,), (3.0,), ("6 bits", "3 bits"), None),
    "solarize": lambda policy: _two("solarize", (224.0,), (64.0,), ("from 224 on", "from 64 on"), None),
    "equalize": _from_nothing(
        lambda policy: Change(colours=(("equalize", ()),)), lambda policy: f"{policy.equalize:.0%} of them"
    ),
    "blur": _from_nothing(
        lambda policy: Change(colours=(("blur", (policy.blur,)),)), lambda policy: f"{policy.blur:.1%} of the side"
    ),
    "noise": _from_nothing(
        lambda policy: Change(colours=(("noise", (policy.noise,)),)), lambda policy: f"{policy.noise:.1%} of full scale"
    ),
    "jpeg": _from_nothing(
        lambda policy: Change(colours=(("jpeg", (float(policy.jpeg),)),)), lambda policy: f"quality {policy.jpeg}"
    ),
    "erase": _from_nothing(
        lambda policy: Change(erase=(policy.erase, 0.4, 0.6)),
        lambda policy: f"side {policy.erase:.0%}, {policy.erase_odds:.0%} of them",
    ),
}
