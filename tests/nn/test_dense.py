"""Taps of backbones, and networks of a backbone and a dense head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
import torch
from torch import Tensor, nn

from hubel.core.errors import OptionError, UnknownNameError
from hubel.models.backbone import build_backbone
from hubel.models.catalogue import build_model
from hubel.nn.dense import DenseHead, DenseNetwork, Size
from hubel.nn.network import Network
from hubel.nn.taps import HEAD, cut_after, find_taps, map_channels, tapped_maps

PUBLISHED = {
    "efficientnet_lite0": [24, 40, 112, 320],
    "mobilenet_v2": [24, 32, 96, 320],
    "mobilenet_v3_large": [24, 40, 112, 160],
    "resnet18": [64, 128, 256, 512],
    "densenet121": [256, 512, 1024, 1024],
    "inception_v3": [192, 288, 768, 2048],
}


class Sum(DenseHead):
    """Each map projected to two channels, enlarged to the image and added."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Conv2d(c, 2, 1) for c in channels)

    def walk(self, maps: Sequence[Tensor], size: Size) -> Iterator[tuple[str, Tensor]]:
        large = [nn.functional.interpolate(project(x), size) for project, x in zip(self.projections, maps, strict=True)]
        yield "finest", large[0]
        yield "output", torch.stack(large).sum(0)


