"""Weights under other names, in other wrappers, for other channels; and what is said when they do not fit."""

from __future__ import annotations

import argparse
import io
import pickle
import re
import sys
import warnings
from collections.abc import Callable
from functools import cache, reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from hubel.core.errors import MismatchError, WeightsError
from hubel.models.catalogue import build_model, list_models
from hubel.weights.convert import convert_file
from hubel.weights.create import create_model
from hubel.weights.foreign import Varying, fit_weights, renamed
from hubel.weights.hub_card import hub_card
from hubel.weights.keymaps import MAPS, key_maps
from hubel.weights.model_file import load_model
from hubel.weights.weight_file import read_weights


def make(name: str, **options: Any) -> Callable[[int | None, int | None], nn.Module]:
    return lambda classes, channels: build_model(name, num_classes=classes, in_channels=channels, options=options)


def theirs(name: str, library: str, **options: Any) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """A network of ours, and its weights under their names."""
    torch.manual_seed(0)
    network = make(name, **options)(10, 3)
    weights: dict[str, dict[str, torch.Tensor]] = {}
    for key, value in network.state_dict().items():
        weights.setdefault(key.rpartition(".")[0], {})[key.rpartition(".")[2]] = value.clone()
    named = {
        f"{their}.{kind}": value
        for ours, their in key_maps(name)[library](network)
        for kind, value in weights.get(ours, {}).items()
    }
    assert len(named) == len(network.state_dict())
    return network, named


@pytest.mark.parametrize(
    "wrap",
    [
        lambda weights: weights,
        lambda weights: {"state_dict": weights, "epoch": 3},
        lambda weights: {"model": weights},
        lambda weights: {"model": {"state_dict": weights}},
        lambda weights: {f"module.{key}": value for key, value in weights.items()},
        lambda weights: {"state_dict": {f"module.model.{key}": value for key, value in weights.items()}},
        lambda weights: {f"_orig_mod.module.{key}": value for key, value in weights.items()},
    ],
)
@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_wrappers(wrap: Callable[[Any], Any], ending: str, tmp_path: Path) -> None:
    network, named = theirs("resnet20", "akamaster")
    wrapped, file = wrap(named), tmp_path / f"weights.{ending}"
    if ending == "pth":
        torch.save(wrapped, file)
    elif all(isinstance(value, torch.Tensor) for value in wrapped.values()):
        save_file(wrapped, file)
    else:
        pytest.skip("safetensors cannot nest")
    fresh = make("resnet20")(10, 3)
    assert fit_weights(fresh, renamed("resnet20", fresh, read_weights(file)), Varying(make("resnet20"))) == []
    for key, value in network.state_dict().items():
        assert torch.equal(fresh.state_dict()[key], value), key


