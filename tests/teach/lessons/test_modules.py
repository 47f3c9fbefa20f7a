"""The numbers of the lesson `modules` against the papers' tables, and against networks that are built."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hubel.analysis.summary import summary
from hubel.models.catalogue import build_model
from hubel.teach.course.lesson import lesson_data, lesson_facts
from hubel.teach.course.lessons.modules.compound import scaled, scaled_by
from hubel.teach.course.lessons.modules.lesson import LESSON

# Szegedy et al. 2014, Table 1: side, input maps, then 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool proj.
TABLE_1 = {
    "3a": (28, 192, 64, 96, 128, 16, 32, 32), "3b": (28, 256, 128, 128, 192, 32, 96, 64),
    "4a": (14, 480, 192, 96, 208, 16, 48, 64), "4b": (14, 512, 160, 112, 224, 24, 64, 64),
    "4c": (14, 512, 128, 128, 256, 24, 64, 64), "4d": (14, 512, 112, 144, 288, 32, 64, 64),
    "4e": (14, 528, 256, 160, 320, 32, 128, 128), "5a": (7, 832, 256, 160, 320, 32, 128, 128),
    "5b": (7, 832, 384, 192, 384, 48, 128, 128),
}  # fmt: skip


@pytest.fixture(scope="module")
def data() -> Any:
    return lesson_data(LESSON)


def test_1x1_is_a_matrix_at_each_pixel(data: Any) -> None:
    maps, filters = np.array(data["mix"]["maps"]), np.array(data["mix"]["filters"])
    expected = [[[filters[k] @ maps[:, r, c] for c in (0, 1)] for r in (0, 1)] for k in (0, 1)]
    assert data["mix"]["mixed"] == np.array(expected).tolist()


def test_squeeze(data: Any) -> None:
    squeeze = data["squeeze"]
    assert squeeze["direct"] == 28 * 28 * 32 * 5 * 5 * 192 == 120_422_400
    assert squeeze["total"] == 28 * 28 * 16 * 192 + 28 * 28 * 32 * 5 * 5 * 16 == 12_443_648
    small = data["small"]
    assert (small["direct"], small["total"]) == (3 * 3 * 32 * 64, 32 * 16 + 3 * 3 * 16 * 64) == (18_432, 9_728)


@pytest.mark.parametrize("name", TABLE_1)
def test_inception_modules(data: Any, name: str) -> None:
    side, channels, one, reduce3, three, reduce5, five, projection = TABLE_1[name]
    module = data["modules"][name]
    weights = channels * (one + reduce3 + reduce5 + projection) + 9 * reduce3 * three + 25 * reduce5 * five
    assert module["macs"] == weights * side**2
    assert module["params"] == weights + one + reduce3 + three + reduce5 + five + projection
    assert module["out"] == one + three + five + projection
    assert module["naive_macs"] == channels * (one + 9 * three + 25 * five) * side**2
    assert module["naive_out"] == one + three + five + channels


def test_auxiliary_classifiers_by_hand(data: Any) -> None:
    """Section 5: pooling to 4x4, 128 maps, 1,024 units, 1,000 classes, on 512 and 528 maps."""
    head = 128 * 4 * 4 * 1024 + 1024 + 1024 * 1000 + 1000
    assert data["auxiliary"]["unused"] == (512 + 1) * 128 + (528 + 1) * 128 + 2 * head
    assert (data["auxiliary"]["number"], data["auxiliary"]["weight"]) == (2, 0.3)


def test_bottleneck_by_hand(data: Any) -> None:
    bottleneck = data["bottleneck"]
    assert bottleneck["weights"] == [256 * 64, 9 * 64 * 64, 64 * 256]
    assert bottleneck["plain"] == 2 * 9 * 256 * 256
    assert bottleneck["ratio"] == pytest.approx(18 / (1 / 4 + 9 / 16 + 1 / 4), rel=1e-5)


def test_separable_against_the_paper(data: Any) -> None:
    separable, facts = data["separable"], lesson_facts("modules")
    assert separable["ratio"] == pytest.approx(1 / 512 + 1 / 9, rel=1e-5)
    assert separable["network"]["full_macs"] == pytest.approx(facts["mobilenet_full_macs"]["value"], rel=1e-3)
    assert separable["network"]["full_params"] == pytest.approx(facts["mobilenet_full_params"]["value"], rel=2e-3)


def test_dense_by_hand(data: Any) -> None:
    dense = data["dense"]
    assert dense["after"] == dense["start"] + 4
    assert dense["inputs"] == [64 + 32 * layer for layer in range(6)]
    assert dense["out"] == 64 + 6 * 32
    assert dense["connections"] == [sum(range(1, depth + 1)) for depth in (6, 12, 24, 16)]


@pytest.mark.parametrize("factors", [None, (1.2, 1, 224), (1, 1.1, 224), (1.0, 1.0, 258), (2.2, 1.6, 456)])
def test_scaled_networks_are_those_that_are_built(factors: tuple[float, float, int] | None) -> None:
    found = scaled(0.7) if factors is None else scaled_by(*factors)
    with torch.device("meta"):
        options = {"depth": found.depth, "width": found.width}
        network = build_model("efficientnet_b0", input_size=(found.resolution, found.resolution), options=options)
    built = summary(network, (3, found.resolution, found.resolution))
    assert (found.params, found.macs) == (built.params, built.macs)


def test_one_coefficient_scales_all_three() -> None:
    one = scaled(1)
    assert (one.depth, one.width, one.resolution) == (1.2, 1.1, round(224 * 1.15))
    assert one.channels[0] == 32
    assert scaled(0).macs == summary("efficientnet_b0").macs
