"""Inputs of a prediction: files, folders, patterns, tables of paths, standard input."""

from __future__ import annotations

import codecs
import contextlib
import fnmatch
import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError, DecodeError, OptionError
from hubel.core.files import no_such, user_path
from hubel.data.containers import format_of
from hubel.data.decode import Decoded, decode, of_pixels
from hubel.data.pixels import as_array, as_pixels, is_image, is_path, is_table, one_image, stack_of_images
from hubel.data.reading import read_regular
from hubel.data.sources.kind import Rooted
from hubel.data.sources.listing import PassedOver, natural_key, passed_over
from hubel.data.sources.table import TableSource, is_path_table
from hubel.data.sources.walk import image_files

__all__ = ["Input", "as_inputs", "collect", "files_of_table", "with_root"]

_MOST_INPUT = 2**30


@dataclass(frozen=True)
class Input:
    """An image to predict, not read yet.

    Attributes:
        name: of the image for the user: its path, "-", or its place such as "images[3]".
        data: the encoded bytes, or the pixels, where they do not come from a file.
        damage: of an image that has been decoded: see `hubel.data.decode.Decoded`.
        width: of an image that has been decoded, upright, in pixels.
        height: likewise.
    """

    name: str
    data: bytes | NDArray[np.uint8] | None = None
    damage: str = ""
    width: int = 0
    height: int = 0

    def decode(self, min_size: tuple[int, int] | None = None) -> Decoded:
        """Decode the image; see `hubel.data.decode.decode`.

        Raises:
            DecodeError: it cannot be read.
        """
        data = self.data if self.data is not None else read_regular(Path(self.name))
        if isinstance(data, np.ndarray):
            return of_pixels(data)
        return decode(data, name=self.name, min_size=min_size)


def as_inputs(images: Any) -> Iterator[Input]:
    """Yield the images that a user gives in Python, in order.

    Args:
        images: one image or several: a path, folder, pattern or table of paths; an array `(h, w, 3)`, `(n, h, w)` or
            `(n, h, w, 3)`; a PIL image; a tensor `(3, h, w)` or `(n, 3, h, w)`; encoded bytes; a file opened for
            reading bytes; or a list of any of these, grey arrays `(h, w)` among them.

    Raises:
        DataError: it is none of these, or a path does not exist.
    """
    array = as_array(images)
    if is_path(images) or is_image(images) or (array is not None and not array.ndim):
        images = [images if array is None else array.item()]
    elif array is not None and array.dtype.kind not in "OUS":
        stack = stack_of_images(images)
        if stack is not None and stack.shape[3:] != (4,):
            yield from (Input(f"images[{number}]", data=pixels) for number, pixels in enumerate(as_pixels(stack)))
            return
        images = [images] if stack is None else list(stack)
    elif not isinstance(images, Iterable) or isinstance(images, Mapping) or is_table(images):
        one_image(images, "images")  # which says what an image is
    images = list(images)
    if images and all(map(is_path, images)):
        yield from collect(images)
        return
    for number, image in enumerate(images):
        name = f"images[{number}]"
        yield from collect([image]) if is_path(image) else [Input(name, data=one_image(image, name))]


def collect(
    sources: Sequence[str | Path | Rooted], standard_input: BinaryIO | None = None, skip: PassedOver | None = None
) -> Iterator[Input]:
    """Yield the images that sources name, one after another.

    Args:
        sources: files, folders (all images in them, at any depth), patterns such as `photos/**/*.jpg`, tables of paths
            as `hubel.data.open_source` takes them, or "-": an image, or paths, one a line or each ended by a zero byte,
            from standard input.
        standard_input: the stream that "-" stands for.
        skip: counts the files in folders that are passed over.

    Raises:
        DataError: none of the sources exists, or a table has no column of paths. If some sources exist, the others come
            as inputs that cannot be read.
        OptionError: a source is empty.
    """
    skip = PassedOver() if skip is None else skip
    found = [(source, _expand(str(source), skip)) for source in sources]
    if not sources or not any(paths or source == "-" for source, paths in found):
        names = ", ".join(map(str, sources)) or "nothing"
        raise DataError(no_such(names) if len(sources) == 1 else f"{names}: no such file or folder")
    for source, paths in found:
        if source == "-" and standard_input is not None:
            yield from _from_stream(standard_input)
        elif not paths:
            yield Input(str(source))
        for path in paths:
            if os.path.isdir(path):  # noqa: PTH112 - never raises
                yield from _images_in(path, skip)
            elif is_path_table(path):
                yield from map(Input, files_of_table(path, source.root if isinstance(source, Rooted) else None))
            else:
                yield Input(str(path))