def test_pickles_are_never_run(tmp_path: Path) -> None:
    """A whole network, a class of a stranger's, and a program that would leave a trace."""
    trace = tmp_path / "trace"

    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (trace,)

    torch.save(nn.Linear(2, 2), tmp_path / "whole.pth")
    (tmp_path / "trap.pth").write_bytes(pickle.dumps({"state_dict": Trap()}, 2))
    torch.save({"weight": torch.zeros(2), "trap": Trap()}, tmp_path / "zip.pth")
    for name in ("whole.pth", "trap.pth", "zip.pth"):
        with pytest.raises(WeightsError, match="save its state_dict") as caught:
            read_weights(tmp_path / name)
        assert "\n" not in str(caught.value)
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"\x80\x02}q\x00.", b"hello"])
@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_files_without_weights(content: bytes, ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"a.{ending}"
    file.write_bytes(content)
    with pytest.raises(WeightsError, match="weights") as caught:
        read_weights(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        read_weights(tmp_path / "a.pth")


def test_grey_is_the_sum() -> None:
    """A grey picture seen by the adapted layer gives what it gives as RGB."""
    network, named = theirs("resnet20", "akamaster")
    grey = make("resnet20")(10, 1)
    fit_weights(grey, renamed("resnet20", grey, named), Varying(make("resnet20")))
    picture = torch.randn(2, 1, 32, 32)
    torch.testing.assert_close(
        grey.eval()(picture), network.eval()(picture.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("channels", [2, 4, 7])
def test_more_channels_repeat_and_keep_the_scale(channels: int) -> None:
    network, named = theirs("resnet20", "akamaster")
    other = make("resnet20")(10, channels)
    fit_weights(other, renamed("resnet20", other, named), Varying(make("resnet20")))
    before, after = (n.state_dict()["stem.0.conv.weight"].numpy() for n in (network, other))
    expected = before[:, np.arange(channels) % 3] * 3 / channels
    np.testing.assert_allclose(after, expected, rtol=1e-6)


def test_a_layer_that_is_a_convolution_elsewhere() -> None:
    """timm's VGG has its hidden layers as convolutions."""
    network, named = theirs("vgg11", "timm", dense=16)
    named["pre_logits.fc1.weight"] = named["pre_logits.fc1.weight"].reshape(16, 512, 7, 7)
    fresh = make("vgg11", dense=16)(10, 3)
    fit_weights(fresh, renamed("vgg11", fresh, named), Varying(make("vgg11", dense=16)))
    assert torch.equal(fresh.state_dict()["head.fc1.weight"], network.state_dict()["head.fc1.weight"])


def test_auxiliary_classifiers_may_be_absent_on_either_side() -> None:
    _, named = theirs("googlenet_bn_tv", "torchvision")
    varying = Varying(make("googlenet_bn_tv"))
    without = make("googlenet_bn_tv", auxiliary=False)(10, 3)
    assert fit_weights(without, renamed("googlenet_bn_tv", without, named), varying) == []
    short = {key: value for key, value in named.items() if not key.startswith("aux")}
    full = make("googlenet_bn_tv")(10, 3)
    kept = fit_weights(full, renamed("googlenet_bn_tv", full, short), varying)
    assert kept
    assert all(key.startswith("auxiliary.") for key in kept)
    del named["aux1.fc1.weight"]
    with pytest.raises(MismatchError, match=r"missing: auxiliary.stage2_block2.fc.weight \(1024, 2048\)"):
        fit_weights(full, renamed("googlenet_bn_tv", full, named), varying)


def test_mismatched_weights_are_named() -> None:
    _, named = theirs("resnet20", "akamaster")
    named["extra.weight"] = torch.zeros(1)
    named["layer1.0.conv1.weight"] = torch.zeros(16, 16, 5, 5)
    del named["bn1.bias"]
    fresh = make("resnet20")(10, 3)
    before = {key: value.clone() for key, value in fresh.state_dict().items()}
    with pytest.raises(MismatchError) as caught:
        fit_weights(fresh, renamed("resnet20", fresh, named), Varying(make("resnet20")))
    assert caught.value.lines == [
        "missing: stem.0.norm.bias (16,)",
        "other shape: stages.0.0.residual.0.conv.weight is (16, 16, 5, 5) in the file, (16, 16, 3, 3) in the network",
        "unexpected: extra.weight",
    ]
    assert all(torch.equal(fresh.state_dict()[key], value) for key, value in before.items())


def test_weights_of_another_network_are_refused() -> None:
    _, named = theirs("resnet32", "akamaster")
    fresh = make("resnet20")(10, 3)
    with pytest.raises(MismatchError) as caught:
        fit_weights(fresh, renamed("resnet20", fresh, named), Varying(make("resnet20")))
    assert len(caught.value.lines) == 20
    assert "more" in caught.value.lines[-1]


def test_old_files_lack_counters() -> None:
    _, named = theirs("resnet20", "akamaster")
    named = {key: value for key, value in named.items() if not key.endswith("num_batches_tracked")}
    fresh = make("resnet20")(10, 3)
    assert fit_weights(fresh, renamed("resnet20", fresh, named), Varying(make("resnet20"))) == []


@cache  # for each library that has the family
def without_weights(name: str) -> nn.Module:
    with torch.device("meta"):
        return build_model(name)


@pytest.mark.parametrize(("library", "family"), [(lib, family) for lib in MAPS for family in MAPS[lib]])
def test_every_map_names_every_layer_once(library: str, family: str) -> None:
    names = [name for name in list_models(family) if name not in ("resnet1202", "resnet50_v1") and "lite" not in name]
    assert names
    for name in names:
        if library == "akamaster" and name[6:] not in ("20", "32", "44", "56", "110"):
            continue
        network = without_weights(name)
        pairs = dict(MAPS[library][family](network))
        layers = {key.rpartition(".")[0] for key in network.state_dict() if key not in pairs}
        assert layers <= pairs.keys(), name
        assert len(set(pairs.values())) == len(pairs), name


def resnet(tmp_path: Path, weights: Any, *, classes: int = 10) -> dict[str, torch.Tensor]:
    """The weights of a ResNet-20 after those of a file are loaded into it."""
    torch.save(weights, tmp_path / "file.pth")
    torch.manual_seed(1)
    return create_model("resnet20", weights=tmp_path / "file.pth", num_classes=classes).state_dict()


COUNTED = {"n_averaged": torch.tensor(3), "layer1.total_ops": torch.zeros(1), "total_params": torch.zeros(1)}


@pytest.mark.parametrize(
    "disguise",
    [
        lambda w: {f"backbone.{name}": t for name, t in w.items()},
        lambda w: {f"_orig_mod.module.net.encoder.{name}": t for name, t in w.items()},
        lambda w: {"params": {f"net.{name}": t for name, t in w.items()}, "optimizer": {"state": {0: {}}}},
        lambda w: {name if name.startswith("linear.") else f"backbone.{name}": t for name, t in w.items()},
        lambda w: {**{f"module.{name}": t for name, t in w.items()}, **COUNTED},
        lambda w: {"model": w, "step": torch.tensor(7), "best": np.float64(0.9), "log": np.zeros(3), "n": np.int64(3)},
        lambda w: {"state_dict": w, "args": argparse.Namespace(lr=0.1, sizes=[1, 2])},
        lambda w: {name: t.half() for name, t in w.items()},
        lambda w: {"mine": w, "epoch": torch.tensor(4), "class_weights": torch.ones(10)},
        lambda w: {"ema": {"updates": torch.tensor(4), "module": w}},
    ],
)
def test_weights_as_others_save_them(disguise: Callable[[Any], Any], tmp_path: Path) -> None:
    """Prefixes that all layers, or all but the last, have; counters, NumPy's numbers and settings beside them."""
    network, named = theirs("resnet20", "akamaster")
    loaded = resnet(tmp_path, disguise(named))
    for name, value in network.state_dict().items():
        torch.testing.assert_close(loaded[name], value, rtol=1e-3, atol=1e-3)


def test_a_file_needs_no_last_layer(tmp_path: Path) -> None:
    """As timm saves networks with num_classes=0; only a conversion, which names classes, needs it."""
    network, named = theirs("resnet20", "akamaster")
    headless = {f"backbone.{name}": t for name, t in named.items() if not name.startswith("linear.")}
    loaded = resnet(tmp_path, headless, classes=4)
    assert loaded["head.linear.weight"].shape == (4, 64)
    for name, value in network.state_dict().items():
        assert name.startswith("head.linear") or torch.equal(loaded[name], value)
    with pytest.raises(WeightsError, match=r"has no last layer \(head\.linear\.weight\).*hubel train PHOTOS --model"):
        convert_file(tmp_path / "file.pth", "resnet20")
    with pytest.raises(MismatchError, match=r"missing: head\.linear\.weight"):
        resnet(tmp_path, {**headless, "backbone.linear.bias": torch.zeros(10)})


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"linear.bias": torch.zeros(7)}, ["head.linear.bias is (7,) in the file, (10,) in the network"]),
        ({"linear.weight": torch.zeros(7, 64)}, ["head.linear.weight is (7, 64) in the file, (10, 64) in the network"]),
        (
            {"linear.bias": torch.zeros(0), "linear.weight": torch.zeros(0, 64)},
            [
                "head.linear.bias is (0,) in the file, (10,) in the network",
                "head.linear.weight is (0, 64) in the file, (10, 64) in the network",
            ],
        ),
        (
            {"conv1.weight": torch.zeros(16, 0, 3, 3)},
            ["stem.0.conv.weight is (16, 0, 3, 3) in the file, (16, 3, 3, 3) in the network"],
        ),
    ],
    ids=["other bias", "other weight", "no classes", "no channels"],
)
def test_no_part_stays_random_unsaid(changes: dict[str, torch.Tensor], wrong: list[str], tmp_path: Path) -> None:
    """A last layer of two numbers of classes, and empty weights: another number of classes does not explain them."""
    _, named = theirs("resnet20", "akamaster")
    with pytest.raises(MismatchError) as caught:
        resnet(tmp_path, {**named, **changes})
    assert caught.value.lines == [f"other shape: {line}" for line in wrong]


