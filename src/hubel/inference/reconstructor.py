"""Autoencoders: each image with its reconstruction. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DecodeError, ModelFileError
from hubel.data.inputs import Input, as_inputs
from hubel.inference.row_files import Row
from hubel.inference.stream import stream
from hubel.weights.card import ModelCard

__all__ = ["Reconstructed", "ReconstructionLayout", "Reconstructor", "reconstruction_row"]

#: Reconstructions `(n, c, h, w)`, 0 to 1, of resized images uint8 `(n, h, w, c)`.
Reconstruct = Callable[[NDArray[np.uint8]], NDArray[np.floating[Any]]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Reconstructed:
    """An image and its reconstruction.

    Attributes:
        path: of the image.
        original: the image as the network sees it, uint8 `(h, w, c)`; None where it cannot be read.
        pixels: the reconstruction, uint8 `(h, w, c)`; None likewise.
        mse: mean squared error of a pixel from 0 to 1, before the reconstruction is rounded; None likewise.
        reason: of an image that cannot be read, or is damaged, which is reconstructed nevertheless.
    """

    path: str
    original: NDArray[np.uint8] | None = field(default=None, repr=False)
    pixels: NDArray[np.uint8] | None = field(default=None, repr=False)
    mse: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class ReconstructionLayout:
    """The form of a table of reconstructions; see `hubel.inference.row_files.Layout`.

    Attributes:
        no_formulas: texts of a CSV file that spreadsheets would take for formulas get an apostrophe in front.
    """

    no_formulas: bool = False

    def columns(self) -> list[str]:
        """Return the names of the columns."""
        return ["path", "mse", "error"]

    def lines(self, row: Row) -> list[Row]:
        """Return the row as the one line it is."""
        return [row]

    def types(self) -> dict[str, Any]:
        """Return the types of the columns of a Parquet file."""
        import pyarrow as pa

        return {"path": pa.string(), "mse": pa.float64(), "error": pa.string()}


class Reconstructor:
    """An autoencoder with its card.

    Args:
        card: its preprocessing, whose values are pixels from 0 to 1.
        reconstruct: computes the reconstructions.
    """

    def __init__(self, card: ModelCard, reconstruct: Reconstruct) -> None:
        self.card, self._reconstruct = card, reconstruct

    def __repr__(self) -> str:
        p = self.card.preprocess
        return f"Reconstructor({self.card.model}, images {p.channels}x{p.height}x{p.width})"

    def predict(self, images: Any) -> list[Reconstructed]:
        """Reconstruct images: paths, folders, patterns, arrays, PIL images and more; see `hubel.data.as_inputs`.

        Raises:
            DecodeError: an image cannot be read.
            DataError: an array has another shape, or a path does not exist.
        """
        found = []
        for item, answer in self.stream(as_inputs(images)):
            if answer.pixels is None:
                raise DecodeError(item.name, answer.reason or "")
            found.append(answer)
        return found

    def stream(self, inputs: Iterable[Input]) -> Iterator[tuple[Input, Reconstructed]]:
        """Yield each image with its reconstruction, in order; unreadable files come with their reason.

        Raises:
            ModelFileError: the model's outputs are not finite.
        """
        for item, answer in stream(inputs, self.card.preprocess, self._pairs):
            if isinstance(answer, DecodeError):
                yield item, Reconstructed(path=item.name, reason=answer.reason)
                continue
            original, values, mse = answer
            pixels = np.rint(255 * values.transpose(1, 2, 0)).astype(np.uint8)
            reason = item.damage or None
            yield item, Reconstructed(path=item.name, original=original, pixels=pixels, mse=mse, reason=reason)

    def _pairs(self, pixels: NDArray[np.uint8]) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float64], float]]:
        """Yield each resized image with its reconstruction `(c, h, w)`, 0 to 1, and the error."""
        made = self._reconstruct(pixels).astype(np.float64)
        wanted = self.card.preprocess.normalise(pixels)
        if made.shape != wanted.shape:
            raise ModelFileError(
                f"the model's outputs are {made.shape[1:]}, not images {wanted.shape[1:]} like its inputs"
            )
        if not np.isfinite(made).all():
            raise ModelFileError("the model's outputs are NaN or infinite: its weights are damaged")
        errors = np.square(made - wanted).mean((1, 2, 3))
        yield from zip(pixels, made, errors.tolist(), strict=True)


def reconstruction_row(found: Reconstructed) -> Row:
    """Return the row of one image."""
    return {"path": found.path, "mse": None if found.mse is None else round(found.mse, 6), "error": found.reason}
