"""Conversion of a network to one ONNX file that any tool can run, from bytes of images to scores.

Normalisation, temperature and softmax are part of the graph, so that no other program has to repeat them. Each file is
compared with torch before it is written.
"""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hubel.core.errors import OptionError
from hubel.inference.box_decoding import SHOWN_SCORE
from hubel.inference.box_overlap import box_iou
from hubel.inference.dense_predictor import DensePredictor
from hubel.inference.engines.registry import open_onnx
from hubel.inference.fold import folded
from hubel.inference.forward import reportable
from hubel.inference.onnx_file import INPUT, NOVELTY, OUTPUTS
from hubel.inference.quiet import undisturbed
from hubel.inference.stream import exported_batch_size
from hubel.inference.tta import Compute
from hubel.nn.evaluating import evaluating
from hubel.nn.freezing import logits_and_novelty
from hubel.nn.network import Network
from hubel.weights.card import ModelCard

__all__ = [
    "NOVELTY_TOLERANCE",
    "OPSET",
    "TOLERANCE",
    "FromBytes",
    "Parity",
    "check_answers",
    "check_parity",
    "check_scores",
    "example_images",
    "onnx_network",
]

OPSET = 17
TOLERANCE = 1e-3  # the largest difference of a score that rounding explains
NOVELTY_TOLERANCE = 1e-2  # likewise of the novelty, of which the threshold is 1; logits are not bounded as scores are
_EQUAL = 0.999  # share of the places of an image whose best class is the same: at edges, two are equally good
_SAME_BOX = 0.999  # intersection over union
_MOST_OTHER = 0.02  # share of images whose boxes may be others: which of two overlapping ones stays may turn on a bit


class FromBytes(nn.Module):
    """A network with its preprocessing and scores: from images uint8 `(n, h, w, c)` to scores, logits, and novelty.

    Args:
        network: network in evaluation mode.
        card: its preprocessing, temperature and kind of scores; reconstructed images are from 0 to 1.
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
        self.has_novelty = card.novelty is not None

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs."""
        return (*OUTPUTS, NOVELTY) if self.has_novelty else OUTPUTS

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the scores, the logits that they come from, and the novelty if the network has one."""
        x = images.permute(0, 3, 1, 2).float() * self.scale + self.shift
        if not self.has_novelty:
            logits = self.network(x)
            return self._scored(logits), logits
        assert isinstance(self.network, Network)
        logits, novelty = logits_and_novelty(self.network, x)
        return self._scored(logits), logits, novelty

    def _scored(self, logits: Tensor) -> Tensor:
        if self.scores == "softmax":
            return torch.softmax(logits / self.temperature, 1)
        if self.scores == "sigmoid":
            return torch.sigmoid(logits)
        return logits / self.temperature + self.offset


def _replace_layers(whole: nn.Module, example: Tensor) -> None:
    """Replace layers that the exporter cannot express by equivalent ones that it can."""
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
    """Adaptive average pooling of maps of one size, as two matrix products; ONNX has it for integer factors only."""

    rows: Tensor
    columns: Tensor

    def __init__(self, size: tuple[int, int], target: tuple[int, int]) -> None:
        super().__init__()
        rows, columns = (nn.functional.adaptive_avg_pool1d(torch.eye(n), m) for n, m in zip(size, target, strict=True))
        self.register_buffer("rows", rows.T)
        self.register_buffer("columns", columns)

    def forward(self, x: Tensor) -> Tensor:
        """Pool maps `(n, c, *size)` to `(n, c, *target)`."""
        return self.rows @ x @ self.columns


class _ResponseNorm(nn.Module):
    """A local response norm as the one ONNX operator for it; torch decomposes it and loses the shapes."""

    def __init__(self, norm: nn.LocalResponseNorm) -> None:
        super().__init__()
        self.settings = (norm.size, norm.alpha, norm.beta, norm.k)

    def forward(self, x: Tensor) -> Tensor:
        """Return normalised maps of the same shape."""
        return _Lrn.apply(x, *self.settings)  # type: ignore[no-any-return, no-untyped-call]


class _Lrn(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
        return nn.functional.local_response_norm(x, size, alpha, beta, k)

    @staticmethod
    def symbolic(graph: Any, x: Any, size: int, alpha: float, beta: float, k: float) -> Any:
        return graph.op("LRN", x, size_i=size, alpha_f=alpha, beta_f=beta, bias_f=k).setType(x.type())


@dataclass(frozen=True, kw_only=True)
class Parity:
    """The comparison of an exported file with torch.

    Attributes:
        engine: engine that ran the file, with its version.
        images: number of images compared.
        top1_equal: number of images whose highest score is at the same index.
        largest_difference: largest absolute difference of a score.
        largest_novelty_difference: largest absolute difference of the novelty; None for a file without it.
        dense: the kind of answer of a network that annotates images: those of an image are the same if 99.9 % of its
            places have the same class, or if the boxes that are shown have the same classes and overlap by 99.9 %.
    """

    engine: str
    images: int
    top1_equal: int
    largest_difference: float
    largest_novelty_difference: float | None = None
    dense: str = ""

    def __str__(self) -> str:
        best = {"": "best class", "boxes": "boxes"}.get(self.dense, "answer at 99.9% of all places")
        same = f"{self.top1_equal} of {self.images} images have the same {best} as in torch"
        novelty = self.largest_novelty_difference
        newer = "" if novelty is None else f", novelty by at most {novelty:.1g}"
        return f"{same}, scores differ by at most {self.largest_difference:.1g}{newer}"

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values, without those that there are not."""
        return {name: value for name, value in asdict(self).items() if value is not None and name != "dense"}


