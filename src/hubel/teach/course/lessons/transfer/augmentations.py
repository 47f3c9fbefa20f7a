"""Every augmentation of hubel at some strengths, on one picture, for a slider."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.data.augment import Augmentation, Policy, transform_image
from hubel.data.augment.draws import single
from hubel.data.augment.operations import OPERATIONS
from hubel.data.preprocess import Preprocess
from hubel.teach.course.photos import pack

__all__ = ["STRONGEST", "augmented_steps"]

#: The strongest value that the slider of each operation reaches, by the field of `Policy` that switches it on.
STRONGEST: Mapping[str, Any] = {
    "mirror": True, "flip": True, "shift": 0.3, "crop": 0.2, "rotate": 60.0, "shear": 25.0, "scale": 1.6,
    "perspective": 0.15, "warp": 0.05, "brightness": 0.7, "contrast": 0.8, "saturation": 1.0, "hue": 60.0,
    "channels": 0.3, "pca": 0.6, "grey": 1.0, "blur": 0.04, "noise": 0.2, "jpeg": 5, "posterize": 1.0,
    "solarize": 1.0, "solarize_add": 0.4, "equalize": 1.0, "erase": 0.6,
}  # fmt: skip

_SHARES = (0.25, 0.5, 0.75, 1.0)
_ONE_STRENGTH = ("grey", "posterize", "solarize", "equalize")  # fields that are shares of images, not strengths


def augmented_steps(image: NDArray[np.uint8], side: int) -> Iterator[dict[str, Any]]:
    """Yield for each operation the picture at growing strengths, of both signs where it has two.

    Args:
        image: uint8 `(h, w, 3)`.
        side: height and width of the pictures.

    Yields:
        `name`, and `steps`: the value of the policy's field, negative for the other sign, and the picture.
    """
    preprocess = Preprocess(side, side, resize="crop", mean=(0.0,) * 3, std=(1.0,) * 3)
    fields = {setting.name: (one, setting) for one in OPERATIONS for setting in one.settings if setting.extremes}
    for name, strongest in STRONGEST.items():
        operation, setting = fields[name]
        weakest = getattr(Policy, name)
        once = isinstance(strongest, bool) or name in _ONE_STRENGTH
        steps = [(weakest, Augmentation())]
        for share in (1.0,) if once else _SHARES:
            value = strongest if once else type(weakest)(weakest + share * (strongest - weakest))
            policy = replace(Policy(erase_odds=1.0), **{name: value})
            assert setting.extremes is not None
            low, high = setting.extremes(*policy.values_of(operation))
            steps.append((value, single(operation, high.parameters)))
            if low.parameters is not None and not once:
                steps.insert(0, (-value, single(operation, low.parameters)))
        yield {
            "name": name,
            "start": next(number for number, (value, _) in enumerate(steps) if value == weakest),
            "steps": [
                {"value": float(value), "picture": pack(transform_image(image, preprocess, augmentation))}
                for value, augmentation in steps
            ],
        }
