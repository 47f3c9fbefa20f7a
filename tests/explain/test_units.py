"""Receptive fields against arithmetic; patches and images that maximise units."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_networks import noise, pixels, predictor
from torch import nn

from hubel.core.errors import OptionError
from hubel.explain.activation_maximisation import maximise_activation
from hubel.explain.feature_maps import activation_maps, draw_activation_maps
from hubel.explain.filters import draw_filters, first_filters, weights_to_image
from hubel.explain.images import prepare_images
from hubel.explain.templates import class_templates, draw_templates, linear_weights
from hubel.explain.units import PeakActivation, Unit, draw_unit, peak_activations, receptive_field, top_patches
from hubel.inference.forward import forward
from hubel.models.catalogue import build_model


@pytest.mark.parametrize(("layer", "size"), [("stage1", 5), ("stage2", 14), ("stage3", 40), ("stage4", 92)])
def test_receptive_fields_of_vgg16(layer: str, size: int) -> None:
    """Return those of conv1_2, conv2_2, conv3_3, conv4_3: size + (kernel - 1) x stride, layer by layer."""
    torch.manual_seed(0)
    network = build_model("vgg16", options={"dense": 8, "widths": "4,8,8,8,8"})
    stride = 2 ** (int(layer[-1]) - 1)
    row, column = 112 // stride, 96 // stride
    left, upper, right, lower = receptive_field(network, noise(1, 224)[0], layer, row, column)
    assert (right - left, lower - upper) == (size, size)
    assert (left + right) / 2 - stride * (column + 0.5) == pytest.approx(0, abs=stride)
    assert (upper + lower) / 2 - stride * (row + 0.5) == pytest.approx(0, abs=stride)
    assert receptive_field(network, noise(1, 224)[0], layer, 0, 0)[:2] == (0, 0)


def test_receptive_field_with_squeeze_and_excite_is_the_whole_image() -> None:
    network = build_model("efficientnet_b0")
    assert receptive_field(network, noise(1, 64)[0], "stage2", 3, 3) == (0, 0, 64, 64)


def test_strongest() -> None:
    model = predictor(side=24)
    (image,) = prepare_images(model, pixels(1, 24, 24))
    unit = Unit.parse("stage2:3")
    (hit,) = peak_activations(model, [image], unit)
    values = activation_maps(model, image, "stage2")["stage2"][3]
    np.testing.assert_allclose(hit.map, values, rtol=1e-5)
    assert hit.value == pytest.approx(values.max())
    row, column = np.unravel_index(values.argmax(), values.shape)
    assert hit.box == receptive_field(model.network, noise(1, 24)[0], "stage2", int(row), int(column))
    left, upper, right, lower = hit.box
    assert np.array_equal(hit.patch().pixels, image.pixels[upper:lower, left:right])


def test_exciting_patches_are_the_best_of_all() -> None:
    model, unit = predictor(), Unit("stage1", 2)
    images = pixels(40)
    best = top_patches(model, images, unit, count=5)
    tops = [float(activation_maps(model, p, "stage1")["stage1"][2].max()) for p in prepare_images(model, images)]
    assert [hit.value for hit in best] == pytest.approx(sorted(tops, reverse=True)[:5], rel=1e-5)


@pytest.mark.parametrize("text", ["stage3", "stage3:", ":3", "stage3:-1", "stage3:x", ""])
def test_units_are_written_as_layer_and_number(text: str) -> None:
    with pytest.raises(OptionError, match="a unit is a layer and a number, such as stage3:17"):
        Unit.parse(text)


def test_units_that_are_not_there() -> None:
    model = predictor()
    with pytest.raises(OptionError, match="layer stage1 has the units 0 to 3, not 4"):
        peak_activations(model, list(prepare_images(model, pixels(1))), Unit("stage1", 4))


@pytest.mark.parametrize("layer", [None, "stage1", "stage2.block1"])
def test_maximised_images_excite(layer: str | None) -> None:
    model = predictor(side=32)
    preprocess = model.card.preprocess
    found = maximise_activation(model.network, preprocess, [0, 2], layer, steps=24)
    assert found.shape == (2, 32, 32, 3)
    assert np.array_equal(found, maximise_activation(model.network, preprocess, [0, 2], layer, steps=24))
    assert not np.array_equal(found, maximise_activation(model.network, preprocess, [0, 2], layer, steps=24, seed=1))

    def answers(images: np.ndarray) -> np.ndarray:
        if layer is None:
            return forward(model.network, images, preprocess)[:, [0, 2]]
        maps = [activation_maps(model, p, layer)[layer] for p in prepare_images(model, images)]
        return np.array([one[[0, 2]].mean((1, 2)) for one in maps])

    assert (answers(found).diagonal() > answers(pixels(32, 32, 32)).max(0)).all()


def test_filters_of_the_first_layer() -> None:
    network = build_model("resnet18")
    weights = first_filters(network)
    assert weights.shape == (64, 3, 7, 7)
    assert np.array_equal(weights, network.stem[0].conv.weight.detach().numpy())
    with pytest.raises(OptionError, match="no convolution"):
        first_filters(build_model("mlp"))


def test_weights_as_pictures() -> None:
    weights = np.array([[[-2.0, 0.0], [1.0, 2.0]]], np.float32)
    assert weights_to_image(weights).tolist() == [[0, 128], [191, 255]]
    assert weights_to_image(np.zeros((3, 2, 2), np.float32)).tolist() == np.full((2, 2, 3), 128).tolist()


def test_templates_of_a_linear_network_are_its_weights() -> None:
    model = predictor(name="linear")
    (linear,) = [module for module in model.network.modules() if isinstance(module, nn.Linear)]
    weights = linear_weights(model.network, (3, 16, 16))
    assert weights is not None
    assert np.array_equal(weights.reshape(3, -1), linear.weight.detach().numpy())
    found = class_templates(model)
    assert list(found) == ["a", "b", "c"]
    assert np.array_equal(found["b"], weights_to_image(weights[1]))
    assert linear_weights(predictor().network, (3, 16, 16)) is None
    assert list(class_templates(predictor(), ["c"])) == ["c"]


def test_drawings() -> None:
    model = predictor(side=24)
    (image,) = prepare_images(model, pixels(1, 30, 20))
    assert image.aspect == pytest.approx(20 / 30)
    unit = Unit("stage1", 0)
    hits = peak_activations(model, [image], unit)
    assert isinstance(hits[0], PeakActivation)
    for figure in (
        draw_activation_maps(image, activation_maps(model, image)),
        draw_activation_maps(image, activation_maps(model, image, "stage1")),
        draw_unit(unit, hits, hits * 7),
        draw_unit(unit, [], hits),
        draw_filters(model, units=2),
        draw_filters(model, "stage2", units=2),
        draw_templates([predictor(name="linear"), predictor()]),
    ):
        assert figure.axes[0].get_images()
