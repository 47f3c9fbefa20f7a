"""Classifiers, whatever computes their scores. This module imports no torch."""

from __future__ import annotations

import abc
import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError, DecodeError, ModelFileError, OptionError
from hubel.data.inputs import Input, as_inputs
from hubel.inference.costs import cheapest, expected_costs
from hubel.inference.scores import shares
from hubel.inference.stream import MANY, stream
from hubel.inference.tta import VIEWS, Compute, mean_scores
from hubel.weights.card import ModelCard

__all__ = ["Classifier", "Prediction"]

_ROUNDING = 1e-5  # by which a probability may leave 0 to 1


@dataclass(frozen=True)
class Prediction:
    """The prediction of one image.

    Attributes:
        path: the image.
        ranking: class names and scores (0 to 1), the highest score first; empty where the image cannot be read. Of a
            model with costs, the class of least expected cost comes first, whatever its score.
        reason: of an image that cannot be read, or is damaged, which has a ranking nevertheless; None for all others.
        label_set: the classes of its prediction set, the highest score first, at least one; None where no coverage is
            asked for, or the image cannot be read.
        set_scores: the scores of `label_set`.
        expected_cost: of the first class of the ranking; None where the model has no costs.
        novelty: distance from the images of the classes, about 0 for a typical one; None where the model has no rule
            for images of none of its classes, or the image cannot be read.
        unknown: the novelty is above the threshold of the model; None likewise.
        ancestor: the deepest class, or group of classes, of which the model is as sure as it was asked to be; None
            where there is none, or nobody asked.
        ancestor_score: the sum of the scores of its classes; 1 where there is none. None where nobody asked, or the
            image cannot be read.
    """

    path: str
    ranking: tuple[tuple[str, float], ...] = ()
    reason: str | None = None
    label_set: tuple[str, ...] | None = None
    set_scores: tuple[float, ...] = ()
    expected_cost: float | None = None
    novelty: float | None = None
    unknown: bool | None = None
    ancestor: str | None = None
    ancestor_score: float | None = None


