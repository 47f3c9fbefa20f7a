"""The small CNN of the lesson, trained live with one setting changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hubel.core.errors import OptionError, UnknownNameError
from hubel.core.ranges import check_range
from hubel.data.preprocess import Preprocess
from hubel.models.catalogue import build_model
from hubel.teach.course.digit_pictures import SIDE
from hubel.teach.course.lessons.training.initial import LARGE, SMALL
from hubel.teach.course.small_runs import labelled, run_epochs
from hubel.training.optimizer import OPTIMIZERS
from hubel.training.plan import OptimizerSettings

__all__ = ["INITIAL", "SmallRun", "read_runs", "train_side_by_side"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NETWORK = "convnet"
FILTERS, DENSE = (8, 16), (32,)
_BATCH, _SEED = 50, 0
_MOST_RUNS, _MOST_EPOCHS, _LEAST_PICTURES = 4, 40, 50


def _zeros(layer: nn.Conv2d | nn.Linear) -> None:
    nn.init.zeros_(layer.weight)


def _small(layer: nn.Conv2d | nn.Linear) -> None:
    nn.init.normal_(layer.weight, std=SMALL)


def _keep(layer: nn.Conv2d | nn.Linear) -> None:
    """Leave what the catalogue draws: N(0, 2 / fan_in)."""


def _large(layer: nn.Conv2d | nn.Linear) -> None:
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    with torch.no_grad():
        layer.weight *= LARGE


INITIAL = {"zeros": _zeros, "small": _small, "he": _keep, "large": _large}


@dataclass(frozen=True, kw_only=True)
class SmallRun:
    """One run.

    Attributes:
        optimizer: sgd, momentum, adam or adadelta.
        rate: the learning rate.
        decay: weight decay.
        dropout: probability that a unit of the fully connected layers is left out of a step.
        initial: a key of `INITIAL`.
        subtract_mean: whether the mean grey value is subtracted from the pictures.
        brightness: added to all grey values; they are squeezed into what is left of the range from 0 to 1.
    """

    optimizer: str = "momentum"
    rate: float = 0.05
    decay: float = 0.0
    dropout: float = 0.0
    initial: str = "he"
    subtract_mean: bool = True
    brightness: float = 0.0

    def __post_init__(self) -> None:
        for name, known in (("optimizer", _OPTIMIZERS), ("initial", INITIAL)):
            if getattr(self, name) not in known:
                raise UnknownNameError(name, str(getattr(self, name)), known)
        for name, low, high in (("rate", 1e-6, 100), ("decay", 0, 10), ("dropout", 0, 0.95), ("brightness", 0, 0.9)):
            check_range(name, getattr(self, name), low, high)

    @property
    def optimizer_settings(self) -> OptimizerSettings:
        """Return the settings for hubel's optimizer."""
        name, momentum = _OPTIMIZERS[self.optimizer]
        return OptimizerSettings(name=name, lr=self.rate, momentum=momentum, weight_decay=self.decay)


# By name on the page: name in hubel, momentum.
_OPTIMIZERS = {"sgd": ("sgd", 0.0), "momentum": ("sgd", 0.9), "adam": ("adam", 0.0), "adadelta": ("adadelta", 0.0)}
assert {name for name, _ in _OPTIMIZERS.values()} <= OPTIMIZERS.keys()


def read_runs(request: Mapping[str, Any]) -> tuple[list[SmallRun], int, int | None]:
    """Return the runs, the epochs and the number of pictures of a request.

    Raises:
        OptionError: a value is out of range, or of another type.
        UnknownNameError: there is no such setting.
    """
    usual = asdict(SmallRun())
    runs = request.get("runs")
    if not isinstance(runs, list) or not 1 <= len(runs) <= _MOST_RUNS or not all(isinstance(run, dict) for run in runs):
        raise OptionError(f"runs is a list of 1 to {_MOST_RUNS} tables of settings, not {runs!r:.80}")
    for run in runs:
        for name, value in run.items():
            if name not in usual:
                raise UnknownNameError("setting", name, usual)
            if isinstance(usual[name], bool) != isinstance(value, bool) or isinstance(value, str) != isinstance(
                usual[name], str
            ):
                raise OptionError(f"{name} is a value like {usual[name]!r}, not {value!r:.80}")
    epochs, pictures = request.get("epochs", 10), request.get("pictures")
    check_range("epochs", epochs, 1, _MOST_EPOCHS, whole=True)
    if pictures is not None:
        check_range("pictures", pictures, _LEAST_PICTURES, 1_000_000, whole=True)
    return [SmallRun(**run) for run in runs], epochs, pictures


def train_side_by_side(
    settings: list[SmallRun], train: tuple[Floats, Ints], test: tuple[Floats, Ints], *, epochs: int
) -> Iterator[dict[str, Any]]:
    """Train a network for each setting, all from the same random numbers; yield a row a network and epoch.

    Args:
        settings: of the runs.
        train: pictures `(n, 8, 8)` from 0 to 1, and their classes.
        test: others.
        epochs: passes over the pictures.
    """
    runs = []
    for setting in settings:
        (pictures, labels), (others, other_labels) = train, test
        pictures, others = (setting.brightness + (1 - setting.brightness) * x for x in (pictures, others))
        mean = float(pictures.mean()) if setting.subtract_mean else 0.0
        preprocess = Preprocess(SIDE, SIDE, channels=1, mean=(mean,), std=(float(pictures.std()),))
        runs.append(
            (
                _network(setting),
                setting.optimizer_settings,
                labelled(pictures, labels, preprocess),
                labelled(others, other_labels, preprocess),
            )
        )
    for row in run_epochs(runs, epochs=epochs, batch_size=_BATCH, seed=_SEED):
        yield {**asdict(row), "epochs": epochs}


def _network(setting: SmallRun) -> nn.Module:
    options = {
        "filters": FILTERS,
        "repeat": 1,
        "average": False,
        "batch_norm": False,
        "dense": DENSE,
        "dropout": setting.dropout,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        network = build_model(NETWORK, num_classes=10, in_channels=1, input_size=(SIDE, SIDE), options=options)
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                INITIAL[setting.initial](layer)
    return network
