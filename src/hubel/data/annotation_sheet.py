"""Images of a dataset with all that is marked on them, as a sheet and under an augmentation."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import OptionError
from hubel.core.outputs import make_folder, output_file
from hubel.core.random import permutation
from hubel.data.annotation import AnnotatedSource, Annotation
from hubel.data.augment import Augmentation, transform_annotation
from hubel.data.dataset import Dataset
from hubel.data.index import decode_indexed
from hubel.data.preprocess import Preprocess
from hubel.plots.annotations import draw_annotation
from hubel.plots.figure_files import is_figure, save_figure
from hubel.plots.tiles import ImageTile, TileRow, draw_tiles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["annotation_sheet", "draw_augmented", "draw_marks", "save_annotation_sheet"]

_COLUMNS, _ROWS = 4, 3
_TILE = 2.7  # inches
_LONGEST, _MOST_ENLARGED = 480, 4.0  # side of an image on the sheet, in pixels


def draw_augmented(
    pixels: NDArray[np.uint8],
    source: AnnotatedSource,
    row: int,
    preprocess: Preprocess,
    augmentation: Augmentation,
    image_size: tuple[int, int],
    *,
    legend: bool = False,
) -> NDArray[np.uint8]:
    """Return an augmented image with its augmented annotation, uint8 `(h, w, 3)`.

    Args:
        pixels: of the network's input, as `transform_image` gives them.
        source: of the image.
        row: of the image.
        preprocess: as for the pixels.
        augmentation: likewise.
        image_size: height and width of the upright image.
        legend: write the names of a mask's classes into a corner.
    """
    mirror = source.point_mirror
    moved = transform_annotation(source.annotation(row), preprocess, augmentation, image_size, point_mirror=mirror)
    return draw_marks(pixels, moved, source, legend=legend)


def draw_marks(
    pixels: NDArray[np.uint8], found: Annotation, source: AnnotatedSource, *, legend: bool = False
) -> NDArray[np.uint8]:
    """Return an image with an annotation in its own pixels, named as in a source, uint8 `(h, w, 3)`."""
    return draw_annotation(pixels, found, source.names, mask_names=source.mask_names, limbs=source.limbs, legend=legend)


def annotation_sheet(dataset: Dataset, *, seed: int = 0) -> Figure:
    """Draw twelve images of a dataset with all that is marked on them, images with objects first.

    Raises:
        DecodeError: an image or a mask can no longer be read.
    """
    source, index = dataset.source, dataset.index
    assert isinstance(source, AnnotatedSource), "the data has no annotations"
    rows = dataset.rows()
    mixed = rows[permutation(len(rows), seed)]
    labels = dataset.labels(mixed)
    with_objects = [i for i, label in enumerate(labels) if label] or list(range(len(labels)))
    tiles = []
    for row in mixed[with_objects[: _COLUMNS * _ROWS]].tolist():
        height, width = int(index.height[row]), int(index.width[row])
        scale = min(_MOST_ENLARGED, _LONGEST / max(height, width))
        preprocess = Preprocess(max(1, round(height * scale)), max(1, round(width * scale)))
        decoded = decode_indexed(source, index, row, preprocess.min_size).pixels
        pixels = preprocess.apply(decoded)
        drawn = draw_augmented(pixels, source, row, preprocess, Augmentation(), (height, width), legend=True)
        name = Path(index.paths[row]).name
        tiles.append(ImageTile(drawn, f"{name}\n{_content(source, source.annotation(row, masks=False))}".strip()))
    lines = [TileRow(tiles[i : i + _COLUMNS]) for i in range(0, len(tiles), _COLUMNS)]
    return draw_tiles(lines, f"{dataset.name}: {', '.join(source.annotated)}", size=_TILE)


def save_annotation_sheet(dataset: Dataset, data: Any, out: Path | None = None) -> Path:
    """Draw the sheet of a dataset into a PNG file, and return its path.

    Args:
        dataset: annotated images.
        data: where they come from, which the file must not replace.
        out: the file; one in a new folder below `runs/` if None.

    Raises:
        OptionError: the file is no PNG file.
    """
    if out is not None:
        if out.suffix.lower() != ".png":
            raise OptionError(f"a sheet is a .png file, not {out}")
        output_file(out, ours=is_figure, inputs=(data,))
    figure = annotation_sheet(dataset)
    out = out or make_folder(None, verb="data", name=f"data-{dataset.name}") / "annotations.png"
    save_figure(figure, out)
    return out


def _content(source: AnnotatedSource, found: Annotation) -> str:
    """Return the objects on an image in words."""
    counts = Counter(source.names[i] for i in found.classes.tolist())
    return ", ".join(f"{n} {name}" for name, n in counts.most_common())
