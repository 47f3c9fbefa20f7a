"""Files of predictions: each image with its annotation drawn on it, and labels in the form of the training data."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from hubel.core.files import write_atomic
from hubel.core.outputs import make_folder
from hubel.data.annotation import Annotation
from hubel.data.inputs import Input
from hubel.inference.dense import Found
from hubel.inference.point_decoding import with_visibility

__all__ = ["PredictionFiles"]

_LONGEST = 1600  # pixels of the longer side of a drawing, on which lines and letters are still seen


@dataclass
class PredictionFiles:
    """Folders that take a file for each image, named like the image; a second one of a name gets a number.

    Attributes:
        classes: names of the classes.
        drawings: folder of the images with their annotations; None for no drawings.
        labels: folder of the labels: masks as PNG of class numbers, boxes and key points as text in YOLO's form; None
            for none.
        limbs: pairs of key points that a line joins.
    """

    classes: tuple[str, ...]
    drawings: Path | None = None
    labels: Path | None = None
    limbs: tuple[tuple[int, int], ...] = ()
    _used: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for folder in filter(None, (self.drawings, self.labels)):
            make_folder(folder, verb="predict", name="")

    def write(self, item: Input, found: Found) -> None:
        """Write the files of one image that could be read."""
        stem = Path(item.name).stem if item.data is None else "image"
        self._used[stem] = number = self._used.get(stem, 0) + 1
        name = stem if number == 1 else f"{stem}-{number}"
        if self.drawings is not None:
            write_atomic(self.drawings / f"{name}.jpg", _drawing(item, found, self.classes, self.limbs))
        if self.labels is not None:
            write_atomic(*_label_file(self.labels / name, found))


def _label_file(path: Path, found: Found) -> tuple[Path, bytes | str]:
    annotation = found.annotation
    if annotation.mask is not None:
        file = io.BytesIO()
        Image.fromarray(annotation.mask).save(file, "PNG")
        return path.with_name(f"{path.name}.png"), file.getvalue()
    return path.with_name(f"{path.name}.txt"), yolo_text(annotation, found.width, found.height)


def yolo_text(annotation: Annotation, width: int, height: int) -> str:
    """Return boxes in YOLO's form: a line of class number, centre x and y, width and height, as shares of the image.

    Behind them x, y and visibility of each key point.
    """
    left, top, right, bottom = annotation.boxes.T
    shares = np.stack(
        [(left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width, (bottom - top) / height]
    )
    points = with_visibility(annotation).points / (width, height, 1) if annotation.points.size else None
    numbers = shares.T if points is None else np.concatenate([shares.T, points.reshape(len(points), -1)], axis=1)
    lines = zip(annotation.classes.tolist(), numbers.tolist(), strict=True)
    return "".join(f"{number} {' '.join(f'{value:.6f}' for value in line)}\n" for number, line in lines)


def _drawing(item: Input, found: Found, classes: tuple[str, ...], limbs: tuple[tuple[int, int], ...]) -> bytes:
    from hubel.plots.annotations import draw_annotation  # only where something is drawn

    pixels = item.decode().pixels
    image = Image.fromarray(pixels).convert("RGB")
    scale = min(1.0, _LONGEST / max(image.size))
    width, height = max(1, round(found.width * scale)), max(1, round(found.height * scale))
    photo = np.asarray(image.resize((width, height)))
    annotation = with_visibility(found.annotation).resized((found.height, found.width), (height, width))
    drawn = draw_annotation(photo, annotation, classes, scores=found.scores.tolist(), limbs=limbs)
    file = io.BytesIO()
    Image.fromarray(drawn).save(file, "JPEG", quality=92)
    return file.getvalue()
