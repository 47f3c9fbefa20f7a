"""`hubel.create_model` with weights, and the embedded EfficientNet-Lite0."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import hubel
import peers
from hubel.core.errors import OptionError, UnknownNameError, WeightsError
from hubel.data.decode import decode
from hubel.inference.forward import forward
from hubel.nn.features import FeatureNetwork
from hubel.weights.convert import convert_file
from hubel.weights.create import load_pretrained
from hubel.weights.imagenet import imagenet_synsets
from hubel.weights.model_file import load_model
from hubel.weights.pretrained import fetch_weights, find_weights

PHOTOS = Path(__file__).parents[3] / "shared" / "data" / "imagenet-100"
shared = pytest.mark.skipif(not PHOTOS.is_dir(), reason="../shared is absent")


def test_embedded_weights_need_no_network() -> None:
    network = hubel.create_model("efficientnet_lite0", weights="default").eval()
    stored = torch.load(fetch_weights(find_weights("efficientnet_lite0")), weights_only=True)
    weights = network.state_dict()
    assert torch.equal(weights["stem.0.conv.weight"], stored["_conv_stem.weight"])
    assert torch.equal(weights["head.linear.weight"], stored["_fc.weight"])
    assert len(weights) == len(stored)


def test_other_classes_and_channels() -> None:
    whole = hubel.create_model("efficientnet_lite0", weights="default").state_dict()
    network = hubel.create_model("efficientnet_lite0", weights="package", num_classes=5, in_channels=1)
    weights = network.state_dict()
    different = {key for key in whole if whole[key].shape != weights[key].shape}
    assert different == {"head.linear.weight", "head.linear.bias", "stem.0.conv.weight"}
    assert all(torch.equal(whole[key], weights[key]) for key in whole.keys() - different)
    torch.testing.assert_close(weights["stem.0.conv.weight"], whole["stem.0.conv.weight"].sum(1, keepdim=True))


def test_a_backbone() -> None:
    backbone = hubel.create_model("efficientnet_lite0", weights="default", features_only=True).eval()
    assert isinstance(backbone, FeatureNetwork)
    assert [(entry.stride, entry.channels) for entry in backbone.info] == [
        (2, 16),
        (4, 24),
        (8, 40),
        (16, 112),
        (32, 320),
    ]
    with torch.no_grad():
        maps = backbone(torch.zeros(1, 3, 96, 160))
    assert {name: tuple(m.shape[2:]) for name, m in maps.items()} == {
        "stride2": (48, 80), "stride4": (24, 40), "stride8": (12, 20), "stride16": (6, 10), "stride32": (3, 5),
    }  # fmt: skip


def test_a_file(tmp_path: Path) -> None:
    network = hubel.create_model("resnet20")
    torch.save(network.state_dict(), tmp_path / "mine.pth")
    again = hubel.create_model("resnet20", weights=tmp_path / "mine.pth")
    assert all(torch.equal(again.state_dict()[key], value) for key, value in network.state_dict().items())


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="no set of weights of efficientnet_lite0 is called 'defalt'"):
        hubel.create_model("efficientnet_lite0", weights="defalt")
    with pytest.raises(UnknownNameError, match="no model with pretrained weights is called 'resnet20'"):
        hubel.create_model("resnet20", weights="default")
    with pytest.raises(WeightsError, match="no such file"):
        hubel.create_model("resnet20", weights=tmp_path / "none.pth")
    with pytest.raises(OptionError, match="no feature maps of decreasing resolution"):
        hubel.create_model("linear", features_only=True)
    with pytest.raises(UnknownNameError, match=r"no model file, run or network is called .*did you mean .*resnet50"):
        hubel.load("resnet5O")
    with pytest.raises(OSError, match="no such model file"):
        hubel.load("resnet50.safetensors")


def test_predicts_by_name() -> None:
    predictor = hubel.load("efficientnet_lite0")
    assert predictor.classes[281] == "tabby cat"
    assert predictor.predict_proba(np.zeros((2, 50, 70, 3), np.uint8)).shape == (2, 1000)


def test_convert_recognises_a_file_of_the_catalogue(tmp_path: Path) -> None:
    source = tmp_path / "lite0.pth"
    source.write_bytes(fetch_weights(find_weights("efficientnet_lite0")).read_bytes())
    converted = convert_file(source, "efficientnet_lite0")
    assert converted.row == find_weights("efficientnet_lite0")
    assert converted.path == tmp_path / "lite0.safetensors"
    network, card = load_model(converted.path)
    by_name, same_card = load_pretrained("efficientnet_lite0")
    assert card == same_card
    pixels = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
    assert np.array_equal(forward(network, pixels, card.preprocess), forward(by_name, pixels, card.preprocess))


def test_convert_takes_numbers_from_the_file(tmp_path: Path) -> None:
    weights = hubel.create_model("resnet20", num_classes=3, in_channels=1).state_dict()
    torch.save({"model": weights}, tmp_path / "mine.pth")
    (tmp_path / "names.txt").write_text("cat\ndog\nbird\n")
    converted = convert_file(
        tmp_path / "mine.pth", "resnet20", classes=tmp_path / "names.txt", out=tmp_path / "x.safetensors"
    )
    network, card = load_model(converted.path)
    assert converted.row is None
    assert card.classes == ("cat", "dog", "bird")
    assert card.preprocess.channels == 1
    assert all(torch.equal(network.state_dict()[key], value) for key, value in weights.items())
    assert convert_file(tmp_path / "mine.pth", "resnet20").card.classes == ("0", "1", "2")
    with pytest.raises(OptionError, match=r"is the input, which is never written to"):
        convert_file(tmp_path / "x.safetensors", "resnet20")
    (tmp_path / "names.txt").write_text("cat\n")
    with pytest.raises(OptionError, match="names 1 classes, but the weights have 3"):
        convert_file(tmp_path / "mine.pth", "resnet20", classes=tmp_path / "names.txt")
    with pytest.raises(WeightsError, match="do not"):
        convert_file(tmp_path / "mine.pth", "resnet32")


@shared
def test_top1_of_the_embedded_network() -> None:
    """89 of 100 photos; with another preprocessing it is 72 to 83 (ImageNet's colours, or squashed)."""
    predictor = hubel.load("efficientnet_lite0")
    photos = sorted(PHOTOS.glob("*.JPEG"))
    truth = [imagenet_synsets().index(photo.name.split("_")[0]) for photo in photos]
    best = predictor.predict_proba(photos).argmax(1)
    assert len(photos) == 100
    assert int((best == truth).sum()) >= 88


@pytest.mark.peer
@shared
def test_same_as_the_reference_image_by_image() -> None:
    reference = peers.efficientnet_lite_pytorch().EfficientNet.from_name("efficientnet-lite0")
    reference.load_state_dict(torch.load(fetch_weights(find_weights("efficientnet_lite0")), weights_only=True))
    network, card = load_pretrained("efficientnet_lite0")
    photos = sorted(PHOTOS.glob("*.JPEG"))[::5]
    pixels = np.stack([card.preprocess.apply(decode(p.read_bytes(), name=p.name).pixels) for p in photos])
    ours = forward(network, pixels, card.preprocess)
    theirs = forward(reference, pixels, card.preprocess)
    assert np.array_equal(ours.argmax(1), theirs.argmax(1))
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)
