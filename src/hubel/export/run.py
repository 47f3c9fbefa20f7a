"""`hubel export`, from the name of a model to a file that was compared with it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hubel.core.errors import DataError, OptionError, UnknownNameError
from hubel.core.shell import shell_command
from hubel.data.dataset import open_dataset
from hubel.data.preprocess import Preprocess
from hubel.export.formats import FORMATS
from hubel.export.onnx_graph import OPSET, Parity, compare, onnx_network
from hubel.export.quantise import Quantised, quantise
from hubel.inference.onnx_file import described
from hubel.inference.predictor import load_network
from hubel.weights.card import ModelCard
from hubel.weights.create import means_a_file
from hubel.weights.model_file import model_path

__all__ = ["Export", "export"]

_COMPARED = 64  # images
_CALIBRATION = 300  # images; the ranges of activations change little with more

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Export:
    """A written file.

    Attributes:
        path: where it is.
        parity: how it compares with torch; before rounding, where it is in 8 bits.
        rounded: what 8 bits cost; None for a file in float32.
        images: in words, what it was compared on.
    """

    path: Path
    parity: Parity
    rounded: Quantised | None
    images: str

    def lines(self) -> list[str]:
        """What a person wants to know."""
        size = self.path.stat().st_size / 2**20
        same = f"{self.parity.top1_equal} of {self.parity.images} images have the same best class as in torch"
        return [
            f"parity  {same}, scores differ by at most {self.parity.largest_difference:.1g} ({self.images})",
            *([f"int8    {self.rounded}"] if self.rounded else []),
            f"file    {self.path}, {size:.1f} MiB",
            *(
                [f"use it  {shell_command('hubel', 'predict', self.path, 'IMAGE...')}"]
                if self.path.suffix == ".onnx"
                else []
            ),
        ]


@dataclass(frozen=True)
class _Sample:
    """Some resized images, uint8 `(n, h, w, c)`.

    Attributes:
        name: in words.
        calibration: to find ranges with.
        check: to compare with.
        targets: of `check`, class numbers; None where there are no labels.
    """

    name: str
    calibration: Pixels
    check: Pixels
    targets: NDArray[np.int64] | None = None


def export(
    model: str | Path,
    output: Path | None = None,
    *,
    form: str = "onnx",
    int8: bool = False,
    data: str | None = None,
    max_drop: float = 0.01,
) -> Export:
    """Write a model for other tools, and for `hubel predict` without torch.

    Args:
        model: as in `hubel.load`.
        output: MODEL with another ending, beside it, if not given; NAME.onnx here for a network by its name.
        form: one of `hubel.export.formats.FORMATS`.
        int8: compute in 8 bits where that costs little; needs `data`. Only in the form "onnx".
        data: images to compare and to calibrate with, see `open_dataset`; with labels of the model's classes those that
            the training held out say what 8 bits cost. Parts of two photos, to compare with, if not given.
        max_drop: the most that 8 bits may lose, as a share of all images, 0 to 1.

    Raises:
        OptionError: this network cannot be exported so; or the file differs from it too much, and nothing is written.
        HubelError: the model or the data cannot be read.
    """
    if form not in FORMATS:
        raise UnknownNameError("form of export", form, list(FORMATS))
    if int8 and (data is None or form != "onnx"):
        wanted = "images to calibrate with: --data PHOTOS" if data is None else "the form onnx"
        raise OptionError(f"--int8 needs {wanted}")
    if not 0 <= max_drop <= 1:
        raise OptionError(f"what may be lost is a share from 0 to 1, not {max_drop}")
    network, card = load_network(model)
    sample = _from_data(data, card) if data is not None else _from_photos(card.preprocess)
    exact = onnx_network(network, card)
    parity = compare(network, card, exact, sample.check[:_COMPARED])
    rounded = None
    if int8:
        labelled = None if sample.targets is None else (sample.check, sample.targets)
        rounded = quantise(exact, sample.calibration, max_drop=max_drop, check=labelled)
    facts = {
        "opset": OPSET,
        "precision": "int8" if rounded else "float32",
        "parity": dataclasses.asdict(parity),
        "compared_on": sample.name,
        "made_by": {"hubel": version("hubel"), "torch": torch.__version__},
        **({"int8": rounded.facts()} if rounded else {}),
    }
    path = output or _beside(model, FORMATS[form].suffix, int8=int8)
    whole = described(rounded.model if rounded else exact, card, facts)
    FORMATS[form].write(path, network, card, whole)
    return Export(path, parity, rounded, sample.name)


def _beside(model: str | Path, suffix: str, *, int8: bool) -> Path:
    name = ".int8" * int8 + suffix
    if means_a_file(model):
        file = model_path(Path(model))
        return file.with_name(file.stem + name)
    return Path(f"{model}{name}")


def _from_data(data: str, card: ModelCard) -> _Sample:
    """Images of a data set: from those that trained to calibrate with, from the others to compare and measure with."""
    multi_label = card.provenance.get("multi_label", False)
    dataset = open_dataset(data, multi_label=multi_label, labelled=False)
    rows, which = dataset.evaluation_rows(card.provenance)
    others = np.setdiff1d(dataset.rows(), rows)
    if not len(rows):
        raise DataError(f"{data}: there is no image to compare with")

    def pixels(chosen: NDArray[np.int64]) -> Pixels:
        images = dataset.images(card.preprocess, chosen)
        return images.pixels(np.arange(len(images)))

    def spread(chosen: NDArray[np.int64], most: int) -> NDArray[np.int64]:
        return chosen[np.unique(np.linspace(0, len(chosen) - 1, min(most, len(chosen))).astype(np.int64))]

    named = set(dataset.labels(rows))
    if not multi_label and named <= set(card.classes) and named:
        return _Sample(
            f"{len(rows):,} {which} images of {dataset.name}",
            pixels(spread(others if len(others) else rows, _CALIBRATION)),
            pixels(rows),
            dataset.targets(card.classes, rows),
        )
    chosen = spread(dataset.rows(), _CALIBRATION)
    some = pixels(chosen)
    return _Sample(f"{len(chosen):,} images of {dataset.name}", some, some)


def _from_photos(preprocess: Preprocess) -> _Sample:
    """Parts of two photos that come with scikit-learn: real edges, textures and colours, where nobody names any."""
    from sklearn.datasets import load_sample_images

    parts = [
        preprocess.apply(np.ascontiguousarray(photo[top : top + 200, left : left + 200]))
        for photo in load_sample_images().images
        for top in (0, 100, 200)
        for left in (0, 150, 300, 440)
    ]
    return _Sample(f"{len(parts)} parts of two photos", np.stack(parts), np.stack(parts))
