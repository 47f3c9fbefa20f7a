"""Training on mixed images: both targets count by their shares, and the larger one is the correct one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hubel.data.samples import Batch, Labelled
from hubel.tasks.classify import ClassificationObjective
from hubel.tasks.losses import LossSettings
from hubel.tasks.task import weighted_targets

CPU = torch.device("cpu")


def labelled(targets: Any) -> Labelled[Any]:
    return Labelled(None, targets)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.8, 1.0])
def test_losses_are_those_of_soft_targets(share: float) -> None:
    data = labelled(np.array([0, 1, 2, 1]))
    settings = LossSettings(name="cross_entropy", label_smoothing=0.1)
    objective = ClassificationObjective.of(settings, data.targets, CPU)
    batch = Batch(np.array([3, 0, 2]), np.zeros((3, 1, 1, 1), np.uint8), np.array([1, 2, 0]), share)
    logits = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    weighted = weighted_targets(objective, data, batch)
    assert [weight for weight, _ in weighted] == sorted([share, 1 - share], reverse=True)
    got = sum(weight * objective.losses(logits, targets) for weight, targets in weighted)
    own, other = (F.one_hot(torch.tensor(codes), 3).float() for codes in ([1, 0, 2], [1, 2, 0]))
    soft = share * own + (1 - share) * other
    wanted = F.cross_entropy(logits, soft, label_smoothing=0.1, reduction="none")
    assert torch.allclose(got, wanted, atol=1e-6)  # type: ignore[arg-type]
    larger = [1, 0, 2] if share >= 0.5 else [1, 2, 0]
    assert weighted[0][1].tolist() == larger


def test_plain_images_have_one_answer() -> None:
    data = labelled(np.array([0, 1, 1]))
    objective = ClassificationObjective.of(LossSettings(name="cross_entropy"), data.targets, CPU)
    ((weight, targets),) = weighted_targets(objective, data, Batch(np.array([2, 0]), np.zeros((2, 1, 1, 1), np.uint8)))
    assert weight == 1
    assert targets.tolist() == [1, 0]
