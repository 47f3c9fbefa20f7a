"""A folder of IDX files, the format of MNIST and Fashion-MNIST, gzipped or not.

The format: two zero bytes, a byte for the type (8: uint8), a byte for the number of dimensions, each dimension as a
big-endian 32-bit number, then the values (LeCun, Cortes & Burges, "The MNIST database").
"""

from __future__ import annotations

import gzip
import re
import zlib
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError
from hubel.data.sources.arrays import ArraySource
from hubel.data.sources.kind import SourceKind
from hubel.data.sources.listing import SPLITS, split_code

__all__ = ["KIND", "is_idx_folder", "open_idx", "read_idx"]

_IMAGES = re.compile(r"(?P<split>\w+?)-images[.-]idx3-ubyte(\.gz)?")
_MAX_BYTES = 2**32


def is_idx_folder(path: Path) -> bool:
    """Return whether a folder has files of images with MNIST's names."""
    return path.is_dir() and any(_IMAGES.fullmatch(file.name) for file in path.iterdir())


def open_idx(path: Path) -> ArraySource:
    """Read the images of all splits in a folder.

    Raises:
        DataError: a file is damaged, or its labels are missing.
    """
    images: list[NDArray[np.uint8]] = []
    labels: list[NDArray[np.uint8]] = []
    splits: list[NDArray[np.int8]] = []
    for file in sorted(path.iterdir()):
        # A download that was unpacked beside itself holds the same images twice.
        twice = file.suffix == ".gz" and file.with_suffix("").is_file()
        if (match := _IMAGES.fullmatch(file.name)) and not twice:
            words = file.name.replace("images", "labels").replace("idx3", "idx1")
            base = words.removesuffix(".gz")
            partner = next((path / name for name in (words, base, f"{base}.gz") if (path / name).is_file()), None)
            if partner is None:
                raise DataError(f"{file} has no file of labels beside it; expected {words}")
            images.append(read_idx(file, dimensions=3))
            if images[-1].shape[1:] != images[0].shape[1:]:
                raise DataError(f"{file} has images of another size than the files before it")
            labels.append(read_idx(partner, dimensions=1))
            if len(images[-1]) != len(labels[-1]):
                raise DataError(f"{file} has {len(images[-1])} images, and {partner.name} {len(labels[-1])} labels")
            # MNIST's test files are called t10k: "test, ten thousand".
            code = SPLITS.index("test") if match["split"] == "t10k" else split_code(match["split"]) or 0
            splits.append(np.full(len(images[-1]), code, np.int8))
    return ArraySource(np.concatenate(images), np.concatenate(labels), np.concatenate(splits), name=path.resolve().name)


def read_idx(path: Path, *, dimensions: int) -> NDArray[np.uint8]:
    """Read the array in an IDX file of bytes.

    Raises:
        DataError: the file is damaged, or has another type or number of dimensions.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            head = file.read(4 + 4 * dimensions)
            if len(head) < 4 + 4 * dimensions or head[:4] != bytes((0, 0, 8, dimensions)):
                raise DataError(f"{path} is not an IDX file of bytes in {dimensions} dimensions")
            shape = tuple(int(n) for n in np.frombuffer(head, ">u4", offset=4))
            expected = prod(shape)
            if expected > _MAX_BYTES:
                raise DataError(f"{path} states a size of {expected:,} bytes; the limit is {_MAX_BYTES:,}")
            data = file.read(expected + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    if len(data) != expected:
        raise DataError(f"{path} is cut short or too long: {shape} needs {expected:,} bytes")
    return np.frombuffer(data, np.uint8).reshape(shape)


KIND = SourceKind(
    name="a folder of IDX files",
    recognises=lambda request: is_idx_folder(request.path),
    open=lambda request: open_idx(request.path),
)
