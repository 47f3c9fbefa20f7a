"""Numbers of the lesson on pooling against numpy and torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hubel.core.errors import OptionError
from hubel.teach.course.lesson import lesson_data
from hubel.teach.course.lessons.pooling.lesson import LESSON, measure_field


def test_pooling() -> None:
    data = lesson_data(LESSON)
    blocks = np.array(data["map"]).reshape(2, 2, 2, 2)
    np.testing.assert_array_equal(data["max"], blocks.max((1, 3)))
    np.testing.assert_array_equal(data["average"], blocks.mean((1, 3)))


def test_the_six_maps_have_the_means_of_the_note() -> None:
    maps = np.array(lesson_data(LESSON)["maps"])
    assert maps.mean((1, 2)).tolist() == [7, 4, 8, 6, 3, 5]
    assert (maps == np.round(maps)).all()
    assert maps.min() >= 0
    assert maps.max() <= 9
    assert (maps.std((1, 2)) > 0).all()


def seen(layers: list[nn.Module], side: int) -> int:
    """Return the side of the part of an image that the middle value depends on."""
    network = nn.Sequential(*layers).double()
    for module in network:
        if isinstance(module, nn.Conv2d):
            nn.init.ones_(module.weight)
    image = torch.ones(1, 1, side, side, dtype=torch.float64, requires_grad=True)
    output = network(image)
    output[0, 0, output.shape[2] // 2, output.shape[3] // 2].backward()
    assert image.grad is not None
    return int((image.grad[0, 0].abs().sum(0) > 0).sum())


def test_fields() -> None:
    data = lesson_data(LESSON)
    convolution = [nn.Conv2d(1, 1, 3, bias=False) for _ in range(4)]
    assert data["threes"] == [seen(convolution[:depth], 16) for depth in (1, 2, 3, 4)] == [3, 5, 7, 9]
    layers: list[nn.Module] = []
    for repeat in (2, 2, 3, 3, 3):
        layers += [nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(repeat)]
        layers.append(nn.AvgPool2d(2))
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    assert data["vgg"]["convolutions"] == len(convolutions) == 13
    assert data["vgg"]["field"] == seen(layers, 512) == 212
    assert data["vgg"]["alone"] == seen([*convolutions], 64)
    assert 1 + 2 * (data["vgg"]["needed"] - 1) < 224 <= 1 + 2 * data["vgg"]["needed"]


def test_stacks_that_see_5x5() -> None:
    data = lesson_data(LESSON)
    assert {one["name"]: (one["weights"], one["seen"]) for one in data["equal"]["5"]} == {
        "5x5": (25, 25),
        "3x3,3x3": (18, 25),
        "3x3d2": (9, 9),
    }
    ways = np.convolve([1, 1, 1], [1, 1, 1])
    np.testing.assert_array_equal(data["paths"], np.outer(ways, ways))


def test_effective_field_falls_behind() -> None:
    measured = lesson_data(LESSON)["effective"]
    for one in measured:
        gradient = np.array(one["gradient"])
        assert gradient.shape == (one["field"],) * 2 == (1 + 2 * one["depth"],) * 2
        assert one["size"] == pytest.approx(np.sqrt((gradient > 1 - 0.9545).sum()), abs=0.2)
    shares = [one["size"] / one["field"] for one in measured]
    assert shares[0] == 1
    assert shares[-1] < 0.65
    assert measured[-1]["size"] / measured[1]["size"] < 2.6  # the root of four times the depth is 2


def test_live_field() -> None:
    rows = list(measure_field({"stack": "3x3,pool2"}))
    assert [row["networks"] for row in rows] == list(range(8, 65, 8))
    assert rows[-1]["field"] == 4
    assert np.array(rows[-1]["gradient"]).max() == 1
    for asked, message in (({}, "the request names its layers"), ({"stack": "3x3,y"}, "layers such as"),
                           ({"stack": "131"}, "up to 129 pixels")):  # fmt: skip
        with pytest.raises(OptionError, match=message):
            next(measure_field(asked))
