"""Files of predictions: each image with what is found drawn on it or beside it, and labels as in training data."""

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
from hubel.inference.reconstructor import Reconstructed

__all__ = ["FileNames", "PredictionFiles", "ReconstructionFiles"]

_LONGEST = 1600  # pixels of the longer side of a drawing, on which lines and letters are still seen


class FileNames:
    """Names of files, without their endings: each like its image; a second one of a name gets a number."""

    def __init__(self) -> None:
        self._used: dict[str, int] = {}

    def of(self, item: Input) -> str:
        """Return the name of an image's file."""
        stem = Path(item.name).stem if item.data is None else "image"
        self._used[stem] = number = self._used.get(stem, 0) + 1
        return stem if number == 1 else f"{stem}-{number}"


@dataclass
class PredictionFiles:
    """Folders that take a file for each image.

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
    _names: FileNames = field(default_factory=FileNames)

    def __post_init__(self) -> None:
        for folder in filter(None, (self.drawings, self.labels)):
            make_folder(folder, verb="predict", name="")

    def write(self, item: Input, found: Found) -> None:
        """Write the files of one image that could be read."""
        name = self._names.of(item)
        if self.drawings is not None:
            write_atomic(self.drawings / f"{name}.jpg", _drawing(item, found, self.classes, self.limbs))
        if self.labels is not None:
            write_atomic(*_label_file(self.labels / name, found))


@dataclass
class ReconstructionFiles:
    """A folder that takes a figure for each image: the image, its reconstruction, and the difference.

    Attributes:
        folder: where the figures go.
    """

    folder: Path
    _names: FileNames = field(default_factory=FileNames)

    def __post_init__(self) -> None:
        make_folder(self.folder, verb="predict", name="")

    def write(self, item: Input, found: Reconstructed) -> None:
        """Write the figure of one image that could be read."""
        from hubel.plots.colour_maps import apply_diverging_colour_map  # only where something is drawn
        from hubel.plots.figure_files import save_figure
        from hubel.plots.tiles import ImageTile, TileRow, draw_tiles

        assert found.original is not None
        assert found.pixels is not None
        difference = (found.pixels.astype(np.float64) - found.original).mean(2)
        tiles = [
            ImageTile(found.original, "as the network sees it"),
            ImageTile(found.pixels, "its reconstruction"),
            ImageTile(apply_diverging_colour_map(difference, 255.0), "difference: red lighter,\nblue darker"),
        ]
        title = f"{Path(found.path).name}: mean squared error {found.mse:.4f} a pixel"
        save_figure(draw_tiles([TileRow(tiles)], title, size=2.0), self.folder / f"{self._names.of(item)}.png")


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
