"""What a class looks like to a network: the weights of a linear one, or an image that maximises the class's logit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hubel.core.errors import UnknownNameError
from hubel.explain.filters import as_picture, maximise
from hubel.inference.predictor import Predictor
from hubel.plots.tiles import Row, Tile, tiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["class_templates", "draw_templates", "linear_weights"]

_MOST = 10  # classes that are shown if none is named


def linear_weights(network: nn.Module, shape: tuple[int, int, int]) -> NDArray[np.float32] | None:
    """Weights `(classes, c, h, w)` of a network whose only layer with weights is a linear one; None of another."""
    weighted = [module for module in network.modules() if any(True for _ in module.parameters(recurse=False))]
    if len(weighted) != 1 or not isinstance(weighted[0], nn.Linear) or weighted[0].in_features != np.prod(shape):
        return None
    return weighted[0].weight.detach().float().cpu().numpy().reshape(-1, *shape)


def class_templates(predictor: Predictor, labels: Sequence[str] = ()) -> dict[str, NDArray[np.uint8]]:
    """A picture of each class, uint8 `(h, w)`, `(h, w, 1)` or `(h, w, 3)`.

    Of a linear network these are the weights: the picture that each class is compared with, grey where they are zero.
    Of another one, they are images made by `maximise`.

    Args:
        predictor: a trained model, which stays as it is.
        labels: classes; the first ten if none is named.

    Raises:
        UnknownNameError: there is no such class.
    """
    classes, preprocess = predictor.classes, predictor.card.preprocess
    for label in labels:
        if label not in classes:
            raise UnknownNameError("class", label, classes)
    chosen = list(labels) or list(classes[:_MOST])
    places = [classes.index(label) for label in chosen]
    weights = linear_weights(predictor.network, (preprocess.channels, preprocess.height, preprocess.width))
    if weights is not None:
        return {label: as_picture(weights[place]) for label, place in zip(chosen, places, strict=True)}
    return dict(zip(chosen, maximise(predictor.network, preprocess, places), strict=True))


def draw_templates(predictors: Sequence[Predictor], labels: Sequence[str] = ()) -> Figure:
    """One row of pictures for each model, one for each class."""
    rows = []
    for predictor in predictors:
        found = class_templates(predictor, labels)
        size = predictor.card.preprocess.channels, predictor.card.preprocess.height, predictor.card.preprocess.width
        linear = linear_weights(predictor.network, size) is not None
        how = "weights, grey where they are zero" if linear else "images that maximise the class's logit"
        rows.append(Row([Tile(image, label) for label, image in found.items()], f"{predictor.card.model}: {how}"))
    return tiles(rows, "What each class looks like", size=1.2)
