"""Receptive fields of stacks, and steps with several channels, against torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional

from hubel.cli import main
from hubel.core.errors import OptionError
from hubel.teach.convolution.arithmetic import ConvolutionSettings, make_convolution
from hubel.teach.convolution.effective import effective_field, effective_size, pixel_gradient, random_weights
from hubel.teach.convolution.maps import convolve_maps, example_kernels, example_maps
from hubel.teach.convolution.pooling import make_pooling, pool_map
from hubel.teach.convolution.stack import (
    StackLayer,
    count_paths,
    list_equal_stacks,
    parse_stack,
    seen_places,
    stack_fields,
)
from hubel.teach.convolution.stack_explanation import stack_sizes
from hubel.teach.convolution.stack_figure import draw_stack

Call = Callable[..., str]


@st.composite
def stacks(draw: st.DrawFn) -> tuple[StackLayer, ...]:
    one = st.builds(
        StackLayer,
        pooling=st.sampled_from(["", "", "pool", "avg"]),
        kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
        stride=st.integers(1, 2),
        dilation=st.integers(1, 2),
    )
    return tuple(draw(st.lists(one, min_size=1, max_size=4)))


def in_torch(layers: Any, weights: Any, image: torch.Tensor, *, relu: bool) -> torch.Tensor:
    left, values = iter(weights), image
    for number, layer in enumerate(layers):
        if layer.pooling == "pool":
            values = functional.max_pool2d(values, layer.kernel, layer.stride, 0, layer.dilation)
        elif layer.pooling:  # torch's average pooling knows no dilation
            channels = values.shape[1]
            mean = torch.full((channels, 1, *layer.kernel), 1 / np.prod(layer.kernel), dtype=values.dtype)
            values = functional.conv2d(values, mean, stride=layer.stride, dilation=layer.dilation, groups=channels)
        else:
            values = functional.conv2d(values, next(left), stride=layer.stride, dilation=layer.dilation)
            if relu and number < len(layers) - 1:
                values = functional.relu(values)
    return values


@settings(max_examples=30, deadline=None)
@given(stacks())
def test_a_pixel_is_seen_if_it_has_a_gradient(layers: tuple[StackLayer, ...]) -> None:
    """With all weights 1, the gradient of a linear stack is the number of ways from the pixel to the output."""
    size = stack_fields(layers)[-1].size
    linear = [StackLayer(kernel=one.kernel, stride=one.stride, dilation=one.dilation) for one in layers]
    image = torch.zeros(1, 1, *size, dtype=torch.float64, requires_grad=True)
    output = in_torch(linear, [torch.ones(1, 1, *one.kernel, dtype=torch.float64) for one in linear], image, relu=False)
    assert output.shape == (1, 1, 1, 1)
    output.sum().backward()
    assert image.grad is not None
    ways = image.grad[0, 0].numpy()
    np.testing.assert_array_equal(count_paths(layers), ways)
    for axis in (0, 1):
        assert seen_places(layers, axis)[0] == np.flatnonzero(ways.sum(1 - axis)).tolist()
    larger = torch.zeros(1, 1, size[0] - 1, size[1], dtype=torch.float64)
    with pytest.raises(RuntimeError):
        in_torch(linear, [torch.ones(1, 1, *one.kernel, dtype=torch.float64) for one in linear], larger, relu=False)


@settings(max_examples=40, deadline=None)
@given(stacks(), st.integers(0, 9))
def test_gradient_of_the_effective_field(layers: tuple[StackLayer, ...], seed: int) -> None:
    weights = random_weights(layers, 2, 1, seed)
    size = stack_fields(layers)[-1].size
    image = torch.from_numpy(np.random.default_rng(seed).normal(size=(1, 1, *size))).requires_grad_()
    in_torch(layers, [torch.from_numpy(one[0]) for one in weights], image, relu=True).sum().backward()
    assert image.grad is not None
    found = pixel_gradient(layers, weights, image.detach().numpy())
    np.testing.assert_allclose(found, image.grad.numpy(), atol=1e-12)


def test_effective_field_is_smaller_and_grows_as_the_root_of_depth() -> None:
    """The expected square of a linear stack's gradient is its number of paths (Luo et al. 2016, Section 2.2)."""
    sizes = []
    for depth in (3, 12):
        layers = parse_stack("stack", ",".join(["3x3"] * depth))
        field, paths = effective_field(layers, draws=60), np.sqrt(count_paths(layers))
        assert np.corrcoef(field.ravel(), paths.ravel())[0, 1] > 0.9
        sizes.append(effective_size(paths))
        assert effective_size(field) == pytest.approx(effective_size(paths), rel=0.1)
    assert sizes[0] == 7
    assert 1.7 < sizes[1] / sizes[0] < 2.7 < 25 / 7
    with pytest.raises(OptionError, match="up to 129 pixels, not 131x131"):
        effective_field(parse_stack("stack", "131"))


def test_stacks_of_the_notes() -> None:
    """3, 5, 7: P + K - 1; three 3x3 see 7x7 (Simonyan & Zisserman 2014, Section 2.3)."""
    assert [field.size for field in stack_fields(parse_stack("s", "3x3,3x3,3x3"))] == [(3, 3), (5, 5), (7, 7)]
    assert stack_fields(parse_stack("s", "3x3,3x3,pool2"))[-1].size == (6, 6)
    assert stack_fields(parse_stack("s", "3x3d2"))[-1].size == (5, 5)
    listed = {",".join(map(str, stack)): sum(one.weights for one in stack) for stack in list_equal_stacks(5)}
    assert listed == {"5x5": 25, "3x3,3x3": 18, "3x3d2": 9}
    for field in (3, 5, 7, 9, 15):
        for stack in list_equal_stacks(field):
            assert stack_fields(stack)[-1].size == (field, field)
    assert list_equal_stacks(6) == []
    assert stack_sizes(parse_stack("s", "7x7/2,pool3/2,3x3"), (224, 224), "same") == [(112, 112), (55, 55), (55, 55)]


