"""An image classifier with the interface of scikit-learn."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from torch import nn

from hubel.core.errors import DataError, OptionError
from hubel.data.sources import Source
from hubel.data.sources.arrays import column_of, memory_source
from hubel.inference.predictor import Predictor, load_predictor
from hubel.models.catalogue import option_text
from hubel.training.execute import execute
from hubel.training.own_network import with_network
from hubel.training.recipe import Recipe
from hubel.training.resolve import plan_training
from hubel.weights.own_class import OwnModel

__all__ = ["ImageClassifier"]


class ImageClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An image classifier that works in `cross_val_score`, `GridSearchCV` and pipelines.

    Args:
        model: name of the network, or a network of one's own: any `nn.Module` that gives `(n, classes)`, of which a
            copy is trained. Default: a pretrained one for photos, convnet for many small images.
        epochs: passes over the training images. Default: 15, and more of a small set.
        lr: the highest learning rate. Default: the optimizer's usual one.
        augment: augmentation policy: its name, or a .toml file. Default: what suits the images.
        options: options of the network.
        seed: another seed gives other weights and another order.
        recipe: every other setting: a `Recipe` or a dict.

    Attributes:
        classes_: the classes, sorted, in the type of the labels that `fit` saw.
        predictor_: the trained model.

    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits().images / 16, load_digits().target
    >>> classifier = ImageClassifier("knn").fit(X[:1000], y[:1000])
    >>> bool(classifier.score(X[1000:], y[1000:]) > 0.9)
    True
    """

    def __init__(
        self,
        model: str | nn.Module | None = None,
        *,
        epochs: int | None = None,
        lr: float | None = None,
        augment: str | None = None,
        options: Mapping[str, Any] | None = None,
        seed: int = 0,
        recipe: Recipe | Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.epochs = epochs
        self.lr = lr
        self.augment = augment
        self.options = options
        self.seed = seed
        self.recipe = recipe

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803
        """Train.

        Args:
            X: an array of images `(n, h, w[, c])` (uint8, or floats from 0 to 1), a list of paths, arrays of any size,
                PIL images, bytes or tensors, or a folder or table that has its own labels.
            y: n labels of any type; an image whose label is None or NaN is left out. None with a folder or table.

        Raises:
            DataError: the images or labels cannot be used.
            KeyboardInterrupt: training was stopped by Ctrl-C or SIGTERM.
        """
        if not isinstance(self.options, Mapping | None):
            raise OptionError(f"options of a network are a dict, not {self.options!r:.80}")
        recipe, module = with_network(Recipe.of(self.recipe), self.model)
        recipe = recipe.with_settings(
            task="classify",
            epochs=self.epochs,
            lr=self.lr,
            augment=self.augment,
            options={name: option_text(value) for name, value in (self.options or {}).items()},
            seed=self.seed,
            test_share=0.0,  # whoever calls measures with images of their own
        )
        source, values = _source(X, y)
        with tempfile.TemporaryDirectory(prefix="hubel-") as folder:
            trained = execute(plan_training(source, recipe, module=module), Path(folder))
            if trained.stopped_by:
                raise KeyboardInterrupt
            device = recipe.machine.device or "auto"
            self.predictor_: Predictor = load_predictor(
                trained.path if module is None else OwnModel(trained.path, module), device=device
            )
        names = self.predictor_.classes
        self.classes_, first = _sorted([values.get(name, name) for name in names])
        self._order = first.tolist()
        return self

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """Return the class of each image, in the type of the labels that `fit` saw."""
        best = self.predict_proba(X).argmax(1)
        return np.asarray(self.classes_[best])

    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Return calibrated scores `(n, classes)`, in the order of `classes_`.

        Raises:
            NotFittedError: `fit` has not been called.
        """
        if not hasattr(self, "predictor_"):
            raise NotFittedError("this ImageClassifier is not fitted yet; call fit first")
        return self.predictor_.predict_proba(X)[:, self._order]


def _source(images: Any, labels: Any) -> tuple[Source | str | Path, dict[str, Any]]:
    """Return data to open, and the label that each class name stands for."""
    if labels is None:
        if not isinstance(images, str | Path):
            raise DataError("arrays and lists of paths need labels: fit(X, y)")
        return images, {}
    if isinstance(images, str | Path):
        raise DataError(f"{images} has labels of its own; fit(X, y) takes arrays or a list of images")
    if (shape := np.shape(labels) if isinstance(labels, np.ndarray) else (0,))[1:]:
        raise DataError(f"labels have the shape (n,), not {shape}")
    source = memory_source(images, labels)
    given = column_of("labels", labels, len(source.labels))
    # A text is its own name, without blanks; a number, boolean or enum member stands behind its name.
    values = {
        name: value
        for name, value in zip(reversed(source.labels), reversed(given), strict=True)
        if name is not None and not isinstance(value, str)
    }
    return source, values


def _sorted(values: list[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return labels, sorted if their type sorts, and where each was."""
    try:
        return np.unique(values, return_index=True)
    except TypeError:
        objects = np.empty(len(values), object)
        objects[:] = values
        return objects, np.arange(len(values))
