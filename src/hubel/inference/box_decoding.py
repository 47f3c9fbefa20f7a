"""The objects of an image, from what a network says of each of its points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hubel.data.annotation import Annotation
from hubel.data.augment.geometry import resize_matrix
from hubel.data.preprocess import Preprocess
from hubel.inference.detections import Detections
from hubel.inference.scores import sigmoid, softmax
from hubel.inference.suppression import OVERLAP, suppress

__all__ = [
    "CANDIDATES",
    "LEAST_SCORE",
    "MOST_OBJECTS",
    "SHOWN_SCORE",
    "annotate_boxes",
    "decode_boxes",
    "network_boxes",
]

#: The score below which an object is never reported; average precision counts the unsure ones, too.
LEAST_SCORE = 0.05
#: The score from which on an object is shown to users, where a model's card says no other. On 50 photos of Penn-Fudan
#: after 14 epochs, precision and recall were 0.38 and 0.98 with 0.3, 0.90 and 0.92 with 0.5, 0.99 and 0.78 with 0.65.
SHOWN_SCORE = 0.5

#: The surest pairs of a point and a class, from which overlapping boxes are removed.
CANDIDATES = 1000
#: The most objects of an image.
MOST_OBJECTS = 100


def network_boxes(output: NDArray[np.float32], *, least_score: float = LEAST_SCORE) -> Detections:
    """Return the objects that a network finds, in shares of its input's width and height.

    The score of a point and a class is the geometric mean of the probability of the class and the centerness (Tian et
    al. 2019, arXiv:1904.01355, Section 3.4, multiply them; the root, as in the authors' later code, orders alike
    and has the range of a probability). A network of a single point finds one object, of the most probable class.

    Args:
        output: of one image, for each point: left, top, right, bottom of its box in shares of the input, the logit of
            its centerness, and the logit of each class, `(points, 5 + classes)`.
        least_score: of what is returned.
    """
    if len(output) == 1:
        return _one_object(output[0])
    scores = np.sqrt(sigmoid(output[:, 5:]) * sigmoid(output[:, 4:5]))
    points, classes = np.nonzero(scores >= least_score)
    found = scores[points, classes]
    if len(found) > CANDIDATES:
        best = np.argsort(-found, kind="stable")[:CANDIDATES]
        points, classes, found = points[best], classes[best], found[best]
    boxes = output[points, :4].astype(np.float64)
    kept = suppress(boxes, found, classes, overlap=OVERLAP, most=MOST_OBJECTS)
    return Detections(scores=found[kept], classes=classes[kept], boxes=boxes[kept])


def _one_object(output: NDArray[np.float32]) -> Detections:
    chances = softmax(output[None, 5:])[0]
    best = chances.argmax()
    return Detections(
        scores=chances[best : best + 1], classes=np.array([best]), boxes=output[None, :4].astype(np.float64)
    )


def decode_boxes(
    rows: NDArray[np.float32],
    preprocess: Preprocess,
    size: tuple[int, int],
    *,
    least_score: float = LEAST_SCORE,
) -> Detections:
    """Return the objects of an image, in pixels of the upright image, cut at its edges; the surest first.

    Args:
        rows: the objects in shares of the input, see `hubel.inference.answers`.
        preprocess: how the image became the input.
        size: height and width of the upright image.
        least_score: of what is returned.
    """
    height, width = size
    chosen = rows[rows[:, 4] >= least_score].astype(np.float64)
    to_image = resize_matrix(preprocess, 0, 0, width, height)
    inputs = chosen[:, :4].reshape(-1, 2, 2) * (preprocess.width, preprocess.height)
    corners = inputs * np.diagonal(to_image)[:2] + to_image[:2, 2]
    boxes = np.clip(corners, 0, (width, height)).reshape(-1, 4)
    inside = np.asarray((boxes[:, 2:] > boxes[:, :2]).all(1))  # a centre crop hides what is beyond
    return Detections(scores=chosen[:, 4], classes=chosen[:, 5].astype(np.int64), boxes=boxes).part(inside)


def annotate_boxes(
    rows: NDArray[np.float32], preprocess: Preprocess, size: tuple[int, int], *, shown_score: float = SHOWN_SCORE
) -> tuple[Annotation, NDArray[np.float64]]:
    """Return the objects of an image that are shown to users, and their scores; see `decode_boxes`."""
    found = decode_boxes(rows, preprocess, size, least_score=shown_score)
    return Annotation(classes=found.classes, boxes=found.boxes, crowd=np.zeros(len(found), bool)), found.scores
