"""The numbers of the lesson `classics` against counts by hand, and against the papers' tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hubel.teach.course.lesson import lesson_data, lesson_facts
from hubel.teach.course.lessons.classics.lesson import LESSON

VGG_16 = [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"]  # Table 1, column D


@pytest.fixture(scope="module")
def data() -> Any:
    return lesson_data(LESSON)


def test_vgg_16_by_hand(data: Any) -> None:
    side, maps, rows = 224, 3, []
    for entry in VGG_16:
        if entry == "M":
            side //= 2
            rows.append(((maps, side, side), 0, 0))
        else:
            weights = 9 * maps * int(entry)
            maps = int(entry)
            rows.append(((maps, side, side), weights + maps, weights * side**2))
    below = maps * side**2
    for units in (4096, 4096, 1000):
        rows.append(((units,), below * units + units, below * units))
        below = units
    network = data["networks"]["vgg16"]
    assert [(tuple(row["shape"]), row["params"], row["macs"]) for row in network["layers"]] == rows
    params, macs = np.array([row[1:] for row in rows]).T
    assert (network["params"], network["macs"]) == (params.sum(), macs.sum())
    assert network["dense_params"] == pytest.approx(100 * params[-3:].sum() / params.sum(), rel=1e-5)
    assert network["dense_macs"] == pytest.approx(100 * macs[-3:].sum() / macs.sum(), rel=1e-5)
    assert round(network["params"], -6) == lesson_facts("classics")["vgg_params"]["value"]


def test_lenet_5_by_hand(data: Any) -> None:
    """Section II.B: parameters of C1, S2, C3, S4, C5, F6, and the connections of the whole network."""
    layers = {row["label"]: row for row in data["networks"]["lenet5"]["layers"]}
    expected = {"C1": 156, "S2": 12, "C3": 1516, "S4": 32, "C5": 48120, "F6": 10164, "": 0}
    assert {name: row["params"] for name, row in layers.items()} == expected
    assert data["lenet"]["c1"] == {
        "maps": 6, "side": 28, "kernel": 5, "params": 6 * 26, "no_bias": 6 * 25,
        "dense": 28 * 28 * 6 * (32 * 32 + 1), "connections": 28 * 28 * 6 * 26,
    }  # fmt: skip
    connections = 122_304 + 14 * 14 * 6 * 5 + 10 * 10 * (60 * 25 + 16) + 5 * 5 * 16 * 5 + 48_120 + 10_164 + 10 * 84
    assert connections == lesson_facts("classics")["lenet_connections"]["value"]
    assert layers["C3"]["kernel"] == [5, 5]
    assert [layers[name]["field"] for name in ("C1", "S2", "C3", "S4", "C5")] == [5, 6, 14, 16, 32]
    c3 = data["lenet"]["c3"]
    assert (c3["pairs"], c3["all_pairs"], c3["full"]) == (60, 96, 16 * (6 * 25 + 1))


def test_alexnet_by_hand(data: Any) -> None:
    """Figure 2: kernels of the second, fourth and fifth layer see 48, 192 and 192 maps."""
    by_hand = {2: 256 * (5 * 5 * 48 + 1), 4: 384 * (3 * 3 * 192 + 1), 5: 256 * (3 * 3 * 192 + 1)}
    assert {row["number"]: row["towers"] for row in data["alexnet"]["grouped"]} == by_hand
    neurons = [55 * 55 * 96, 27 * 27 * 256, 13 * 13 * 384, 13 * 13 * 384, 13 * 13 * 256, 4096, 4096, 1000]
    assert data["alexnet"]["neurons"] == neurons
    assert sum(neurons) == data["networks"]["alexnet"]["neurons"]
    assert sum(neurons) == pytest.approx(lesson_facts("classics")["alexnet_neurons"]["value"], rel=0.02)


def test_response_norm_is_the_papers_formula(data: Any) -> None:
    norm = data["norm"]
    assert (norm["k"], norm["n"], norm["alpha"], norm["beta"]) == (2, 5, 1e-4, 0.75)
    a = np.array(norm["example"])
    sums = [(a[max(0, i - 2) : i + 3] ** 2).sum() for i in range(3)]
    np.testing.assert_allclose(norm["normalised"], a / (2 + 1e-4 * np.array(sums)) ** 0.75, rtol=1e-5)


def test_doubling_keeps_the_cost(data: Any) -> None:
    stages = data["stages"]
    assert [(stage["channels"], stage["side"]) for stage in stages] == [
        (64, 224), (128, 112), (256, 56), (512, 28), (512, 14),
    ]  # fmt: skip
    assert {stage["macs"] for stage in stages[:4]} == {9 * 64 * 64 * 224 * 224}
    assert stages[4]["macs"] * 4 == stages[3]["macs"]


def test_stack_against_one_kernel(data: Any) -> None:
    """Section 2.3: 3 (3² C²) = 27 C² against 7² C² = 49 C², 81 % more."""
    stack = data["stack"]
    assert (stack["stacked"], stack["large"]) == (27 * 64 * 64, 49 * 64 * 64)
    assert round(stack["more"]) == lesson_facts("classics")["stack_more"]["value"]
