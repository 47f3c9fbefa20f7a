"""A folder of IDX files, the format of MNIST and its successors, gzipped or not.

The format: two zero bytes, a byte for the type (8: uint8), a byte for the number of dimensions, each dimension as a
big-endian 32-bit number, then the values (LeCun, Cortes & Burges, "The MNIST database").

The names: MNIST's, which Fashion-MNIST, Kuzushiji-MNIST and others keep, `train-images-idx3-ubyte`, also with dots or
underscores, without `ubyte` or `idx3-ubyte`, in folders of the same names, as Kaggle unpacks them, or in a folder
`raw`, as torchvision does.
EMNIST's, `emnist-letters-train-images-idx3-ubyte` (Cohen et al. 2017, arXiv:1702.05373), whose images are stored column
by column. QMNIST's, `qmnist-test-images-idx3-ubyte` with `qmnist-test-labels-idx2-int` (Yadav & Bottou 2019,
arXiv:1905.10498): eight numbers an image, the first of them the digit.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import zlib
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError
from hubel.data.sources.arrays import ArraySource
from hubel.data.sources.kind import SourceKind
from hubel.data.sources.listing import split_code
from hubel.data.sources.walk import MOST_WRAPPERS, visible_entries

__all__ = ["KIND", "is_idx_folder", "open_idx", "read_idx"]

_NAME = re.compile(
    r"(?:(?P<set>.+)-)?(?P<split>[a-z0-9]+)-(?P<kind>images|labels)(?P<form>-idx[0-9])?(?:-(?:ubyte|int))?"
)
_ENDINGS = (".gz", ".idx", ".bin")
_SPLITS = {"t10k": "test"}  # MNIST's test files: "test, ten thousand"
_RAW = "raw"  # the folder that torchvision downloads into
_CODES = {"u1": 8, ">i4": 12}  # of the types
_MAX_BYTES = 2**32
_GZIP = b"\x1f\x8b"


def is_idx_folder(path: Path) -> bool:
    """Return whether a folder has files of images with the names of MNIST or its successors."""
    return path.is_dir() and any(name.endswith("-images") for name in _idx_files(path))


def _idx_files(folder: Path) -> dict[str, Path]:
    """Return the IDX files of a folder, or of the only one in it, by their usual names up to "images" or "labels".

    Some lie in folders of their own names, or in one called "raw". A file that is there several times, such as a
    download that was unpacked beside itself, counts once.
    """
    found: dict[str, Path] = {}
    for _ in range(MOST_WRAPPERS):
        entries = sorted(Path(entry.path) for entry in visible_entries(folder))
        folders = [entry for entry in entries if entry.is_dir()]
        inner = [entry for entry in folders if entry.name == _RAW or _usual_name(entry)]
        for file in (*entries, *(Path(file.path) for outer in inner for file in visible_entries(outer))):
            name = _usual_name(file)
            if name and (name not in found or found[name].suffix == ".gz") and file.is_file():
                found[name] = file
        if found or len(folders) != 1:
            break
        folder = folders[0]
    return found


def _usual_name(file: Path) -> str:
    """Return the name that a file has with MNIST's authors, up to "images" or "labels"; "" where it is no such file."""
    name = file.name.lower()
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    match = _NAME.fullmatch(re.sub(r"[._ ]", "-", name))
    if match is None or not (match["form"] or file.is_dir() or _starts_as_idx(file)):
        return ""
    return match[0][: match.end("kind")]


def _starts_as_idx(file: Path) -> bool:
    try:
        with _opened(file) as content:
            return content.read(4)[:3] in {bytes((0, 0, code)) for code in _CODES.values()}
    except (OSError, EOFError, zlib.error):
        return False


def _opened(path: Path) -> BinaryIO:
    """Open a file, packed by gzip or not: browsers unpack a download, and leave its name as it was."""
    with path.open("rb") as file:
        packed = file.read(len(_GZIP)) == _GZIP
    return cast("BinaryIO", gzip.open(path)) if packed else path.open("rb")


