"""A folder of images beside a folder of masks: `images/` and `masks/`, with or without `train`, `val`, `test`.

The folders are known by their names (`images`, `imgs`, `JPEGImages`; `masks`, `labels`, `annotations`, `train_masks`,
`trainannot`), and an image and its mask by theirs: the same name, or with `_mask`, `_label`, `_gt` or `_L` at its end.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from hubel.core.errors import DecodeError
from hubel.data.annotation import MASKS
from hubel.data.reading import read_regular
from hubel.data.sources.annotated import AnnotatedFiles, data_root
from hubel.data.sources.class_files import named_classes, named_colours
from hubel.data.sources.kind import SourceKind, SourceRequest
from hubel.data.sources.listing import ListingBuilder, PassedOver, split_code
from hubel.data.sources.mask_files import MASK_SUFFIXES, MaskCoding, MaskFiles, coding_of, mask_values
from hubel.data.sources.objects import Flaws, MarkedImage
from hubel.data.sources.walk import image_files, is_folder, visible_entries

__all__ = ["KIND", "MaskFolder", "is_mask_folder", "pair_key"]

_MASKS = re.compile(
    r"(.*?)[-_ ]?(?:masks?|labels?|labelids|annotations?|annots?|gt|groundtruth|ground_truth|segmentations?"
    r"|segmentationclass|targets?)(?:[-_ ]?png)?",
    re.IGNORECASE,
)
_IMAGES = re.compile(r"(.*?)[-_ ]?(?:images?|imgs?|jpegimages|photos?|pictures?|inputs?)", re.IGNORECASE)
_MASK_STEM = re.compile(r"(.+?)[-_ .]?(?:mask|masks|label|labels|labelids|gt|seg|segmentation|annotation|L)")
_IMAGE_STEM = re.compile(r"(.+?)[-_ .](?:image|img|photo|leftImg8bit)", re.IGNORECASE)
_LOOKED_AT = 5  # masks, before a folder is taken for one of masks
_MOST_CLASSES = 64  # in one of them


def pair_key(path: str) -> tuple[str, bool]:
    """Return what an image and its mask have in common, and whether a path is that of a mask.

    >>> pair_key("train/images/a.jpg"), pair_key("train/masks/a_mask.png")
    (('train/a', False), ('train/a', True))
    """
    *folders, name = path.split("/")
    stem = name.rpartition(".")[0] or name
    is_mask = any(_MASKS.fullmatch(folder) for folder in folders)
    pattern = _MASKS if is_mask else _IMAGES
    kept = []
    for folder in folders:
        match = pattern.fullmatch(folder)
        kept.append(match[1] if match else folder)
    match = (_MASK_STEM if is_mask else _IMAGE_STEM).fullmatch(stem)
    return "/".join([*(folder for folder in kept if folder), match[1] if match else stem]), is_mask


def _exact_key(path: str) -> str:
    """Return the key of a mask whose stem is that of its image."""
    key, stem = pair_key(path)[0], path.rpartition("/")[2].rpartition(".")[0]
    return f"{key.rpartition('/')[0]}/{stem}" if "/" in key else stem


def is_mask_folder(path: Path) -> bool:
    """Return whether this is a folder of images beside one of masks, by the names of its folders and a few masks."""
    if not path.is_dir():
        return False
    root = data_root(path)
    tops = [entry.name for entry in visible_entries(root) if is_folder(entry)]
    inner = [
        f"{top}/{entry.name}"
        for top in tops
        if split_code(top) or _MASKS.fullmatch(top) is None
        for entry in itertools.islice(visible_entries(root / top), 50)
        if is_folder(entry)
    ]
    masks = [name for name in (*tops, *inner) if _MASKS.fullmatch(name.rpartition("/")[2])]
    if not masks or len(tops) + len(inner) < 2:
        return False
    images: set[str] = set()
    candidates: list[str] = []
    for name, _ in image_files(root, PassedOver()):
        key, is_mask = pair_key(name)
        if not is_mask:
            images.add(key)
        elif Path(name).suffix.lower() in MASK_SUFFIXES:
            candidates.append(name)
    paired = [name for name in candidates if pair_key(name)[0] in images or _exact_key(name) in images]
    step = max(1, len(paired) // _LOOKED_AT)
    like = [_looks_like_a_mask(root / name) for name in paired[::step][:_LOOKED_AT]]
    return sum(like) > len(like) / 2


def _looks_like_a_mask(path: Path) -> bool:
    try:
        values = mask_values(read_regular(path), path.name)
    except DecodeError:
        return False
    return len(set(values[::2, ::2].ravel().tolist())) <= _MOST_CLASSES


class MaskFolder(AnnotatedFiles):
    """Images and their masks in folders beside each other.

    Args:
        path: the folder.
        void: a value of the masks whose pixels belong to no class, beside 255.
        within: the folder that links must not leave; None for a user's own data.
    """

    def __init__(self, path: Path, *, void: int | None = None, within: Path | None = None) -> None:
        super().__init__(data_root(path), location=path, name=path.resolve().name, within=within)
        self.annotated, self._void = (MASKS,), void

    def _gather(self, rows: ListingBuilder, flaws: Flaws) -> list[MarkedImage]:
        images: dict[str, MarkedImage] = {}
        masks: dict[str, tuple[str, int]] = {}
        for path, stamp in self._walk(rows, ".txt", ".csv", ".json"):
            key, is_mask = pair_key(path)
            if is_mask:
                masks[_exact_key(path)] = path, stamp
                masks.setdefault(key, (path, stamp))
            elif key in images:
                flaws("images with the name of another one in their folder, which are left out", path)
            else:
                split = next((code for part in path.split("/")[:-1] if (code := _split_of(part))), 0)
                images[key] = MarkedImage(path=path, split=split, stamp=stamp)
        used = set()
        for key, image in images.items():
            image.mask, stamp = masks.get(key, ("", 0))
            used.add(image.mask)
            if not image.mask:
                flaws("images without a mask, which are left out", image.path)
        for path in dict.fromkeys(path for path, _ in masks.values()):
            if path not in used:
                flaws("masks without an image", path)
        marked = list(images.values())
        of_path = dict(masks.values())
        self._masks = MaskFiles(
            self.root,
            [image.mask for image in marked],
            [of_path.get(image.mask, 0) for image in marked],
            location=self.location,
            within=self._within,
        )
        found = self._masks.scan()
        places = self._places(marked)
        names = named_classes(places)
        most = self._masks.most_objects() if not names and self._void is None else 0
        self._masks.coding = (
            _objects_coding(most)
            if most
            else coding_of(found, names=names, colours=named_colours(places), void=self._void, where=self.location)
        )
        self.names = self.mask_names = self._masks.coding.names
        return marked

    def _places(self, images: list[MarkedImage]) -> list[Path]:
        """Return the folders in which a file may name the classes."""
        folders = dict.fromkeys(self.root / Path(image.mask).parent for image in images if image.mask)
        above = dict.fromkeys(folder.parent for folder in folders)
        return list(dict.fromkeys([self.root, *above, *folders]))[:20]


def _objects_coding(most: int) -> MaskCoding:
    """Return the coding of masks that number the objects of each image, up to so many."""
    note = (
        f"the masks number the objects of each image, 1 to {most} without a gap, and name no classes: every object is "
        "foreground; a file classes.txt beside them, with a name a line from 0 on, makes the numbers classes"
    )
    return MaskCoding(names=("background", "foreground"), classes={0: 0}, others=1, notes=(note,))


def _split_of(folder: str) -> int | None:
    """Return the split that the name of a folder tells, such as train_masks or trainannot."""
    for pattern in (_MASKS, _IMAGES):
        if (match := pattern.fullmatch(folder)) and match[1]:
            return split_code(match[1])
    return split_code(folder)


def _open(request: SourceRequest) -> MaskFolder:
    return MaskFolder(request.path, void=request.void, within=request.within)


KIND = SourceKind(
    name="a folder of images beside a folder of masks",
    recognises=lambda request: is_mask_folder(request.path),
    open=_open,
    multi_label=True,
)
