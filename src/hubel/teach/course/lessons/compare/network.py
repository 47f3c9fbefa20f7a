"""The CNN of the lesson: two convolutions, average of each map, ten outputs; trained live on centred digits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from hubel.data.preprocess import Preprocess
from hubel.models.catalogue import build_model
from hubel.models.convnet import ConvBlock
from hubel.teach.course.lessons.compare.settings import FILTERS, KERNEL
from hubel.teach.course.lessons.compare.views import CANVAS, VIEWS, on_canvas
from hubel.teach.course.small_runs import labelled, measure, run_epochs
from hubel.training.plan import OptimizerSettings

__all__ = ["build_network", "train_network"]

_OPTIONS: Mapping[str, Any] = {"filters": FILTERS, "kernel": KERNEL, "repeat": 1, "average": True}
_EPOCHS, _BATCH, _RATE, _SEED = 12, 100, 0.02, 0
# Black is zero, as the padding of a convolution is: with another mean, the network would see a frame.
_PREPROCESS = Preprocess(CANVAS, CANVAS, channels=1, mean=(0.0,), std=(0.25,))


def build_network() -> nn.Module:
    """Build the network with random weights, the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        return build_model("convnet", num_classes=10, in_channels=1, input_size=(CANVAS, CANVAS), options=_OPTIONS)


def train_network(
    train: tuple[NDArray[Any], NDArray[Any]], test: tuple[NDArray[Any], NDArray[Any]]
) -> Iterator[dict[str, Any]]:
    """Train on centred digits; yield a row an epoch, then the accuracy on each view, then the weights.

    Args:
        train: pictures `(n, 8, 8)`, from 0 to 1, and their classes.
        test: others.
    """
    network = build_network()
    data = labelled(on_canvas(train[0]), train[1], _PREPROCESS)
    views = {name: labelled(view(test[0]), test[1], _PREPROCESS) for name, view in VIEWS.items()}
    settings = OptimizerSettings(name="adam", lr=_RATE, weight_decay=0.0)
    for row in run_epochs([(network, settings, data, views["as_is"])], epochs=_EPOCHS, batch_size=_BATCH, seed=_SEED):
        yield {"epoch": row.epoch, "epochs": _EPOCHS, "loss": row.train.loss, "accuracy": row.test.accuracy}
    for name, view in views.items():
        yield {"view": name, "accuracy": measure(network, view).accuracy}
    yield {"network": _weights(network)}


@torch.no_grad()
def _weights(network: nn.Module) -> dict[str, Any]:
    """Return what a page needs to run the network itself; batch norm is folded into the convolutions."""
    convolutions = []
    for block in (module for module in network.modules() if isinstance(module, ConvBlock)):
        convolution, norm = block[0], block[1]
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        weights = convolution.weight * scale[:, None, None, None]
        convolutions.append({"weights": weights.tolist(), "bias": (norm.bias - norm.running_mean * scale).tolist()})
    linear = next(module for module in network.modules() if isinstance(module, nn.Linear))
    return {
        "std": _PREPROCESS.std[0],
        "convolutions": convolutions,
        "linear": {"weights": linear.weight.tolist(), "bias": linear.bias.tolist()},
    }