def test_names_stay_on_their_line(tmp_path: Path) -> None:
    _, named = theirs("resnet20", "akamaster")
    for name, said in (("x\n\x1b[31mred", "x [31mred"), ("y" * 100_000, "y" * 200)):
        with pytest.raises(MismatchError) as caught:
            resnet(tmp_path, {**named, name: torch.ones(3)})
        assert str(caught.value) == f"116 weights fit the network, 1 does not\n  unexpected: {said}"


@pytest.mark.parametrize(
    ("wrap", "words"),
    [
        (lambda w: {"student": w, "teacher": w}, r"2 sets of named tensors \(student, teacher\); save one alone"),
        (lambda w: reduce(lambda inner, _: {"model": inner}, range(2000), w), "no named tensors"),
    ],
    ids=["several", "2,000 wrappers"],
)
def test_wrappers_that_do_not_tell(wrap: Callable[[Any], Any], words: str, tmp_path: Path) -> None:
    content = pickled(wrap({"conv1.weight": torch.zeros(1, 1)}))
    (tmp_path / "file.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=words):
        read_weights(tmp_path / "file.pth")


def pickled(content: Any) -> bytes:
    """A torch file, however deep its content is nested."""
    file, limit = io.BytesIO(), sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        torch.save(content, file)
    finally:
        sys.setrecursionlimit(limit)
    return file.getvalue()


def test_more_tensors_than_any_network_has(tmp_path: Path) -> None:
    """Each takes a hundred times the room of its bytes, and the time that it takes to be made."""
    one = torch.ones(1)
    save_file({f"{number}.weight": one.clone() for number in range(40_000)}, tmp_path / "file.safetensors")
    with pytest.raises(WeightsError, match="contains 40,000 tensors; 32,768 are the most"):
        read_weights(tmp_path / "file.safetensors")


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("linear.weight", 10),
        ("linear.weight", 5),
        ("conv1.weight", 5),
        ("layer1.0.conv1.weight", 10),
        ("bn1.weight", 10),
    ],
)
@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.transpose(0, -1).contiguous(),
        lambda t: t.reshape(-1),
        lambda t: t[None],
        lambda t: t[..., None],
        lambda t: t.flatten()[:1],
        lambda t: torch.cat([t, t], -1),
    ],
    ids=["transposed", "flat", "more dimensions", "an axis more", "one number", "wider"],
)
def test_no_weight_is_reshaped_into_place(name: str, classes: int, change: Any, tmp_path: Path) -> None:
    """Neither where the number of elements agrees, nor in the last layer, which may have another number of classes."""
    _, named = theirs("resnet20", "akamaster")
    changed = change(named[name])
    if changed.shape == named[name].shape:
        pytest.skip("the same shape")
    with pytest.raises(MismatchError, match=f"other shape: .* is {re.escape(str(tuple(changed.shape)))} in the file"):
        resnet(tmp_path, {**named, name: changed}, classes=classes)


