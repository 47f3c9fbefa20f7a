"""From a network to one ONNX file that any tool can run: bytes of images go in, scores come out.

What `Preprocess` does after resizing is part of the graph, as are the temperature and the softmax, so that nobody has
to do it again, and nobody can do it otherwise. Each file is compared with torch before it is written.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hubel.core.errors import OptionError
from hubel.inference.engines.registry import open_onnx
from hubel.inference.fold import folded
from hubel.inference.onnx_file import INPUT, OUTPUTS
from hubel.inference.quiet import undisturbed
from hubel.inference.stream import batch_size
from hubel.nn.evaluating import evaluating
from hubel.weights.card import ModelCard

__all__ = ["OPSET", "TOLERANCE", "FromBytes", "Parity", "compare", "example_images", "onnx_network"]

OPSET = 17
TOLERANCE = 1e-3  # the largest difference of a score that rounding may make


class FromBytes(nn.Module):
    """A network with what stands before and behind it: images uint8 `(n, h, w, c)` to scores and logits.

    Args:
        network: in evaluation mode.
        card: its preprocessing, temperature and kind of scores; a network that makes images gives them from 0 to 1.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, card: ModelCard) -> None:
        super().__init__()
        self.network = network
        scale, shift = card.preprocess.scale_shift()
        self.register_buffer("scale", torch.from_numpy(scale).view(1, -1, 1, 1))
        self.register_buffer("shift", torch.from_numpy(shift).view(1, -1, 1, 1))
        self.temperature, self.offset = float(card.temperature), float(card.offset)
        self.scores = card.scores if card.classes else "sigmoid"  # pixels, from 0 to 1

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores, and the logits that they come from."""
        logits = self.network(images.permute(0, 3, 1, 2).float() * self.scale + self.shift)
        if self.scores == "softmax":
            return torch.softmax(logits / self.temperature, 1), logits
        if self.scores == "sigmoid":
            return torch.sigmoid(logits), logits
        return logits / self.temperature + self.offset, logits


def _replace_layers(whole: nn.Module, example: Tensor) -> None:
    """Put what the exporter can express in the place of what it cannot."""
    sizes: dict[nn.Module, tuple[Any, Any]] = {}  # of the maps before and after

    def note(pool: nn.Module, x: Any, y: Any) -> None:
        sizes[pool] = x[0].shape[2:], y.shape[2:]

    pools = [module for module in whole.modules() if isinstance(module, nn.AdaptiveAvgPool2d)]
    handles = [pool.register_forward_hook(note) for pool in pools]
    with torch.inference_mode():
        whole(example)
    for handle in handles:
        handle.remove()
    for module in list(whole.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.LocalResponseNorm):
                setattr(module, name, _ResponseNorm(child))
            elif child in sizes and any(n % m for n, m in zip(*sizes[child], strict=True)):
                setattr(module, name, _Pool(*sizes[child]))


class _Pool(nn.Module):
    """Adaptive pooling of maps of one size, as a mean over rows and one over columns; ONNX has it for factors only."""

    rows: Tensor
    columns: Tensor

    def __init__(self, size: tuple[int, int], target: tuple[int, int]) -> None:
        super().__init__()
        rows, columns = (nn.functional.adaptive_avg_pool1d(torch.eye(n), m) for n, m in zip(size, target, strict=True))
        self.register_buffer("rows", rows.T)
        self.register_buffer("columns", columns)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(n, c, *size)` to `(n, c, *target)`."""
        return self.rows @ x @ self.columns


class _ResponseNorm(nn.Module):
    """A local response norm as the one operator that ONNX has for it; torch takes it apart, and loses the shapes."""

    def __init__(self, norm: nn.LocalResponseNorm) -> None:
        super().__init__()
        self.settings = (norm.size, norm.alpha, norm.beta, norm.k)

    def forward(self, x: Tensor) -> Tensor:
        """Maps of the same shape."""
        return _Lrn.apply(x, *self.settings)  # type: ignore[no-any-return, no-untyped-call]


class _Lrn(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
        return nn.functional.local_response_norm(x, size, alpha, beta, k)

    @staticmethod
    def symbolic(graph: Any, x: Any, size: int, alpha: float, beta: float, k: float) -> Any:
        return graph.op("LRN", x, size_i=size, alpha_f=alpha, beta_f=beta, bias_f=k).setType(x.type())


@dataclass(frozen=True)
class Parity:
    """How an exported file compares with torch on some images.

    Attributes:
        engine: what ran the file, with its version.
        images: how many were compared.
        top1_equal: for how many the highest score is at the same place.
        largest_difference: of any score.
    """

    engine: str
    images: int
    top1_equal: int
    largest_difference: float


def example_images(card: ModelCard) -> Tensor:
    """Two black images of the network's size, as `FromBytes` takes them."""
    p = card.preprocess
    return torch.zeros(2, p.height, p.width, p.channels, dtype=torch.uint8)


def onnx_network(network: nn.Module, card: ModelCard) -> bytes:
    """A network with its preprocessing as a serialised ONNX graph, for any number of images; it is left as it is.

    Batch norms are folded. Raises OptionError if the network has something that ONNX has not.
    """
    whole = FromBytes(folded(network).cpu(), card).eval().requires_grad_(False)
    _replace_layers(whole, example_images(card))
    file: Any = io.BytesIO()
    axes = {name: {0: "n"} for name in (INPUT, *OUTPUTS)}
    try:
        with undisturbed(), torch.inference_mode():
            torch.onnx.export(
                whole,
                (example_images(card),),
                file,
                dynamo=False,  # the newer exporter needs another package and ten times as long
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=list(OUTPUTS),
                dynamic_axes=axes,
            )
    except Exception as error:
        raise OptionError(f"{card.model} cannot be exported to ONNX: {error!s:.300}") from error
    return file.getvalue()  # type: ignore[no-any-return]


def compare(network: nn.Module, card: ModelCard, model: bytes, pixels: NDArray[np.uint8]) -> Parity:
    """Torch's own scores beside those of a file, for resized images uint8 `(n, h, w, c)`.

    Raises:
        OptionError: they differ by more than rounding.
    """
    run, size = open_onnx("onnxruntime", model, lanes=1), batch_size(card.preprocess)
    whole = FromBytes(network, card)
    mine, others = [], []
    for start in range(0, len(pixels), size):
        batch = pixels[start : start + size]
        with evaluating(whole):
            mine.append(whole(torch.from_numpy(batch))[0].numpy())
        others.append(run(batch))
    # Numbers in units of the deviation of the training labels; all other scores lie between 0 and 1.
    unit = 1 / card.temperature if card.scores == "identity" else 1.0
    exact, found = (np.concatenate(parts).reshape(len(pixels), -1) / unit for parts in (mine, others))
    parity = Parity(
        f"onnxruntime {version('onnxruntime')}",
        len(pixels),
        int((exact.argmax(1) == found.argmax(1)).sum()),
        float(np.abs(exact - found).max()),
    )
    if not parity.largest_difference <= TOLERANCE or parity.top1_equal < len(pixels):
        raise OptionError(
            f"the exported file differs from the network: {parity.top1_equal} of {parity.images} images have the same "
            f"best class, and scores differ by up to {parity.largest_difference:.2g}"
        )
    return parity
