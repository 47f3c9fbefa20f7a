"""Activations on disk: memory-mapped arrays, found again by the network and by the bytes of each image.

A store holds the features that one frozen network computes from one view of images. It is a folder of parts, each
written once and published whole; a part has the hashes of its images beside the values. So images that come later cost
only themselves, and other splits and heads use what is there. A part is verified before its first use in a process; one
that is damaged is removed, and its images are computed again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.cache import cache_folder
from hubel.core.files import is_whole, publish_folder

__all__ = ["ACTIVATIONS", "PARTS", "FeatureStore", "StoredFeatures"]

ACTIVATIONS = "activations"  # the folder within hubel's cache
PARTS = "*/part-*"  # within that
_MANIFEST, _HASHES, _VALUES = "manifest.json", "hashes.npy", "values.npy"

_verified: set[tuple[Path, int, int, int]] = set()  # path, node, size and time of files of parts


@dataclass(frozen=True)
class StoredFeatures:
    """The stored features of some images.

    Attributes:
        arrays: the memory-mapped values of each part.
        part: per image, the number of its part; -1 where there are no values yet.
        position: per image, its position in the part.
        folders: of the parts that have any of the images.
    """

    arrays: list[NDArray[Any]]
    part: NDArray[np.int64]
    position: NDArray[np.int64]
    folders: list[Path]

    @property
    def missing(self) -> NDArray[np.int64]:
        """The numbers of the images without values."""
        return np.flatnonzero(self.part < 0)

    def take(self, numbers: NDArray[np.int64]) -> NDArray[Any]:
        """Return a copy of the values of the images with these numbers, in this order."""
        part, position = self.part[numbers], self.position[numbers]
        assert len(numbers) == 0 or part.min() >= 0, "values are taken that are not there"
        out = np.empty((len(numbers), *self.arrays[0].shape[1:]), self.arrays[0].dtype)
        for number in np.unique(part):
            in_part = part == number
            out[in_part] = self.arrays[number][position[in_part]]
        return out


@dataclass(frozen=True)
class FeatureStore:
    """The features that one frozen network computes from one view of images.

    Attributes:
        key: a hash of all that the values depend on beside the image: weights, preprocessing, view, precision.
        kind: the folder within hubel's cache.
    """

    key: str
    kind: str = ACTIVATIONS

    @property
    def folder(self) -> Path:
        """The folder of its parts."""
        return cache_folder(self.kind) / self.key

    def find(self, hashes: NDArray[np.void]) -> StoredFeatures:
        """Return the features of images with these hashes of their bytes, as far as they are stored."""
        arrays: list[NDArray[Any]] = []
        folders = []
        part, position = np.full(len(hashes), -1), np.zeros(len(hashes), np.int64)
        for folder in sorted(self.folder.glob("part-*")):
            try:
                _verify(folder)
                known = np.load(folder / _HASHES, allow_pickle=False)
                values = np.load(folder / _VALUES, mmap_mode="r", allow_pickle=False)
                os.utime(folder)  # the parts used last are removed last
            except OSError:  # just being removed
                continue
            except ValueError:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            before = (part < 0).sum()
            positions = {known[i].tobytes(): i for i in range(len(known))}
            for i in np.flatnonzero(part < 0).tolist():
                if (at := positions.get(hashes[i].tobytes())) is not None:
                    part[i], position[i] = len(arrays), at
            arrays.append(values)
            if (part < 0).sum() < before:
                folders.append(folder)
        return StoredFeatures(arrays, part, position, folders)

    def add(self, hashes: NDArray[np.void], values: NDArray[Any]) -> None:
        """Write a part: the values of images, in the order of their hashes.

        Its name stands for the images: what two processes compute at the same time is kept once.
        """
        name = hashlib.blake2b(np.ascontiguousarray(hashes).tobytes(), digest_size=8).hexdigest()
        publish_folder(self.folder / f"part-{name}", [(_HASHES, hashes), (_VALUES, values)], manifest=_MANIFEST)


def _verify(folder: Path) -> None:
    """Check a part against its manifest, unless this process has done so and the files are the same.

    Raises:
        ValueError: it is damaged.
        OSError: there is no such part any more.
    """
    marks = set()
    for path in (folder / _HASHES, folder / _VALUES):
        facts = path.stat()
        marks.add((path, facts.st_ino, facts.st_size, facts.st_mtime_ns))
    if not marks <= _verified:
        if not is_whole(folder, manifest=_MANIFEST):
            raise ValueError(f"{folder} is damaged")
        _verified.update(marks)
