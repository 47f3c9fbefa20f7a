"""A folder of class folders whose images are NumPy arrays: `root/<class>/*.npy`, with or without splits above.

Each file holds one image: `(h, w)` or `(h, w, 1)` grey, `(h, w, 3)` RGB, uint8, or floats from 0 to 1. The header is
checked before memory is spent on the pixels, and objects are never unpickled. Format: NumPy Enhancement Proposal 1, "A
Simple File Format for NumPy Arrays", with the versions 2.0 and 3.0 of `numpy.lib.format`.
"""

from __future__ import annotations

import ast
import re
from math import prod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError, DecodeError
from hubel.data.containers import EXTENSIONS
from hubel.data.pixels import as_pixels
from hubel.data.reading import DEFAULT_LIMITS, RefusalError, one_line, read_regular
from hubel.data.sources.folder import FolderSource
from hubel.data.sources.kind import SourceKind
from hubel.data.sources.listing import PassedOver
from hubel.data.sources.walk import image_files

__all__ = ["KIND", "NpySource", "decode_npy", "is_npy_folder"]

_SUFFIX = ".npy"
# The length of the header follows the version, in 2 bytes for 1.0 and in 4 for the later ones.
_MAGIC = re.compile(rb"\x93NUMPY(?:\x01\x00(..)|[\x02\x03]\x00(....))", re.DOTALL)
_HEADER_BYTES = 10_000  # as NumPy's own limit: it is parsed as a Python literal
_TYPES = re.compile(r"[|<>=]?u1|[<>=]?f[248]")


def is_npy_folder(path: Path) -> bool:
    """Return whether all images in a folder are .npy files."""
    if not path.is_dir():
        return False
    found = False
    for name, _ in image_files(path, PassedOver(), suffixes=EXTENSIONS | {_SUFFIX}):
        if not name.lower().endswith(_SUFFIX):
            return False
        found = True
    return found


class NpySource(FolderSource):
    """Class folders of .npy files."""

    suffixes: ClassVar[frozenset[str]] = frozenset({_SUFFIX})
    example: ClassVar[str] = "*.npy"

    def read(self, row: int, path: str) -> NDArray[np.uint8]:
        """Return the pixels of one image.

        Raises:
            DecodeError: the file cannot be read, is damaged, or holds anything but an image.
        """
        return decode_npy(read_regular(self.root / path, root=self._within), name=path)


def decode_npy(data: bytes, *, name: str) -> NDArray[np.uint8]:
    """Decode a .npy file to uint8 `(h, w)` or `(h, w, 3)`.

    Args:
        data: the whole file.
        name: of the file, for the error.

    Raises:
        DecodeError: it is damaged, or holds anything but an image: objects, other types, shapes or values.
    """
    try:
        dtype, shape, order, start = _header(data)
        _check_image(shape)
        expected, size = prod(shape) * dtype.itemsize, len(data) - start
        if size != expected:
            raise RefusalError(f"{size:,} bytes of pixels, where {_text(shape)} of {dtype} takes {expected:,}")
        array = np.frombuffer(data, dtype, offset=start).reshape(shape, order=order)
        return np.ascontiguousarray(as_pixels(array[None])[0])
    except (RefusalError, DataError) as error:
        raise DecodeError(name, one_line(error)) from error


def _header(data: bytes) -> tuple[np.dtype[Any], tuple[int, ...], Any, int]:
    """Return the type, the shape, "C" or "F" for the order, and the offset of the first pixel."""
    match = _MAGIC.match(data)
    if match is None:
        raise RefusalError("no .npy file" if data else "the file is empty")
    length = int.from_bytes(match[1] or match[2], "little")
    start = match.end() + length
    if length > _HEADER_BYTES or start > len(data):
        raise RefusalError("truncated or damaged .npy header")
    try:
        header = ast.literal_eval(data[match.end() : start].decode("latin-1").strip())
        descr, fortran, shape = header["descr"], header["fortran_order"], header["shape"]
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError) as error:
        raise RefusalError("damaged .npy header") from error
    if isinstance(descr, str) and "O" in descr:
        raise RefusalError("it holds Python objects, which are never loaded")
    if not isinstance(descr, str) or not _TYPES.fullmatch(descr):
        raise RefusalError(f"pixels are uint8, or floats from 0 to 1, not {one_line(descr)}")
    if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
        raise RefusalError("damaged .npy header")
    return np.dtype(descr), shape, "F" if fortran else "C", start


def _check_image(shape: tuple[int, ...]) -> None:
    if not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))) or 0 in shape:
        raise RefusalError(f"an image has the shape (h, w), (h, w, 1) or (h, w, 3), not {_text(shape)}")
    if shape[0] * shape[1] > DEFAULT_LIMITS.max_pixels:
        size = f"{shape[1]}x{shape[0]} pixels"
        raise RefusalError(f"{size} are more than the limit of {DEFAULT_LIMITS.max_pixels:,}")


def _text(shape: tuple[int, ...]) -> str:
    # Digits of a number without end raise a ValueError; only a damaged header has one.
    return one_line(shape if all(side < 2**63 for side in shape) else f"{len(shape)} sides, one beyond all bounds")


KIND = SourceKind(
    name="a folder of class folders of .npy images",
    recognises=lambda request: is_npy_folder(request.path),
    open=lambda request: NpySource(
        request.path, labelled=request.labelled, within=request.within, parents=request.parents
    ),
    nested=True,
)
