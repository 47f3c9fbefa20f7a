"""Explanations of a trained model's predictions: an attribution map of one class for each image."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hubel.core.errors import UnknownNameError
from hubel.explain.images import PreparedImage, check_predictor, prepare_images, to_input
from hubel.explain.methods import Method, find_method
from hubel.explain.occlusion import occlusion_sensitivity
from hubel.explain.untouched import untouched
from hubel.inference.forward import reportable
from hubel.inference.predictor import Predictor
from hubel.inference.scores import scores
from hubel.inference.stream import batch_size
from hubel.plots.figure_files import to_png

__all__ = ["Explanation", "TargetBatch", "explain", "method_for", "target_batches"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Explanation:
    """An attribution map of one class on one image.

    Attributes:
        image: the image.
        method: a name among `METHODS`.
        label: the class.
        score: the model's score of the class, 0 to 1.
        map: float32 `(h, w)`; positive values are evidence for the class, negative values evidence against it.
    """

    image: PreparedImage
    method: str
    label: str
    score: float
    map: NDArray[np.float32] = field(repr=False)

    def _repr_png_(self) -> bytes:
        """Return what a notebook shows: the image beside its overlay."""
        from hubel.explain.figures import draw_explanation

        return to_png(draw_explanation(self))


@dataclass(frozen=True, eq=False, kw_only=True)
class TargetBatch:
    """A batch of images, each with its target class.

    Attributes:
        images: `n` prepared images.
        x: the network's input `(n, c, h, w)`, normalised.
        targets: class numbers `(n,)`.
        scores: the model's scores of the targets `(n,)`, 0 to 1.
    """

    images: list[PreparedImage]
    x: Tensor
    targets: Tensor
    scores: NDArray[np.float64]

    def explanations(self, maps: Tensor, *, method: str, classes: tuple[str, ...]) -> Iterator[Explanation]:
        """Yield each image's map `(h, w)` as an explanation."""
        rows = zip(self.images, self.targets.tolist(), self.scores.tolist(), maps.cpu().numpy(), strict=True)
        for image, target, score, values in rows:
            yield Explanation(image=image, method=method, label=classes[target], score=score, map=values)


def explain(
    predictor: Predictor,
    images: Any,
    *,
    method: str = "gradcam",
    label: str | None = None,
    layer: str | None = None,
) -> Iterator[Explanation]:
    """Explain the model's scores of images: yield an attribution map for each image, in order.

    Args:
        predictor: a trained model, which is left unchanged.
        images: see `prepare_images`.
        method: a name among `METHODS`.
        label: the class to explain; the predicted class of each image if not given.
        layer: a name among `layer_names`; `default_layer` if not given.

    Raises:
        UnknownNameError: no such method, class or layer.
        OptionError: the method cannot explain this network.
        DecodeError: a file cannot be read.
    """
    function = method_for(predictor, method)
    for batch in target_batches(predictor, images, label):
        maps = function(predictor.network, batch.x, batch.targets, layer)
        yield from batch.explanations(maps, method=method, classes=predictor.classes)


def target_batches(predictor: Predictor, images: Any, label: str | None) -> Iterator[TargetBatch]:
    """Yield batches of images with their target classes: `label`, or each image's predicted class if None.

    Raises:
        UnknownNameError: no such class.
        DecodeError: a file cannot be read.
        ModelFileError: an output of the network is NaN or infinite.
    """
    card = predictor.card
    label = None if label is None else str(label)  # classes of digits are named by texts, too
    if label is not None and label not in card.classes:
        raise UnknownNameError("class", label, card.classes)
    prepared = prepare_images(predictor, images)
    while batch := list(itertools.islice(prepared, batch_size(card.preprocess))):
        x = to_input(predictor, batch)
        with untouched(predictor.network) as frozen, torch.no_grad():
            rows = scores(reportable(frozen(x.clone()).float().cpu().numpy()), card)
        targets = rows.argmax(1) if label is None else np.full(len(batch), card.classes.index(label))
        target_scores = rows[np.arange(len(batch)), targets]
        yield TargetBatch(images=batch, x=x, targets=torch.from_numpy(targets), scores=target_scores)


def method_for(predictor: Predictor, name: str) -> Method:
    """Return a method by its name; occlusion follows the model's kind of scores, softmax or sigmoid.

    Raises:
        UnknownNameError: no such method.
        OptionError: this is no model whose network can be looked into, such as an exported file.
    """
    check_predictor(predictor)
    method = find_method(name)
    if method is occlusion_sensitivity and predictor.card.scores == "sigmoid":
        return partial(occlusion_sensitivity, exclusive=False)
    return method
