"""Image files whose objects, masks or key points are marked in other files: the base of the annotated sources."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError, DecodeError
from hubel.core.progress import counted
from hubel.data.annotation import BOXES, IGNORED, MASKS, POINTS, Annotation, ImageFacts
from hubel.data.decode import decode
from hubel.data.reading import one_line, read_regular
from hubel.data.sources.folder import file_stamp
from hubel.data.sources.listing import Listing, ListingBuilder, PassedOver, natural_key, split_code
from hubel.data.sources.mask_files import MaskFiles
from hubel.data.sources.objects import Flaws, Frame, MarkedImage, frame_of, repaired
from hubel.data.sources.regions import region_mask
from hubel.data.sources.walk import image_files

__all__ = ["AnnotatedFiles", "data_root", "folder_split", "kinds_of", "one_name"]

_SMALL = (64, 64)  # an image is decoded at a small scale where only its size is wanted


class AnnotatedFiles(ABC):
    """Image files with annotations.

    Args:
        root: the folder that the paths of images start at.
        location: the file or folder that the user gave.
        name: for reports.
        within: the folder that links must not leave; None for a user's own data.
    """

    def __init__(self, root: Path, *, location: Path, name: str, within: Path | None = None) -> None:
        self.root, self._within = root, within
        self.name = name or "data"
        self.location = str(location.resolve())
        self.annotated: tuple[str, ...] = ()
        self.names: tuple[str, ...] = ()
        self.mask_names: tuple[str, ...] = ()
        self.point_names: tuple[str, ...] = ()
        self.point_mirror: tuple[int, ...] = ()
        self.limbs: tuple[tuple[int, int], ...] = ()
        self._images: list[MarkedImage] = []
        self._notes: list[str] = []  # of the annotations, before the images are known
        self._masks: MaskFiles | None = None
        self._by_row: dict[int, tuple[Annotation, list[Any], Frame, tuple[int, int]]] = {}

    @abstractmethod
    def _gather(self, rows: ListingBuilder, flaws: Flaws) -> list[MarkedImage]:
        """Return the images with their objects, in order, and set what the source says of itself.

        Raises:
            DataError: there are none, or a file of annotations cannot be read.
        """

    def _walk(self, rows: ListingBuilder, *endings: str) -> Iterator[tuple[str, int]]:
        """Yield path and stamp of each image file; those with these endings hold annotations, which nobody misses."""
        skip = _Others(rows.skip, endings or (" ",))
        for path, status in image_files(self.root, skip, follow_links=self._within is None):
            yield path, file_stamp(path, status)

    def listing(self) -> Listing:
        """Return one row an image, those without objects included.

        Raises:
            DataError: there is no image, or an annotation file cannot be read.
        """
        rows, flaws = ListingBuilder(), Flaws()
        self._by_row, self._masks = {}, None
        self._images = self._gather(rows, flaws)
        missing = [image for image in self._images if image.reason]
        if not self._images or len(missing) == len(self._images):
            named = f"; the first is {one_line(missing[0].path)!r}: {missing[0].reason}" if missing else ""
            found = f"none of the {counted(len(missing), 'image')} can be used" if missing else "there is no image"
            raise DataError(f"{self.location}: {found}{named}")
        for image in self._images:
            rows.add(image.path, "", image.split, 0 if image.reason else image.stamp)
        self._notes = [*rows.notes, *flaws.notes()]
        rows.skip.files += flaws.files
        return replace(rows.build(), notes=tuple(self._notes))

    def read(self, row: int, path: str) -> bytes:
        """Return the bytes of one image."""
        if self._images and self._images[row].reason:
            raise DecodeError(path, self._images[row].reason)
        return read_regular(self.root / path, root=self._within)

    def checked(self, listing: Listing, facts: ImageFacts) -> Listing:
        """Repair the annotations by the sizes of their images; see `AnnotatedSource`."""
        flaws = Flaws()
        self._by_row = {}
        for row, (width, height) in enumerate(zip(facts.width.tolist(), facts.height.tolist(), strict=True)):
            self._check(row, (width, height), int(facts.orientation[row]), flaws)
        labels: list[str | None] = [self._label(row) for row in range(len(self._images))]
        notes, digest = list[str](), b""
        if self._masks is not None:
            found = self._masks.checked([self._by_row[row][3] for row in range(len(self._images))], facts.orientation)
            notes, digest = found.notes, found.digest
            if self.annotated[0] == MASKS:
                labels = found.labels(self.names)
            rows_passed = found.files
        else:
            rows_passed = []
        texts = {text: code for code, text in enumerate(dict.fromkeys(label for label in labels if label is not None))}
        return replace(
            listing,
            label=np.array([-1 if label is None else texts[label] for label in labels], np.int32),
            labels=tuple(texts),
            notes=(*self._notes, *flaws.notes(), *notes, *self._summary(labels)),
            passed=(*listing.passed, *flaws.files, *rows_passed),
            annotations=self._digest(digest),
        )

    def annotation(self, row: int, *, masks: bool = True) -> Annotation:
        """Return the annotation of an image, in pixels of the upright image; see `AnnotatedSource`.

        Raises:
            DecodeError: its mask can no longer be read.
        """
        if row not in self._by_row:  # nobody has scanned the images
            if not self._images:
                self.listing()
            path = self._images[row].path
            image = decode(self.read(row, path), name=path, min_size=_SMALL)
            self._check(row, (image.width, image.height), image.orientation, Flaws())
        annotation, regions, frame, size = self._by_row[row]
        if not masks or MASKS not in self.annotated:
            return annotation
        if self._masks is not None:
            return replace(annotation, mask=self._masks.read(row, size))
        return replace(annotation, mask=self._filled(annotation, regions, frame, size))

    def _check(self, row: int, size: tuple[int, int], orientation: int, flaws: Flaws) -> None:
        image = self._images[row]
        if not size[0]:  # it cannot be read, and is named for it
            self._by_row[row] = Annotation(), [], Frame(width=0, height=0), size
            return
        frame, flaw = frame_of(image.stated, size, orientation)
        if flaw:
            flaws(flaw, image.path)
        annotation, regions = repaired(image, frame, size, len(self.point_names), flaws)
        if MASKS in self.annotated and self._masks is None:
            regions = [self._region(region, image, frame, flaws) for region in regions]
        self._by_row[row] = annotation, regions, frame, size

    @staticmethod
    def _region(region: Any, image: MarkedImage, frame: Frame, flaws: Flaws) -> Any:
        """Return the region of an object in pixels of the frame, or None where there is none that can be filled."""
        if isinstance(region, dict):
            if region.get("size") == [frame.height, frame.width] and isinstance(region.get("counts"), list | str):
                return region
            flaws("regions of another size than their image, which are left out", image.path)
        elif isinstance(region, list) and region:
            parts = region if isinstance(region[0], list | tuple) else [region]
            if all(len(part) >= 6 and len(part) % 2 == 0 for part in parts):
                scale = (frame.width, frame.height) if image.relative else (1, 1)
                return [[value * scale[i % 2] for i, value in enumerate(part)] for part in parts]
            flaws("polygons with fewer than three corners, which are left out", image.path)
        return None

    def _filled(
        self, annotation: Annotation, regions: list[Any], frame: Frame, size: tuple[int, int]
    ) -> NDArray[np.uint8]:
        """Return the mask of the regions of objects: small ones lie over large ones, and a crowd is ignored."""
        mask = np.zeros((frame.height, frame.width), np.uint8)
        area = np.prod(annotation.boxes[:, 2:] - annotation.boxes[:, :2], axis=1)
        for i in np.lexsort([-area, ~annotation.crowd]).tolist():
            region, number = regions[i], int(annotation.classes[i])
            if region is None:
                continue
            try:
                inside = region_mask(region, frame.height, frame.width)
            except DataError:  # damaged run lengths mark nothing
                continue
            mask[inside] = IGNORED if annotation.crowd[i] else number + 1
        return np.ascontiguousarray(frame.moved_mask(mask, size))

    def _label(self, row: int) -> str:
        return "|".join(sorted({self.names[i] for i in self._by_row[row][0].classes.tolist()}, key=natural_key))

    def _summary(self, labels: list[str | None]) -> list[str]:
        empty = sum(label == "" for label in labels)
        return [f"{counted(empty, 'image')} without an object"] if empty and self.annotated[0] != MASKS else []

    def _digest(self, masks: bytes) -> bytes:
        """Return a digest of all that is marked, independent of paths."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(repr((self.annotated, self.names, self.mask_names, self.point_names)).encode("utf-8", "replace"))
        for row in range(len(self._images)):
            annotation, regions, _, _ = self._by_row[row]
            for values in (annotation.classes, annotation.boxes, annotation.crowd, annotation.points):
                digest.update(np.ascontiguousarray(values).tobytes())
            digest.update(len(annotation.classes).to_bytes(8, "little"))
            if any(region is not None for region in regions):
                digest.update(json.dumps(regions, default=str).encode())
        digest.update(masks)
        return digest.digest()