class Classifier(abc.ABC):
    """A network of any kind with its card.

    Args:
        card: classes, preprocessing, kind of scores.
        tta: average the scores over views of an image; see `hubel.inference.tta`.

    Raises:
        OptionError: the model does that already.
    """

    def __init__(self, card: ModelCard, *, tta: bool = False) -> None:
        if tta and card.tta:
            raise OptionError(
                f"this file averages its scores over {VIEWS[card.preprocess.channels]} already; leave out --tta"
            )
        self.card = card
        self.tta = tta

    def __repr__(self) -> str:
        p = self.card.preprocess
        classes = f"{len(self.classes):,} classes" if self.classes else "no classes"
        return f"{type(self).__name__}({self.card.model}, {classes}, input {p.channels}x{p.height}x{p.width})"

    @abc.abstractmethod
    def _scores(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Compute rows, see `rows`, of resized images uint8 `(n, h, w, c)`, without test-time augmentation."""

    def for_many(self, images: int) -> tuple[Compute, int]:
        """Return the function that computes the rows of so many images, and the threads that may call it at once.

        More images are worth a longer start.
        """
        return self.rows, 1

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the columns of `predict_proba`."""
        return self.card.classes

    def scores(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Compute scores `(n, classes)` of images uint8 `(n, h, w, c)` that `card.preprocess` has resized."""
        return self.rows(pixels)[:, : len(self.classes)]

    def rows(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Compute scores as `scores` does; where the model has a rule for unknown images, their novelty stands behind.

        One array `(n, classes)` or `(n, classes + 1)` holds all that is computed of an image in one row.
        """
        return self._averaged(self._scores)(pixels)

    def novelty(self, row: NDArray[np.float64]) -> tuple[float, bool] | tuple[None, None]:
        """Return the novelty in an image's row, and whether it is unknown; None and None without a rule for that."""
        rule = self.card.novelty
        if rule is None:
            return None, None
        novelty = float(row[-1])
        return novelty, novelty > rule.threshold

    def _averaged(self, compute: Compute) -> Compute:
        """Return `compute`, averaged over views if `tta`, and with its rows checked."""
        checked = partial(self._checked, compute)
        return partial(mean_scores, checked, classes=len(self.classes)) if self.tta else checked

    def _checked(self, compute: Compute, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return rows that are what they are said to be: a file's weights may be anything."""
        rows, shape = compute(pixels), (len(pixels), len(self.classes) + (self.card.novelty is not None))
        scores = rows[:, : len(self.classes)]
        least, most = (-np.inf, np.inf) if self.card.scores == "identity" else (-_ROUNDING, 1 + _ROUNDING)
        if rows.shape != shape or not np.isfinite(rows).all() or (scores < least).any() or (scores > most).any():
            expected = "finite numbers" if self.card.scores == "identity" else "numbers from 0 to 1"
            raise ModelFileError(
                f"the model's scores are no {expected} of shape {shape}: its weights are damaged, or its file is not "
                "what its card says"
            )
        return rows

    def predict(self, images: Any) -> NDArray[np.str_]:
        """Return the class of each image: of the highest score, or of the least expected cost; see `predict_proba`."""
        return np.asarray(np.asarray(self.classes)[self.decisions(self.predict_proba(images))])

    def decisions(self, scores: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the position of the class that is predicted for each image `(n,)`, given its scores `(n, classes)`."""
        return scores.argmax(1) if self.card.costs is None else cheapest(scores, self.card.costs)

    def predict_proba(self, images: Any) -> NDArray[np.float64]:
        """Return calibrated scores `(n, classes)` from 0 to 1; the predicted numbers of a regression.

        Args:
            images: one image or several: paths, folders, patterns, arrays, PIL images, tensors, bytes, open files, or a
                list of these; see `hubel.data.inputs.as_inputs`. Arrays are uint8, or floats from 0 to 1.

        Raises:
            DecodeError: an image cannot be read.
            DataError: an array has another shape, or a path does not exist.
        """
        rows = [_readable(row) for _, row in self._stream(as_inputs(images))]
        return np.stack(rows)[:, : len(self.classes)] if rows else np.empty((0, len(self.classes)))

    def rank(
        self, inputs: Iterable[Input], *, top_k: int = 5, coverage: float | None = None, sure: float | None = None
    ) -> Iterator[tuple[Input, Prediction]]:
        """Yield the `top_k` most probable classes of each image, in order; unreadable files come with their reason.

        Args:
            inputs: the images.
            top_k: classes of each ranking.
            coverage: adds prediction sets, which have the true class of this share of the images; see `label_set`.
            sure: adds the deepest class or group of classes with a score of at least this; see `ancestor`.

        Raises:
            OptionError: the model has no such sets, or its classes can have no groups.
        """
        if sure is not None:
            self.card.class_tree().check(sure)
        if coverage is not None:
            self.card.coverage_table().at(coverage)  # refused before any image is read
        for item, row in self._stream(inputs):
            if isinstance(row, DecodeError):
                yield item, Prediction(item.name, reason=row.reason)
                continue
            novelty, unknown = self.novelty(row)
            prediction = Prediction(
                item.name,
                self.best(row, top_k),
                item.damage or None,
                expected_cost=self.expected_cost(row),
                novelty=novelty,
                unknown=unknown,
            )
            if coverage is not None:
                names, scores = zip(*self.label_set(row, coverage), strict=True)
                prediction = replace(prediction, label_set=names, set_scores=scores)
            if sure is not None:
                name, score = self.ancestor(row, sure)
                prediction = replace(prediction, ancestor=name, ancestor_score=score)
            yield item, prediction

    def label_set(self, row: NDArray[np.float64], coverage: float) -> tuple[tuple[str, float], ...]:
        """Return the prediction set of an image: its classes and their scores, the highest first, at least one.

        Of images like those that calibrated the model, the set has the true class for the share `coverage` or more.

        Args:
            row: the image's row, see `rows`.
            coverage: 0.5 to 0.999.

        Raises:
            OptionError: the coverage is out of range, or the model is not calibrated for it.
        """
        scores = row[: len(self.classes)]
        inside = self.card.coverage_table().sets(scores[None], coverage)[0]
        return tuple((self.classes[i], float(scores[i])) for i in _order(scores) if inside[i])

    def ancestor(self, row: NDArray[np.float64], sure: float) -> tuple[str | None, float]:
        """Return the deepest class, or group of classes, whose score is at least `sure`, and its score.

        The score of a group is the sum over its classes: the probability that it has the image's class. Where these
        are right, so is at least the share `sure` of the answers, each of which is as narrow as that allows (Deng et
        al. 2012, "Hedging your bets", CVPR; with sums as Goren et al. 2024, arXiv:2405.11533, have them). Where
        probabilities are wrong, nothing is promised.

        Args:
            row: the image's row, see `rows`.
            sure: 0.5 to 0.999.

        Returns:
            The name and its score; None and 1 where no group is sure: the image may be of any class.

        Raises:
            OptionError: the share is out of range, or an image has not exactly one of the classes.
        """
        tree = self.card.class_tree()
        (place,), (score,) = tree.answers(shares(row[None, : len(self.classes)]), sure)
        return (None if place < 0 else tree.nodes[place]), float(score)

    def best(self, row: NDArray[np.float64], top_k: int) -> tuple[tuple[str, float], ...]:
        """Return the classes with the highest scores in an image's row, and these; of equal ones the first.

        The class that is predicted comes first: of a model with costs, that may be another than the most probable one.
        """
        scores = row[: len(self.classes)]
        order = _order(scores)
        if self.card.costs is not None:
            decision = self.decisions(scores[None])[0]
            order = np.append(decision, order[order != decision])
        return tuple((self.classes[i], float(scores[i])) for i in order[:top_k])

    def expected_cost(self, row: NDArray[np.float64]) -> float | None:
        """Return the expected cost of what is predicted, given an image's row; None without costs."""
        scores = row[None, : len(self.classes)]
        return None if self.card.costs is None else float(expected_costs(scores, self.card.costs).min())

    def _stream(self, inputs: Iterable[Input]) -> Iterator[tuple[Input, NDArray[np.float64] | DecodeError]]:
        """Yield each input with its row, or with the error of reading it."""
        if isinstance(inputs, str | os.PathLike):
            raise DataError(f"images here are those of hubel.data.collect([{os.fspath(inputs)!r}]), not one path")
        remaining = iter(inputs)
        first = list(itertools.islice(remaining, MANY))
        compute, lanes = self.for_many(len(first))
        yield from stream(itertools.chain(first, remaining), self.card.preprocess, compute, lanes=lanes)


def _order(row: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the positions of the scores `(classes,)`, the highest first; of equal ones the first."""
    return np.argsort(-row, kind="stable")


def _readable(row: NDArray[np.float64] | DecodeError) -> NDArray[np.float64]:
    if isinstance(row, DecodeError):
        raise row
    return row
