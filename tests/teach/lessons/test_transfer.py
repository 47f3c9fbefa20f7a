"""The numbers of the lesson `transfer` against torch's own counts, and its pictures against numpy."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from hubel.core.errors import HubelError
from hubel.data.augment.operations import OPERATIONS
from hubel.data.preprocess import Preprocess
from hubel.nn.freezing import Tuned
from hubel.teach.course.lesson import lesson_data
from hubel.teach.course.lessons.transfer.augmentations import STRONGEST, augmented_steps
from hubel.teach.course.lessons.transfer.lesson import LESSON, MODEL, REGIMES, train_regimes
from hubel.teach.course.lessons.transfer.photos import drawn_photos, own_photos
from hubel.weights.create import create_model

PREPROCESS = Preprocess(32, 32, resize="crop")


@pytest.fixture(scope="module")
def data() -> Any:
    return lesson_data(LESSON)


def unpacked(packed: dict[str, Any]) -> NDArray[np.uint8]:
    shape = packed["rows"], packed["columns"], packed["channels"]
    return np.frombuffer(base64.b64decode(packed["bytes"]), np.uint8).reshape(shape)


def photo(colour: tuple[int, int, int]) -> str:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


def test_what_is_frozen(data: Any) -> None:
    network = create_model(MODEL, num_classes=data["classes"])
    for row in data["boundaries"]:
        tuned = Tuned(network, row["name"], from_maps=False, hold_norms=True)
        trainable = sum(p.numel() for p in tuned.parameters() if p.requires_grad)
        assert (row["trainable"], row["frozen"]) == (trainable, data["parameters"] - trainable)
    head = data["boundaries"][-1]
    assert head["trainable"] == data["features"] * data["classes"] + data["classes"]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(torch.zeros(1, 3, 224, 224))
    assert data["macs"] == counter.get_total_flops() // 2
    assert head["macs"] == data["macs"] - data["classes"] * data["features"]
    buffers = {name: b.numel() for name, b in network.named_buffers() if name.endswith(("running_mean", "running_var"))}
    assert data["statistics"] == sum(buffers.values())


def test_each_operation_that_a_preview_shows_has_its_slider(data: Any) -> None:
    shown = {setting.name for one in OPERATIONS for setting in one.settings if setting.extremes} - {"aspect"}
    assert shown == set(STRONGEST) == {row["name"] for row in data["augmentations"]}
    for row in data["augmentations"]:
        pictures = [unpacked(step["picture"]) for step in row["steps"]]
        values = [step["value"] for step in row["steps"]]
        assert all(not np.array_equal(pictures[row["start"]], one) for one in pictures[row["start"] + 1 :]), row["name"]
        assert values == sorted(values) or values == sorted(values, reverse=True) or row["name"] == "scale"


def test_augmented_pictures_by_hand() -> None:
    image = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    steps = {row["name"]: row["steps"] for row in augmented_steps(image, 24)}
    assert np.array_equal(unpacked(steps["mirror"][-1]["picture"]), image[:, ::-1])
    assert np.array_equal(unpacked(steps["flip"][-1]["picture"]), image[::-1])
    for step in steps["brightness"]:
        factor = 1 + step["value"]
        expected = np.clip(image * factor, 0, 255)
        assert np.abs(unpacked(step["picture"]) - expected).max() <= 1


def test_drawn_photos_are_balanced_and_held_apart() -> None:
    photos = drawn_photos(PREPROCESS)
    assert np.bincount(photos.targets).tolist() == [10, 10, 10]
    assert np.bincount(photos.test_targets).tolist() == [15, 15, 15]
    assert not {image.tobytes() for image in photos.training} & {image.tobytes() for image in photos.test}


def test_own_photos() -> None:
    sent = [{"label": label, "photo": photo(colour)} for label, colour in {"a": (255, 0, 0), "b": (0, 0, 255)}.items()]
    photos = own_photos(sent * 6, PREPROCESS)
    assert photos.classes == ("a", "b")
    assert (np.bincount(photos.targets).tolist(), np.bincount(photos.test_targets).tolist()) == ([4, 4], [2, 2])
    assert (photos.training[photos.targets == 0][:, 5, 5] == (255, 0, 0)).all()
    for wrong in ([], sent, sent * 40, [{"label": "a"}] * 6, "photos", [*sent * 3, {"label": "b", "photo": "AAAA"}]):
        with pytest.raises(HubelError):
            own_photos(wrong, PREPROCESS)


@pytest.mark.parametrize("asked", [{"regimes": []}, {"regimes": ["none"]}, {"epochs": 99}, {"photos": {}}])
def test_requests_that_cannot_be_served(asked: dict[str, Any]) -> None:
    with pytest.raises(HubelError):
        next(train_regimes(asked))


@pytest.mark.slow
def test_thirty_images_are_enough_for_a_pretrained_network() -> None:
    rows = list(train_regimes({"epochs": 6}))
    regimes = [row for row in rows if row["kind"] == "regime"]
    assert [row["regime"] for row in regimes] == list(REGIMES)
    last = {row["regime"]: row["accuracy"] for row in rows if row["kind"] == "epoch"}
    assert min(last["head"], last["all"]) > 0.6
    assert last["scratch"] < last["head"] - 0.1
