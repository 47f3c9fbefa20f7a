"""Training on pairs: maps that learn, files that are read again, tables and settings that are refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hubel.core.errors import DataError, ModelFileError, OptionError
from hubel.data.preprocess import Preprocess
from hubel.data.sources.pair_table import ImagePair
from hubel.models.catalogue import build_model
from hubel.nn.pooled import PooledMaps
from hubel.retrieval.encoder import Encoder
from hubel.retrieval.encoders import find_encoder
from hubel.retrieval.paired import PairedEncoder, mapped
from hubel.training.pairs import PairSettings, PairsResult, fit_maps, train_pairs, train_recipe_on_pairs
from hubel.training.recipe import Recipe
from hubel.weights.card import ModelCard
from hubel.weights.model_file import load_model, save_model
from hubel.weights.paired_file import is_paired_file, load_paired

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220), "yellow": (230, 220, 40)}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with random weights, as a model file."""
    path = tmp_path_factory.mktemp("small") / "small.safetensors"
    torch.manual_seed(0)
    save_model(
        path, build_model("resnet20").state_dict(), ModelCard("resnet20", tuple("abcdefghij"), Preprocess(32, 32))
    )
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    noise = np.random.default_rng(0)
    rows = []
    for number in range(60):
        name = list(COLOURS)[number % 4]
        pixels = np.clip(np.array(COLOURS[name]) + noise.normal(0, 20, (32, 32, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        rows.append((f"{number}.png", f"a {name} wall"))
    with (folder / "walls.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image_path", "caption"), *rows, ("none.png", "a hole")])
    return folder / "walls.csv"


@pytest.fixture(scope="module")
def run(small: Path, table: Path, tmp_path_factory: pytest.TempPathFactory) -> PairsResult:
    settings = PairSettings(dimension=16, epochs=30, batch_size=27)
    with pytest.MonkeyPatch.context() as patch:  # a module's fixture comes before a test's own cache
        patch.setenv("HUBEL_CACHE", str(tmp_path_factory.mktemp("cache")))
        return train_pairs(table, model=small, settings=settings, out=tmp_path_factory.mktemp("runs") / "walls")


@pytest.mark.peer  # the weights of the text encoder are among the peers' packages
def test_what_is_found(run: PairsResult) -> None:
    assert (run.pairs, run.held_out) == (54, 6)
    assert run.texts.recall_at_1 == run.images.recall_at_1 == 1, "four colours, which captions name"
    assert run.notes == ("1 row left out; the first: line 62: there is no file 'none.png'",)
    assert json.loads((run.folder / "pairs.json").read_text())["settings"]["epochs"] == 30


@pytest.mark.peer
def test_the_file_is_an_encoder(run: PairsResult, small: Path) -> None:
    encoder = PairedEncoder(run.folder)
    assert isinstance(encoder, Encoder)
    assert (encoder.dimension, encoder.preprocess) == (16, Preprocess(32, 32))
    assert find_encoder(str(run.model)).digest == encoder.digest
    pixels = np.stack([np.full((32, 32, 3), colour, np.uint8) for colour in COLOURS.values()])
    images, texts = encoder.encode_images(pixels), encoder.encode_texts([f"a {name} wall" for name in COLOURS])
    assert np.allclose(np.linalg.norm(images, axis=1), 1, atol=1e-5)
    assert (texts @ images.T).argmax(1).tolist() == [0, 1, 2, 3]
    features = PooledMaps(load_model(small)[0]).eval()
    with torch.no_grad():
        expected = features(torch.from_numpy(Preprocess(32, 32).normalise(pixels))).numpy()
    assert np.allclose(images, mapped(expected, load_paired(run.model).image_map.numpy()), atol=1e-5)


@pytest.mark.peer
def test_the_same_run_again(run: PairsResult, small: Path, table: Path, tmp_path: Path) -> None:
    settings = PairSettings(dimension=16, epochs=30, batch_size=27)
    again = train_pairs(table, model=small, settings=settings, out=tmp_path / "again")
    assert again.model.read_bytes() == run.model.read_bytes()


@pytest.mark.peer
def test_damaged_files(run: PairsResult, small: Path, tmp_path: Path) -> None:
    data = run.model.read_bytes()
    assert is_paired_file(run.model)
    assert not is_paired_file(small)
    with pytest.raises(ModelFileError, match=r"compares images with texts.*hubel search FOLDER WORDS --encoder"):
        load_model(run.model)
    with pytest.raises(ModelFileError, match="was not trained on pairs; hubel train PAIRS"):
        PairedEncoder(small)
    for name, wrong in {
        "cut": data[:-8],
        "byte": data[:-2] + bytes([data[-2] ^ 1]) + data[-1:],
        "text": data.replace(b'\\"format\\": 1', b'\\"format\\": 9'),
    }.items():
        (tmp_path / name).write_bytes(wrong)
        with pytest.raises(ModelFileError, match=r"truncated|damaged|version 9"):
            load_paired(tmp_path / name)


def test_maps_learn_what_is_shared() -> None:
    """Both sides are random linear functions of the same four numbers, behind an offset and beside noise."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(300, 4))
    images = (3 + hidden @ rng.normal(size=(4, 30)) + 0.1 * rng.normal(size=(300, 30))).astype(np.float32)
    texts = (hidden @ rng.normal(size=(4, 20)) - 5).astype(np.float32)
    pairs = [ImagePair(str(i), str(i)) for i in range(200)]
    maps = fit_maps(images[:200], texts[:200], pairs, PairSettings(dimension=8, epochs=60, batch_size=100, lr=0.01))
    similar = mapped(images[200:], maps[0]) @ mapped(texts[200:], maps[1]).T
    assert (similar.argmax(1) == np.arange(100)).mean() > 0.8


def test_pooled_maps_are_those_of_the_network() -> None:
    network = build_model("resnet20").eval()
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        maps, found = network.maps(x), PooledMaps(network).eval()(x)
    means = [maps[name].mean((2, 3)) for name in ("stem", "stage1", "stage2", "stage3")]
    assert torch.allclose(found, torch.cat([*means, means[-1]], 1), atol=1e-6)


def test_too_few_pairs(table: Path, small: Path, tmp_path: Path) -> None:
    few = table.with_name("few.csv")
    few.write_text("image_path,caption\n0.png,a wall\n1.png,another wall\n")
    with pytest.raises(DataError, match=r"few\.csv has 2 pairs that can be used; at least 20 are needed"):
        train_pairs(few, model=small, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_settings_that_mean_nothing(table: Path) -> None:
    with pytest.raises(OptionError, match=r"--augment means nothing for pairs.*--batch-size, --epochs, --lr, --seed"):
        train_recipe_on_pairs(table, Recipe(augment="none"))
    with pytest.raises(OptionError, match="epochs"):
        PairSettings(epochs=0)
