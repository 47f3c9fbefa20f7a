"""Kernels that everybody knows from image editors, and their use on a photo.

As in a network, the kernel is not turned around first. Unlike there, pixels beyond the edge are those at the edge:
zeros would draw a frame around the photo.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hubel.core.errors import OptionError, UnknownNameError
from hubel.core.files import write_atomic
from hubel.data.inputs import Input

__all__ = ["IMAGE_KERNELS", "NEGATIVES", "Filtered", "ImageKernel", "filter_file", "filter_photo", "image_kernel"]

Floats = NDArray[np.float64]
_ROWS_AT_ONCE = 64  # a whole photo as float64 would take eight times its memory, several times over


@dataclass(frozen=True, eq=False)
class ImageKernel:
    """A small matrix with a name.

    Attributes:
        name: what it is called.
        summary: what it does, in a few words.
        numbers: whole numbers, `(k, k)`.
        divisor: what they are divided by.
    """

    name: str
    summary: str
    numbers: tuple[tuple[float, ...], ...]
    divisor: int = 1

    @property
    def values(self) -> Floats:
        """The kernel itself."""
        return np.array(self.numbers) / self.divisor


IMAGE_KERNELS = {
    kernel.name: kernel
    for kernel in (
        ImageKernel("identity", "changes nothing", ((0, 0, 0), (0, 1, 0), (0, 0, 0))),
        ImageKernel("sharpen", "each pixel against its four neighbours", ((0, -1, 0), (-1, 5, -1), (0, -1, 0))),
        ImageKernel("box_blur", "the mean of nine pixels", ((1, 1, 1), (1, 1, 1), (1, 1, 1)), 9),
        ImageKernel("gaussian_blur", "a mean that counts near pixels more", ((1, 2, 1), (2, 4, 2), (1, 2, 1)), 16),
        ImageKernel("emboss", "light from the upper left", ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))),
        ImageKernel("sobel_x", "how fast it gets lighter to the right", ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1))),
        ImageKernel("sobel_y", "how fast it gets lighter downwards", ((-1, -2, -1), (0, 0, 0), (1, 2, 1))),
        ImageKernel("laplacian", "where it is darker than around", ((0, 1, 0), (1, -4, 1), (0, 1, 0))),
    )
}


def image_kernel(name: str) -> ImageKernel:
    """A kernel by its name, in which "-" and "_" are the same.

    Raises:
        UnknownNameError: no kernel is called so.
    """
    exact = name.lower().replace("-", "_").replace(" ", "_")
    if exact not in IMAGE_KERNELS:
        raise UnknownNameError("image kernel", name, IMAGE_KERNELS)
    return IMAGE_KERNELS[exact]


def _cut(values: Floats) -> Floats:
    return values


def _grey(values: Floats) -> Floats:
    return values / 2 + 127.5


# What becomes of negative values, before all are cut to 0 to 255.
NEGATIVES: dict[str, tuple[str, Callable[[Floats], Floats]]] = {
    "cut": ("become 0, black", _cut),
    "absolute": ("lose their sign, so that an edge is bright either way", np.abs),
    "grey": ("are dark, with 0 as middle grey: all is halved and moved up by 127.5", _grey),
}


@dataclass(frozen=True, eq=False)
class Filtered:
    """A photo after a kernel.

    Attributes:
        pixels: uint8, of the photo's shape.
        negative: how negative values were shown, a key of `NEGATIVES`.
        below: share of values below 0 before that.
        above: share of values that were more than 255 in the end, and are 255 now.
        path: the file that was written, if any.
    """

    pixels: NDArray[np.uint8]
    negative: str
    below: float
    above: float
    path: Path | None = None


def filter_file(photo: str, kernel: ImageKernel, *, out: Path | None = None, negative: str | None = None) -> Filtered:
    """Run a kernel over a photo and write the result as a PNG file, atomically.

    Args:
        photo: an image file, which stays as it is.
        kernel: what to run.
        out: the PNG file; PHOTO-KERNEL.png in the current folder if not given.
        negative: as for `filter_photo`.

    Raises:
        DecodeError: the photo cannot be read.
        OptionError: `out` is no PNG file, is the photo, or was not given and exists.
    """
    target = out or Path(f"{Path(photo).stem}-{kernel.name}.png")
    if target.suffix.lower() != ".png":
        raise OptionError(f"the result is a PNG file, so --out ends in .png, unlike {target}")
    if target.exists() and Path(photo).exists() and target.samefile(photo):
        raise OptionError(f"{target} is the photo itself, which is never written to")
    if target.exists() and out is None:
        raise OptionError(f"{target} exists; say with --out where the result goes")
    filtered = filter_photo(Input(photo).decode().pixels, kernel.values, negative=negative)
    buffer = BytesIO()
    Image.fromarray(filtered.pixels).save(buffer, "PNG")
    write_atomic(target, buffer.getvalue())
    return replace(filtered, path=target)


def filter_photo(pixels: NDArray[np.uint8], kernel: Floats, *, negative: str | None = None) -> Filtered:
    """Run a kernel over each colour of a photo.

    Args:
        pixels: `(h, w)` grey or `(h, w, 3)` RGB.
        kernel: `(rows, columns)`, both odd.
        negative: a key of `NEGATIVES`; "absolute" for a kernel whose numbers sum to 0, which looks for edges, and
            "cut" for others, if not given.

    Raises:
        OptionError: a side of the kernel is even.
        UnknownNameError: `negative` is no key of `NEGATIVES`.
    """
    if kernel.ndim != 2 or any(side % 2 == 0 for side in kernel.shape):
        shape = "x".join(map(str, kernel.shape))
        raise OptionError(
            f"a kernel for a photo has an odd number of rows and of columns, so that it has a centre; got {shape}"
        )
    chosen = negative or ("absolute" if abs(kernel.sum()) < 1e-9 else "cut")
    if chosen not in NEGATIVES:
        raise UnknownNameError("way to show negative values", chosen, NEGATIVES)
    shown = NEGATIVES[chosen][1]
    up, left = (side // 2 for side in kernel.shape)
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((up, up), (left, left), (0, 0))[: pixels.ndim], mode="edge")
    out, below, above = np.empty_like(pixels), 0, 0
    for top in range(0, height, _ROWS_AT_ONCE):
        rows = slice(top, min(top + _ROWS_AT_ONCE, height))
        values = np.zeros(out[rows].shape)
        for (row, column), weight in np.ndenumerate(kernel):
            values += weight * padded[row + rows.start : row + rows.stop, column : column + width]
        below += int((values < -0.5).sum())
        values = np.rint(shown(values))
        above += int((values > 255).sum())
        out[rows] = np.clip(values, 0, 255)
    return Filtered(out, chosen, below / pixels.size, above / pixels.size)
