"""Make images with a generative network: from random codes, of a class, or between two images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hubel.core.errors import OptionError, UnknownNameError
from hubel.core.random import normal
from hubel.core.ranges import check_range
from hubel.data.inputs import as_inputs
from hubel.data.samples import network_input
from hubel.inference.device import device_of, pick_device
from hubel.inference.forward import reportable
from hubel.inference.predictor import load_network
from hubel.inference.scores import sigmoid
from hubel.nn.evaluating import evaluating
from hubel.nn.generative import EncodingNetwork, GenerativeNetwork
from hubel.weights.card import ModelCard

__all__ = ["Generator", "MadeImages", "generate", "load_generator"]

_MOST = 100_000  # images at once
_BATCH = 256
_STREAM = 0x67656E  # separates codes of images from all other draws of a seed


@dataclass(frozen=True, eq=False, kw_only=True)
class MadeImages:
    """Images that a network has made.

    Attributes:
        pixels: uint8 `(n, h, w, c)`.
        labels: the class that each was asked to be of, or what else describes it in a few words; "" for nothing.
    """

    pixels: NDArray[np.uint8]
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pixels)


class Generator:
    """A generative network with its card.

    Args:
        network: on the device where it is to run.
        card: its classes and preprocessing.

    Raises:
        OptionError: the network makes no images.
    """

    def __init__(self, network: nn.Module, card: ModelCard) -> None:
        if not isinstance(network, GenerativeNetwork):
            raise OptionError(f"{card.model} makes no images (its task is {card.task}); vae, cvae and cgan do")
        self.network, self.card = network, card

    def __repr__(self) -> str:
        p = self.card.preprocess
        classes = f"{len(self.classes):,} classes" if self.classes else "no classes"
        return f"Generator({self.card.model}, {classes}, images {p.channels}x{p.height}x{p.width})"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that an image can be asked for; none for a model without."""
        return self.card.conditions

    def numbers(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Return the class numbers of names, `(n,)`; -1 for "".

        Raises:
            OptionError: the model makes images of no class in particular.
            UnknownNameError: it has no such class.
        """
        for name in names:
            if name and not self.classes:
                raise OptionError(f"{self.card.model} takes no class: it makes images of any; leave out --class")
            if name and name not in self.classes:
                raise UnknownNameError("class", name, self.classes)
        return np.array([self.classes.index(name) if name else -1 for name in names], np.int64)

    def make(self, labels: Sequence[str], *, seed: int = 0) -> MadeImages:
        """Make an image of each label. Image `i` depends on its label, on `i` and on the seed alone.

        Args:
            labels: the class that each image is asked to be of, "" for none.
            seed: of the codes.

        Raises:
            OptionError, UnknownNameError: as for `numbers`.
        """
        return self._made(self.network.make, self.noise(len(labels), seed), self.numbers(labels), tuple(labels))

    def noise(self, n: int, seed: int = 0) -> NDArray[np.float32]:
        """Return standard normal numbers `(n, code_size)`, each a function of the seed and its position."""
        return normal(seed, _STREAM, np.arange(n)[:, None], np.arange(self.network.code_size)).astype(np.float32)

    def between(self, first: Any, second: Any, steps: int = 8, *, label: str = "") -> MadeImages:
        """Make images whose codes lie at equal distances on the line between those of two images, both ends included.

        Args:
            first: an image, as `hubel.data.as_inputs` takes them.
            second: likewise.
            steps: number of images, at least 2.
            label: the class that both are, and that all images are asked to be of; "" for none.

        Raises:
            OptionError: the network finds no codes of images, or there are too few steps.
            DecodeError: an image cannot be read.
        """
        network = self.network
        if not isinstance(network, EncodingNetwork):
            raise OptionError(
                f"{self.card.model} has no encoder, which finds the code of an image; vae and cvae have one"
            )
        check_range("--count", steps, 2, _MOST, whole=True)
        inputs = list(as_inputs([first, second]))
        if len(inputs) != 2:
            raise OptionError(f"two images have images between them, not {len(inputs)}")
        pixels = np.stack([self.card.preprocess.apply(item.decode().pixels) for item in inputs])
        number = self.numbers([label])
        x = network_input(pixels, self.card.preprocess, device_of(network))
        with evaluating(network):
            ends = network.encode(x, self._classes(np.repeat(number, 2)))[0].float().cpu().numpy()
        share = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
        texts = tuple(f"{1 - float(s):.0%} first, {float(s):.0%} second" for s in share[:, 0])
        codes = (1 - share) * ends[0] + share * ends[1]
        return self._made(network.decode, codes, np.repeat(number, steps), texts)

    def _classes(self, numbers: NDArray[np.int64]) -> Tensor | None:
        return self.network.class_weights(torch.from_numpy(numbers).to(device_of(self.network)))

    def _made(
        self,
        decode: Callable[[Tensor, Tensor | None], Tensor],
        codes: NDArray[np.float32],
        numbers: NDArray[np.int64],
        labels: tuple[str, ...],
    ) -> MadeImages:
        parts = []
        for start in range(0, len(codes), _BATCH):
            rows = slice(start, start + _BATCH)
            with evaluating(self.network):
                z = torch.from_numpy(codes[rows]).to(device_of(self.network))
                logits = decode(z, self._classes(numbers[rows])).float().cpu().numpy()
            pixels = sigmoid(reportable(logits)).transpose(0, 2, 3, 1)
            parts.append(np.rint(255 * pixels).astype(np.uint8))
        return MadeImages(pixels=np.concatenate(parts), labels=labels)


def load_generator(model: str | Path, *, device: str = "auto") -> Generator:
    """Load a model that makes images.

    Raises:
        ModelFileError: the file is missing, damaged, or was not written by hubel.
        OptionError: the model makes no images.
    """
    network, card = load_network(model)
    return Generator(network.to(pick_device(device)), card)


def generate(
    model: str | Path,
    *,
    label: str | Sequence[str] | None = None,
    count: int = 16,
    between: tuple[Any, Any] | None = None,
    seed: int = 0,
    device: str = "auto",
) -> MadeImages:
    """Make images with a trained generative model.

    Args:
        model: a model file, or the folder of a run.
        label: the class of the images, or several, which take turns; None for every class in turn.
        count: number of images.
        between: two images, from the first of which to the second the images lead.
        seed: of the random codes: the same seed makes the same images.
        device: cpu, cuda, mps or auto.

    Raises:
        ModelFileError: the file is missing, damaged, or was not written by hubel.
        OptionError: the model makes no images, or an option does not suit it.
        UnknownNameError: it knows no such class.
    """
    check_range("--count", count, 1, _MOST, whole=True)
    generator = load_generator(model, device=device)
    wanted = [label] if isinstance(label, str) else list(label or ())
    if between is not None:
        if len(wanted) > 1:
            raise OptionError(f"the images between two are of one class, not {len(wanted)}")
        return generator.between(*between, count, label="".join(wanted))
    turns = wanted or list(generator.classes) or [""]
    return generator.make([turns[i % len(turns)] for i in range(count)], seed=seed)
