"""Draw the best, the median and the worst images of a model that finds boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hubel.data.annotation import Annotation
from hubel.data.loading import Images
from hubel.inference.detections import Detections
from hubel.metrics.report_items import Drawing
from hubel.metrics.tables import percent
from hubel.plots.annotations import draw_annotation
from hubel.plots.contact_sheet import contact_sheet

__all__ = ["box_sheets"]

_SHOWN = 4  # images of each kind
_SIDE = 480  # pixels of a drawn image, at least


def box_sheets(
    images: Images, found: Sequence[Detections], quality: NDArray[np.float64], name: str, classes: tuple[str, ...]
) -> list[Drawing]:
    """Return the worst, the median and the best images, each with its labels and beside it with what is found.

    Args:
        images: the images.
        found: objects that are shown on each, in pixels of the upright image.
        quality: of each image, 0 to 1, the higher the better, `(n,)`.
        name: of the quality.
        classes: names of the classes.
    """
    order = np.argsort(-quality, kind="stable")
    half = max(0, len(order) // 2 - _SHOWN // 2)
    chosen = {"worst": order[::-1][:_SHOWN], "median": order[half : half + _SHOWN], "best": order[:_SHOWN]}
    sheets = []
    for kind, positions in chosen.items():
        drawn, captions = [], []
        for at in positions.tolist():
            photo, size = images.upright(at, (_SIDE, _SIDE)), images.shape(at)
            truth, mine = images.annotation(at), found[at]
            drawn.append(_drawn(photo, truth, classes, size))
            shown = Annotation(classes=mine.classes, boxes=mine.boxes, crowd=np.zeros(len(mine), bool))
            drawn.append(_drawn(photo, shown, classes, size, mine.scores.tolist()))
            captions += ["label", f"prediction\n{name} {percent(quality[at])}%"]
        title = f"{kind.capitalize()} images"
        sheets.append(
            Drawing(
                name=f"{kind}_images",
                heading=title,
                caption="In pairs: the labels, and the prediction.",
                figure=contact_sheet(drawn, captions, title),
            )
        )
    return sheets


def _drawn(
    photo: NDArray[np.uint8],
    annotation: Annotation,
    classes: tuple[str, ...],
    size: tuple[int, int],
    scores: Sequence[float] = (),
) -> NDArray[np.uint8]:
    """Return a photo, maybe smaller than its image, with boxes in pixels of the image of this height and width."""
    scale = np.array([photo.shape[1] / size[1], photo.shape[0] / size[0]] * 2)
    boxes = Annotation(classes=annotation.classes, boxes=annotation.boxes * scale, crowd=annotation.crowd)
    return draw_annotation(photo if photo.ndim == 3 else np.stack([photo] * 3, axis=-1), boxes, classes, scores=scores)
