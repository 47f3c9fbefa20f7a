"""Similar images: the features, the search against a plain one, and what the cache knows and must not know."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from hubel.core.errors import DataError, DecodeError, OptionError
from hubel.data.preprocess import Preprocess
from hubel.features import similar as module
from hubel.features.similar import embed_images, index_folder, similar_images
from hubel.inference.predictor import Predictor
from hubel.models.catalogue import build_model
from hubel.retrieval.index import FolderIndex
from hubel.weights.card import ModelCard

CARD = ModelCard("convnet", ("a", "b", "c"), Preprocess(16, 16), {"filters": [8, 16], "repeat": [1]})


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def predictor(seed: int = 0, card: ModelCard = CARD) -> Predictor:
    torch.manual_seed(seed)
    return Predictor(card.create().eval(), card)


def photo(seed: int) -> NDArray[np.uint8]:
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (4, 5, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((40, 30), Image.Resampling.BICUBIC))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(12):
        folder = tmp_path / "photos" / f"day {number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(number)).save(folder / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images went through the network, call by call."""
    counts: list[int] = []

    def counted(network: nn.Module, pixels: NDArray[np.uint8], preprocess: Preprocess) -> NDArray[np.float32]:
        counts.append(len(pixels))
        return embed_images(network, pixels, preprocess)

    monkeypatch.setattr(module, "embed_images", counted)
    return counts


@pytest.mark.parametrize("n", [1, 9, 300, 3000])
def test_search_is_exact(n: int) -> None:
    generator = np.random.default_rng(n)
    exact = generator.standard_normal((n, 96))
    vectors = (exact / np.linalg.norm(exact, axis=1, keepdims=True)).astype(np.float16)
    index = FolderIndex([str(row) for row in range(n)], vectors, 0, ())
    for query in vectors[:5].astype(np.float32):
        rounded = vectors.astype(np.float64)
        products = rounded @ query.astype(np.float64) / np.linalg.norm(rounded, axis=1)
        order = np.argsort(-products, kind="stable")[:10]
        found = index.search(query)
        assert [int(one.path) for one in found] == order.tolist()
        np.testing.assert_allclose([one.similarity for one in found], products[order], atol=1e-6)


def test_equal_images_come_in_their_order() -> None:
    vectors = np.zeros((40, 8), np.float16)
    vectors[:, 0] = 1
    found = FolderIndex([str(row) for row in range(40)], vectors, 0, ()).search(vectors[0].astype(np.float32))
    assert [(one.path, one.similarity) for one in found] == [(str(row), 1.0) for row in range(10)]


def test_features_are_what_the_last_linear_layer_sees() -> None:
    """By the layer's own arithmetic: its outputs are W f + b of the features, scaled back."""
    for name, channels, side in (("convnet", 3, 16), ("linear", 1, 8), ("lenet5", 1, 32)):
        torch.manual_seed(1)
        network = build_model(name, num_classes=4, in_channels=channels, input_size=(side, side)).eval()
        preprocess = Preprocess(side, side, channels, mean=(0.5,) * channels, std=(0.25,) * channels)
        pixels = np.random.default_rng(0).integers(0, 256, (5, side, side, channels), np.uint8)
        found = embed_images(network, pixels, preprocess)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
        layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
        if not layers or layers[-1].out_features != 4:
            continue
        with torch.no_grad():
            logits = network(torch.from_numpy(preprocess.normalise(pixels))).numpy()
            weight, bias = layers[-1].weight.numpy(), layers[-1].bias.numpy()
        said = found @ weight.T
        for row, wanted in zip(said, logits - bias, strict=True):
            np.testing.assert_allclose(row / np.linalg.norm(row), wanted / np.linalg.norm(wanted), atol=1e-4)


def test_a_network_without_linear_layer_and_no_hook_left() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    pixels = np.random.default_rng(0).integers(0, 256, (4, 9, 9, 3), np.uint8)
    preprocess = Preprocess(9, 9)
    with torch.no_grad():
        wanted = plain(torch.from_numpy(preprocess.normalise(pixels))).numpy()
    found = embed_images(plain, pixels, preprocess)
    np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), atol=1e-5)
    broken = nn.Sequential(nn.Flatten(), nn.Linear(5, 2))
    with pytest.raises(RuntimeError):
        embed_images(broken, pixels, preprocess)
    assert not any(layer._forward_pre_hooks for layer in broken.modules())


def test_neighbours_of_an_image_of_the_folder(photos: Path) -> None:
    """The same by hand: one image at a time, float64 cosines."""
    model, query = predictor(), photos / "day 1" / "4.png"
    paths = sorted(photos.rglob("*.png"), key=lambda path: (path.parent.name, int(path.stem)))
    resized = [np.asarray(Image.open(path).resize((16, 16), Image.Resampling.BILINEAR)) for path in paths]
    one = [embed_images(model.network, pixels[None], CARD.preprocess)[0].astype(float) for pixels in resized]
    cosines = np.array([vector @ one[paths.index(query)] for vector in one])
    found, index = similar_images(model, photos, query, top_k=5)
    assert index.paths == [str(path) for path in paths]
    assert found[0].path == str(query)
    assert found[0].similarity == pytest.approx(1, abs=1e-3)
    assert [hit.path for hit in found] == [str(paths[i]) for i in np.argsort(-cosines)[:5]]
    np.testing.assert_allclose([hit.similarity for hit in found], np.sort(cosines)[::-1][:5], atol=1e-3)
    everything, _ = similar_images(model, photos, query, top_k=100)
    assert len(everything) == 12


