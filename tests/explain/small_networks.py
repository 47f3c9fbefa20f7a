"""Small networks with awkward layers, and inputs for them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from hubel.data.preprocess import Preprocess
from hubel.inference.predictor import Predictor
from hubel.weights.card import ModelCard
from hubel.weights.create import create_model

CLASSES = ("a", "b", "c")


class Counting(nn.Module):
    """Writes to one buffer at each call and replaces another, in training and evaluation mode."""

    calls: Tensor
    last: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))
        self.register_buffer("last", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.last = x.detach().mean()[None]
        return x


def stranger() -> nn.Sequential:
    """A network from outside the catalogue, with in-place layers right before and after its last map, and a counter."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.ReLU(inplace=True),  # writes into the image itself
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        Counting(),
        nn.Conv2d(6, 8, 3, stride=2),
        nn.BatchNorm2d(8),
        nn.Dropout(0.5),
        nn.ReLU6(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )


def predictor(network: nn.Module | None = None, name: str = "convnet", side: int = 16, **options: object) -> Predictor:
    torch.manual_seed(0)
    settings = {"filters": "4,6", "repeat": "1", **options} if name == "convnet" else options
    network = network or create_model(name, num_classes=3, in_channels=3, input_size=(side, side), options=settings)
    card = ModelCard(name, CLASSES, Preprocess(side, side), settings)
    return Predictor(network.eval(), card)


def noise(n: int = 3, side: int = 16, channels: int = 3) -> Tensor:
    return torch.randn(n, channels, side, side, generator=torch.Generator().manual_seed(1))


def pixels(n: int = 3, height: int = 16, width: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, height, width, 3), np.uint8)