@settings(max_examples=40, deadline=None)
@given(stacks())
def test_a_stack_is_read_as_it_is_written(layers: tuple[StackLayer, ...]) -> None:
    assert parse_stack("s", ",".join(map(str, layers))) == layers


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(0, 1), st.booleans())
def test_sum_over_channels(channels: int, filters: int, stride: int, padding: int, transposed: bool) -> None:
    maps, kernels = example_maps(channels, (4, 5)), example_kernels(filters, channels, (3, 2))
    how = ConvolutionSettings((3, 2), (stride,), (padding,), transposed=transposed)
    found = convolve_maps(make_convolution(channels, filters, (4, 5), how), maps, kernels)
    image, weights = torch.from_numpy(maps)[None], torch.from_numpy(kernels)
    if transposed:
        expected = functional.conv_transpose2d(image, weights.transpose(0, 1), stride=stride, padding=padding)
    else:
        expected = functional.conv2d(image, weights, stride=stride, padding=padding)
    np.testing.assert_array_equal(found, expected[0].numpy())


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(0, 99))
def test_pooling(window: int, stride: int, padding: int, seed: int) -> None:
    padding = min(padding, window // 2)
    values = np.random.default_rng(seed).normal(size=(7, 6))
    layer = make_pooling(1, (7, 6), ConvolutionSettings((window,), (stride,), (padding,)))
    image = torch.from_numpy(values)[None, None]
    largest = functional.max_pool2d(image, window, stride, padding)
    mean = functional.avg_pool2d(image, window, stride, padding, count_include_pad=False)
    np.testing.assert_array_equal(pool_map(layer, values, "max"), largest[0, 0].numpy())
    np.testing.assert_allclose(pool_map(layer, values, "average"), mean[0, 0].numpy())


@pytest.fixture
def conv(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hubel.cli.tune_process", lambda: None)

    def call(*words: object) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["conv", *map(str, words)])
        said = capsys.readouterr()
        assert ended.value.code == 0, said.err
        return said.out

    return call


def test_command_shows_several_channels(conv: Call) -> None:
    said = conv("1,2/3,4:5,6/7,8", "--kernel", "1,0/0,1:0,1/1,0", "--kernel", "-1,0/0,0:1,1/1,1", "--show")
    lines = [line.split() for line in said.splitlines()]
    assert ["0", "0,", "0", "all", "5", "+", "13", "18"] in lines
    assert ["1", "0,", "0", "all", "(-1)", "+", "26", "25"] in lines
    assert "18 = 2*2*2*2 weights + 2 biases" in said
    spread = conv("1,2:3,4", "--kernel", "1,0:0,1", "--kernel", "1,1:1,1", "--show", "--transposed", "--stride", 2)
    assert ["output", "1", "4", "4", "6", "6"] in [line.split() for line in spread.splitlines()]
    drawn = conv("4x4x3", "--out-channels", 3, "--show")
    assert "One output map for each filter: 3, however many maps the input has (3)." in drawn
    assert "84 = 3*3*3*3 weights + 3 biases" in drawn
    assert "multiplications  324" in drawn


def test_command_pools(conv: Call) -> None:
    shown = conv("7,1,4,2/3,5,0,6", "--pool", "max", "--show")
    assert shown.splitlines()[-2].split() == ["output", "0", "7", "6"]
    mean = conv("7,4,8/6,3,5", "--pool", "average", "--show", "--kernel-size", "2x3")
    assert mean.splitlines()[-2].split() == ["output", "0", "5.5"]
    arithmetic = conv("28x28x32", "--pool", "max")
    assert "output           14x14x32" in arithmetic
    assert "18,816 comparisons" in arithmetic


def test_command_explains_a_stack(conv: Call) -> None:
    said = conv("28x28", "--stack", "3x3, 3x3, pool2", "--out", "field.png")
    assert "5 + 2 - 1 = 6" in said
    assert "sees 6x6 pixels" in said
    assert "14x14" in said
    assert "image            # # # # # #" in said
    assert Image.open("field.png").size[0] > 1000
    gaps = conv("--stack", "3x3d2")
    assert "Only 9 of these 25 pixels reach it" in gaps
    assert "  3x3,3x3             18 C*C" in gaps.splitlines()
    assert "1 + 3 - 1 = 3  columns" in conv("--stack", "1x3,3x1")
    photo = np.zeros((60, 80, 3), np.uint8)
    Image.fromarray(photo).save("photo.png")
    assert "written" in conv("photo.png", "--stack", "3x3", "--out", "on.png")
    assert (np.asarray(Image.open("photo.png")) == photo).all()


def test_each_pixel_of_a_small_field_is_a_square() -> None:
    (layer,) = parse_stack("s", "5x3")
    lines = [line for axes in draw_stack([layer]).axes for line in axes.lines if line.get_color() == "white"]
    height, width = int(5 * 1.3) + 2, int(3 * 1.3) + 2
    across = [line for line in lines if len(set(line.get_ydata())) == 1]
    assert len(across) == len(lines) - len(across) == max(height, width) + 1