def open_idx(path: Path) -> ArraySource:
    """Read the images of all splits in a folder.

    Raises:
        DataError: a file is damaged, its labels are missing, or the folder holds several datasets.
    """
    files = _idx_files(path)
    found = [match for name in sorted(files) if (match := _NAME.fullmatch(name)) and match["kind"] == "images"]
    sets = sorted({match["set"] or "" for match in found})
    if len(sets) > 1:
        names = ", ".join(name or "one without a name" for name in sets)
        raise DataError(
            f"{path} holds {len(sets)} datasets of IDX files ({names}); expected each in a folder of its own"
        )
    lying = "emnist" in sets[0]
    images: list[NDArray[Any]] = []
    labels: list[NDArray[Any]] = []
    splits: list[NDArray[np.int8]] = []
    for match in found:
        file = files[match[0]]
        pixels = read_idx(file, dimensions=3)
        images.append(pixels.transpose(0, 2, 1) if lying else pixels)
        if images[-1].shape[1:] != images[0].shape[1:]:
            raise DataError(f"{file} has images of another size than the files before it")
        beside = files.get(match[0].replace("-images", "-labels"))
        if beside is None:
            wanted = f"{match[0].replace('-images', '-labels')}-idx1-ubyte"
            raise DataError(f"{file} has no file of labels beside it; expected {wanted}")
        labels.append(_read_labels(beside))
        if len(images[-1]) != len(labels[-1]):
            raise DataError(f"{file} has {len(images[-1])} images, and {beside.name} {len(labels[-1])} labels")
        code = split_code(_SPLITS.get(match["split"], match["split"])) or 0
        splits.append(np.full(len(images[-1]), code, np.int8))
    return ArraySource(
        np.concatenate(images),
        np.concatenate(labels),
        np.concatenate(splits),
        name=path.resolve().name,
        notes=["EMNIST's files hold images with rows and columns exchanged; they are turned upright"] if lying else (),
    )


def _read_labels(file: Path) -> NDArray[Any]:
    """Read labels of one number an image, or, as QMNIST has them, of several, the first of which is the class."""
    with contextlib.suppress(OSError, EOFError, zlib.error), _opened(file) as content:
        if content.read(4) == bytes((0, 0, _CODES[">i4"], 2)):
            return read_idx(file, dimensions=2, dtype=">i4")[:, 0]
    return read_idx(file, dimensions=1)


def read_idx(path: Path, *, dimensions: int, dtype: Literal["u1", ">i4"] = "u1") -> NDArray[Any]:
    """Read the array in an IDX file of bytes, or of big-endian 32-bit numbers.

    Raises:
        DataError: the file is damaged, or has another type or number of dimensions.
    """
    try:
        with _opened(path) as file:
            head = file.read(4 + 4 * dimensions)
            if len(head) < 4 + 4 * dimensions or head[:4] != bytes((0, 0, _CODES[dtype], dimensions)):
                kind = "bytes" if dtype == "u1" else "32-bit numbers"
                raise DataError(f"{path} is not an IDX file of {kind} in {dimensions} dimensions")
            shape = tuple(int(n) for n in np.frombuffer(head, ">u4", offset=4))
            expected = prod(shape) * np.dtype(dtype).itemsize
            if expected > _MAX_BYTES:
                raise DataError(f"{path} states a size of {expected:,} bytes; the limit is {_MAX_BYTES:,}")
            data = file.read(expected + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    if len(data) != expected:
        raise DataError(f"{path} is cut short or too long: {shape} needs {expected:,} bytes")
    return np.frombuffer(data, dtype).reshape(shape)


KIND = SourceKind(
    name="a folder of IDX files",
    recognises=lambda request: is_idx_folder(request.path),
    open=lambda request: open_idx(request.path),
)
