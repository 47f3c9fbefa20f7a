"""What training starts from: weights that are here by themselves, others on request, and clear words otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hubel.core.errors import OptionError, UnknownNameError
from hubel.data.dataset import Dataset, open_dataset
from hubel.data.preprocess import Preprocess
from hubel.data.sources import ArraySource
from hubel.data.sources.listing import SPLITS
from hubel.models.catalogue import find, list_models
from hubel.training.initial_weights import InitialWeights, default_network, enlarged_size, find_initial_weights
from hubel.training.network_input import choose_preprocess
from hubel.training.recipe import Recipe, TransferSettings
from hubel.weights import pretrained
from hubel.weights.pretrained import Pretrained, find_weights


def undistorted(row: Pretrained) -> Preprocess:
    """As evaluation on ImageNet sees an image, but as much of it as has the input's shape."""
    return replace(row.preprocess, resize="crop", crop=1.0)


def start(model: str, **settings: object) -> InitialWeights:
    name, variant = find(model)
    return find_initial_weights(TransferSettings(**settings), name, variant)


@pytest.fixture(autouse=True)
def nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> Path:
        raise AssertionError("a download")

    for origin in pretrained._FETCHERS:
        monkeypatch.setitem(pretrained._FETCHERS, origin, fail)


def dataset_of(side: int, channels: int, *, train: int = 12, test: int = 0) -> Dataset:
    pixels = np.zeros((train + test, side, side, channels), np.uint8)
    splits = np.repeat([SPLITS.index("train"), SPLITS.index("test")], [train, test])
    source = ArraySource(pixels, [f"{i % 2}" for i in range(len(pixels))], splits, name="pixels")
    return open_dataset(source, threads=0)


@pytest.mark.parametrize(
    ("index", "settings", "expected"),
    [
        ((65, 1), {}, "efficientnet_lite0"),
        ((65, 1), {"weights": "none"}, "efficientnet_lite0"),
        ((64, 3), {}, "efficientnet_lite0"),  # few small images teach a fresh network little
        ((8, 1), {}, "efficientnet_lite0"),
        ((32, 3), {"weights": "none"}, "convnet"),
        ((32, 3), {"size": "32"}, "convnet"),
        ((32, 3), {"size": "128"}, "efficientnet_lite0"),
    ],
)
def test_the_network_suits_the_images(index: tuple[int, int], settings: dict[str, str], expected: str) -> None:
    assert default_network(dataset_of(*index), Recipe(**settings)) == expected


@pytest.mark.parametrize(("channels", "enough"), [(1, 1_000), (3, 100_000)])
def test_many_small_images_train_a_small_network(channels: int, enough: int) -> None:
    """Test images do not count."""
    assert default_network(dataset_of(2, channels, train=enough, test=5), Recipe()) == "convnet"
    assert default_network(dataset_of(2, channels, train=enough - 1, test=5), Recipe()) == "efficientnet_lite0"


@pytest.mark.parametrize(
    ("side", "number", "model", "settings", "expected"),
    [
        (32, 2_001, "efficientnet_lite0", {}, (128, 128)),
        (64, 2_001, "resnet50", {"weights": "default"}, (128, 128)),
        (32, 2_000, "efficientnet_lite0", {}, (224, 224)),
        (65, 2_001, "efficientnet_lite0", {}, (224, 224)),
        (32, 2_001, "efficientnet_lite0", {"size": "96x160"}, (96, 160)),
    ],
)
def test_many_small_images_are_enlarged_less(
    side: int, number: int, model: str, settings: dict[str, str], expected: tuple[int, int]
) -> None:
    variant = find(model)[1]
    like = start(model, **{key: value for key, value in settings.items() if key == "weights"}).preprocess
    assert like is not None
    found = choose_preprocess(Recipe(**settings), variant, dataset_of(side, 3, train=number), like)
    assert (found.height, found.width, found.mean) == (*expected, like.mean)


def test_a_network_of_fixed_size_sees_images_at_that() -> None:
    variant = next(variant for name in list_models() if (variant := find(name)[1]).fixed_size)
    assert enlarged_size(dataset_of(32, 3, train=2_001), Preprocess(300, 310), variant) == (300, 310)


