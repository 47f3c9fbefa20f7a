"""What is particular to the networks of dense tasks, against their papers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from hubel.analysis.summary import summary
from hubel.core.errors import OptionError, UnknownNameError
from hubel.explain.layers import layer_names, maps_at, section_names
from hubel.explain.untouched import untouched
from hubel.inference.fold import folded
from hubel.models.catalogue import build_model
from hubel.models.fcn import bilinear_weights
from hubel.nn.blocks import InvertedResidual
from hubel.nn.dense import DenseNetwork

SMALL = {"backbone": "mobilenet_v1_025"}
TINY = {
    "unet": SMALL | {"widths": "8,8"},
    "unet_2015": {"widths": "4,4,4"},
    "lraspp": SMALL | {"width": 8},
    "fcn8s": {"backbone": "vgg11", "backbone_options": "widths=4,4,4,4,4", "dense": 8},
    "fcn_resnet50": {"backbone": "resnet20"},
}


def made(name: str, **options: Any) -> DenseNetwork:
    torch.manual_seed(0)
    network = build_model(name, num_classes=3, options=options)
    assert isinstance(network, DenseNetwork)
    return network.eval()


@pytest.mark.parametrize("name", TINY)
@settings(max_examples=8, deadline=None)
@given(height=st.integers(33, 70), width=st.integers(33, 70))
def test_each_pixel_has_scores(name: str, height: int, width: int) -> None:
    network = made(name, **TINY[name])
    channels = next(network.parameters()).shape[1]
    with torch.no_grad():
        assert network(torch.randn(1, channels, height, width)).shape == (1, 3, height, width)


def test_layers_of_the_original() -> None:
    """Section 2: "In total the network has 23 convolutional layers."; no norms, which were not known."""
    with torch.device("meta"):
        network = build_model("unet_2015")
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(layers) == 23
    assert {m.padding for m in layers} == {(0, 0)}
    assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())


def test_beyond_the_image_is_its_mirror_image() -> None:
    """Figure 2: the scores of an image are those that its middle has within its mirrored surroundings."""
    network = made("unet_2015", widths="4,4,4")
    x = torch.randn(1, 1, 44, 36)
    mirrored = F.pad(x, (24, 24, 24, 24), mode="reflect")
    with torch.no_grad():
        torch.testing.assert_close(network(mirrored)[:, :, 24:-24, 24:-24], network(x))


@pytest.mark.parametrize("backbone", ["resnet18", "vgg11_bn", "inception_v3", "mobilenet_v3_small", "densenet121"])
@pytest.mark.parametrize("upsample", ["nearest", "transposed"])
def test_a_decoder_on_any_backbone(backbone: str, upsample: str) -> None:
    with torch.device("meta"):
        network = build_model("unet", num_classes=5, options={"backbone": backbone, "upsample": upsample})
        maps = network.eval().maps(torch.empty(1, 3, 149, 131))  # type: ignore[union-attr, operator]
    assert maps["logits"].shape == (1, 5, 149, 131)
    steps = [name for name in maps if name.startswith("head.up")]
    finest = int(steps[-1].removeprefix("head.up"))
    assert 149 / maps[steps[-1]].shape[2] == pytest.approx(finest, rel=0.25)
    assert sum(isinstance(m, nn.ConvTranspose2d) for m in network.modules()) == 3 * (upsample == "transposed")


def test_the_decoder_ends_where_its_widths_end() -> None:
    def finest(widths: str) -> str:
        with torch.device("meta"):
            network = build_model("unet", options=SMALL | {"widths": widths})
        return str(network.head.names[-1])  # type: ignore[union-attr]

    assert [finest("8"), finest("8,8"), finest("8,8,8,8")] == ["up16", "up8", "up2"]


@pytest.mark.parametrize(
    ("name", "options", "error", "words"),
    [
        ("unet", {"widths": "8,8,8,8,8"}, OptionError, "5 maps, so widths are at most 4 numbers"),
        ("unet", {"upsample": "bicubic"}, UnknownNameError, "no upsample is called 'bicubic'"),
        ("unet", {"backbone": "unet"}, OptionError, "a backbone is a classifier, which unet is not"),
        ("unet", {"backbone": "resnet81"}, UnknownNameError, "no model is called 'resnet81'"),
        ("unet_2015", {"widths": "8"}, OptionError, "at least two levels"),
        ("lraspp", {"backbone": "densenet121"}, OptionError, "densenet121 has no dilation; set output_stride to 32"),
        ("lraspp", {"output_stride": 5}, OptionError, "output_stride is one of 4, 8, 16, 32, not 5"),
        ("fcn8s", {"backbone": "resnet18"}, OptionError, "made from a VGG, not resnet18; unet takes any backbone"),
        ("pose", {"kernel": 5}, OptionError, "kernel is one of 4, 3, 2, not 5"),
    ],
)
def test_messages(name: str, options: dict[str, Any], error: type[Exception], words: str) -> None:
    with torch.device("meta"), pytest.raises(error, match=words) as caught:
        build_model(name, options=options)
    assert "\n" not in str(caught.value)


def test_dilation_of_torchvision() -> None:
    """Its last stage is dilated from the first depthwise convolution on; in the paper, after it."""

    def dilations(**options: Any) -> list[int]:
        with torch.device("meta"):
            blocks = build_model("lraspp_mobilenet_v3_large", options=options).backbone.stages[-1]  # type: ignore[union-attr, index]
        assert all(isinstance(block, InvertedResidual) for block in blocks)  # type: ignore[union-attr]
        return [block.depthwise.conv.dilation[0] for block in blocks]  # type: ignore[union-attr]

    assert dilations() == [2, 2, 2]
    assert dilations(dilate_first=False) == [1, 2, 2]


@pytest.mark.parametrize(("kernel", "stride"), [(4, 2), (16, 8)])
def test_transposed_convolutions_start_as_bilinear_interpolation(kernel: int, stride: int) -> None:
    """Long 2015, Section 3.3; beyond the border they see zeros, where an interpolation repeats the last value."""
    layer = nn.ConvTranspose2d(2, 2, kernel, stride, padding=(kernel - stride) // 2, bias=False)
    bilinear_weights(layer)
    x = torch.randn(1, 2, 7, 9)
    expected = F.interpolate(x, scale_factor=stride, mode="bilinear", align_corners=False)
    inside = slice(stride, -stride)
    torch.testing.assert_close(layer(x)[..., inside, inside], expected[..., inside, inside])


@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_heat_maps_have_a_quarter_of_the_size(kernel: int) -> None:
    network = made("pose", kernel=kernel, **SMALL)
    with torch.no_grad():
        x = torch.randn(2, 3, 96, 64)
        assert network(x).shape == (2, 3, 24, 16)


def test_norms_after_transposed_convolutions_are_folded() -> None:
    network = made("pose", **SMALL)
    for norm in (m for m in network.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
        norm.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    x = torch.randn(2, 3, 64, 64)
    twin = folded(network)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in twin.modules())
    with torch.no_grad():
        torch.testing.assert_close(twin(x), network(x), rtol=1e-4, atol=1e-5)


def test_layers_have_the_names_of_maps() -> None:
    network, x = made("unet", **TINY["unet"]), torch.randn(1, 3, 64, 64)
    sections = section_names(network, x)
    assert sections == [
        "stem",
        *(f"stage{n}" for n in range(1, 6)),
        "head.up16",
        "head.up8",
        "head.dropout",
        "head.classifier",
    ]
    assert {"stage3.block1", "head.up8", "backbone.stages.2.0"} <= layer_names(network).keys()
    with untouched(network) as frozen, torch.no_grad():
        maps = frozen.maps(x)  # type: ignore[operator]
        for name, value in maps_at(frozen, x, ["stage3.block1", "stage4", "head.up8"]).items():
            assert torch.equal(value, maps[name])


def test_a_summary_has_stages_and_head() -> None:
    found = summary("unet")
    assert list(found.sections()) == ["stem", *(f"stage{n}" for n in range(1, 8)), "head"]
    assert found.not_counted == {}