def with_root(sources: Sequence[str | Path], root: Path | None) -> list[str | Path | Rooted]:
    """Return sources for `collect`, among them the tables whose paths start at another folder than their own.

    An empty one, which stands for none, is returned as it is.

    Raises:
        OptionError: a folder is named, and none of the sources is a table.
    """
    if root is None:
        return list(sources)
    tables = [source != "" and is_path_table(user_path(source)) for source in sources]
    if not any(tables):
        raise OptionError(f"--root {root} is the folder that the paths of a table start at; no table is named")
    return [Rooted(source, root) if table else source for source, table in zip(sources, tables, strict=True)]


def files_of_table(table: Path, root: Path | None = None) -> list[str]:
    """Return the paths of the files that a table names, those that do not exist among them.

    Args:
        table: CSV, TSV or Parquet.
        root: the folder that relative paths start at; the table's own if None.

    Raises:
        DataError: it has no column of paths, or none of the files exists.
        OptionError: the root is no folder.
    """
    root = None if root is None else user_path(root)
    listing = TableSource(table, root=root, labelled=False, multi_label=True).listing()
    return [str((root or table.parent) / listing.paths[row]) for row in range(len(listing))]


def _expand(source: str, skip: PassedOver) -> list[Path]:
    if "\0" in source:  # as no file has in its name
        return []
    path = user_path(source)
    if os.path.lexists(path):
        return [path]
    if "**" in path.parts:
        return _at_any_depth(path, skip)
    return [Path(name) for name in _glob(path)]


def _glob(pattern: Path) -> list[str]:
    return sorted(glob.glob(str(pattern)), key=natural_key)  # noqa: PTH207


def _at_any_depth(pattern: Path, skip: PassedOver) -> list[Path]:
    """Return the images that a pattern with "**" names, themselves or by a folder that they are in."""
    at = pattern.parts.index("**")
    roots, wanted = _glob(Path(*pattern.parts[:at])), pattern.parts[at:]
    everything = wanted[-1] in ("*", "**")
    return [
        Path(root, path)
        for root in roots
        for path, _ in image_files(Path(root), skip if everything else PassedOver())
        if _matches(path.split("/"), wanted)
    ]


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return True
    if pattern[0] == "**":
        return any(_matches(parts[start:], pattern[1:]) for start in range(len(parts)))
    return bool(parts) and fnmatch.fnmatch(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _images_in(folder: Path, skip: PassedOver) -> Iterator[Input]:
    empty = True
    for path, _ in image_files(folder, skip):
        yield Input(str(folder / path))
        empty = False
    if empty:
        raise DataError("; ".join([f"{folder}: there is no image in this folder", *passed_over(skip.counts())]))


def _from_stream(stream: BinaryIO) -> Iterator[Input]:
    data = stream.read(_MOST_INPUT).removeprefix(codecs.BOM_UTF8)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # a list that PowerShell wrote
        with contextlib.suppress(UnicodeDecodeError):
            data = data.decode("utf-16").encode("utf-8", "surrogatepass")
    if _is_image(data):
        yield Input("-", data=data)
        return
    lines = data.split(b"\0") if b"\0" in data else [line.strip(b" \t\r") for line in data.split(b"\n")]
    names = [line.decode("utf-8", "surrogateescape") for line in lines if line]
    if not names:
        raise DataError("standard input is empty; expected an image, or paths one a line")
    if any(map(_is_no_text, names)) and not any(map(os.path.lexists, names)):
        raise DecodeError("standard input", "neither an image nor a list of paths")
    yield from map(Input, names)


def _is_image(data: bytes) -> bool:
    """Return whether this is an image, and no list of paths that begins with the letters of a format: BMW.jpg.

    All formats but the portable ones (PPM), whose head is no path, have zero bytes, two of them together; a list has
    none, or one at the end of each path.
    """
    kind = format_of(data)
    return kind == "PPM" or (kind is not None and (b"\0\0" in data or (b"\0" in data and data[-1:] != b"\0")))


def _is_no_text(name: str) -> bool:
    return any("\udc80" <= letter <= "\udcff" for letter in name)
