"""Stored views of images with annotations: what is marked moves with the image, and a head is trained on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import hubel
from hubel.core.errors import OptionError, UnknownNameError
from hubel.data.annotation import IGNORED, MASKS
from hubel.data.augment import find_policy
from hubel.data.dataset import open_dataset
from hubel.data.preprocess import Preprocess
from hubel.features.extractor import ExtractorSettings, FeatureExtractor
from hubel.features.views import annotation_view, image_view
from hubel.inference.engines.registry import EngineChoice
from hubel.nn.dense import DenseNetwork
from hubel.nn.frozen_backbone import TunedDense
from hubel.training.plan import Plan
from hubel.training.recipe import Recipe
from hubel.training.resolve import plan_training
from hubel.weights.model_file import load_model
from squares import SIDE, Squares

SCENE = replace(find_policy("scene", channels=3), brightness=0, contrast=0, saturation=0, hue=0)
RECIPE = {
    "model": "unet", "options": {"widths": "16"}, "freeze": "all", "views": 3, "epochs": 4, "batch_size": 8,
    "size": "64x64", "threads": 1, "loading_threads": 0, "engine": "torch",
}  # fmt: skip


def plan(**changes: object) -> Plan:
    return plan_training(Squares(24), Recipe().with_settings(**(RECIPE | changes)))


@pytest.mark.parametrize("number", range(6))
def test_masks_and_boxes_are_where_the_squares_are(number: int) -> None:
    images = open_dataset(Squares(12)).images(Preprocess(SIDE, SIDE), annotations=MASKS)
    for at in range(len(images)):
        pixels = image_view(images, at, number, SCENE)[..., 0].astype(int)
        marked = annotation_view(images, at, number, SCENE)
        assert marked.mask is not None
        inside = marked.mask != IGNORED
        bright, dark = (pixels > 200) & inside, (pixels < 60) & inside
        edge = 2 * SIDE  # pixels that interpolation mixes at the sides of squares
        assert (bright != (marked.mask == 1)).sum() <= edge
        assert (dark != (marked.mask == 2)).sum() <= edge
        for box, number_of_class in zip(marked.boxes, marked.classes.tolist(), strict=True):
            rows, columns = np.nonzero(marked.mask == number_of_class)
            found = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            assert np.abs(box - found).max() <= 1.5


def test_the_mirror_image_is_exact() -> None:
    images = open_dataset(Squares(4)).images(Preprocess(SIDE, SIDE), annotations=MASKS)
    plain, mirrored = annotation_view(images, 0, 0, SCENE), annotation_view(images, 0, 1, SCENE)
    assert plain.mask is not None
    assert mirrored.mask is not None
    np.testing.assert_array_equal(mirrored.mask, plain.mask[:, ::-1])
    np.testing.assert_array_equal(image_view(images, 0, 1, SCENE), image_view(images, 0, 0, SCENE)[:, ::-1])
    np.testing.assert_allclose(SIDE - mirrored.boxes[:, 2], plain.boxes[:, 0])


def test_stored_maps_are_those_of_the_network() -> None:
    made = plan()
    torch.manual_seed(0)
    network = made.card.create()
    assert isinstance(network, DenseNetwork)
    extractor = FeatureExtractor(
        network, made.card, "all", settings=ExtractorSettings(engine=EngineChoice("torch"), views=made.loop.policy)
    )
    maps = extractor.maps(made.train.images, 2)
    batch = next(maps.epoch(0, 0, 4, made.loop.policy))
    assert len(batch.annotations) == 4
    tuned = TunedDense(network, "all", torch.zeros(1, 3, 64, 64)).eval()
    plain = next(iter(maps.in_sequence(4)))
    with torch.no_grad():
        found = tuned(maps.network_input(plain.pixels))
        wanted = network.eval()(made.train.images.network_input(made.train.images.pixels(np.arange(4))))
    torch.testing.assert_close(found, wanted, atol=2e-3, rtol=1e-2)  # values of the store have 16 bits


def test_a_head_is_trained_on_stored_maps(tmp_path: Path) -> None:
    run = hubel.train(Squares(24), RECIPE, out=tmp_path / "run", quiet=True)
    trained, _ = load_model(run.model)
    pretrained = hubel.create_model("efficientnet_lite0", weights="default", options=None).state_dict()
    backbone = {k.removeprefix("backbone."): v for k, v in trained.state_dict().items() if k.startswith("backbone.")}
    assert backbone
    assert all(value.equal(pretrained[name]) for name, value in backbone.items() if "num_batches" not in name)
    assert run.evaluation.to_json()["mean_iou"] > 0.3, "better than the background alone"
    assert "3 views of each image" in " ".join(run.notes)


def test_what_cannot_be_frozen_is_said() -> None:
    with pytest.raises(OptionError, match="nothing of it can be frozen without weights"):
        plan(weights="none")
    with pytest.raises(UnknownNameError, match="part to freeze"):
        plan(freeze="stage99")
