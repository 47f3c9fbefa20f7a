"""Inputs of a prediction: files, folders, patterns, standard input."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError, DecodeError
from hubel.data.containers import format_of
from hubel.data.decode import Decoded, decode, of_pixels
from hubel.data.pixels import as_array, as_pixels, is_image, is_path, one_image, stack_of_images
from hubel.data.reading import read_regular
from hubel.data.sources.listing import natural_key
from hubel.data.sources.walk import image_files

__all__ = ["Input", "as_inputs", "collect"]

_MOST_INPUT = 2**30


@dataclass(frozen=True)
class Input:
    """An image to predict, not read yet.

    Attributes:
        name: of the image for the user: its path, "-", or its place such as "images[3]".
        root: the folder that a link must not leave; None for a file that the user named.
        data: the encoded bytes, or the pixels, where they do not come from a file.
    """

    name: str
    root: Path | None = None
    data: bytes | NDArray[np.uint8] | None = None

    def decode(self, min_size: tuple[int, int] | None = None) -> Decoded:
        """Decode the image; see `hubel.data.decode.decode`.

        Raises:
            DecodeError: it cannot be read.
        """
        data = self.data if self.data is not None else read_regular(Path(self.name), root=self.root)
        if isinstance(data, np.ndarray):
            return of_pixels(data)
        return decode(data, name=self.name, min_size=min_size)


def as_inputs(images: Any) -> Iterator[Input]:
    """Yield the images that a user gives in Python, in order.

    Args:
        images: one image or several: a path, folder or pattern; an array `(h, w, 3)`, `(n, h, w)` or `(n, h, w, 3)`; a
            PIL image; a tensor `(3, h, w)` or `(n, 3, h, w)`; encoded bytes; a file opened for reading bytes; or a list
            of any of these, grey arrays `(h, w)` among them.

    Raises:
        DataError: it is none of these, or a path does not exist.
    """
    array = as_array(images)
    if is_path(images) or is_image(images):
        images = [images]
    elif array is not None and array.dtype.kind not in "OUS":
        stack = stack_of_images(images)
        if stack is not None and stack.shape[3:] != (4,):
            yield from (Input(f"images[{number}]", data=pixels) for number, pixels in enumerate(as_pixels(stack)))
            return
        images = [images] if stack is None else list(stack)
    elif not isinstance(images, Iterable):
        one_image(images, "images")  # which says what an image is
    images = list(images)
    if images and all(map(is_path, images)):
        yield from collect(images)
        return
    for number, image in enumerate(images):
        name = f"images[{number}]"
        yield from collect([image]) if is_path(image) else [Input(name, data=one_image(image, name))]


def collect(sources: Sequence[str | Path], standard_input: BinaryIO | None = None) -> Iterator[Input]:
    """Yield the images that sources name, one after another.

    Args:
        sources: files, folders (all images in them, at any depth), patterns such as `photos/**/*.jpg`, or "-": an
            image, or paths one a line, from standard input.
        standard_input: the stream that "-" stands for.

    Raises:
        DataError: none of the sources exists. If some exist, the others come as inputs that cannot be read.
    """
    found = [(source, _expand(str(source))) for source in sources]
    if not sources or not any(paths or source == "-" for source, paths in found):
        names = ", ".join(map(str, sources)) or "nothing"
        raise DataError(f"{names}: no such file or folder")
    for source, paths in found:
        if source == "-" and standard_input is not None:
            yield from _from_stream(standard_input)
        elif not paths:
            yield Input(str(source))
        for path in paths:
            yield from _images_in(path) if path.is_dir() else [Input(str(path))]


def _expand(source: str) -> list[Path]:
    path = Path(source).expanduser()
    if os.path.lexists(path):
        return [path]
    return [Path(name) for name in sorted(glob.glob(str(path), recursive=True), key=natural_key)]  # noqa: PTH207


def _images_in(folder: Path) -> Iterator[Input]:
    empty = True
    for path, _ in image_files(folder, lambda reason: None):
        yield Input(str(folder / path), root=folder)
        empty = False
    if empty:
        raise DataError(f"{folder}: there is no image in this folder")


def _from_stream(stream: BinaryIO) -> Iterator[Input]:
    data = stream.read(_MOST_INPUT)
    if format_of(data) and b"\0" in data:  # a list of paths may begin with the letters of a format, too
        yield Input("-", data=data)
        return
    try:
        names = [line.strip() for line in data.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise DecodeError("standard input", "neither an image nor a list of paths") from None
    if not names:
        raise DataError("standard input is empty; expected an image, or paths one a line")
    yield from map(Input, names)
