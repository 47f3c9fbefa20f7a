"""What every network of the catalogue promises."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hubel.analysis.verify import verify
from hubel.core.errors import OptionError, UnknownNameError
from hubel.data.preprocess import Preprocess
from hubel.export.onnx_graph import check_parity, onnx_network
from hubel.inference.forward import forward
from hubel.inference.onnx_file import described
from hubel.models.catalogue import (
    ALIASES,
    FAMILIES,
    build_model,
    count_parameters,
    family_of,
    find,
    list_models,
    options_of,
)
from hubel.models.neighbours import Neighbours
from hubel.nn.dense import DenseNetwork
from hubel.nn.features import FeatureNetwork
from hubel.nn.generative import GenerativeNetwork
from hubel.nn.network import Network
from hubel.nn.points import pyramid_points
from hubel.weights.card import DENSE, ModelCard
from hubel.weights.create import create_model
from hubel.weights.foreign import Varying, fit_weights
from hubel.weights.model_file import load_model, save_model

NAMES = list_models()
# Fewer channels, units and blocks of a kind, on which no promise depends; and fewer of 600 units in a row,
# each of which doubles the variance as long as batch norm has seen nothing: that is beyond float32.
NARROW: dict[str, dict[str, Any]] = {name: {"dense": 32} for name in NAMES if name.startswith(("alexnet", "vgg"))}
NARROW |= {name: {"width": 0.25} for name in ("mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small")}
NARROW |= {name: {"width": 0.25} for name in ("efficientnet_b0", "efficientnet_lite0")}
NARROW |= {
    "alexnet": {"widths": "16,32,32,32,32", "dense": 32},
    "alexnet_tv": {"widths": "16,32,32,32,32", "dense": 32},
    "vgg11": {"widths": "8,16,16,32,32", "dense": 32},
    "vgg11_bn": {"widths": "8,16,16,32,32", "dense": 32},
    "nin": {"widths": "16,16,16,32,32,32,32,32,32,32,32"},
    "nin_cifar10": {"widths": "16,16,16,32,32,32,32,32"},
    "densenet121": {"depths": "2,2,2,2", "growth": 8},
    "densenet_bc_100": {"depths": "4,4,4"},
    "plain18": {"widths": "8,16,32,64"},
    "resnet18": {"widths": "8,16,32,64"},
    "resnet1202": {"depths": "30,30,30"},
    "resnet50": {"depths": "1,1,1,1", "widths": "8,16,32,64"},
    "resnet50_v1": {"depths": "1,1,1,1", "widths": "8,16,32,64"},
    "clip_resnet50": {"depths": "1,1,1,1", "width": 4},
    "convnext_tiny": {"depths": "1,1,1,1", "widths": "8,8,16,16"},
    # Heads of dense tasks are the same on any backbone.
    "unet": {"backbone": "mobilenet_v1_025"},
    "unet_2015": {"widths": "4,8,16"},
    "lraspp": {"backbone": "mobilenet_v1_025"},
    "fcn8s": {"backbone": "vgg11", "backbone_options": "widths=8,8,8,8,8", "dense": 8},
    "fcn_resnet50": {"backbone": "resnet18", "backbone_options": "widths=8,16,32,64"},
    "pose": {"backbone": "mobilenet_v1_025"},
    "fcos": {"backbone": "mobilenet_v1_025", "width": 8, "depth": 1},
    "localiser": {"backbone": "mobilenet_v1_025", "width": 8},
}
LARGE = 15_000_000  # parameters from which on a network is only tried with -m slow
SIDE = 48  # pixels, or the least that a network takes
# One of each family and layout: enough for what depends on options only.
KINDS = list({(family_of(name), type(find(name)[1].layout)): name for name in reversed(NAMES)}.values())
# Those whose blocks, shortcuts or norms differ from those of the others of their kind.
SPECIAL = {
    "alexnet_tv", "autoencoder_28_transposed", "densenet_bc_100", "efficientnet_lite0", "googlenet_bn_tv", "mlp",
    "mobilenet_v2", "mobilenet_v3_small", "nin_cifar10", "resnet18", "resnet20", "resnet50", "resnet50_v1", "vgg11_bn",
}  # fmt: skip


def is_large(name: str) -> bool:
    return name not in NARROW and (find(name)[1].published.params or 0) > LARGE


def each(names: list[str], special: Collection[str] = SPECIAL) -> list[object]:
    """Return the names as parameters, all but one of each kind and the special ones marked slow."""
    quick = {name for name in (*KINDS, *special) if not is_large(name)}
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in names]


ALL = each(NAMES)
NETWORKS = each([name for name in NAMES if name != "knn"])


def size_of(name: str) -> tuple[int, int]:
    variant = find(name)[1]
    if variant.fixed_size:
        return variant.shape.height, variant.shape.width
    side = min(max(variant.smallest, SIDE), variant.shape.height)
    return side, side


def images(name: str, n: int = 2, channels: int | None = None) -> torch.Tensor:
    shape = channels or find(name)[1].shape.channels, *size_of(name)
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(0))


def made(name: str, **settings: object) -> nn.Module:
    torch.manual_seed(0)
    network = build_model(name, input_size=size_of(name), options=NARROW.get(name), **settings)  # type: ignore[arg-type]
    if isinstance(network, Neighbours):
        network.fit(images(name, 8, settings.get("in_channels")), torch.arange(8) % network.num_classes)  # type: ignore[arg-type]
    return network


def classifies(name: str) -> bool:
    return find(name)[1].output == "vector"


def output_shape(name: str, classes: int, channels: int) -> tuple[int, ...]:
    """The shape of the output for one image."""
    height, width = size_of(name)
    return {
        "vector": (classes,),
        "image": (channels, height, width),
        "samples": (1,) if name == "cgan" else (channels, height, width),
        "maps": (classes, height, width),
        # Without the backbone's finer maps beside them, enlarged maps of odd sides are larger than these.
        "points": (classes, *(-(-side // 4) if name == "pose" else -(-side // 32) * 8 for side in (height, width))),
        "boxes": (len(pyramid_points(height, width)[0]) if name == "fcos" else 1, 5 + classes),
    }[find(name)[1].output]


def has_classes(name: str) -> bool:
    return find(name)[1].output not in ("image", "samples")


def one_line(error: Exception) -> None:
    assert "\n" not in str(error)


def test_list_is_complete_and_sorted() -> None:
    assert set(NAMES) >= SPECIAL
    assert len(FAMILIES) == len(set(FAMILIES))
    assert len(set(NAMES)) == len(NAMES) >= 75
    assert NAMES.index("resnet18") < NAMES.index("resnet101")
    assert [name for name in NAMES if not re.search(r"\d", name)] == sorted(n for n in NAMES if not re.search(r"\d", n))
    assert not set(ALIASES) & set(NAMES)
    assert set(ALIASES.values()) <= set(NAMES)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n == "resnet1202")) for n in NAMES])
def test_published_facts(name: str) -> None:
    facts = verify(name)
    assert [fact for fact in facts if not fact.holds] == []
    published = find(name)[1].published
    assert [fact.stated for fact in facts] == list(published.facts)
    if published.params is not None and name in KINDS:
        assert published.params == count_parameters(name)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("channels", [1, 4])
def test_channels_and_classes(name: str, channels: int) -> None:
    network = made(name, in_channels=channels, num_classes=7).eval()
    with torch.no_grad():
        several = network(images(name, 3, channels))
        single = network(images(name, 3, channels)[:1])
    assert several.shape == (3, *output_shape(name, 7, channels))
    assert torch.isfinite(several).all()
    torch.testing.assert_close(single, several[:1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", each([name for name in NAMES if classifies(name)]))
def test_default_is_the_published_number_of_classes(name: str) -> None:
    with torch.device("meta"):
        network = build_model(name, input_size=size_of(name)).eval()
    if not isinstance(network, Neighbours):
        assert network(images(name).to("meta")).shape == (2, find(name)[1].num_classes)


# What a convnet can take depends on its options; it says so itself.
@pytest.mark.parametrize("name", each([n for n in NAMES if not find(n)[1].fixed_size and n not in ("knn", "convnet")]))
def test_smallest_image(name: str) -> None:
    """The stated size is the least that the network can take, and a smaller one is refused with the number."""
    smallest = find(name)[1].smallest
    with torch.device("meta"):
        network = build_model(name, input_size=(smallest, smallest)).eval()
        assert isinstance(network, Network | DenseNetwork)
        channels = find(name)[1].shape.channels
        network.outputs(torch.empty(2, channels, smallest, smallest))
        if smallest > 1:
            with pytest.raises(OptionError, match=f"at least {smallest} pixels each way"):
                build_model(name, input_size=(smallest - 1, smallest))
            if find(name)[1].output == "boxes":  # a detector could take less, but nothing would be found there
                return
            with pytest.raises(RuntimeError):
                network.outputs(torch.empty(2, channels, smallest - 1, smallest - 1))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_has_a_finite_gradient(name: str) -> None:
    network = made(name).train()
    assert isinstance(network, Network | DenseNetwork)
    outputs = network.outputs(images(name, 4))
    if isinstance(network, GenerativeNetwork):  # whose loss needs more than the output for an image
        losses = [network.training_outputs(torch.sigmoid(images(name, 4)), torch.arange(4)).square().sum()]
    elif classifies(name):
        targets = torch.arange(4)
        losses = [
            nn.functional.cross_entropy(logits, targets) for logits in (outputs.logits, *outputs.auxiliary.values())
        ]
        assert len(outputs.auxiliary) == len(network.auxiliary)
    else:
        losses = [
            nn.functional.binary_cross_entropy_with_logits(logits, torch.rand_like(logits))
            for logits in (outputs.logits, *outputs.auxiliary.values())
        ]
    sum(losses).backward()  # type: ignore[union-attr]
    for key, parameter in network.named_parameters():
        if not parameter.requires_grad:
            assert family_of(name) == "airbench", key  # filters from the images, and norms without factors
            continue
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        assert parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", NETWORKS)
def test_maps_agree_with_forward(name: str) -> None:
    network = made(name).eval()
    assert isinstance(network, Network | DenseNetwork)
    x = images(name)
    with torch.no_grad():
        logits, maps = network(x), network.maps(x)
        outputs = network.outputs(x)
    assert torch.equal(maps["logits"], logits)
    assert torch.equal(outputs.logits, logits)
    assert set(outputs.auxiliary) <= set(maps)
    assert "stem" in maps
    assert list(maps)[-1] == "logits"
    for stage in [key for key in maps if key.startswith("stage") and "." not in key]:
        last = [key for key in maps if key.startswith(f"{stage}.")][-1]
        assert maps[stage] is maps[last]
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in network.modules())


@pytest.mark.parametrize("name", each(NAMES, special=()))
def test_save_and_load(name: str, tmp_path: Path) -> None:
    network = made(name, num_classes=3).eval()
    options = {"samples": 8} if isinstance(network, Neighbours) else NARROW.get(name, {})
    c, (h, w) = find(name)[1].shape.channels, size_of(name)
    classes = ("a", "b", "c") if has_classes(name) else ()
    preprocess, asked = Preprocess(h, w, c, mean=(0.4,) * c, std=(0.2,) * c), tuple("abc" * find(name)[1].conditional)
    card = ModelCard(name, classes, preprocess, options, conditions=asked)
    save_model(tmp_path / "model.safetensors", network.state_dict(), card)
    loaded, read = load_model(tmp_path / "model.safetensors")
    assert read == card
    assert not loaded.training
    pixels = np.random.default_rng(0).integers(0, 256, (5, h, w, c), np.uint8)
    assert np.array_equal(forward(network, pixels, card.preprocess), forward(loaded, pixels, card.preprocess))


@pytest.mark.parametrize("name", each([name for name in NAMES if name != "knn"], special=("mlp", "mobilenet_v2")))
def test_other_classes_and_channels_keep_all_other_weights(name: str) -> None:
    def make(classes: int | None, channels: int | None) -> nn.Module:
        with torch.device("meta"):
            network = made(name, num_classes=classes, in_channels=channels)
        return network.to_empty(device="cpu")  # whatever its weights are

    varying = Varying(make)
    weights = {key: torch.rand_like(value.float()).to(value.dtype) for key, value in make(5, 3).state_dict().items()}
    # Layers that see all pixels at once, or make them, cannot be adapted; the first convolution of an encoder can.
    firsts = {"vae": "stages.0.0.weight", "gan": "stages.0.0.weight", "stack": "stages.0.conv1"}
    first = firsts.get(family_of(name), "stages.0.0.conv")
    fresh = {
        key
        for key in varying.channels
        if family_of(name) in ("baselines", "autoencoder", "vae", "gan", "stack", "airbench") and first not in key
    }
    for classes, channels in ((7, 3), (5, 1), (5, 4)):
        network = make(classes, channels)
        kept = fit_weights(network, weights, varying)
        assert set(kept) == (set(varying.classes) if channels == 3 else fresh)
        for key, value in network.state_dict().items():
            if key not in kept and not (key in varying.channels and channels != 3):
                assert torch.equal(value, weights[key]), key
    assert bool(varying.classes) == (has_classes(name) or find(name)[1].conditional)
    assert varying.channels


@pytest.mark.parametrize("name", each([n for n in NAMES if classifies(n) and not find(n)[1].fixed_size]))
def test_features_only(name: str) -> None:
    shape = find(name)[1].shape
    with torch.device("meta"):
        try:
            backbone = create_model(name, features_only=True).eval()
        except OptionError:
            assert family_of(name) in ("baselines", "neighbours")
            return
        assert isinstance(backbone, FeatureNetwork)
        maps = backbone(torch.empty(2, *shape))
    assert list(maps) == [f"stride{entry.stride}" for entry in backbone.info]
    assert not list(backbone.network.head.parameters())
    for entry, tensor in zip(backbone.info, maps.values(), strict=True):
        assert tensor.shape[:2] == (2, entry.channels)
        # Without padding, 32 pixels become 31, 15, 7 and 3.
        close = 0.34 if family_of(name) == "airbench" else 0.25
        assert shape.height / tensor.shape[2] == pytest.approx(entry.stride, rel=close)
    if shape.height >= 224 and not name.startswith(("alexnet", "nin")):
        assert (
            list(maps)
            == ["stride2", "stride4", "stride8", "stride16", "stride32"][: 4 if name.startswith("vgg") else 5]
        )


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet50_v1", "mobilenet_v1", "mobilenet_v2"])
@pytest.mark.parametrize("most", [8, 16])
def test_dilation_finds_what_strides_found(name: str, most: int) -> None:
    """Every second (or fourth) pixel of the larger map is the map with strides, exactly: "a trous"."""
    x = torch.randn(1, 3, 97, 64).double()
    torch.manual_seed(0)
    narrow = {option: NARROW[name][option] for option in ("width", "widths") if option in NARROW[name]}
    plain = build_model(name, options=narrow).eval().double()
    dense = build_model(name, options={**narrow, "output_stride": most}).eval().double()
    dense.load_state_dict(plain.state_dict())
    assert isinstance(plain, Network)
    assert isinstance(dense, Network)
    with torch.no_grad():
        last, larger = list(plain.walk(x))[-1][1], list(dense.walk(x))[-1][1]
    step = 32 // most
    assert larger.shape[2:] == (-(-97 // most), -(-64 // most))
    torch.testing.assert_close(larger[:, :, ::step, ::step], last)


@pytest.mark.parametrize("name", KINDS)
def test_options_survive_as_text(name: str) -> None:
    values = options_of(name)
    text = {key: ",".join(map(str, v)) if isinstance(v, tuple) else str(v) for key, v in values.items()}
    with torch.device("meta"):
        as_text, as_values = build_model(name, options=text), build_model(name, options=values)
    shapes = [{k: v.shape for k, v in network.state_dict().items()} for network in (as_text, as_values)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", NAMES)
def test_mistakes_are_named(name: str) -> None:
    with pytest.raises(UnknownNameError, match=f"no option of {name} is called 'depht'"):
        build_model(name, options={"depht": 3})
    for option, value in options_of(name).items():
        if not isinstance(value, str):
            with pytest.raises(OptionError, match=option) as caught:
                build_model(name, options={option: "many"})
            assert "\n" not in str(caught.value)
    if has_classes(name) or find(name)[1].conditional:
        with pytest.raises(OptionError, match="at least one"):
            build_model(name, num_classes=0)
    for settings in ({"in_channels": 0}, {"input_size": (0, 4)}, {"input_size": (4, -1)}):
        with pytest.raises(OptionError) as caught:
            build_model(name, **settings)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", KINDS)
def test_numbers_beyond_all_bounds_are_refused(name: str) -> None:
    def build(option: str, number: str) -> None:
        value = options_of(name)[option]
        given = ",".join([number] * max(1, len(value))) if isinstance(value, tuple) else number
        with torch.device("meta"):
            build_model(name, options={option: given})

    for option, value in options_of(name).items():
        if isinstance(value, str | bool):
            continue
        for wild in ("-1", "nan", "inf", "1e400", *([] if isinstance(value, float) else [str(10**30)])):
            with pytest.raises(OptionError, match=option) as caught:
                build(option, wild)
            one_line(caught.value)
        with contextlib.suppress(OptionError):  # without data torch still builds some layers of that width
            build(option, "9" * 15)


def test_unknown_model_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"no model is called 'resnet21'; did you mean .*resnet20"):
        build_model("resnet21")
    with pytest.raises(UnknownNameError, match=r"none of the [0-9]+ known ones is like it; hubel models lists them"):
        find("zzz")


def test_fixed_size_is_named() -> None:
    with pytest.raises(OptionError, match="32x32 pixels, not 64x48"):
        build_model("lenet5_modern", input_size=(64, 48))


def ready_for_export(name: str) -> tuple[nn.Module, ModelCard]:
    """A network whose batch norms have seen images, so that its outputs differ from image to image."""
    network = made(name)
    pixels = images(name, 8)
    for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.momentum = None  # the mean over all batches
    with torch.no_grad():
        network.train()(pixels)
    variant = find(name)[1]
    channels, (height, width) = variant.shape.channels, size_of(name)
    classes = tuple(map(str, range(network(pixels[:2]).shape[1]))) if has_classes(name) else ()
    preprocess = Preprocess(height, width, channels, mean=(0.5,) * channels, std=(0.3,) * channels)
    options, dense = NARROW.get(name, {}), variant.output if variant.output in DENSE else ""
    asked = tuple(map(str, range(variant.num_classes))) if variant.conditional else ()
    return network.eval(), ModelCard(
        name, classes, preprocess, options, "softmax", temperature=1.5, dense=dense, conditions=asked
    )


def exported_as_it_is(name: str) -> None:
    network, card = ready_for_export(name)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    p = card.preprocess
    pixels = np.random.default_rng(0).integers(0, 256, (5, p.height, p.width, p.channels), np.uint8)
    # Raises if the two differ.
    parity = check_parity(network, card, described(onnx_network(network, card), card, {}), pixels)
    assert (parity.images, parity.top1_equal) == (5, 5)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("name", [name for name in KINDS if not is_large(name)])
def test_each_family_exports(name: str) -> None:
    exported_as_it_is(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_all_networks_export(name: str) -> None:
    exported_as_it_is(name)
