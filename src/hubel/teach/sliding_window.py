"""The sliding window: the detector that any classifier is, and the reason why networks replaced it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from hubel.core.errors import OptionError
from hubel.inference.classifier import Classifier
from hubel.inference.detections import Detections
from hubel.inference.suppression import suppress

__all__ = ["slide_window", "window_places"]


def window_places(size: tuple[int, int], window: int, stride: int) -> NDArray[np.int64]:
    """Return left and top of each place of a square window on an image, row by row, `(n, 2)`.

    The last column and the last row end at the edges, so that every pixel is seen.

    Args:
        size: height and width of the image.
        window: side in pixels, at most those of the image.
        stride: pixels from one place to the next.

    >>> window_places((4, 9), 4, 3).tolist()
    [[0, 0], [3, 0], [5, 0]]
    """
    tops, lefts = (np.unique(np.append(np.arange(0, side - window, stride), side - window)) for side in size)
    return np.stack(np.meshgrid(lefts, tops), axis=-1).reshape(-1, 2)


def slide_window(
    classifier: Classifier,
    image: ArrayLike,
    *,
    windows: Sequence[int] = (64, 96, 128),
    step: float = 0.25,
    background: str | None = None,
    least_score: float = 0.5,
    overlap: float = 0.3,
) -> Detections:
    """Find objects by classifying every window of an image, as detectors did before their layers were shared.

    Each window is resized to the classifier's input, and its box is the window itself. Of those that overlap, the one
    with the highest score stays. Rowley, Baluja & Kanade 1998, "Neural network-based face detection"; Sermanet et al.
    2014, "OverFeat", Section 3.5: neighbouring windows have most of their products in common, which convolutions over
    the whole image compute once.

    Args:
        classifier: as `hubel.load` returns it.
        image: uint8 `(h, w)` or `(h, w, 3)`.
        windows: sides in pixels; those that do not fit into the image are left out.
        step: from one place to the next, as a share of the window.
        background: the class of windows without an object, which is left out; None where there is none.
        least_score: of what is returned, 0 to 1.
        overlap: intersection over union above which the lower score is removed.

    Raises:
        OptionError: no window fits, the step is not above 0, or the background is no class.
    """
    pixels = np.asarray(image)
    fitting = [window for window in windows if 0 < window <= min(pixels.shape[:2])]
    if not fitting or not step > 0:
        raise OptionError(f"windows of {windows} pixels, a step of {step} each, do not fit into {pixels.shape[:2]}")
    if background is not None and background not in classifier.classes:
        raise OptionError(f"the background is one of {', '.join(classifier.classes)}, not {background}")
    boxes, scores = [], []
    for window in fitting:
        places = window_places((pixels.shape[0], pixels.shape[1]), window, max(1, round(step * window)))
        crops = [pixels[top : top + window, left : left + window] for left, top in places.tolist()]
        scores.append(classifier.predict_proba([Image.fromarray(crop) for crop in crops]))
        boxes.append(np.concatenate([places, places + window], axis=1).astype(np.float64))
    rows, every = np.concatenate(scores), np.concatenate(boxes)
    best = rows.argmax(1)
    sure = rows.max(1) >= least_score
    if background is not None:
        sure &= best != classifier.classes.index(background)
    kept = np.flatnonzero(sure)[suppress(every[sure], rows.max(1)[sure], best[sure], overlap=overlap)]
    return Detections(scores=rows.max(1)[kept], classes=best[kept], boxes=every[kept])
