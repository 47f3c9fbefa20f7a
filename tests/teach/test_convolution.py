"""Convolution arithmetic against torch, brute force and published numbers."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hubel.cli import main
from hubel.core.errors import DecodeError, OptionError, UnknownNameError
from hubel.nn.blocks import SameConv2d
from hubel.teach.convolution.alternatives import Alternative, list_alternatives
from hubel.teach.convolution.arithmetic import Convolution, ConvolutionSettings, make_convolution
from hubel.teach.convolution.image_kernels import IMAGE_KERNELS, filter_file, filter_image, find_image_kernel
from hubel.teach.convolution.steps import convolution_steps, convolve, parse_numbers

Call = Callable[..., Any]


def pairs(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def layers(draw: st.DrawFn, *, transposed: bool) -> tuple[Convolution, tuple[int, int]]:
    groups = draw(st.integers(1, 3))
    channels = [groups * draw(st.integers(1, 3)) for _ in "io"]
    size, stride, dilation = draw(pairs(1, 12)), draw(pairs(1, 3)), draw(pairs(1, 3))
    more = (
        tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
        if transposed
        else (0,)
    )
    how = ConvolutionSettings(draw(pairs(1, 5)), stride, draw(pairs(0, 3)), dilation, groups, transposed, more)
    return make_convolution(*channels, size, how), size


def in_torch(layer: Convolution) -> nn.Conv2d | nn.ConvTranspose2d:
    padding = tuple(before for before, _ in layer.padding)
    common = (layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, padding)
    if layer.transposed:
        return nn.ConvTranspose2d(*common, layer.output_padding, layer.groups, dilation=layer.dilation)
    return nn.Conv2d(*common, layer.dilation, layer.groups)


def same_as_torch(layer: Convolution, size: tuple[int, int]) -> None:
    try:
        out = layer.output_size(size)
    except OptionError:
        # Torch lets a transposed convolution make maps without pixels.
        with contextlib.suppress(RuntimeError), torch.device("meta"):
            assert in_torch(layer)(torch.empty(1, layer.in_channels, *size)).numel() == 0
        return
    with torch.device("meta"):
        module = in_torch(layer)
        with FlopCounterMode(display=False) as counter:
            maps = module(torch.empty(1, layer.in_channels, *size))
    assert maps.shape == (1, layer.out_channels, *out)
    assert layer.parameters == sum(p.numel() for p in module.parameters())
    assert layer.weights == module.weight.numel()
    assert layer.multiplications(size) == counter.get_total_flops() / 2
    for axis in (0, 1):
        assert eval(layer.formula(axis, size[axis]), {"floor": int}) == out[axis]


@settings(max_examples=150, deadline=None)
@given(layers(transposed=False))
def test_formula_is_what_torch_does(drawn: tuple[Convolution, tuple[int, int]]) -> None:
    same_as_torch(*drawn)


@settings(max_examples=150, deadline=None)
@given(layers(transposed=True))
def test_transposed_formula_is_what_torch_does(drawn: tuple[Convolution, tuple[int, int]]) -> None:
    same_as_torch(*drawn)


@settings(max_examples=60, deadline=None)
@given(pairs(1, 12), pairs(1, 5), pairs(1, 3), pairs(1, 3))
def test_same_padding(size: Any, kernel: Any, stride: Any, dilation: Any) -> None:
    """ceil(size / stride) outputs, as the layer that the networks use; transposed, size * stride."""
    layer = make_convolution(1, 1, size, ConvolutionSettings(kernel, stride, "same", dilation))
    with torch.device("meta"):
        peer = SameConv2d(1, 1, kernel, stride, dilation=dilation)(torch.empty(1, 1, *size))
    assert (
        layer.output_size(size) == tuple(peer.shape[2:]) == tuple(-(-n // s) for n, s in zip(size, stride, strict=True))
    )
    assume(all(d * (k - 1) + 1 >= s for d, k, s in zip(dilation, kernel, stride, strict=True)))
    layer = make_convolution(1, 1, size, ConvolutionSettings(kernel, stride, "same", dilation, transposed=True))
    assert layer.output_size(size) == tuple(n * s for n, s in zip(size, stride, strict=True))


@settings(max_examples=30, deadline=None)
@given(st.booleans().flatmap(lambda transposed: layers(transposed=transposed)))
def test_multiplications_one_by_one(drawn: tuple[Convolution, tuple[int, int]]) -> None:
    layer, size = drawn
    try:
        out = layer.output_size(size)
    except OptionError:
        assume(False)
    count = 0
    share_in, share_out = layer.in_channels // layer.groups, layer.out_channels // layer.groups
    for _ in itertools.product(range(layer.groups), *map(range, size if layer.transposed else out)):
        for _ in itertools.product(range(share_in), range(share_out), *map(range, layer.kernel_size)):
            count += 1
    assert layer.multiplications(size) == count


def by_name(found: list[Alternative]) -> dict[str, Alternative]:
    return {one.name: one for one in found}


def test_known_numbers() -> None:
    """The 5x5 of an inception module, as in many courses, and 3x3x32 to 64."""
    layer = make_convolution(192, 32, (28, 28), ConvolutionSettings((5,), padding="same"))
    assert layer.multiplications((28, 28)) == 120_422_400
    found = by_name(list_alternatives(layer, (28, 28), bottleneck=16))
    assert found["the layer itself"].multiplications == 120_422_400
    assert found["1x1 bottleneck of 16"].multiplications == 2_408_448 + 10_035_200 == 12_443_648
    assert found["2 stacked 3x3"].weights == 9 * (192 * 32 + 32 * 32)
    assert found["depthwise separable"].weights == 25 * 192 + 192 * 32
    assert found["5x1 and 1x5"].weights == 5 * (192 * 32 + 32 * 32)
    assert found["fully connected"].weights == (28 * 28 * 192) * (28 * 28 * 32)
    layer = make_convolution(32, 64, (8, 8), ConvolutionSettings((3,), padding="same"))
    assert layer.weights == 18_432
    assert by_name(list_alternatives(layer, (8, 8), bottleneck=16))["1x1 bottleneck of 16"].weights == 9_728
    # Simonyan & Zisserman 2014, Section 2.3: 27 C^2 against 49 C^2.
    vgg = by_name(
        list_alternatives(make_convolution(8, 8, (20, 20), ConvolutionSettings((7,), padding="same")), (20, 20))
    )
    assert (vgg["3 stacked 3x3"].weights, vgg["the layer itself"].weights) == (27 * 64, 49 * 64)


@settings(max_examples=60, deadline=None)
@given(st.booleans().flatmap(lambda transposed: layers(transposed=transposed)))
def test_alternatives_take_and_give_the_same(drawn: tuple[Convolution, tuple[int, int]]) -> None:
    layer, size = drawn
    try:
        out = layer.output_size(size)
    except OptionError:
        assume(False)
    for other in list_alternatives(layer, size, bottleneck=1):
        assert other.layers[0].in_channels == layer.in_channels
        assert other.sizes[0] == size
        last = other.layers[-1].output_size(other.sizes[-1])
        if other.name == "fully connected":
            assert (last, other.layers[-1].out_channels) == ((1, 1), layer.out_channels * out[0] * out[1])
        else:
            assert (last, other.layers[-1].out_channels) == (out, layer.out_channels)
        for before, after in itertools.pairwise(other.layers):
            assert before.out_channels == after.in_channels


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (ConvolutionSettings((0,)), "kernel_size is at least 1, not 0"),
        (ConvolutionSettings((3,), (1, 0)), "stride is at least 1, not 0"),
        (ConvolutionSettings((3,), padding=(-1,)), "padding is at least 0, not -1"),
        (ConvolutionSettings((3,), padding="sane"), "padding is a number, valid or same, not 'sane'"),
        (ConvolutionSettings((3,), dilation=(0,)), "dilation is at least 1, not 0"),
        (ConvolutionSettings((3,), groups=3), "groups must divide both 4 and 6 channels; 3 does not"),
        (ConvolutionSettings((3,), groups=0), "groups is at least 1, not 0"),
        (ConvolutionSettings((3,), output_padding=(1,)), "output_padding is for a transposed convolution only"),
        (
            ConvolutionSettings((3,), (2,), output_padding=(2,), transposed=True),
            "output_padding is at least 0 and below",
        ),
        (ConvolutionSettings((1, 2, 3)), "kernel_size has 3 numbers for 2 axes: 1x2x3"),
        (ConvolutionSettings((1,), (2,), "same", transposed=True), "padding same needs an output_padding"),
    ],
)
def test_settings_that_cannot_be(how: ConvolutionSettings, message: str) -> None:
    with pytest.raises(OptionError, match=re.escape(message)):
        make_convolution(4, 6, (8, 8), how)


def test_nothing_left() -> None:
    with pytest.raises(
        OptionError, match="a window that spans 7x7 does not fit: the input is 5x5, with padding 0 and 0"
    ):
        make_convolution(1, 1, (5, 5), ConvolutionSettings((3,), dilation=(3,))).output_size((5, 5))
    with pytest.raises(OptionError, match="padding cuts everything off"):
        make_convolution(1, 1, (2, 2), ConvolutionSettings((1,), padding=(2,), transposed=True)).output_size((2, 2))
    with pytest.raises(OptionError, match="bottleneck is at least 1, not 0"):
        list_alternatives(make_convolution(1, 1, (5, 5), ConvolutionSettings()), (5, 5), bottleneck=0)


def test_first_lesson() -> None:
    row, kernel = parse_numbers("input", "0,1,2,3,4"), parse_numbers("kernel", "-1,0,1")
    plain = make_convolution(1, 1, row.shape, ConvolutionSettings(kernel.shape))
    padded = make_convolution(1, 1, row.shape, ConvolutionSettings(kernel.shape, padding=(1,)))
    assert convolve(plain, row, kernel).tolist() == [2, 2, 2]
    assert convolve(padded, row, kernel).tolist() == [1, 2, 2, 2, -3]
    (first, *_) = convolution_steps(padded, row, kernel)
    assert (first.position, first.seen.tolist(), first.products.tolist(), first.sum) == ((0,), [0, 0, 1], [0, 0, 1], 1)


@settings(max_examples=100, deadline=None)
@given(st.booleans().flatmap(lambda transposed: layers(transposed=transposed)), st.integers(0, 2**32 - 1))
def test_steps_add_up_to_torchs_result(drawn: tuple[Convolution, tuple[int, int]], seed: int) -> None:
    drawn_layer, size = drawn
    layer = Convolution(1, 1, *(getattr(drawn_layer, n) for n in ("kernel_size", "stride", "padding", "dilation")),
                        transposed=drawn_layer.transposed, output_padding=drawn_layer.output_padding)  # fmt: skip
    try:
        layer.output_size(size)
    except OptionError:
        assume(False)
    generator = np.random.default_rng(seed)
    values, kernel = generator.normal(size=size), generator.normal(size=layer.kernel_size)
    module = in_torch(layer).double()
    module.weight.data = torch.from_numpy(kernel)[None, None]
    assert module.bias is not None
    module.bias.data.zero_()
    expected = module(torch.from_numpy(values)[None, None]).detach().numpy()[0, 0]
    np.testing.assert_allclose(convolve(layer, values, kernel), expected, atol=1e-12)


def photo_file() -> Path:
    """Return a photo of a temple that ships with scikit-learn."""
    spec = importlib.util.find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "datasets" / "images" / "china.jpg"


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.asarray(Image.open(photo_file()))


def by_hand(pixels: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolve by loops over the kernel in float64, with replicated borders."""
    rows, columns = kernel.shape
    padded = np.pad(pixels.astype(float), ((rows // 2,) * 2, (columns // 2,) * 2, (0, 0)), mode="edge")
    out = np.zeros(pixels.shape)
    for y in range(pixels.shape[0]):
        for row in range(rows):
            for column in range(columns):
                out[y] += kernel[row, column] * padded[y + row, column : column + pixels.shape[1]]
    return out


@pytest.mark.parametrize("name", IMAGE_KERNELS)
def test_kernels_on_a_photo(photo: np.ndarray, name: str) -> None:
    kernel = find_image_kernel(name).values
    exact = by_hand(photo, kernel)
    edges = bool(abs(kernel.sum()) < 1e-9)
    filtered = filter_image(photo, kernel)
    assert filtered.negative == ("absolute" if edges else "cut")
    expected = np.clip(np.rint(np.abs(exact) if edges else exact), 0, 255)
    # A third of a sum may fall on either side of a half.
    assert np.abs(filtered.pixels - expected).max() <= (name == "box_blur")
    assert filtered.below == pytest.approx((exact < -0.5).mean(), abs=1e-6)
    assert (filtered.below > 0) == (name not in ("identity", "box_blur", "gaussian_blur"))
    grey = filter_image(photo, kernel, negative="grey").pixels
    assert np.abs(grey - np.clip(np.rint(exact / 2 + 127.5), 0, 255)).max() <= 1
    if name != "identity":
        assert not np.array_equal(filtered.pixels, photo)
    else:
        assert np.array_equal(filtered.pixels, photo)
    np.testing.assert_array_equal(filter_image(photo[..., 0], kernel).pixels, filtered.pixels[..., 0])


def test_names_of_kernels() -> None:
    assert find_image_kernel("Sobel-X").name == "sobel_x"
    assert find_image_kernel("gaussian blur").values.sum() == pytest.approx(1)
    with pytest.raises(UnknownNameError, match="did you mean sharpen"):
        find_image_kernel("shapen")
    with pytest.raises(UnknownNameError, match="display of negative values"):
        filter_image(np.zeros((3, 3), np.uint8), np.ones((3, 3)), negative="red")
    with pytest.raises(OptionError, match="so that it has a centre; got 2x3"):
        filter_image(np.zeros((3, 3), np.uint8), np.ones((2, 3)))


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = photo_file().read_bytes()
    written = filter_file(str(photo_file()), find_image_kernel("sharpen"))
    assert written.path == Path("china-sharpen.png")
    assert np.array_equal(np.asarray(Image.open("china-sharpen.png")), written.pixels)
    for out, message in (
        (None, "china-sharpen.png exists; name another file"),
        (Path("x.jpg"), "--out must end in .png, since the result is a PNG file; got x.jpg"),
    ):
        with pytest.raises(OptionError, match=re.escape(message)):
            filter_file(str(photo_file()), find_image_kernel("sharpen"), out=out)
    with pytest.raises(OptionError, match="is the input, which is never written to"):
        filter_file("china-sharpen.png", find_image_kernel("emboss"), out=Path("./china-sharpen.png"))
    with pytest.raises(DecodeError):
        filter_file("nothing.jpg", find_image_kernel("emboss"))
    assert photo_file().read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["china-sharpen.png"]


@pytest.fixture
def conv(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hubel.cli.tune_process", lambda: None)

    def call(*words: object) -> SimpleNamespace:
        with pytest.raises(SystemExit) as ended:
            main(["conv", *map(str, words)])
        said = capsys.readouterr()
        return SimpleNamespace(code=ended.value.code, out=said.out, err=said.err, lines=said.out.splitlines())

    return call


def test_command_prints_the_arithmetic(conv: Call) -> None:
    answer = conv(*["28x28x192", "--out-channels", "32", "--kernel-size", "5", "--bottleneck", "16"])
    assert answer.code == 0
    assert "output           28x28x32" in answer.lines
    assert "floor((28 + 2*2 - 1*(5 - 1) - 1) / 1) + 1 = 28" in answer.out
    assert "120,422,400 = 28*28 positions * 153,600 weights" in answer.out
    assert "12,443,648" in answer.out
    assert (
        "(7 - 1)*2 - 2*1 + 1*(4 - 1) + 0 + 1 = 14"
        in conv(*["7x7x8", "--kernel-size", "4", "--stride", "2", "--padding", "1", "--transposed"]).out
    )
    assert "9,728" in conv(*["32x32x32", "--out-channels", "64", "--bottleneck", "16"]).out
    assert conv("9", "--kernel-size", 3, "--padding", "valid").lines[1] == "output           7x1"
    assert "without groups" in conv("8x8x4", "--groups", 4).out


def test_command_prints_the_steps(conv: Call) -> None:
    answer = conv("--show")
    assert answer.code == 0
    assert "-1*0 + 0*1 + 1*2     2" in answer.out
    assert [line.split() for line in answer.lines[-2:]] == [
        ["output", "2", "2", "2"], ["--padding", "same", "1", "2", "2", "2", "-3"],
    ]  # fmt: skip
    padded = conv("0,1,2,3,4", "--kernel", "-1,0,1", "--padding", 1, "--show")
    assert "-1*3 + 0*4 + 1*0    -3" in padded.out
    assert padded.lines[-1].split() == ["output", "1", "2", "2", "2", "-3"]
    square = conv("1,2/-3,4", "--kernel", "1,0/0,1", "--show")
    assert "0, 0   1 2                1*1 + 0*2 +" in square.out
    assert "0*(-3) + 1*4" in square.out
    assert "output           5" in square.lines
    spread = conv("1,2,3", "--transposed", "--stride", 2, "--show")
    assert spread.lines[-2].split()[1:] == ["-1", "0", "-1", "0", "-1", "0", "3"]


def test_command_filters_a_photo(conv: Call) -> None:
    answer = conv("--kernel", "sharpen", photo_file(), "--out", "sharp.png")
    assert answer.code == 0
    assert answer.lines[1].split() == ["-1", "5", "-1"]
    assert "they become 0, black  (--negative cut)" in answer.out
    assert Image.open("sharp.png").size == (640, 427)
    assert conv("--kernel", "emboss").lines[0].split() == ["emboss", "-2", "-1", "0"]
    assert conv("--kernel", "0,0,1", photo_file()).code == 0
    assert Path("china-kernel.png").exists()


MISTAKES = {
    "": "name the input: hubel conv 28x28x192; or hubel conv --show; or hubel conv --kernel sharpen PHOTO",
    "photo.jpg": "a shape is HEIGHTxWIDTHxCHANNELS such as 28x28x192, not 'photo.jpg'; to filter a photo, add --kernel",
    "1x2x3x4": "a shape has height, width and channels, such as 28x28x192, not 1x2x3x4",
    "8x8x0": "in_channels is at least 1, not 0",
    "8x8 --out-channels 0": "out_channels is at least 1, not 0",
    "8x8 --bottleneck 0": "bottleneck is at least 1, not 0",
    "8x8 --stride -1": "--stride is a number such as 3, or numbers such as 3x5, not '-1'",
    "8x8 --padding -1": "padding is a number, valid or same, not '-1'",
    "8x8 --out x.png": "--out has no meaning without --kernel",
    "8x8 --kernel sharpen": "8x8: there is no such file",
    "--kernel shapen": "no image kernel is called 'shapen'; did you mean sharpen?",
    "--kernel 1,x photo.jpg": "--kernel is numbers such as 0,1,2 or, row by row, 1,2/3,4, as many in each row",
    "--kernel 1 --kernel 2 photo.jpg": "a photo takes one --kernel, not 2; with --show each is a filter",
    "1,2:3,4 --show": "the input has 2 maps and the kernel 1: give one for each map, separated by :",
    "1,2:3,4,5 --show": "the input has parts of different shapes: 2 and 3",
    "5x5 --show --kernel 1,2 --out-channels 3": "there are 1 kernels for 3 output channels",
    "5x0 --show": "the sides and the channels of a shape are at least 1; got 5x0",
    "5x5x3 --show --out-channels 0": "out_channels and kernel_size are at least 1, not 0",
    "99x99 --show": "--show prints every number, and 9,801 are more than 256; give fewer",
    "5x5 --show --groups 2": "--groups has no meaning with --show",
    "--show --pool med": "no pooling is called 'med'",
    "8x8 --pool max --transposed": "--transposed has no meaning for a pooling",
    "8x8 --pool max --padding 2": "padding of a pooling is at most half its window, 1, not 2",
    "8x8 --pool max --kernel 1,2": "--kernel has no meaning for a pooling",
    "--pool max": "a shape is HEIGHTxWIDTHxCHANNELS such as 28x28x192, not ''",
    "--stack 3x3,x": "--stack is layers such as 3x3,3x3,pool2",
    "--stack 3x3,0x3": "--stack is layers such as 3x3,3x3,pool2",
    "--stack 9999/999,9999": "--stack sees more than 20,000 pixels along an axis; take fewer layers",
    "--stack 3x3 --stride 2": "--stride has no meaning with --stack, whose layers have their own settings",
    "--stack 3x3 --show": "--show has no meaning with --stack",
    "4x4 --stack 7x7 --padding valid": "a window that spans 7x7 does not fit: the input is 4x4",
    "8 --stack 3x3": "the shape of an image is HEIGHTxWIDTH, such as 28x28, not 8",
    "photo.jpg --stack 3x3": "to draw the field on photo.jpg, name the figure: --out field.png",
    "--stack 3x3 --out x.jpg": "--out must end in .png, since the result is a PNG file; got x.jpg",
    "--kernel sharpen --out x.png": "name the photo: hubel conv --kernel sharpen PHOTO",
    "--kernel sharpen x.jpg --stride 2": "--stride has no meaning for a photo, which keeps its size and colours",
    "1,2/3 --show": "the input is numbers such as 0,1,2 or, row by row, 1,2/3,4, as many in each row, not '1,2/3'",
    "1,2,3 --show --kernel 1,0/0,1": "the input has 1 axes and the kernel 2; rows are separated by /",
    "1,2,3 --show --kernel-size 3": "--kernel-size has no meaning with --show, which takes its --kernel's size",
    "1,2,3 --show --padding 9999999": "--show prints every number, and 20,000,001 are more than 256; give fewer",
    "1,2,3 --show --kernel 1,2,3,4": "a window that spans 4 does not fit: the input is 3, with padding 0",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_are_one_line(conv: Call, words: str) -> None:
    answer = conv(*words.split())
    assert (answer.code, answer.out) == (2, "")
    (line,) = answer.err.splitlines()
    assert line.startswith(f"hubel: {MISTAKES[words]}")
