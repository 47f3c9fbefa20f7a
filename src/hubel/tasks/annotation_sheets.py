"""Draw the best, the median and the worst images of a model that annotates images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hubel.core.language import sentence
from hubel.data.annotation import Annotation
from hubel.data.loading import Images
from hubel.inference.detections import Detections
from hubel.metrics.report_items import Drawing
from hubel.metrics.tables import percent
from hubel.plots.annotations import draw_annotation
from hubel.plots.contact_sheet import contact_sheet

__all__ = ["annotation_sheets", "box_sheets", "shown_positions"]

_SHOWN = 4  # images of each kind
_SIDE = 480  # pixels of a drawn image, at least


def shown_positions(quality: NDArray[np.float64]) -> dict[str, NDArray[np.int64]]:
    """Return the positions of the worst, the median and the best images, by the quality of each, `(n,)`."""
    order = np.argsort(-quality, kind="stable")
    half = max(0, len(order) // 2 - _SHOWN // 2)
    return {"worst": order[::-1][:_SHOWN], "median": order[half : half + _SHOWN], "best": order[:_SHOWN]}


def annotation_sheets(
    images: Images,
    marks: Callable[[int], tuple[Annotation, Annotation]],
    quality: NDArray[np.float64],
    name: str,
    classes: tuple[str, ...],
    scores: Callable[[int], Sequence[float]] = lambda at: (),
    limbs: Sequence[tuple[int, int]] = (),
) -> list[Drawing]:
    """Return the worst, the median and the best images, each with its labels and beside it with what is found.

    Args:
        images: the images.
        marks: returns the labels of the image at a position, and what is found on it, in pixels of the upright image.
        quality: of each image, 0 to 1, the higher the better, `(n,)`.
        name: of the quality.
        classes: names of the classes.
        scores: returns those of the objects that are found on the image at a position.
        limbs: pairs of key points that a line joins.
    """
    sheets = []
    for kind, positions in shown_positions(quality).items():
        drawn, captions = [], []
        for at in positions.tolist():
            photo, size = images.upright(at, (_SIDE, _SIDE)), images.shape(at)
            truth, found = (one.resized(size, (photo.shape[0], photo.shape[1])) for one in marks(at))
            drawn.append(draw_annotation(photo, truth, classes, limbs=limbs))
            drawn.append(draw_annotation(photo, found, classes, scores=scores(at), limbs=limbs))
            captions += [sentence("axis.label"), sentence("axis.quality", name=name, quality=percent(quality[at]))]
        title = sentence(f"figure.{kind}_images")
        sheets.append(
            Drawing(
                name=f"{kind}_images",
                heading=title,
                caption=sentence("figure.pairs"),
                figure=contact_sheet(drawn, captions, title),
            )
        )
    return sheets


def box_sheets(
    images: Images, found: Sequence[Detections], quality: NDArray[np.float64], name: str, classes: tuple[str, ...]
) -> list[Drawing]:
    """Return the sheets of a model that finds boxes, with the boxes of the labels alone; see `annotation_sheets`."""

    def boxes(at: int) -> tuple[Annotation, Annotation]:
        truth, mine = images.annotation(at), found[at]
        return (
            Annotation(classes=truth.classes, boxes=truth.boxes, crowd=truth.crowd),
            Annotation(classes=mine.classes, boxes=mine.boxes, crowd=np.zeros(len(mine), bool)),
        )

    return annotation_sheets(images, boxes, quality, name, classes, lambda at: found[at].scores.tolist())
