"""The named policies, and the search for a policy: by name, in a TOML file, or written out."""

from __future__ import annotations

import json
from pathlib import Path

from hubel.core.errors import HubelError, OptionError, UnknownNameError
from hubel.data.augment.policy import Policy, read_toml

__all__ = ["POLICIES", "VIEWS", "find_policy"]

SMALL = 64  # pixels; smaller images blur when they are interpolated, and shift by whole pixels instead

#: Augmentation policies by name.
POLICIES = {
    "none": Policy(),
    "shift": Policy(shift=0.0625),
    "light": Policy(shift=0.125, mirror=True),
    "standard": Policy(
        mirror=True, crop=0.35, aspect=4 / 3, rotate=10, shear=5, fill="reflect",
        brightness=0.2, contrast=0.2, saturation=0.2, hue=5, pca=0.1,
    ),
    "strong": Policy(
        mirror=True, crop=0.2, aspect=4 / 3, rotate=20, shear=10, scale=1.15, perspective=0.06, warp=0.015,
        fill="reflect", brightness=0.4, contrast=0.4, saturation=0.4, hue=12, pca=0.2, grey=0.05, blur=0.005,
        noise=0.03, jpeg=40, erase=0.35, erase_odds=0.5,
    ),
    "scene": Policy(mirror=True, crop=0.3, aspect=1.2, brightness=0.2, contrast=0.2, saturation=0.2, hue=5),
    "pose": Policy(
        mirror=True, rotate=60, scale=1.5, shift=0.05, brightness=0.4, contrast=0.4, saturation=0.4, hue=10, grey=0.1,
    ),
    "trivialaugment": Policy(mirror=True, crop=0.35, aspect=4 / 3, automatic="trivialaugment"),
    "randaugment": Policy(mirror=True, crop=0.35, aspect=4 / 3, automatic="randaugment", operations=2, strength=9),
}  # fmt: skip

# For the views of a frozen network, which are few: mild changes only, so that each still looks like a photo.
VIEWS = Policy(mirror=True, crop=0.5, aspect=4 / 3, brightness=0.2, contrast=0.2)


def find_policy(name: str, *, channels: int, size: int = SMALL) -> Policy:
    """Find a policy by its name, in a TOML file, or in a line that `Policy.to_text` has written.

    "auto" is "shift" for grey, where a mirror image may be another sign; "light" for small colour images, which lose
    too much when they are interpolated; and "standard" for photos.

    Args:
        name: of the policy; a name that ends in ".toml" is a file, whose `base` is another policy's name.
        channels: of the images, 1 or 3.
        size: the shorter side of the network's input, in pixels.

    Raises:
        UnknownNameError: no policy, or no setting of one, has this name.
        OptionError: a file or a value that cannot be used.
    """
    if name == "auto":
        return POLICIES["shift" if channels == 1 else "light" if size < SMALL else "standard"]
    if name in POLICIES:
        return POLICIES[name]
    if name.startswith("{"):
        return _written(name)
    if name.lower().endswith(".toml"):
        return _from_file(Path(name), channels, size)
    raise UnknownNameError("augmentation policy", name, ["auto", *POLICIES])


def _written(text: str) -> Policy:
    try:
        return Policy.from_json(json.loads(text))
    except (json.JSONDecodeError, RecursionError):
        raise OptionError(f"an augmentation is a name, a .toml file or a JSON table, not {text[:40]!r}") from None


def _from_file(path: Path, channels: int, size: int) -> Policy:
    table = read_toml(path)
    base = table.pop("base", "none")
    try:
        if base not in ("auto", *POLICIES):
            raise UnknownNameError("augmentation policy", str(base), ["auto", *POLICIES])
        return Policy.from_json(table, find_policy(base, channels=channels, size=size))
    except UnknownNameError as error:
        raise OptionError(f"{path}: {error}") from None
    except HubelError as error:
        raise OptionError(f"{path}: {str(error).removeprefix('augmentation: ')}") from None
