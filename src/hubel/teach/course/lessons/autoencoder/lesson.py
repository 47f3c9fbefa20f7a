"""Numbers of the lesson `autoencoder`: its layers, digits, and the training of exactly this network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import OptionError, UnknownNameError
from hubel.core.random import permutation
from hubel.data.preprocess import Preprocess
from hubel.data.sources.builtin import digits
from hubel.teach.course.lesson import Lesson

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["DECODERS", "LESSON", "CodingLayer", "autoencoder_layers", "autoencoder_numbers", "train_autoencoder"]

#: Decoders, and the networks of the catalogue that have them.
DECODERS = {"upsample": "autoencoder_28", "transpose": "autoencoder_28_transposed"}

_SIDE = 28
_TEST, _SHOWN = 360, 6
_BATCH, _RATE, _MOST_EPOCHS = 64, 0.01, 60
_INPUT = Preprocess(_SIDE, _SIDE, channels=1, mean=(0.0,), std=(1.0,))


@dataclass(frozen=True)
class CodingLayer:
    """A layer of the autoencoder.

    Attributes:
        kind: conv, pool, up or transposed.
        channels: of its output.
        side: height and width of its output.
        parameters: weights and biases.
        macs: multiply-adds for one image.
        part: encoder or decoder.
    """

    kind: str
    channels: int
    side: int
    parameters: int = 0
    macs: int = 0
    part: str = "encoder"


def autoencoder_layers(decoder: str) -> list[CodingLayer]:
    """Return the layers of the autoencoder with a decoder, one of `DECODERS`, with their sizes and costs."""
    built: list[CodingLayer] = []
    channels, side = 1, _SIDE

    def add(kind: str, out: int, to: int, *, part: str) -> None:
        nonlocal channels, side
        weights = 9 * channels * out if kind in ("conv", "transposed") else 0
        # Each weight is used once at every place of the output, in a transposed convolution of the input.
        places = {"conv": to, "transposed": side}.get(kind, 0)
        built.append(CodingLayer(kind, out, to, weights + out * (weights > 0), weights * places**2, part))
        channels, side = out, to

    for out, pooled in ((16, 14), (8, 7), (4, 4)):
        add("conv", out, side, part="encoder")
        add("pool", out, pooled, part="encoder")
    if decoder == "upsample":
        for out, convolved in ((4, 4), (8, 8), (16, 14)):
            add("conv", out, convolved, part="decoder")
            add("up", out, 2 * convolved, part="decoder")
        add("conv", 1, _SIDE, part="decoder")
    else:
        for out, to in ((8, 7), (16, 14), (1, _SIDE)):
            add("transposed", out, to, part="decoder")
    return built


def autoencoder_numbers() -> Mapping[str, Any]:
    """Compute what the page shows without a server."""
    small, labels = _digits()
    images = _enlarged(small)
    mean = images[:-_TEST].mean(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.nan_to_num(images * np.log(images)) - np.nan_to_num((1 - images) * np.log(1 - images))
    return {
        "layers": {name: [vars(layer) for layer in autoencoder_layers(name)] for name in DECODERS},
        "pixels": _SIDE**2,
        "digits": [small[np.flatnonzero(labels == digit)[0]] for digit in range(10)],
        "test": small[-_TEST:][:_SHOWN],
        "side": _SIDE,
        "floor": float(entropy[-_TEST:].mean()),
        "mean_error": float(np.square(images[-_TEST:] - mean).mean()),
        "images": len(images),
        "training": len(images) - _TEST,
    }


def train_autoencoder(asked: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Train the autoencoder on digits; yield loss, error on test digits, and all weights after each epoch.

    Args:
        asked: `decoder`, one of `DECODERS`; `epochs`, 1 to 60; `seed`.

    Raises:
        OptionError: a value is out of range.
    """
    decoder, epochs, seed = asked.get("decoder", "upsample"), asked.get("epochs", 20), asked.get("seed", 0)
    if decoder not in DECODERS:
        raise UnknownNameError("decoder", str(decoder), DECODERS)
    if type(epochs) is not int or not 1 <= epochs <= _MOST_EPOCHS:
        raise OptionError(f"epochs are a whole number from 1 to {_MOST_EPOCHS}, not {epochs!r}")
    if type(seed) is not int or not 0 <= seed < 2**31:
        raise OptionError(f"a seed is a whole number from 0, not {seed!r}")
    import torch
    from torch.nn import functional as F

    from hubel.training.eager import eager
    from hubel.weights.create import create_model

    images = torch.from_numpy(_enlarged(_digits()[0])).float()[:, None]
    training, test = images[:-_TEST], images[-_TEST:]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = create_model(DECODERS[decoder])
    optimizer = eager(torch.optim.Adam)(network.parameters(), _RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * -(-len(training) // _BATCH))

    def event(epoch: int, loss: float | None) -> dict[str, Any]:
        network.eval()
        with torch.no_grad():
            logits = network(test)
        validation = float(F.binary_cross_entropy_with_logits(logits, test))
        mse = float((logits.sigmoid() - test).square().mean())
        return {"epoch": epoch, "loss": loss, "test_loss": validation, "mse": mse, "weights": _weights(network)}

    yield event(0, None)
    for epoch in range(epochs):
        network.train()
        order = torch.from_numpy(permutation(len(training), seed, epoch))
        losses = []
        for batch in torch.split(order, _BATCH):
            loss = F.binary_cross_entropy_with_logits(network(training[batch]), training[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            losses.append(loss.detach())
        yield event(epoch + 1, float(torch.stack(losses).mean()))


def _digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the digits `(n, 8, 8)`, 0 to 1, and their labels."""
    source = digits()
    pixels = np.stack([source.read(row, "").reshape(8, 8) for row in range(len(source.labels))])
    return pixels / 255, np.array(source.labels).astype(np.int64)


def _enlarged(small: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return digits as the network sees them, `(n, 28, 28)`, 0 to 1."""
    pixels = np.rint(255 * small).astype(np.uint8)
    return np.stack([_INPUT.apply(image)[..., 0] for image in pixels]) / 255


def _weights(network: nn.Module) -> list[dict[str, Tensor]]:
    from torch import nn

    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    return [
        {"weight": layer.weight.detach().numpy(), "bias": layer.bias.detach().numpy()}  # type: ignore[dict-item, union-attr]
        for layer in network.modules()
        if isinstance(layer, kinds)
    ]


LESSON = Lesson(name="autoencoder", data=autoencoder_numbers, live={"train": train_autoencoder})