def kinds_of(*, boxes: bool, masks: bool, points: bool) -> tuple[str, ...]:
    """Return the kinds of annotations: what a source is for comes first."""
    return tuple(kind for kind, has in ((POINTS, points), (BOXES, boxes), (MASKS, masks)) if has)


def data_root(path: Path) -> Path:
    """Return the folder of a dataset: the given one, or the only one in it, as archives unpack."""
    for _ in range(4):
        try:
            entries = [entry for entry in path.iterdir() if not entry.name.startswith((".", "__MACOSX"))]
        except OSError:
            return path
        if len(entries) != 1 or not entries[0].is_dir() or split_code(entries[0].name):
            return path
        path = entries[0]
    return path


class _Others(PassedOver):
    """Files that are no images, without those that hold the annotations."""

    def __init__(self, skip: PassedOver, endings: Collection[str]) -> None:
        super().__init__()
        self._skip, self._endings = skip, endings

    def __call__(self, reason: str, example: str = "", n: int = 1, *, path: str = "") -> None:
        if not (reason == "not images" and path.lower().endswith(tuple(self._endings))):
            self._skip(reason, example, n, path=path)


def folder_split(path: str) -> int:
    """Return the code of the split that the folders of a path name; 0 without one."""
    return next((code for folder in path.split("/")[:-1] if (code := split_code(folder))), 0)


def one_name(name: object) -> str:
    """Return the name of a class on one line, without the sign that divides names in a label text."""
    return one_line(name).replace("|", "/") or "unnamed"
