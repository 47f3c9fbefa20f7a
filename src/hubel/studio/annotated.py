"""Answers of models that annotate images: objects with their boxes and points, or a mask."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image

from hubel.inference.dense import DenseModel, Found
from hubel.inference.dense_rows import dense_row
from hubel.studio.batching import ScoredImage

__all__ = ["annotated"]

_LONGEST = 1024  # pixels of the longer side of a mask: more than a page shows, and quick to send


def annotated(image: ScoredImage, model: DenseModel) -> dict[str, Any]:
    """Return what is found on an image as JSON values, in pixels of the upright image.

    A mask is a PNG of class numbers in base64, of the image's shape and at most 1,024 pixels long; 255 is no class.
    """
    height, width = image.size
    scale = min(1.0, _LONGEST / max(image.size)) if model.card.dense == "maps" else 1.0
    size = max(1, round(height * scale)), max(1, round(width * scale))
    annotation, scores = model.decode(image.row, size)
    found = Found(path="", width=width, height=height, annotation=annotation, scores=scores)
    row = dense_row(found, model.classes)
    answer: dict[str, Any] = {name: row[name] for name in ("width", "height", "objects", "shares") if name in row}
    if annotation.mask is not None:
        file = io.BytesIO()
        Image.fromarray(annotation.mask).save(file, "PNG")
        answer["mask"] = base64.b64encode(file.getvalue()).decode()
    return answer
