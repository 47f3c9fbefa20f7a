"""Write made images: a sheet of them, and a file each."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from hubel.core.files import write_atomic
from hubel.core.outputs import make_folder, output_file, output_folder
from hubel.core.progress import counted
from hubel.inference.generator import MadeImages
from hubel.plots.contact_sheet import contact_sheet
from hubel.plots.figure_files import is_figure, save_figure

__all__ = ["image_folder", "sheet_file", "write_images", "write_sheet"]

_MOST_SHOWN = 200  # images of a sheet
_SHEET = "generated.png"


def sheet_file(path: Path | None, inputs: Iterable[Any]) -> Path:
    """Return the file for a sheet, if nothing is lost by writing it; see `output_file`."""
    return output_file(_SHEET if path is None else path, ours=is_figure, inputs=inputs)


def image_folder(path: Path | None, inputs: Iterable[Any]) -> Path | None:
    """Return the folder for single images, if nothing is lost by writing there; None if none is wanted."""
    return output_folder(path, verb="generate", inputs=inputs, flag="--images")


def write_sheet(made: MadeImages, path: Path) -> None:
    """Draw the first 200 images in a grid, each above what it was asked to be, into a PNG file."""
    shown = made.pixels[:_MOST_SHOWN]
    title = counted(len(made), "image") if len(shown) == len(made) else f"{len(shown):,} of {len(made):,} images"
    save_figure(contact_sheet(list(shown), list(made.labels[: len(shown)]), f"{title} made by hubel"), path)


def write_images(made: MadeImages, path: Path) -> None:
    """Write each image as a PNG file into a folder, which is made: `0007-ankle boot.png`."""
    folder = make_folder(path, verb="generate", name="generate")
    for number, (pixels, label) in enumerate(zip(made.pixels, made.labels, strict=True)):
        stem = "".join(letter if letter.isalnum() or letter in " -_%," else "_" for letter in label)
        file = io.BytesIO()
        Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "png")
        write_atomic(folder / f"{number:04d}{f'-{stem}' if stem else ''}.png", file.getvalue())
