"""The program of torch.export computes what the network computes, and only where it is asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hubel.inference.engines.frozen import open_frozen
from hubel.inference.engines.registry import EngineChoice


@pytest.mark.parametrize("n", [1, 2, 5])
def test_any_number_of_images(n: int) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5)).eval()
    images = np.random.default_rng(0).normal(size=(16, 3, 8, 8)).astype(np.float32)
    engine = open_frozen(network, images, images=1, threads=1, choice=EngineChoice.parse("torch_export"))
    with torch.inference_mode():
        expected = network(torch.from_numpy(images[:n])).numpy()
    np.testing.assert_allclose(engine.run(images[:n]), expected, atol=1e-5)
    assert str(engine.choice) == "torch_export"


def test_it_is_not_tried_by_itself() -> None:
    assert not EngineChoice("torch_export").support.automatic
