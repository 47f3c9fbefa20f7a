"""A preview of a policy on some images, before anything is trained: variants, and each operation alone."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError, OptionError
from hubel.core.outputs import make_folder, output_file
from hubel.core.random import permutation
from hubel.core.ranges import check_range
from hubel.data.annotation import MASKS, AnnotatedSource
from hubel.data.annotation_sheet import draw_augmented, draw_marks
from hubel.data.augment import Augmentation, Policy, find_policy, transform_image
from hubel.data.augment.automatic import AUTOMATIC_LISTS, automatic_level
from hubel.data.augment.draws import single
from hubel.data.augment.named import SMALL
from hubel.data.augment.operations import OPERATIONS
from hubel.data.augment.preview_sheet import PreviewRow, draw_preview_sheet
from hubel.data.dataset import Dataset, open_dataset
from hubel.data.index import Index
from hubel.data.loading import with_principal_axes
from hubel.data.preprocess import Preprocess, Resize
from hubel.plots.figure_files import is_figure, save_figure

__all__ = ["Preview", "operation_extremes", "preview_policy"]

VARIANTS = 8
_ROWS = 6
_SIZE = 224

Captioned = tuple[str, Augmentation]


@dataclass(frozen=True, kw_only=True)
class Preview:
    """The files of a preview.

    Attributes:
        policy: the policy that augmented the images.
        variants: the sheet of images and their variants.
        operations: the sheet of each operation alone; None for a policy that has none.
        preprocess: the input that the images were made for.
    """

    policy: Policy
    variants: Path
    operations: Path | None
    preprocess: Preprocess


def preview_policy(data: Any, name: str, out: Path | None = None, *, size: int = 0, seed: int = 0) -> Preview:
    """Draw two sheets of augmented images: variants as in the first epochs of a training, and each operation alone.

    Boxes, masks and key points are drawn as they are augmented with their images.

    Args:
        data: labelled images, or a plain folder of them; see `open_dataset`.
        name: of the policy; see `find_policy`.
        out: the file of the first sheet; that of the second one has "-operations" added to its name. A file in a new
            folder below `runs/` if not given.
        size: of the network's input, in pixels; 0 is the images' own size for small ones, and 224 for photos.
        seed: of the draws.

    Raises:
        HubelError: there are no such images or policy.
    """
    if out is not None and out.suffix.lower() != ".png":
        raise OptionError(f"a preview is a .png file, not {out}")
    if out is not None:
        for wanted in (out, _second_sheet(out)):
            output_file(wanted, ours=is_figure, inputs=(data,))
    check_range("size", size, 0, 16_384, whole=True, unit="pixels")
    dataset = _opened(data)
    index = dataset.index
    rows = _chosen_rows(index, seed)
    preprocess = _input(index, size, annotated=isinstance(dataset.source, AnnotatedSource))
    policy = find_policy(name, channels=preprocess.channels, size=min(preprocess.height, preprocess.width))
    policy = with_principal_axes(policy, dataset.images(preprocess))
    source = dataset.source if isinstance(dataset.source, AnnotatedSource) else None
    images = dataset.images(preprocess, rows, annotations=MASKS if source else "")
    shown = []
    for position, row in enumerate(rows.tolist()):
        positions = np.full(VARIANTS, position)
        variants = images.augmented(positions, policy, seed, np.arange(VARIANTS))
        tiles = [*images.pixels(positions[:1]), *variants]
        if source is not None:
            plain = images.augmented_annotations(positions[:1], Policy(), seed, positions[:1])
            moved = images.augmented_annotations(positions, policy, seed, np.arange(VARIANTS))
            tiles = [draw_marks(*pair, source) for pair in zip(tiles, (*plain, *moved), strict=True)]
        title = Path(index.paths[row]).name if source else _title(index, row)
        shown.append(PreviewRow(name=title, tiles=tiles))
    heads = ["unchanged", *(f"epoch {epoch + 1}" for epoch in range(VARIANTS))]
    out = out or make_folder(None, verb="preview", name=f"preview-{dataset.name}") / "augmentation.png"
    save_figure(draw_preview_sheet(shown, heads, f"Augmentation: {_policy_title(name)}", gap_after=1), out)
    extremes = operation_extremes(policy)
    if not extremes:
        return Preview(policy=policy, variants=out, operations=None, preprocess=preprocess)
    # Operations on colours show best on the most colourful image.
    most = int(np.argmax([np.ptp(row.tiles[0], axis=2).mean() for row in shown]))
    image, second = images.decoded(most), _second_sheet(out)
    pairs = []
    for title, ends in extremes:
        tiles = [transform_image(image, preprocess, augmentation) for _, augmentation in ends]
        tiles = _marked(tiles, dataset, int(rows[most]), preprocess, [augmentation for _, augmentation in ends])
        pairs.append(PreviewRow(name=title, tiles=tiles, captions=[caption for caption, _ in ends]))
    save_figure(
        draw_preview_sheet(pairs, ["weakest", "strongest"], f"Each operation alone: {_policy_title(name)}", across=4),
        second,
    )
    return Preview(policy=policy, variants=out, operations=second, preprocess=preprocess)


def _marked(
    tiles: list[NDArray[np.uint8]], dataset: Dataset, row: int, preprocess: Preprocess, draws: list[Augmentation]
) -> list[NDArray[np.uint8]]:
    """Return variants of an image with what is marked on it, each augmented alike; the same tiles without any marks."""
    source, size = dataset.source, (int(dataset.index.height[row]), int(dataset.index.width[row]))
    if not isinstance(source, AnnotatedSource):
        return tiles
    pairs = zip(tiles, draws, strict=True)
    return [draw_augmented(pixels, source, row, preprocess, augmentation, size) for pixels, augmentation in pairs]


def _second_sheet(first: Path) -> Path:
    return first.with_name(f"{first.stem}-operations{first.suffix}")


def _policy_title(name: str) -> str:
    return Path(name).name if name.lower().endswith(".toml") else name


def _title(index: Index, row: int) -> str:
    label, name = index.labels[index.label[row]] if len(index.labels) else "", Path(index.paths[row]).name
    return f"{label}: {name}" if label else name


def _opened(data: Any) -> Dataset:
    """Open the images with their classes, if they have any."""
    try:
        return open_dataset(data)
    except DataError:
        return open_dataset(data, labelled=False)


def _chosen_rows(index: Index, seed: int) -> NDArray[np.int64]:
    """Choose images of as many classes as possible."""
    rows = index.usable()
    if not len(rows):
        raise DataError(f"{index.name} has no image that can be read")
    mixed = rows[permutation(len(rows), seed)]
    # The n-th image of each class before the (n + 1)-th of any.
    turn = np.zeros(len(mixed), np.int64)
    for code in np.unique(index.label[mixed]):
        of_class = index.label[mixed] == code
        turn[of_class] = np.arange(of_class.sum())
    return np.asarray(mixed[np.argsort(turn, kind="stable")][:_ROWS])


def _input(index: Index, size: int, *, annotated: bool) -> Preprocess:
    heights, widths = index.height[index.usable()], index.width[index.usable()]
    channels = int(index.channels[index.usable()].max())
    height = width = size or _SIZE
    if not size and max(heights.max(), widths.max()) <= SMALL:
        height, width = int(heights.max()), int(widths.max())
    plain = (0.0,) * channels, (1.0,) * channels
    resize: Resize = "crop" if min(height, width) >= SMALL and not annotated else "squash"
    return Preprocess(height, width, channels, resize, "bilinear", *plain)


def operation_extremes(policy: Policy) -> list[tuple[str, tuple[Captioned, Captioned]]]:
    """Return each operation of a policy at both ends of its range: its name, and for each end a caption."""
    found = []
    shown = {setting.name: (one, setting) for one in OPERATIONS for setting in one.settings if setting.extremes}
    for name in (entry.name for entry in fields(Policy)):
        if name not in shown or getattr(policy, name) == getattr(Policy, name):
            continue
        operation, setting = shown[name]
        assert setting.extremes is not None
        weak, strong = setting.extremes(*policy.values_of(operation))
        ends = [(end.caption, single(operation, end.parameters, fill=policy.fill)) for end in (weak, strong)]
        found.append((name, (ends[0], ends[1])))
    level = automatic_level(policy.automatic, policy.strength)
    for listed in AUTOMATIC_LISTS.get(policy.automatic, ())[1:]:
        ends = []
        for sign in (-1.0, 1.0):
            values = listed.values(level, sign)
            ends.append((listed.caption(values), single(listed.operation, values, fill=policy.fill)))
        if ends[0][0] == ends[1][0]:
            ends[0] = ("unchanged", Augmentation())
        found.append((listed.operation.name, (ends[0], ends[1])))
    return found
