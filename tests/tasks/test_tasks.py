"""Objectives of the tasks: labels or the image itself, and the losses of auxiliary classifiers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hubel.core.errors import UnknownNameError
from hubel.data.index import scan
from hubel.data.loading import Images
from hubel.data.preprocess import Preprocess
from hubel.data.samples import Batch, Labelled
from hubel.data.sources import ArraySource
from hubel.tasks.catalogue import TASKS, find_task
from hubel.tasks.classify import ClassificationObjective
from hubel.tasks.losses import LossSettings
from hubel.tasks.reconstruct import ReconstructionObjective
from hubel.tasks.task import weighted_outputs

CPU = torch.device("cpu")


def test_networks_of_other_makers_have_one_output() -> None:
    x = torch.randn(3, 4)
    ((weight, outputs),) = weighted_outputs(nn.Identity(), x, torch.zeros(3))
    assert (weight, outputs is x) == (1.0, True)


@pytest.fixture
def pictures() -> Labelled:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
    pixels[0] = 255
    pixels[1] = 0
    source = ArraySource(pixels, ["a", "b"] * 3)
    as_it_is = Preprocess(5, 4, mean=(0.0,) * 3, std=(1.0,) * 3)
    return Labelled(Images(source, scan(source), np.arange(6), as_it_is), np.array([0, 1] * 3))


def test_the_image_is_its_own_target(pictures: Labelled) -> None:
    objective = ReconstructionObjective()
    positions = np.array([4, 0, 1])
    targets = objective.targets(pictures, Batch(positions, pictures.images.pixels(positions)))
    assert targets.shape == (3, 3, 5, 4)
    np.testing.assert_allclose(targets, pictures.images.pixels(positions).transpose(0, 3, 1, 2) / 255, rtol=1e-6)
    assert (targets[1].unique().tolist(), targets[2].unique().tolist()) == ([1.0], [0.0])
    z = torch.randn(targets.shape, generator=torch.Generator().manual_seed(1))
    p, x = 1 / (1 + np.exp(-z.double().numpy())), targets.double().numpy()
    expected = -(x * np.log(p) + (1 - x) * np.log(1 - p)).mean((1, 2, 3))
    np.testing.assert_allclose(objective.losses(z, targets), expected, rtol=1e-5)
    assert torch.equal(objective.validation_losses(z, targets), objective.losses(z, targets))
    assert not objective.correct(z, targets).any()
    assert objective.row("val", 0.3, 0.0) == {"val_loss": 0.3}


def test_labels(pictures: Labelled) -> None:
    settings = LossSettings(name="cross_entropy", label_smoothing=0.1, balance="inverse")
    objective = ClassificationObjective.of(settings, pictures.targets, CPU)
    targets = objective.targets(pictures, Batch(np.array([3, 2]), np.empty((2, 5, 4, 3), np.uint8)))
    assert targets.tolist() == [1, 0]
    z = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    assert objective.correct(z, targets).tolist() == [True, False]
    assert not torch.equal(objective.losses(z, targets), objective.validation_losses(z, targets))
    assert objective.row("train", 0.3, 0.5) == {"train_loss": 0.3, "train_top1": 0.5}
    several = ClassificationObjective.of(LossSettings(name="bce"), np.eye(2, dtype=np.float32), CPU)
    assert several.correct(z, torch.tensor([[0.0, 1.0], [1.0, 1.0]])).tolist() == [True, False]
    assert several.row("val", 0.3, 0.5) == {"val_loss": 0.3, "val_exact": 0.5}


def test_tasks_have_names_of_their_own() -> None:
    names = [task.name for task in TASKS]
    assert len(set(names)) == len(names)
    assert all(find_task(name).name == name for name in names)
    with pytest.raises(UnknownNameError, match="no task is called 'clasify'"):
        find_task("clasify")
