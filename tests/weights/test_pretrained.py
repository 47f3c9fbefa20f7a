"""The catalogue of pretrained weights."""

from __future__ import annotations

import pytest
import torch

import peers
from hubel.core.errors import UnknownNameError
from hubel.data.preprocess import Preprocess
from hubel.models.catalogue import build_model, options_of
from hubel.weights.pretrained import Pretrained, find_weights, list_weights

VGG = [f"vgg{depth}{norm}" for norm in ("", "_bn") for depth in (11, 13, 16, 19)]
RESNETS = [f"resnet{depth}" for depth in (18, 34, 50, 101, 152)]
MOBILE = ["mobilenet_v1", "mobilenet_v2", "mobilenet_v2_140", "mobilenet_v3_large", "mobilenet_v3_small"]
DENSENETS = [f"densenet{depth}" for depth in (121, 161, 169, 201)]
EFFICIENTNETS = [f"efficientnet_b{i}" for i in range(8)] + [f"efficientnet_lite{i}" for i in range(5)]
MODELS = {"alexnet_tv", "googlenet_bn_tv", "inception_v3", *VGG, *RESNETS, *MOBILE, *DENSENETS, *EFFICIENTNETS}


def test_every_family_has_weights() -> None:
    assert {row.model for row in list_weights()} == MODELS
    assert {row.model for row in list_weights("vgg*")} == set(VGG)
    assert list_weights("lenet*") == []


@pytest.mark.parametrize("row", list_weights(), ids=lambda row: f"{row.model}-{row.tag}")
def test_each_row(row: Pretrained) -> None:
    assert find_weights(row.model, row.tag) is row  # so tags are unique
    assert row.tag != "default"
    assert (row.library, row.origin) in {
        ("torchvision", "url"),
        ("timm", "hub"),
        ("efficientnet_lite_pytorch", "package"),
    }
    assert row.licence in {"apache-2.0", "bsd-3-clause", "cc-by-nc-4.0"}
    usual = options_of(row.model)
    assert all(type(value) is type(usual[name]) and value != usual[name] for name, value in row.options.items())
    assert row.preprocess.channels == 3
    assert row.preprocess.height == row.preprocess.width
    assert 160 <= row.preprocess.height <= 600
    assert 0.8 < row.preprocess.crop <= 1
    if row.top1 is not None:
        assert 50 < row.top1 < 90
        assert row.top5 is None or row.top1 < row.top5 < 99


def test_facts_of_each_origin() -> None:
    for row in list_weights():
        name = row.file.rsplit("/", 1)[-1]
        if row.origin == "hub":
            assert row.location.startswith("timm/")
            assert row.file == "model.safetensors"
        else:
            assert row.sha256.startswith(name.removesuffix(".pth").rsplit("-", 1)[1])
        if row.origin == "url":
            assert row.location == f"https://download.pytorch.org/models/{row.file}"


def test_defaults() -> None:
    assert find_weights("efficientnet_lite0").origin == "package"
    assert find_weights("resnet50").tag == "torchvision_v2"
    defaults = [find_weights(model) for model in MODELS]
    assert not any("nc" in row.licence for row in defaults)  # free to use for anything
    assert not any("width" in row.options for row in defaults)


def test_names_that_are_not_known() -> None:
    with pytest.raises(UnknownNameError, match=r"no model with pretrained weights is called 'resnet51'; did you mean"):
        find_weights("resnet51")
    with pytest.raises(UnknownNameError, match=r"no set of weights of resnet18 is called 'a1'.*a1_in1k"):
        find_weights("resnet18", "a1")


@pytest.mark.peer
def test_the_rows_are_torchvisions() -> None:
    models = peers.torchvision().models
    names = {"alexnet_tv": "alexnet", "googlenet_bn_tv": "googlenet"}
    for row in (row for row in list_weights() if row.library == "torchvision"):
        name = names.get(row.model, row.model)
        theirs = models.get_model_weights(name)[f"IMAGENET1K_V{row.tag[-1]}"]
        transform, accuracy = theirs.transforms(), theirs.meta["_metrics"]["ImageNet-1K"]
        inside = name in ("googlenet", "inception_v3")  # these normalise again, inside the network
        assert row.location == theirs.url
        assert (row.top1, row.top5) == (accuracy["acc@1"], accuracy["acc@5"])
        assert row.preprocess.height == transform.crop_size[0]
        assert row.preprocess.min_size == (transform.resize_size[0],) * 2
        assert row.preprocess.interpolation == transform.interpolation.value
        assert row.preprocess.mean == ((0.5,) * 3 if inside else tuple(transform.mean))
        assert row.preprocess.std == ((0.5,) * 3 if inside else tuple(transform.std))


@pytest.mark.peer
def test_the_rows_are_timms() -> None:
    timm = peers.timm()
    for row in (row for row in list_weights() if row.library == "timm"):
        theirs = timm.models.get_pretrained_cfg(row.location.removeprefix("timm/"))
        shares = {
            theirs.input_size[1]: theirs.crop_pct,
            (theirs.test_input_size or theirs.input_size)[1]: theirs.test_crop_pct or theirs.crop_pct,
        }
        assert (theirs.hf_hub_id, theirs.num_classes, theirs.license) == (row.location, 1000, row.licence)
        assert row.preprocess == Preprocess(
            row.preprocess.height,
            row.preprocess.height,
            resize={"center": "crop", "squash": "squash"}[theirs.crop_mode],  # type: ignore[arg-type]
            interpolation=theirs.interpolation,
            mean=tuple(theirs.mean),
            std=tuple(theirs.std),
            crop=shares[row.preprocess.height],
        )


@pytest.mark.peer
@pytest.mark.slow  # what is compared changes only with the catalogue or a version of a peer
@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_the_options_are_what_the_weights_were_trained_with(library: str) -> None:
    built: dict[str, torch.nn.Module] = {}
    for row in (row for row in list_weights() if row.library == library):
        name = row.location.removeprefix("timm/").split(".")[0] if library == "timm" else row.model.removesuffix("_tv")
        if name not in built:
            built[name] = _theirs(library, name)
        norms = {x.eps for x in built[name].modules() if isinstance(x, torch.nn.BatchNorm2d)}
        ours = {x.eps for x in build(row).modules() if isinstance(x, torch.nn.BatchNorm2d)}
        assert norms == ours
        same = any(type(x).__name__ == "Conv2dSame" for x in built[name].modules())
        assert row.options.get("same_padding", False) is same


def build(row: Pretrained) -> torch.nn.Module:
    with torch.device("meta"):
        return build_model(row.model, options=row.options)


def _theirs(library: str, name: str) -> torch.nn.Module:
    with torch.device("meta"):
        if library == "timm":
            return peers.timm().create_model(name)  # type: ignore[no-any-return]
        plain = name.removesuffix("_bn") if name.startswith("googlenet") else name
        fast = {"init_weights": False} if plain in ("googlenet", "inception_v3") else {}
        return getattr(peers.torchvision().models, plain)(**fast)  # type: ignore[no-any-return]
