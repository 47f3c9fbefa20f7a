"""Activations on disk: memory-mapped arrays, found again by the network and by the bytes of each image.

A store holds the features that one frozen network computes from one view of images. It is a folder of parts, each
written once and published whole; a part has the hashes of its images beside the values. So images that come later cost
only themselves, and other splits and heads use what is there.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.files import cache_root, publish_folder

__all__ = ["ACTIVATIONS", "PARTS", "FeatureStore", "StoredFeatures"]

ACTIVATIONS = "activations"  # the folder within hubel's cache
PARTS = "*/part-*"  # within that
_MANIFEST, _HASHES, _VALUES = "manifest.json", "hashes.npy", "values.npy"


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
    """

    key: str

    @property
    def folder(self) -> Path:
        """The folder of its parts."""
        return cache_root() / ACTIVATIONS / self.key

    def find(self, hashes: NDArray[np.void]) -> StoredFeatures:
        """Return the features of images with these hashes of their bytes, as far as they are stored."""
        arrays: list[NDArray[Any]] = []
        folders = []
        part, position = np.full(len(hashes), -1), np.zeros(len(hashes), np.int64)
        for folder in sorted(self.folder.glob("part-*")):
            try:
                known = np.load(folder / _HASHES, allow_pickle=False)
                values = np.load(folder / _VALUES, mmap_mode="r", allow_pickle=False)
                os.utime(folder)  # the parts used last are removed last
            except (OSError, ValueError, EOFError):
                continue  # damaged, or just being removed: its images are computed again
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
        """Write a part: the values of images, in the order of their hashes."""

        def fill(folder: Path) -> None:
            np.save(folder / _HASHES, hashes, allow_pickle=False)
            np.save(folder / _VALUES, values, allow_pickle=False)

        publish_folder(self.folder / f"part-{secrets.token_hex(8)}", fill, manifest=_MANIFEST)
