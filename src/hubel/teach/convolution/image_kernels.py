"""Image kernels, as in image editors, and their convolution with images.

As in a network, the kernel is not flipped. Unlike there, border pixels are replicated: zero padding would draw a frame
around the image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from hubel.core.errors import OptionError, UnknownNameError
from hubel.core.files import short_name, write_atomic
from hubel.core.outputs import output_file
from hubel.data.inputs import Input
from hubel.plots.figure_files import PNG_TEXT, is_figure
from hubel.teach.convolution.steps import parse_numbers

__all__ = [
    "IMAGE_KERNELS",
    "NEGATIVES",
    "FilteredImage",
    "ImageKernel",
    "filter_file",
    "filter_image",
    "find_image_kernel",
    "parse_image_kernel",
]

Floats = NDArray[np.float64]
_ROWS_PER_BLOCK = 64  # a whole image in float64 would take eight times its memory, several times over


@dataclass(frozen=True, eq=False)
class ImageKernel:
    """A named image kernel.

    Attributes:
        name: its name.
        summary: its effect.
        numbers: numerators `(k, k)`.
        divisor: common denominator.
    """

    name: str
    summary: str
    numbers: tuple[tuple[float, ...], ...]
    divisor: int = 1

    @property
    def values(self) -> Floats:
        """Return the kernel's values `(k, k)`."""
        return np.array(self.numbers) / self.divisor


#: Image kernels by name.
IMAGE_KERNELS = {
    kernel.name: kernel
    for kernel in (
        ImageKernel("identity", "no change", ((0, 0, 0), (0, 1, 0), (0, 0, 0))),
        ImageKernel("sharpen", "stronger differences from the neighbours", ((0, -1, 0), (-1, 5, -1), (0, -1, 0))),
        ImageKernel("box_blur", "the mean of nine pixels", ((1, 1, 1), (1, 1, 1), (1, 1, 1)), 9),
        ImageKernel("gaussian_blur", "weighted mean, near pixels more", ((1, 2, 1), (2, 4, 2), (1, 2, 1)), 16),
        ImageKernel("emboss", "relief lit from the upper left", ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))),
        ImageKernel("sobel_x", "horizontal brightness gradient", ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1))),
        ImageKernel("sobel_y", "vertical brightness gradient", ((-1, -2, -1), (0, 0, 0), (1, 2, 1))),
        ImageKernel(
            "laplacian",
            "positive where darker than around",
            ((0, 1, 0), (1, -4, 1), (0, 1, 0)),
        ),
    )
}


def find_image_kernel(name: str) -> ImageKernel:
    """Return a kernel by its name, in which "-" and "_" are equivalent.

    Raises:
        UnknownNameError: there is no such kernel.
    """
    exact = name.lower().replace("-", "_").replace(" ", "_")
    if exact not in IMAGE_KERNELS:
        raise UnknownNameError("image kernel", name, IMAGE_KERNELS)
    return IMAGE_KERNELS[exact]


def parse_image_kernel(name: str, text: str) -> ImageKernel:
    """Return a kernel by its name, or from its numbers as `parse_numbers` takes them; `name` is for the error message.

    Raises:
        UnknownNameError: there is no such kernel.
        OptionError: the numbers cannot be parsed.
    """
    if text[0].isalpha():
        return find_image_kernel(text)
    return ImageKernel("kernel", "", tuple(map(tuple, np.atleast_2d(parse_numbers(name, text)).tolist())))


def _cut(values: Floats) -> Floats:
    return values


def _grey(values: Floats) -> Floats:
    return values / 2 + 127.5


# Display of negative values, before all values are clipped to 0 to 255.
NEGATIVES: dict[str, tuple[str, Callable[[Floats], Floats]]] = {
    "cut": ("become 0, black", _cut),
    "absolute": ("lose their sign, so that an edge is bright either way", np.abs),
    "grey": ("are darker than middle grey, which is 0: all values are halved and 127.5 is added", _grey),
}


@dataclass(frozen=True, eq=False, kw_only=True)
class FilteredImage:
    """An image convolved with a kernel.

    Attributes:
        pixels: uint8, of the image's shape.
        negative: display of negative values, a key of `NEGATIVES`.
        below: share of values below 0, before `negative` was applied.
        above: share of values above 255, which were clipped.
        path: the file written, if any.
    """

    pixels: NDArray[np.uint8]
    negative: str
    below: float
    above: float
    path: Path | None = None


def filter_file(
    image: str, kernel: ImageKernel, *, out: Path | None = None, negative: str | None = None
) -> FilteredImage:
    """Convolve an image file with a kernel and write the result as a PNG file, atomically.

    Args:
        image: an image file, which is left unchanged.
        kernel: the kernel.
        out: the PNG file; IMAGE-KERNEL.png in the current folder if not given.
        negative: see `filter_image`.

    Raises:
        DecodeError: the image cannot be read.
        OptionError: `out` does not end in .png, is the image itself or a file that would be lost, or is the
            default name and exists.
    """
    target = Path(f"{short_name(Path(image).stem)}-{kernel.name}.png") if out is None else out
    if target.suffix.lower() != ".png":
        raise OptionError(f"--out must end in .png, since the result is a PNG file; got {target}")
    target = output_file(target, ours=None if out is None else is_figure, inputs=(image,))
    filtered = filter_image(Input(image).decode().pixels, kernel.values, negative=negative)
    buffer = BytesIO()
    texts = PngInfo()
    for name, text in PNG_TEXT.items():
        texts.add_text(name, text)
    Image.fromarray(filtered.pixels).save(buffer, "PNG", pnginfo=texts)
    write_atomic(target, buffer.getvalue())
    return replace(filtered, path=target)


def filter_image(pixels: NDArray[np.uint8], kernel: Floats, *, negative: str | None = None) -> FilteredImage:
    """Convolve each colour channel of an image with a kernel.

    Args:
        pixels: `(h, w)` grey or `(h, w, 3)` RGB.
        kernel: `(rows, columns)`, both odd.
        negative: a key of `NEGATIVES`; if not given, "absolute" for a kernel that sums to 0, as edge detectors do, and
            "cut" for any other.

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
        raise UnknownNameError("display of negative values", chosen, NEGATIVES)
    display = NEGATIVES[chosen][1]
    up, left = (side // 2 for side in kernel.shape)
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((up, up), (left, left), (0, 0))[: pixels.ndim], mode="edge")
    out, below, above = np.empty_like(pixels), 0, 0
    for top in range(0, height, _ROWS_PER_BLOCK):
        rows = slice(top, min(top + _ROWS_PER_BLOCK, height))
        values = np.zeros(out[rows].shape)
        for (row, column), weight in np.ndenumerate(kernel):
            values += weight * padded[row + rows.start : row + rows.stop, column : column + width]
        below += int((values < -0.5).sum())
        values = np.rint(display(values))
        above += int((values > 255).sum())
        out[rows] = np.clip(values, 0, 255)
    return FilteredImage(pixels=out, negative=chosen, below=below / pixels.size, above=above / pixels.size)
