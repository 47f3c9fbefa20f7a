"""A loaded model sees what it saw in training, and says what its network computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

import hubel
from hubel.core.errors import DataError, DecodeError, ModelFileError
from hubel.data.dataset import open_dataset
from hubel.data.decode import decode
from hubel.data.inputs import collect
from hubel.data.preprocess import Preprocess
from hubel.inference import stream
from hubel.inference.forward import outputs
from hubel.inference.predictor import Predictor
from hubel.inference.scores import softmax
from hubel.inference.stream import batch_size
from hubel.nn.evaluating import evaluating
from hubel.tasks.catalogue import find_task
from hubel.weights.model_file import save_model
from small_card import CARD, CLASSES


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def network() -> nn.Module:
    torch.manual_seed(0)
    return CARD.create().eval()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve pictures of all sizes and modes in three class folders."""
    generator = np.random.default_rng(0)
    kinds = [("RGB", "png"), ("L", "png"), ("RGB", "jpg"), ("RGBA", "png")]
    for number in range(12):
        mode, suffix = kinds[number % 4]
        h, w = generator.integers(5, 90, 2)
        pixels = generator.integers(0, 256, (h, w, len(mode)), np.uint8)
        folder = tmp_path / "photos" / CLASSES[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[..., 0] if mode == "L" else pixels, mode).save(folder / f"{number}.{suffix}")
    return tmp_path / "photos"


def straight(paths: list[Path]) -> NDArray[np.float64]:
    """The scores, one image at a time and without hubel's batches, threads or scores."""
    rows = []
    for path in paths:
        p = CARD.preprocess
        pixels = p.apply(decode(path.read_bytes(), name=str(path), min_size=p.min_size).pixels)
        with torch.no_grad():
            rows.append(network()(torch.from_numpy(p.normalise(pixels[None])))[0].double().numpy() / CARD.temperature)
    powers = np.exp(np.stack(rows))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def files(photos: Path) -> list[Path]:
    return [Path(item.name) for item in collect([photos])]


def test_paths_folders_and_patterns(photos: Path) -> None:
    predictor, paths = Predictor(network(), CARD), files(photos)
    expected = straight(paths)
    assert len(paths) == 12
    for given in (photos, str(photos), paths, [str(path) for path in paths], str(photos / "**" / "*.*")):
        found = predictor.predict_proba(given)
        order = np.argsort([str(p) for p in paths]) if "*" in str(given) else slice(None)
        names = np.argsort([item.name for item in collect([str(given)])]) if "*" in str(given) else slice(None)
        np.testing.assert_allclose(found[names], expected[order], atol=1e-5)
    assert predictor.predict(paths).tolist() == [CLASSES[i] for i in expected.argmax(1)]
    np.testing.assert_allclose(predictor.predict_proba(paths[3]), expected[3:4], atol=1e-5)


def test_arrays() -> None:
    predictor = Predictor(network(), CARD)
    colour = np.random.default_rng(0).integers(0, 256, (300, 20, 30, 3), np.uint8)
    p = CARD.preprocess
    with torch.no_grad():
        x = torch.from_numpy(p.normalise(np.stack([p.apply(image) for image in colour])))
        expected = softmax(network()(x).numpy(), CARD.temperature)
    np.testing.assert_allclose(predictor.predict_proba(colour), expected, atol=1e-5)
    np.testing.assert_allclose(predictor.predict_proba(colour / 255), expected, atol=1e-5)
    np.testing.assert_allclose(predictor.predict_proba(list(colour[:5])), expected[:5], atol=1e-5)
    grey = colour[:4, ..., 0]
    np.testing.assert_allclose(
        predictor.predict_proba(grey), predictor.predict_proba(np.repeat(grey[..., None], 3, 3)), atol=1e-6
    )
    different = [colour[0], colour[1, :7, :9], grey[0]]
    assert predictor.predict_proba(different).shape == (3, 3)
    np.testing.assert_allclose(predictor.predict_proba(different)[0], expected[0], atol=1e-5)
    assert predictor.predict_proba(colour[:0]).shape == (0, 3)


def test_batch_composition_changes_nothing() -> None:
    predictor = Predictor(network(), CARD)
    pixels = np.random.default_rng(1).integers(0, 256, (17, 12, 10, 3), np.uint8)
    together = predictor.predict_proba(pixels)
    one_by_one = np.concatenate([predictor.predict_proba(pixels[i : i + 1]) for i in range(17)])
    np.testing.assert_allclose(together, one_by_one, atol=1e-5)
    np.testing.assert_allclose(together[::-1], predictor.predict_proba(pixels[::-1]), atol=1e-5)