def test_weights_that_are_installed_are_taken_by_themselves() -> None:
    found = start("efficientnet_lite0")
    assert found.weights == "package"
    assert found.preprocess == undistorted(find_weights("efficientnet_lite0"))
    assert found.notes == ()
    assert found.provenance == {"weights": "efficientnet_lite0.package"}


@pytest.mark.parametrize("name", list_models())
def test_no_other_network_has_weights_by_itself(name: str) -> None:
    found = start(name)
    assert (found.weights is not None) == (name == "efficientnet_lite0")
    if found.weights is None:
        assert (found.preprocess, found.options, found.provenance) == (None, {}, {})


def test_a_network_whose_weights_are_a_download_says_so() -> None:
    (note,) = start("resnet50").notes
    assert note == "resnet50 starts from scratch; --weights default starts from pretrained ones (a download)"


@pytest.mark.parametrize("model", ["resnet20", "lenet5_modern", "autoencoder_28", "knn"])
def test_a_network_without_weights_has_nothing_to_say(model: str) -> None:
    assert start(model) == InitialWeights()


@pytest.mark.parametrize("model", ["efficientnet_lite0", "resnet50", "resnet20"])
def test_none_is_from_scratch(model: str) -> None:
    assert start(model, weights="none") == InitialWeights()
    assert start(model, weights="none", freeze="none") == InitialWeights()


@pytest.mark.parametrize("freeze", ["all", "stage1"])
@pytest.mark.parametrize(
    ("model", "weights", "hint"),
    [
        ("efficientnet_lite0", "none", "add --weights default"),
        ("resnet50", "none", "add --weights default"),
        ("resnet50", "auto", "add --weights default"),
        ("resnet20", "auto", "it has none"),
        ("resnet20", "none", "it has none"),
    ],
)
def test_what_has_no_weights_cannot_be_frozen(model: str, weights: str, hint: str, freeze: str) -> None:
    with pytest.raises(OptionError, match=f"{model} starts from scratch, so nothing of it can be frozen .*; {hint}$"):
        start(model, weights=weights, freeze=freeze)


def test_what_is_asked_for() -> None:
    found = start("resnet50", weights="default")
    assert found.weights == find_weights("resnet50").tag
    assert start("resnet50", weights=str(found.weights)) == found
    assert (found.preprocess, found.notes) == (undistorted(find_weights("resnet50")), ())
    assert found.provenance == {"weights": f"resnet50.{found.weights}"}


@pytest.mark.parametrize("model", ["inception_v3", "googlenet_bn_tv"])
def test_auxiliary_classifiers_are_left_out(model: str) -> None:
    assert start(model, weights="default").options["auxiliary"] is False
    assert "auxiliary" not in start("efficientnet_lite0").options


@pytest.mark.parametrize(("model", "row"), [("efficientnet_lite0", True), ("resnet20", False)])
def test_a_file(model: str, row: bool, tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    path.touch()
    found = start(model, weights=str(path), freeze="stage1")
    assert found.weights == path
    assert found.preprocess == (undistorted(find_weights(model)) if row else None)
    assert found.provenance == {"weights": "mine.pth"}
    path.unlink()
    with pytest.raises(OptionError, match=r"^--weights .*mine\.pth: no such file$"):
        start(model, weights=str(path))


@pytest.mark.parametrize(
    ("name", "weights"),
    [("auto", "none"), ("none", "none"), ("package", "auto"), ("default", "default")],
)
def test_a_folder_that_is_called_as_weights_are(
    name: str, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of the catalogue are not paths, whatever lies in the current folder."""
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    wanted = None if weights == "none" else undistorted(find_weights("efficientnet_lite0"))
    assert start("efficientnet_lite0", weights=weights).preprocess == wanted


def test_names_that_nobody_knows() -> None:
    with pytest.raises(UnknownNameError, match="no set of weights of resnet50 is called 'torchvision_v3'"):
        start("resnet50", weights="torchvision_v3")
    with pytest.raises(UnknownNameError, match="no model with pretrained weights is called 'resnet20'"):
        start("resnet20", weights="default")


def test_what_makes_images_has_no_weights(tmp_path: Path) -> None:
    (path := tmp_path / "mine.pth").touch()
    for weights in ("default", str(path)):
        with pytest.raises(OptionError, match="autoencoder_28 predicts no classes; it has no pretrained weights"):
            start("autoencoder_28", weights=weights)
