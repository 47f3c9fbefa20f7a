"""Activations on disk: arrays that are memory-mapped, found again by what made them and by the bytes of each image.

A series holds what one frozen network makes of one view of images. It is a folder of parts, each written once and
published whole; a part has the hashes of its images beside the values. So images that come later cost only themselves,
and other splits and heads use what is there.
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

__all__ = ["ACTIVATIONS", "PARTS", "Found", "Series"]

ACTIVATIONS = "activations"  # the folder within hubel's cache
PARTS = "*/part-*"  # within that
_MANIFEST, _HASHES, _VALUES = "manifest.json", "hashes.npy", "values.npy"


@dataclass(frozen=True)
class Found:
    """Where the values of some images are.

    Attributes:
        arrays: the memory-mapped values of each part.
        part: per image, the number of its part; -1 where there are no values yet.
        place: per image, its place in the part.
        folders: of the parts that have any of the images.
    """

    arrays: list[NDArray[Any]]
    part: NDArray[np.int64]
    place: NDArray[np.int64]
    folders: list[Path]

    @property
    def missing(self) -> NDArray[np.int64]:
        """The positions of the images without values."""
        return np.flatnonzero(self.part < 0)

    def take(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """The values of some images, in this order, copied."""
        part, place = self.part[positions], self.place[positions]
        assert len(positions) == 0 or part.min() >= 0, "values are taken that are not there"
        out = np.empty((len(positions), *self.arrays[0].shape[1:]), self.arrays[0].dtype)
        for number in np.unique(part):
            here = part == number
            out[here] = self.arrays[number][place[here]]
        return out


@dataclass(frozen=True)
class Series:
    """What one frozen network makes of one view of images.

    Attributes:
        key: a hash of all that the values depend on beside the image: weights, preprocessing, view, precision.
    """

    key: str

    @property
    def folder(self) -> Path:
        """Where its parts are."""
        return cache_root() / ACTIVATIONS / self.key

    def find(self, hashes: NDArray[np.void]) -> Found:
        """What is known of images with these hashes of their bytes."""
        arrays: list[NDArray[Any]] = []
        folders = []
        part, place = np.full(len(hashes), -1), np.zeros(len(hashes), np.int64)
        for folder in sorted(self.folder.glob("part-*")):
            try:
                known = np.load(folder / _HASHES, allow_pickle=False)
                values = np.load(folder / _VALUES, mmap_mode="r", allow_pickle=False)
                os.utime(folder)  # what is used stays longest
            except (OSError, ValueError, EOFError):
                continue  # damaged, or just being removed: its images are computed again
            before = (part < 0).sum()
            where = {known[i].tobytes(): i for i in range(len(known))}
            for i in np.flatnonzero(part < 0).tolist():
                if (at := where.get(hashes[i].tobytes())) is not None:
                    part[i], place[i] = len(arrays), at
            arrays.append(values)
            if (part < 0).sum() < before:
                folders.append(folder)
        return Found(arrays, part, place, folders)

    def add(self, hashes: NDArray[np.void], values: NDArray[Any]) -> None:
        """Write a part: the values of images, in the order of their hashes."""

        def fill(folder: Path) -> None:
            np.save(folder / _HASHES, hashes, allow_pickle=False)
            np.save(folder / _VALUES, values, allow_pickle=False)

        publish_folder(self.folder / f"part-{secrets.token_hex(8)}", fill, manifest=_MANIFEST)
