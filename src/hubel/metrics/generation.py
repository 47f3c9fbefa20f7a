"""Metrics of made images: a classifier's opinion, the distance of their features from real ones, spread."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError
from hubel.core.random import permutation
from hubel.metrics.frechet import frechet_distance, spread

__all__ = ["ClassSamples", "JudgedImages", "SampleMetrics", "measure_samples"]

_FEWEST = 4  # real images, of which two halves are compared


@dataclass(frozen=True, eq=False, kw_only=True)
class JudgedImages:
    """Features and predictions of images by a classifier.

    Attributes:
        features: inputs of its last layer, `(n, d)`.
        predicted: names of the classes that it names, `(n,)`.
    """

    features: NDArray[np.float32]
    predicted: NDArray[np.str_]


@dataclass(frozen=True, kw_only=True)
class ClassSamples:
    """The made images of one class beside the real ones.

    Attributes:
        name: of the class.
        n: number of made images, and of real ones.
        agreement: share of the made images that the classifier names so.
        real_agreement: likewise of the real ones.
        spread: of the features of the made images, as a share of that of the real ones; 0 where all are the same.
    """

    name: str
    n: int
    agreement: float
    real_agreement: float
    spread: float


@dataclass(frozen=True, kw_only=True)
class SampleMetrics:
    """Made images judged by a classifier, beside as many real ones.

    Attributes:
        n: number of made images, and of real ones.
        agreement: share of the made images that the classifier names as they were asked for; None where none was.
        real_agreement: likewise of the real ones; None without classes.
        frechet: Fréchet distance of the features of one half of the made images from those of one half of the real.
        frechet_real: that of the other half of the real ones from the same half: what no network can be better than.
        spread: of the features of all made images, as a share of that of the real ones.
        classes: each class; empty for a network without any.
    """

    n: int
    agreement: float | None
    real_agreement: float | None
    frechet: float
    frechet_real: float
    spread: float
    classes: tuple[ClassSamples, ...]

    def to_json(self) -> dict[str, Any]:
        """Return every field as plain JSON values."""
        return asdict(self) | {"classes": [asdict(one) for one in self.classes]}


def measure_samples(
    made: JudgedImages, real: JudgedImages, labels: NDArray[np.str_], classes: tuple[str, ...]
) -> SampleMetrics:
    """Compare made images with real ones of the same classes.

    Args:
        made: of image `i`, asked to be of the class of the real image `i`.
        real: likewise.
        labels: names of these classes, `(n,)`; anything where there are no classes.
        classes: their names in order; empty where no class was asked for.

    Raises:
        DataError: there are fewer than four images.
    """
    n = len(real.features)
    if n < _FEWEST:
        raise DataError(f"{n} real images are too few to compare with; {_FEWEST} are the least")
    order = permutation(n, 0)
    first, second = order[: n // 2], order[n // 2 : 2 * (n // 2)]
    right, real_right = made.predicted == labels, real.predicted == labels

    def of_class(name: str) -> ClassSamples:
        rows = labels == name
        whole = spread(real.features[rows])
        return ClassSamples(
            name=name,
            n=int(rows.sum()),
            agreement=float(right[rows].mean()),
            real_agreement=float(real_right[rows].mean()),
            spread=spread(made.features[rows]) / whole if whole else 1.0,
        )

    whole = spread(real.features)
    return SampleMetrics(
        n=n,
        agreement=float(right.mean()) if classes else None,
        real_agreement=float(real_right.mean()) if classes else None,
        frechet=frechet_distance(made.features[first], real.features[first]),
        frechet_real=frechet_distance(real.features[second], real.features[first]),
        spread=spread(made.features) / whole if whole else 1.0,
        classes=tuple(of_class(name) for name in classes if (labels == name).any()),
    )