def bad(named: dict[str, torch.Tensor], name: str, value: float) -> dict[str, torch.Tensor]:
    weight = named[name].clone()
    weight.view(-1)[-1] = value
    return {**named, name: weight}


UNUSABLE: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], str]] = {
    "meta": (lambda t: t.to("meta"), "conv1.weight is on the meta device"),
    "sparse": (lambda t: t.to_sparse(), "conv1.weight is sparse"),
    "quantised": (lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8), "conv1.weight is quantised"),
    "complex": (lambda t: t.to(torch.complex64), "conv1.weight is complex"),
    "boolean": (lambda t: t > 0, "conv1.weight is of true and false"),
    "expanded": (lambda t: t[:1].clone().expand(t.shape), "conv1.weight is expanded to .* from fewer numbers"),
    "integer": (lambda t: t.to(torch.int32), "other type: stem.0.conv.weight is int32 in the file, float32"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_tensors_without_plain_numbers(kind: str, tmp_path: Path) -> None:
    _, named = theirs("resnet20", "akamaster")
    change, words = UNUSABLE[kind]
    with warnings.catch_warnings():  # quantised tensors are deprecated
        warnings.simplefilter("ignore")
        changed = {**named, "conv1.weight": change(named["conv1.weight"])}
        with pytest.raises(WeightsError, match=words):
            resnet(tmp_path, changed)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e300])
@pytest.mark.parametrize("name", ["conv1.weight", "bn1.running_var", "linear.bias"])
def test_numbers_are_finite(name: str, value: float, tmp_path: Path) -> None:
    _, named = theirs("resnet20", "akamaster")
    weights = bad({key: t.double() if t.is_floating_point() else t for key, t in named.items()}, name, value)
    with pytest.raises(WeightsError, match="contain NaN or infinite numbers"):
        resnet(tmp_path, weights)


def test_a_segmenter_is_converted(tmp_path: Path) -> None:
    """Torchvision's names become ours, and the model file says that its classes are those of pixels."""
    network, named = theirs("lraspp_mobilenet_v3_large", "torchvision", backbone_options=["width=0.25"])
    torch.save(named, tmp_path / "file.pth")
    options = {"backbone_options": ["width=0.25"]}
    converted = convert_file(tmp_path / "file.pth", "lraspp_mobilenet_v3_large", options=options)
    assert (converted.card.dense, converted.card.task) == ("maps", "segment")
    assert converted.card.classes == tuple("0123456789")
    page = hub_card(converted.card)
    assert "pipeline_tag: image-segmentation" in page
    assert "Predict the class of each pixel: 0, 1," in page
    loaded = load_model(converted.path)[0]
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in loaded.state_dict().items())