def dense(name: str = "efficientnet_lite0", strides: Sequence[int] = (8, 16), **settings: object) -> DenseNetwork:
    torch.manual_seed(0)
    backbone = build_backbone(name, 3)
    taps = find_taps(backbone, strides)
    return DenseNetwork(backbone, [tap.map for tap in taps], Sum([tap.channels for tap in taps]), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", PUBLISHED)
def test_channels_of_strides(name: str) -> None:
    with torch.device("meta"):
        backbone = build_backbone(name, 3)
        assert map_channels(backbone, (4, 8, 16, 32)) == PUBLISHED[name]
        assert map_channels(backbone, (16,)) == PUBLISHED[name][2:3]
    assert backbone.training, "it is left as it was"


def test_taps_are_the_last_maps_of_their_strides() -> None:
    backbone = build_backbone("mobilenet_v2", 3).eval()
    taps = find_taps(backbone)
    assert [tap.stride for tap in taps] == [2, 4, 8, 16, 32]
    x = torch.randn(1, 3, 96, 64)
    with torch.no_grad():
        everything = dict(backbone.walk(x))
        found = tapped_maps(backbone, x, [tap.map for tap in taps])
    for tap, value in zip(taps, found, strict=True):
        assert value.shape == (1, tap.channels, 96 // tap.stride, 64 // tap.stride)
        assert torch.equal(value, everything[tap.map])
        later = list(everything)[list(everything).index(tap.map) + 1 :]
        assert all(everything[name].shape[2] < value.shape[2] for name in later)


def test_nothing_runs_after_the_last_tap() -> None:
    backbone, ran = build_backbone("efficientnet_lite0", 3).eval(), []
    for number, stage in enumerate(backbone.stages, start=1):
        stage.register_forward_pre_hook(lambda *_, number=number: ran.append(number))
        for block in stage:  # type: ignore[union-attr]
            block.register_forward_pre_hook(lambda *_, number=number: ran.append(number))
    tapped_maps(backbone, torch.randn(1, 3, 32, 32), ["stage2", "stage3.block1"])
    assert sorted(set(ran)) == [1, 2, 3]
    assert ran.count(3) == 1


@pytest.mark.parametrize(
    ("taps", "stages", "blocks"), [(["stage2", "stage3.block1"], 3, 1), (["stem.block1"], 0, 1), (["stage5"], 5, 3)]
)
def test_what_no_tap_needs_is_removed(taps: list[str], stages: int, blocks: int) -> None:
    whole, cut = (build_model("mobilenet_v3_large") for _ in range(2))
    assert isinstance(whole, Network)
    assert isinstance(cut, Network)
    cut_after(cut, taps)
    assert len(cut.stages) == stages
    last = cut.stages[-1] if stages else cut.stem
    assert isinstance(last, nn.Sequential)
    assert len(last) == blocks
    assert cut.state_dict().keys() <= whole.state_dict().keys()
    cut.load_state_dict({name: whole.state_dict()[name] for name in cut.state_dict()})
    x = torch.randn(1, 3, 64, 64)
    for ours, theirs in zip(tapped_maps(cut.eval(), x, taps), tapped_maps(whole.eval(), x, taps), strict=True):
        assert torch.equal(ours, theirs)


def test_the_last_convolution_can_be_a_tap() -> None:
    backbone = build_backbone("mobilenet_v3_large", 3, keep_head=True).eval()
    assert {name.rpartition(".")[0] for name, _ in backbone.head.named_parameters()} == {"conv.conv", "conv.norm"}
    high, last = tapped_maps(backbone, torch.randn(1, 3, 64, 64), ["stage5", HEAD])
    assert last.shape == (1, 960, 2, 2)
    assert torch.equal(last, backbone.head(high))


def test_options_of_the_backbone() -> None:
    with torch.device("meta"):
        backbone = build_backbone("resnet18", 1, ["output_stride=16", "stem=7x7"])
        assert [tap.stride for tap in find_taps(backbone)] == [2, 4, 8, 16]
        assert find_taps(backbone, [16])[0].map == "stage4"
        several = build_backbone("convnet", 1, ["filters=4", "8", "repeat=1"])
        assert [tap.channels for tap in find_taps(several)] == [8, 8]
        with pytest.raises(OptionError, match="no map of stride 32; it has maps of stride 2, 4, 8, 16"):
            find_taps(backbone, [8, 32])
        with pytest.raises(OptionError, match="each NAME=VALUE such as same_padding=true, not 'stem'"):
            build_backbone("resnet18", 1, ["stem"])
        with pytest.raises(UnknownNameError, match="no option of resnet18 is called 'width'"):
            build_backbone("resnet18", 1, ["width=2"])


@pytest.mark.parametrize(
    ("name", "words"),
    [("autoencoder_28", "a backbone is a classifier"), ("knn", "no maps"), ("mlp", "no maps that shrink")],
)
def test_what_is_no_backbone(name: str, words: str) -> None:
    with pytest.raises(OptionError, match=words) as caught:
        find_taps(build_backbone(name, 1))
    assert "\n" not in str(caught.value)


def test_a_dense_network() -> None:
    network = dense().eval()
    x = torch.randn(2, 3, 80, 48)
    with torch.no_grad():
        output, maps, outputs = network(x), network.maps(x), network.outputs(x)
        parts = tapped_maps(network.backbone, x, network.taps)
    assert output.shape == (2, 2, 80, 48)
    assert torch.equal(maps["logits"], output)
    assert torch.equal(outputs.logits, output)
    assert torch.equal(maps["stage3"], parts[0])
    assert list(maps)[-3:] == ["stage5", "head.finest", "logits"]
    assert {name.partition(".")[0] for name in network.state_dict()} == {"backbone", "head"}
    assert len(network.backbone.stages) == 5, "stages 6 and 7 have stride 32, which the head does not read"


def test_auxiliary_heads_run_for_training_only() -> None:
    network = dense("resnet18", (32,), auxiliary={"stage3": Sum([256])}, auxiliary_weight=0.5).eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        outputs = network.outputs(x)
        assert torch.equal(outputs.logits, network(x))
        assert torch.equal(
            outputs.auxiliary["stage3"], network.auxiliary["stage3"]([network.maps(x)["stage3"]], (64, 64))
        )


def test_a_backbone_takes_the_weights_of_a_classifier() -> None:
    network, classifier = dense("mobilenet_v2"), build_model("mobilenet_v2")
    assert isinstance(classifier, Network)
    network.load_backbone(classifier)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = dict(classifier.eval().walk(x))
        for name, value in zip(network.taps, tapped_maps(network.eval().backbone, x, network.taps), strict=True):
            assert torch.equal(value, expected[name])
