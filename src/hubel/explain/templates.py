"""Class templates: the weights of a linear network, or images that maximise each class's logit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hubel.core.errors import UnknownNameError
from hubel.data.preprocess import Preprocess
from hubel.explain.activation_maximisation import maximise_activation
from hubel.explain.filters import weights_to_image
from hubel.explain.images import check_predictor
from hubel.explain.wording import legend, words
from hubel.inference.predictor import Predictor
from hubel.plots.tiles import ImageTile, TileRow, draw_tiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["class_templates", "draw_templates", "linear_weights"]

_MOST = 10  # classes that are drawn if none is named


def linear_weights(network: nn.Module, shape: tuple[int, int, int]) -> NDArray[np.float32] | None:
    """Return the weights `(classes, c, h, w)` of a network of a single linear layer; None for any other network."""
    weighted = [module for module in network.modules() if any(True for _ in module.parameters(recurse=False))]
    if len(weighted) != 1 or not isinstance(weighted[0], nn.Linear) or weighted[0].in_features != np.prod(shape):
        return None
    return weighted[0].weight.detach().float().cpu().numpy().reshape(-1, *shape)


def class_templates(predictor: Predictor, labels: Sequence[str] = ()) -> dict[str, NDArray[np.uint8]]:
    """Return a template image of each class, uint8 `(h, w)`, `(h, w, 1)` or `(h, w, 3)`.

    The templates of a linear network are its weights, grey at zero: the images that an input is compared with. Those of
    any other network are images that maximise the class's logit; see `maximise_activation`.

    Args:
        predictor: a trained model, which is left unchanged.
        labels: classes; the first ten if none is named.

    Raises:
        UnknownNameError: there is no such class.
    """
    check_predictor(predictor)
    classes, preprocess = predictor.classes, predictor.card.preprocess
    for label in labels:
        if label not in classes:
            raise UnknownNameError("class", label, classes)
    chosen = list(labels) or list(classes[:_MOST])
    numbers = [classes.index(label) for label in chosen]
    weights = linear_weights(predictor.network, _input_shape(preprocess))
    if weights is not None:
        return {label: weights_to_image(weights[number]) for label, number in zip(chosen, numbers, strict=True)}
    return dict(zip(chosen, maximise_activation(predictor.network, preprocess, numbers), strict=True))


def draw_templates(predictors: Sequence[Predictor], labels: Sequence[str] = (), *, language: str = "en") -> Figure:
    """Draw the class templates of each model, one row per model."""
    rows = []
    for predictor in predictors:
        templates = class_templates(predictor, labels)
        linear = linear_weights(predictor.network, _input_shape(predictor.card.preprocess)) is not None
        kind = words("templates.linear" if linear else "templates.ascent", language, model=predictor.card.model)
        rows.append(TileRow([ImageTile(image, label) for label, image in templates.items()], kind))
    title = words("templates.title", language)
    return draw_tiles(rows, title, size=1.2, legend=legend("templates", language=language))


def _input_shape(preprocess: Preprocess) -> tuple[int, int, int]:
    return preprocess.channels, preprocess.height, preprocess.width