def test_the_network_sees_the_same_everywhere(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DESIGN, rule 1: validation in training, `evaluate` and `predict` give the network the same bits."""
    seen: list[torch.Tensor] = []
    watched = network()
    watched.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))

    def all_seen() -> torch.Tensor:
        together = torch.cat(seen)
        seen.clear()
        return together

    dataset = open_dataset(photos)
    images = dataset.images(CARD.preprocess)
    paths = [photos / images.path(position) for position in range(len(images))]
    outputs(watched, images)
    validated = all_seen()
    outputs(watched, dataset.images(CARD.preprocess, cache="off"))
    assert torch.equal(validated, all_seen())
    find_task("classify").evaluate(Predictor(watched, CARD), images, dataset.targets(CLASSES))
    assert torch.equal(validated, all_seen())
    monkeypatch.setattr(stream, "batch_size", lambda preprocess: 5)
    Predictor(watched, CARD).predict_proba(paths)
    assert torch.equal(validated, all_seen())
    list(Predictor(watched, CARD).rank(collect(paths)))
    assert torch.equal(validated, all_seen())
    assert validated.shape == (12, 3, 12, 10)


def test_unreadable_files(photos: Path) -> None:
    bad = photos / "red" / "bad.png"
    bad.write_bytes(b"\x89PNG and no more")
    predictor = Predictor(network(), CARD)
    ranked = list(predictor.rank(collect([photos]), top_k=2))
    assert len(ranked) == 13
    (wrong,) = [prediction for _, prediction in ranked if prediction.reason]
    assert wrong.path == str(bad)
    assert wrong.ranking == ()
    for item, prediction in ranked:
        assert item.name == prediction.path
        if not prediction.reason:
            assert len(prediction.ranking) == 2
            assert prediction.ranking[0][1] >= prediction.ranking[1][1]
    with pytest.raises(DecodeError, match=r"bad\.png"):
        predictor.predict(photos)


def test_only_unreadable_files(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"nothing")
    ((_, prediction),) = Predictor(network(), CARD).rank(collect([tmp_path]))
    assert prediction.reason


def test_wrong_input() -> None:
    predictor = Predictor(network(), CARD)
    for wrong in (
        np.zeros((2, 3)),
        np.zeros((1, 4, 4, 2)),
        np.full((1, 4, 4), 7.0),
        "no/such/file.png",
        [],
        ["nothing"],
    ):
        if isinstance(wrong, list) and not wrong:
            assert predictor.predict_proba(wrong).shape == (0, 3)
            continue
        with pytest.raises(DataError) as caught:
            predictor.predict_proba(wrong)
        assert "\n" not in str(caught.value)


def test_load_takes_a_file_or_a_run(tmp_path: Path) -> None:
    save_model(tmp_path / "model.safetensors", network().state_dict(), CARD)
    pixels = np.zeros((1, 12, 10, 3), np.uint8)
    first, second = hubel.load(tmp_path), hubel.load(str(tmp_path / "model.safetensors"), device="cpu")
    assert first.classes == CLASSES
    assert np.array_equal(first.predict_proba(pixels), second.predict_proba(pixels))
    with pytest.raises(ModelFileError):
        hubel.load(tmp_path / "other")


@pytest.mark.parametrize("broken", [False, True])
def test_evaluating_leaves_the_network_as_it_was(broken: bool) -> None:
    net = network().train()
    frozen = next(m for m in net.modules() if isinstance(m, nn.BatchNorm2d))
    frozen.eval()
    next(net.parameters()).requires_grad_(False)
    before = [(m.training, [p.requires_grad for p in m.parameters()]) for m in net.modules()]
    try:
        with evaluating(net):
            assert not any(m.training for m in net.modules())
            assert not torch.is_grad_enabled()
            if broken:
                raise KeyError
    except KeyError:
        pass
    assert [(m.training, [p.requires_grad for p in m.parameters()]) for m in net.modules()] == before
    assert torch.is_grad_enabled()


def test_batch_size_follows_the_images() -> None:
    assert batch_size(Preprocess(8, 8)) == 256
    assert batch_size(Preprocess(224, 224)) == 20
    assert batch_size(Preprocess(4096, 4096)) == 1