def example_images(card: ModelCard) -> Tensor:
    """Return two black images of the network's size, uint8 `(2, h, w, c)`."""
    p = card.preprocess
    return torch.zeros(2, p.height, p.width, p.channels, dtype=torch.uint8)


def onnx_network(network: nn.Module, card: ModelCard) -> bytes:
    """Convert a network with its preprocessing to a serialised ONNX graph for any number of images.

    Batch norms are folded; the network itself stays unchanged.

    Raises:
        OptionError: the network has an operator that ONNX lacks.
    """
    whole = FromBytes(folded(network).cpu(), card).eval().requires_grad_(False)
    _replace_layers(whole, example_images(card))
    file: Any = io.BytesIO()
    axes = {name: {0: "n"} for name in (INPUT, *whole.outputs)}
    try:
        with undisturbed(), torch.inference_mode():
            torch.onnx.export(
                whole,
                (example_images(card),),
                file,
                dynamo=False,  # the newer exporter needs another package and ten times as long
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=list(whole.outputs),
                dynamic_axes=axes,
            )
    except Exception as error:
        raise OptionError(f"{card.model} cannot be exported to ONNX: {error!s:.300}") from error
    return file.getvalue()  # type: ignore[no-any-return]


def check_parity(network: nn.Module, card: ModelCard, model: bytes, pixels: NDArray[np.uint8]) -> Parity:
    """Compare the scores of an exported file with those of torch, on resized images uint8 `(n, h, w, c)`.

    Raises:
        OptionError: they differ by more than rounding explains.
    """
    whole = FromBytes(network, card)

    def compute(batch: NDArray[np.uint8]) -> NDArray[np.float64]:
        with evaluating(whole):
            scores, _, *novelty = (output.double().numpy() for output in whole(torch.from_numpy(batch)))
        return np.column_stack([scores, *novelty]) if novelty else scores

    return check_scores(compute, card, model, pixels)


