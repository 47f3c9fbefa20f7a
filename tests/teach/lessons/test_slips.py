"""The page `slips`: each right value is computed a second time here, by numpy or from the network of the catalogue."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.analysis.summary import summary
from hubel.teach.course.lesson import lesson_data, lesson_facts, lesson_strings
from hubel.teach.course.lessons.slips.lesson import LESSON, SLIPS

DATA = lesson_data(LESSON)
VALUES = DATA["slips"]


def numbers(text: str) -> list[float]:
    return [float(word) for word in text.replace("\N{MINUS SIGN}", "-").split(", ")]


def test_every_slip_has_its_sentences() -> None:
    for strings in lesson_strings("slips").values():
        keys = {key for key in strings if key.startswith("slip.")}
        assert {key.split(".")[1] for key in keys} == set(SLIPS)
        for name in SLIPS:
            assert {f"slip.{name}.{part}" for part in ("title", "claim", "right", "why")} <= keys


def test_one_dimensional_convolution() -> None:
    slip = VALUES["conv1d"]
    image, kernel = np.array(DATA["row"]), np.array(DATA["kernel"])
    assert image.tolist() == [0, 1, 2, 3, 4]
    windows = np.lib.stride_tricks.sliding_window_view(image, 3)
    assert numbers(slip["right"]) == (windows @ kernel).tolist() == [2, 2, 2]
    assert numbers(slip["flipped"]) == (windows @ kernel[::-1]).tolist()
    assert numbers(slip["said"]) != numbers(slip["right"])


def test_cost_of_the_reduced_branch() -> None:
    slip = VALUES["cost"]
    assert slip["right"] == 28 * 28 * 32 * 5 * 5 * 16 == 10_035_200
    assert slip["first"] == 28 * 28 * 16 * 192 == pytest.approx(slip["said"], rel=0.01)
    assert (slip["total"], slip["direct"]) == (12_443_648, 120_422_400)


def test_layers_of_lenet() -> None:
    found = summary("lenet5")
    macs = [layer for layer in found.layers if layer.kind in ("Conv2d", "SparseConv")]
    assert len(macs) - 1 == VALUES["lenet_layers"]["right"] == 2, "C5 is one of three"
    c5 = next(layer for layer in found.layers if layer.shape == (120, 1, 1) and layer.params)
    assert c5.params == VALUES["lenet_layers"]["as_convolution"] == VALUES["lenet_layers"]["as_dense"] == 48_120
    pools = [layer.params for layer in found.layers if layer.kind == "SubSampling"]
    assert pools == [VALUES["lenet_pooling"]["s2"], VALUES["lenet_pooling"]["s4"]]
    slip = VALUES["lenet_pooling"]
    window = np.array(numbers(slip["window"]))
    assert slip["right"] == slip["coefficient"] * window.sum() + numbers(slip["bias"])[0]
    assert (slip["said"], slip["mean"]) == (window.max(), window.mean())
    assert slip["quarter"] * slip["sum"] == slip["mean"]


def test_neurons_and_parameters_of_alexnet() -> None:
    found, slip = summary("alexnet"), VALUES["neurons"]
    assert (slip["right"], slip["said"]) == (found.neurons, found.params) == (659_272, 60_965_224)
    assert abs(slip["right"] - slip["paper"]) < 25_000, "the paper rounds to 650,000"
    maps = VALUES["maps"]
    first = found.layers[0]
    assert (maps["right"], maps["side"], maps["side"]) == first.shape
    assert maps["parameters"] == first.params == maps["filters"] * maps["one"]


def test_input_of_alexnet() -> None:
    slip = VALUES["alexnet_input"]
    assert (slip["said"], slip["right"]) == (224, 227)
    assert slip["said"] == lesson_facts("slips")["alexnet.input"]["value"]
    positions = np.lib.stride_tricks.sliding_window_view(np.zeros(227), slip["kernel"])[:: slip["stride"]]
    assert len(positions) == slip["side"] == 55
    padded = np.lib.stride_tricks.sliding_window_view(np.zeros(224 + 2 * slip["padding"]), slip["kernel"])
    assert len(padded[:: slip["stride"]]) == slip["padded"] == 55


@pytest.mark.parametrize("row", DATA["vgg"], ids=lambda row: row["name"])
def test_shares_of_vgg(row: dict[str, float]) -> None:
    found = summary(str(row["name"]).lower().replace("-", ""))
    dense = [layer for layer in found.layers if layer.kind == "Linear"]
    assert (row["parameters"], row["macs"]) == (found.params, found.macs)
    assert row["dense_parameters"] == sum(layer.params for layer in dense)
    assert row["dense_macs"] == sum(layer.macs for layer in dense)
    assert row["parameter_share"] == round(100 * row["dense_parameters"] / row["parameters"], 1) > 85
    assert row["mac_share"] < 2
    if row["name"] == "VGG-16":
        assert VALUES["flops"]["right"] == 2 * found.macs
        assert round(VALUES["flops"]["convolutions"] / 1e9, 1) == lesson_facts("slips")["vgg16.flops"]["value"]
        flat = next(layer for layer in found.layers if layer.kind == "Flatten" or layer.shape == (25_088,))
        assert flat.shape == (VALUES["flatten"]["right"],)
        assert VALUES["flatten"]["weights"] == dense[0].params - VALUES["flatten"]["said"]


def test_first_convolution_of_googlenet() -> None:
    slip = VALUES["googlenet_stem"]
    assert slip["right"] == 112 * 112 * 64 * 7 * 7 * 3 == summary("googlenet").layers[0].macs
    assert slip["ratio"] == round(slip["right"] / 34e6, 1)


def test_residual_block_learns_the_difference() -> None:
    slip = VALUES["residual"]
    x, target = np.array(numbers(slip["x"])), np.array(numbers(slip["target"]))
    assert numbers(slip["right"]) == (target - x).tolist()
    assert (x + numbers(slip["right"])).tolist() == target.tolist()


def test_errors_of_people_and_of_ensembles() -> None:
    assert (VALUES["human"]["said"], VALUES["human"]["network"], VALUES["human"]["second"]) == (5.1, 6.8, 12.0)
    facts = lesson_facts("history")
    assert VALUES["ensemble"]["said"] == facts["alexnet.ensemble"]["value"] < facts["alexnet.top5"]["value"]


def test_question_on_the_depth_of_filters() -> None:
    ask = DATA["ask"]
    assert ask["right"] == (3 * 3 * 16 + 1) * 32
    assert ask["said"] == 3 * 3 * 32
