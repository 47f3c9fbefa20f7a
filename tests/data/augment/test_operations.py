"""The table of operations: the numbers of its draws never change, and so neither do the parameters that are drawn."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from augment_steps import named

from hubel.data.augment import POLICIES, Augmentation, Policy, draw_augmentations
from hubel.data.augment.geometry import SHIFT, SHIFT_BY_PIXELS
from hubel.data.augment.operations import OPERATIONS

DRAWS = {
    "shift": (1, 0), "mirror": (2,), "erase": (3, 4, 5), "flip": (6,), "crop": (7, 8, 9, 10), "rotate": (11,),
    "shear": (12, 13), "scale": (14,), "brightness": (15,), "contrast": (16,), "saturation": (17,), "hue": (18,),
    "channels": (19, 20, 21), "pca": (22, 23, 24, 25, 26, 27), "grey": (28,), "blur": (29,), "noise": (30,),
    "jpeg": (31,), "posterize": (32, 33), "solarize": (34, 35), "equalize": (36,),
    "perspective": (37, 38, 39, 40, 41, 42, 43, 44),
    "solarize_add": (45,),
    "automatic": tuple(range(1000, 1048)), "warp": tuple(range(2000, 2072)), "mixup": (), "cutmix": (),
    "mosaic": (46, 47, 48, 49, 50, 51),  # since 0.2
}  # fmt: skip
ALL = Policy(
    mirror=True, flip=True, shift=0.1, crop=0.5, aspect=1.3, rotate=10, shear=5, scale=1.2, perspective=0.1, warp=0.02,
    brightness=0.2, contrast=0.2, saturation=0.2, hue=10, channels=0.1, pca=0.1, grey=0.5, blur=0.02, noise=0.05,
    jpeg=50, posterize=0.5, solarize=0.5, equalize=0.5, erase=0.3, erase_odds=0.5,
    automatic="randaugment", operations=3,
)  # fmt: skip
DIGESTS = {
    "none": "dde20172846cb4c0",
    "shift": "6c3fca5eecb74aa4",
    "light": "db7505c0e1ca7288",
    "standard": "0cda175efe9d00a6",
    "strong": "7a84115aa02add95",
    "trivialaugment": "fed3887c438ec1a6",
    "randaugment": "755149583a9573b6",
    "scene": "ae7f50b0228eaf2d",  # since 0.2
    "pose": "05a70a86122b8b38",  # since 0.2
    "all": "f5ffddd973469f70",
}


def rounded(value: Any) -> Any:
    """Numbers with 9 decimals: the last bits of exp and cos are each platform's own."""
    if isinstance(value, float):
        return f"{value:.9f}"
    return [rounded(part) for part in value] if isinstance(value, tuple | list) else value


def written(augmentation: Augmentation) -> str:
    displacements = None if augmentation.displacements is None else augmentation.displacements.ravel().tolist()
    steps = named(augmentation.transforms), named(augmentation.colour)
    return repr(
        rounded([augmentation.crop, *steps, displacements, augmentation.erase, augmentation.fill, augmentation.key])
    )


def digest(policy: Policy) -> str:
    drawn = [one for seed in (0, 7, 2**40) for one in draw_augmentations(policy, seed, 3, np.arange(40))]
    return hashlib.sha256("\n".join(map(written, drawn)).encode()).hexdigest()[:16]


def test_numbers_of_draws_are_those_of_the_first_release() -> None:
    assert {operation.name: operation.draws for operation in OPERATIONS} == DRAWS
    assert SHIFT_BY_PIXELS.draws == SHIFT.draws
    numbers = [number for operation in OPERATIONS for number in operation.draws]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("name", [*POLICIES, "all"])
def test_drawn_parameters_are_those_of_the_first_release(name: str) -> None:
    assert digest(ALL if name == "all" else POLICIES[name]) == DIGESTS[name]


def test_every_field_of_a_policy_is_a_setting_of_one_operation() -> None:
    names = [setting.name for one in OPERATIONS for setting in (*one.settings, *one.options)]
    assert sorted([*names, "fill", "repeats"]) == sorted(entry.name for entry in fields(Policy))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_defaults_switch_an_operation_off(operation: Any) -> None:
    assert not Policy().is_on(operation)


def test_every_operation_that_an_image_draws_has_extremes() -> None:
    for operation in OPERATIONS:
        shown = operation.name not in ("automatic", "mosaic", "mixup", "cutmix")
        assert all((setting.extremes is not None) == shown for setting in operation.settings)