def test_only_what_is_new_is_embedded(photos: Path, embedded: list[int]) -> None:
    model = predictor()
    first = index_folder(model, photos)
    assert (first.embedded, sum(embedded)) == (12, 12)
    again = index_folder(model, photos)
    assert (again.embedded, sum(embedded)) == (0, 12)
    assert np.array_equal(first.vectors, again.vectors)
    (photos / "day 0" / "3.png").unlink()
    Image.fromarray(photo(50)).save(photos / "day 1" / "1.png")  # changed
    Image.fromarray(photo(51)).save(photos / "day 2" / "100.png")  # new
    third = index_folder(model, photos)
    assert (third.embedded, sum(embedded)) == (2, 14)
    names = [Path(path).name for path in third.paths]
    assert names == [f"{number}.png" for number in (0, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, 100)]
    old = dict(zip(first.paths, first.vectors, strict=True))
    fresh = predictor()
    for path, vector in zip(third.paths, third.vectors, strict=True):
        pixels = CARD.preprocess.apply(np.asarray(Image.open(path)))[None]
        wanted = embed_images(fresh.network, pixels, CARD.preprocess)
        np.testing.assert_allclose(vector, wanted[0], atol=1e-3)
        if path in old and not path.endswith(f"day 1{os.sep}1.png"):
            assert np.array_equal(vector, old[path])
    assert index_folder(model, photos).embedded == 0


def test_other_weights_other_preprocessing_other_folder(photos: Path, embedded: list[int], own_cache: Path) -> None:
    index_folder(predictor(), photos)
    index_folder(predictor(seed=1), photos)
    index_folder(predictor(card=ModelCard("convnet", CARD.classes, Preprocess(20, 20), CARD.options)), photos)
    index_folder(predictor(), photos / "day 1")
    assert embedded == [12, 12, 12, 4]
    assert len(list((own_cache / "similar").iterdir())) == 4
    assert index_folder(predictor(), photos).embedded == 0


def test_nothing_is_written_beside_the_photos(photos: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in photos.rglob("*")}
    similar_images(predictor(), photos, photos / "day 0" / "0.png")
    assert {path: path.stat().st_mtime_ns for path in photos.rglob("*")} == before


def test_a_damaged_index_is_made_again(photos: Path, own_cache: Path, embedded: list[int]) -> None:
    first = np.array(index_folder(predictor(), photos).vectors)
    (place,) = (own_cache / "similar").iterdir()
    assert {path.name for path in place.iterdir()} == {"vectors.npy", "stamps.npy", "manifest.json"}
    for damage in (lambda data: data[:-1], lambda data: data[:-1] + b"x", lambda data: b""):
        file = place / "vectors.npy"
        file.write_bytes(damage(file.read_bytes()))
        assert np.array_equal(index_folder(predictor(), photos).vectors, first)
    assert embedded == [12] * 4
    shutil.rmtree(own_cache / "similar")
    (own_cache / "similar").write_text("in the way")  # a cache that cannot be written
    assert np.array_equal(index_folder(predictor(), photos).vectors, first)


def test_a_photo_that_changes_after_the_listing_is_embedded_again(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its features would else be found under the stamp of the photo that was there before."""
    decode = module.Input.decode

    def changed_before(item: module.Input, *given: Any) -> Any:
        monkeypatch.setattr(module.Input, "decode", decode)
        shutil.copy(photos / "day 1" / "1.png", photos / "day 0" / "0.png")
        return decode(item, *given)

    monkeypatch.setattr(module.Input, "decode", changed_before)
    assert [index_folder(predictor(), photos).embedded for _ in range(3)] == [12, 1, 0]


def test_what_was_embedded_before_an_interruption_is_kept(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubel.inference.stream.batch_size", lambda preprocess: 5)
    calls = 0

    def interrupted(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return embed_images(*given)

    monkeypatch.setattr(module, "embed_images", interrupted)
    with pytest.raises(KeyboardInterrupt):
        index_folder(predictor(), photos)
    found = index_folder(predictor(), photos)
    assert (found.embedded, len(found.paths)) == (7, 12)


def test_unreadable_files(photos: Path, tmp_path: Path) -> None:
    bad = photos / "day 0" / "bad.jpg"
    bad.write_bytes(b"\xff\xd8\xff and no more")
    for _ in range(2):
        found, index = similar_images(predictor(), photos, photos / "day 0" / "0.png")
        assert [(problem.name, bool(problem.reason)) for problem in index.problems] == [(str(bad), True)]
        assert len(index.paths) == 12
        assert str(bad) not in [hit.path for hit in found]
    Image.fromarray(photo(70)).save(bad)
    assert index_folder(predictor(), photos).problems == ()
    with pytest.raises(DecodeError, match="there is no such file"):
        similar_images(predictor(), photos, tmp_path / "missing.png")
    only = tmp_path / "only"
    only.mkdir()
    with pytest.raises(DataError, match="no image"):
        index_folder(predictor(), only)
    (only / "a.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"none of the 1 images .* can be read; the first, .*a\.png"):
        index_folder(predictor(), only)
    with pytest.raises(DataError, match="no such folder"):
        index_folder(predictor(), tmp_path / "nowhere")
    with pytest.raises(OptionError, match="--top"):
        similar_images(predictor(), photos, bad, top_k=0)