def check_scores(compute: Compute, card: ModelCard, model: bytes, pixels: NDArray[np.uint8]) -> Parity:
    """Compare the rows of an exported file with those that `compute` returns; see `check_parity`.

    Raises:
        ModelFileError: a row is NaN or infinite.
    """
    run, size = open_onnx("onnxruntime", model, lanes=1), exported_batch_size(card)
    mine: list[NDArray[Any]] = []
    others: list[NDArray[Any]] = []
    for start in range(0, len(pixels), size):
        batch = pixels[start : start + size]
        mine.append(reportable(compute(batch)))
        others.append(run(batch))
    # Numbers in units of the deviation of the training labels; all other scores lie between 0 and 1.
    unit = 1 / card.temperature if card.scores == "identity" else 1.0
    exact, found = (np.concatenate(parts) / unit for parts in (mine, others))
    if not card.dense:
        exact, found = exact.reshape(len(pixels), -1), found.reshape(len(pixels), -1)
    novelty_difference = None
    if card.novelty is not None:
        novelty_difference = float(np.abs(exact[:, -1] - found[:, -1]).max())
        exact, found = exact[:, :-1], found[:, :-1]
    parity = Parity(
        engine=f"onnxruntime {version('onnxruntime')}",
        images=len(pixels),
        top1_equal=int(((exact.argmax(1) == found.argmax(1)).reshape(len(pixels), -1).mean(1) >= _EQUAL).sum()),
        largest_difference=float(np.abs(exact - found).max()),
        largest_novelty_difference=novelty_difference,
        dense=card.dense,
    )
    if novelty_difference is not None and not novelty_difference <= NOVELTY_TOLERANCE:
        raise OptionError(
            f"the exported file differs from the network: the novelty of an image by {novelty_difference:.2g}"
        )
    if not parity.largest_difference <= TOLERANCE or parity.top1_equal < len(pixels):
        raise OptionError(
            f"the exported file differs from the network: {parity.top1_equal} of {parity.images} images have the same "
            f"best class, and scores differ by up to {parity.largest_difference:.2g}"
        )
    return parity


def check_answers(network: nn.Module, card: ModelCard, model: bytes, pixels: NDArray[np.uint8]) -> Parity:
    """Compare the answers of an exported file with those of torch, on resized images uint8 `(n, h, w, c)`.

    Args:
        network: annotates images.
        card: its card.
        model: graph that answers; see `hubel.export.decoded`.
        pixels: images.

    Raises:
        OptionError: they differ by more than rounding explains.
    """
    run, mine, size = open_onnx("onnxruntime", model, lanes=1), DensePredictor(network, card), exported_batch_size(card)
    compare = partial(_same_boxes, shown=card.shown_score or SHOWN_SCORE) if card.dense == "boxes" else _same_places
    found: list[tuple[bool, float]] = []
    for start in range(0, len(pixels), size):
        batch = pixels[start : start + size]
        found += map(compare, mine.outputs(batch), run(batch))
    parity = Parity(
        engine=f"onnxruntime {version('onnxruntime')}",
        images=len(pixels),
        top1_equal=sum(same for same, _ in found),
        largest_difference=max(difference for _, difference in found),
        dense=card.dense,
    )
    most = _MOST_OTHER * len(pixels) if card.dense == "boxes" else 0
    if len(pixels) - parity.top1_equal > most or not parity.largest_difference <= TOLERANCE:
        raise OptionError(f"the exported file differs from the network: {parity}")
    return parity


def _same_places(mine: NDArray[np.float32], other: NDArray[np.float32]) -> tuple[bool, float]:
    """Compare class and score of each place, `(2, h, w)`."""
    same = mine[0] == other[0]
    return bool(same.mean() >= _EQUAL), float(np.abs(mine[1] - other[1])[same].max(initial=0.0))


def _same_boxes(mine: NDArray[np.float32], other: NDArray[np.float32], *, shown: float) -> tuple[bool, float]:
    """Compare the objects with a score of `shown`, `(k, 6)`; those within rounding of it may lack in one."""
    one, two = (rows[rows[:, 4] >= shown - TOLERANCE].astype(np.float64) for rows in (mine, other))
    same = (box_iou(one[:, :4], two[:, :4]) > _SAME_BOX) & (one[:, None, 5] == two[None, :, 5])
    alone = [*one[~same.any(1), 4], *two[~same.any(0), 4]]
    differences = np.abs(one[:, None, 4] - two[None, :, 4])[same]
    return not any(score > shown + TOLERANCE for score in alone), float(differences.max(initial=0.0))
