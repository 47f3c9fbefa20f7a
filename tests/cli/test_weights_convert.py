"""`hubel weights convert`: weights of another library predict what they predicted there."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from akamaster import ResNet20
from hubel.inference.load import load
from hubel.weights.model_file import read_card
from hubel.weights.preprocessings import PRESETS

CIFAR = Path(__file__).parents[3] / "shared" / "data" / "cifar10"
COLOURS = "inception"  # none of hubel's own assumptions
CONVERT = ("weights", "convert", "--model", "resnet20")


@dataclass(frozen=True)
class Learnt:
    """Weights that a network of plain torch has learnt, with the images and their classes."""

    folder: Path
    network: ResNet20
    pixels: NDArray[np.uint8]
    targets: NDArray[np.int64]

    def predictions(self) -> NDArray[np.int64]:
        with torch.inference_mode():
            return self.network(normalised(self.pixels)).argmax(1).numpy()


def normalised(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """Images uint8 `(n, h, w, 3)` as the other program normalises them."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in PRESETS[COLOURS])
    return (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - mean) / std


def save(network: ResNet20, file: Path) -> None:
    torch.save({"state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}, "best": 0.9}, file)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Learnt:
    folder = tmp_path_factory.mktemp("akamaster")
    generator, targets = np.random.default_rng(0), np.arange(48) % 3
    # Only the rim tells the classes: what loses it, is another image.
    noise = generator.integers(90, 166, (48, 32, 32, 3))
    noise[:, :2] = 80 * targets[:, None, None, None] + generator.integers(0, 60, (48, 2, 32, 3))
    pixels = noise.astype(np.uint8)
    network = ResNet20(3)
    network.fit(normalised(pixels), torch.from_numpy(targets), steps=16, batch=12)
    save(network, folder / "mine.th")
    (folder / "names.txt").write_text("dark\nmiddle\nbright\n")
    for number, (image, target) in enumerate(zip(pixels, targets, strict=True)):
        place = folder / "photos" / ("0dark", "1middle", "2bright")[target] / f"{number:02}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place)
    return Learnt(folder, network, pixels, targets)


def converted(hubel: Callable[..., Any], learnt: Learnt, *flags: object) -> tuple[str, NDArray[np.int64]]:
    """What the command says, and the classes that the model predicts."""
    done = hubel(*CONVERT, learnt.folder / "mine.th", "--out", "x.safetensors", *flags)
    assert done.code == 0, done.err
    return done.out, load("x.safetensors").predict_proba(learnt.pixels).argmax(1)


def test_preprocessing_as_stated(hubel: Callable[..., Any], learnt: Learnt) -> None:
    """Presets and numbers alike give the predictions of the other program, image by image."""
    assert (learnt.predictions() == learnt.targets).mean() > 0.6
    for flags in (["--preprocess", COLOURS], ["--mean", "0.5,0.5,0.5", "--std", "0.5"]):
        said, found = converted(hubel, learnt, *flags, "--classes", learnt.folder / "names.txt")
        assert "the whole image" in said
        assert "assumed" not in said
        assert np.array_equal(found, learnt.predictions())
    assert load("x.safetensors").classes == ("dark", "middle", "bright")


def test_small_images_are_seen_whole(hubel: Callable[..., Any], learnt: Learnt) -> None:
    said, _ = converted(hubel, learnt)
    assert "assumed, as the file does not say it; --check PHOTOS measures what fits:" in said
    assert "colours imagenet (mean 0.485 0.456 0.406; std 0.229 0.224 0.225), the whole image, bilinear" in said
    converted(hubel, learnt, "--crop", "0.875", "--interpolation", "bicubic")
    preprocess = read_card(Path("x.safetensors")).preprocess
    assert (preprocess.resize, preprocess.crop, preprocess.interpolation) == ("crop", 0.875, "bicubic")


def test_what_fits_is_measured(hubel: Callable[..., Any], learnt: Learnt) -> None:
    """The classes of the data, in their order, are those of weights that name none."""
    said, found = converted(hubel, learnt, "--check", learnt.folder / "photos")
    rows = [line.split() for line in said.splitlines() if line.split()[1:2] in (["squash"], ["crop"])]
    assert {row[0] for row in rows} == set(PRESETS)
    assert rows[0][-1] == "chosen"
    accuracies = [float(row[3].rstrip("%")) for row in rows]
    assert accuracies[1:] == sorted(accuracies[1:], reverse=True)
    whole = {row[0]: accuracy for row, accuracy in zip(rows, accuracies, strict=True) if row[1] == "squash"}
    assert whole[COLOURS] == pytest.approx(100 * (learnt.predictions() == learnt.targets).mean(), abs=0.06)
    assert rows[0][1] == "squash"
    assert (found == learnt.targets).mean() >= (learnt.predictions() == learnt.targets).mean()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--preprocess", "imagnet"], "did you mean imagenet"),
        (["--mean", "red"], "--mean is a number, or one a channel"),
        (["--std", "0.5,0.5"], "3 finite numbers each"),
        (["--crop", "7"], "crop is a share from 0.1 to 1"),
        (["--resize", "squash", "--crop", "0.5"], "only resize crop cuts something away"),
        (["--check", "nowhere"], "nowhere"),
    ],
)
def test_mistakes(hubel: Callable[..., Any], learnt: Learnt, flags: list[str], words: str) -> None:
    done = hubel(*CONVERT, learnt.folder / "mine.th", "--out", "y.safetensors", *flags)
    assert done.code == 2
    assert words in done.err
    assert not Path("y.safetensors").exists()


@pytest.mark.slow
@pytest.mark.skipif(not CIFAR.is_dir(), reason="../shared is absent")
def test_accuracy_on_cifar10(hubel: Callable[..., Any], tmp_path: Path) -> None:
    """A network trained by another program has its own accuracy after conversion, with what --check chooses."""
    from pyarrow import parquet

    def read(name: str, n: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        table = parquet.read_table(CIFAR / f"{name}.parquet")
        table = table.take(np.random.default_rng(0).permutation(len(table))[:n])  # the file is sorted by class
        images = [np.asarray(Image.open(io.BytesIO(row["bytes"]))) for row in table["image"].to_pylist()]
        return np.stack(images), np.array(table["label"].to_pylist())

    pixels, targets = read("train", 5000)
    network = ResNet20()
    network.fit(normalised(pixels), torch.from_numpy(targets), steps=150)
    test = Learnt(tmp_path, network, *read("test", 2000))
    save(network, tmp_path / "mine.th")
    own = (test.predictions() == test.targets).mean()
    assert own > 0.3
    said, found = converted(hubel, test, "--check", CIFAR)
    print(f"own accuracy {own:.2%}, converted {(found == test.targets).mean():.2%}\n{said}")
    assert abs((found == test.targets).mean() - own) <= 0.001
    assert read_card(Path("x.safetensors")).preprocess.mean == PRESETS[COLOURS][0]
