"""Export of a model to a file, which is compared with the model before it is written."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hubel.core.errors import DataError, OptionError, UnknownNameError
from hubel.core.outputs import output_file
from hubel.core.ranges import check_range
from hubel.core.shell import shell_command
from hubel.core.version import __version__
from hubel.data.dataset import open_dataset
from hubel.data.preprocess import Preprocess
from hubel.data.taught import Taught
from hubel.export.formats import FORMATS, ExportFormat
from hubel.export.onnx_graph import OPSET, Parity, check_parity, onnx_network
from hubel.export.quantise import OnnxQuantiser, Quantised
from hubel.inference.onnx_file import described, is_exported
from hubel.inference.predictor import load_network
from hubel.weights.card import ModelCard
from hubel.weights.create import means_a_file
from hubel.weights.model_file import model_path

__all__ = ["Export", "export"]

_PARITY_IMAGES = 64
_CALIBRATION_IMAGES = 300  # the ranges of activations change little with more

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Export:
    """An exported file.

    Attributes:
        path: path of the file.
        parity: comparison with torch; before quantisation for an int8 file.
        quantised: int8 graph and its cost; None for a file in float32.
        images: description of the images that it was compared on.
        command: command line that uses the file; "" where hubel cannot use it.
    """

    path: Path
    parity: Parity
    quantised: Quantised | None
    images: str
    command: str = ""

    def lines(self) -> list[str]:
        """Return the result as lines of text."""
        size = self.path.stat().st_size / 2**20
        same = f"{self.parity.top1_equal} of {self.parity.images} images have the same best class as in torch"
        return [
            f"parity  {same}, scores differ by at most {self.parity.largest_difference:.1g} ({self.images})",
            *([f"int8    {self.quantised}"] if self.quantised else []),
            f"file    {self.path}, {size:.1f} MiB",
            *([f"use it  {self.command}"] if self.command else []),
        ]


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """Resized images, uint8 `(n, h, w, c)`, for calibration and comparison.

    Attributes:
        name: description of the images.
        calibration: images to find the ranges of int8 with.
        check: images to compare on.
        targets: class numbers of `check`; None without labels.
    """

    name: str
    calibration: Pixels
    check: Pixels
    targets: NDArray[np.int64] | None = None


def export(
    model: str | Path,
    output: str | Path | None = None,
    *,
    form: str = "onnx",
    int8: bool = False,
    data: str | None = None,
    max_drop: float = 0.01,
) -> Export:
    """Write a model for other tools, and for `hubel predict` without torch.

    Args:
        model: model as in `hubel.load`.
        output: path of the file. If None, MODEL with another ending, beside it, or NAME.onnx in the working directory
            for a network by its name.
        form: name of the format, a key of `hubel.export.formats.FORMATS`.
        int8: True to compute in int8 where that costs little; needs `data` and the format "onnx".
        data: images to compare and to calibrate with, see `open_dataset`. With labels of the model's classes, the cost
            of int8 is measured on those that the training held out. Parts of two photos, to compare on, if None.
        max_drop: largest cost of int8, as a share of all images, 0 to 1.

    Raises:
        OptionError: the network cannot be exported to this format, or the file differs too much; nothing is written.
        HubelError: the model or the data cannot be read.
    """
    if form not in FORMATS:
        raise UnknownNameError("export format", form, list(FORMATS))
    if int8 and (data is None or form != "onnx"):
        wanted = "images to calibrate with: --data PHOTOS" if data is None else "the format onnx"
        raise OptionError(f"--int8 needs {wanted}")
    check_range("--max-drop", 100 * max_drop, 0, 100, unit="percentage points")
    network, card = load_network(model)
    path = _output_path(model, output, FORMATS[form], int8=int8, data=data)
    sample = _from_data(data, card) if data is not None else _from_photos(card.preprocess)
    exact = onnx_network(network, card)
    parity = check_parity(network, card, exact, sample.check[:_PARITY_IMAGES])
    quantised = None
    if int8:
        labelled = None if sample.targets is None else (sample.check, sample.targets)
        quantised = OnnxQuantiser(max_drop=max_drop, check=labelled).quantise_with_cost(exact, sample.calibration)
    facts = {
        "opset": OPSET,
        "precision": "int8" if quantised else "float32",
        "parity": dataclasses.asdict(parity),
        "compared_on": sample.name,
        "made_by": {"hubel": __version__, "torch": torch.__version__},
        **({"int8": quantised.facts()} if quantised else {}),
    }
    whole = described(quantised.model if quantised else exact, card, facts)
    FORMATS[form].write(path, network, card, whole)
    usable = form == "onnx" and is_exported(path) and card.classes
    command = shell_command("hubel", "predict", path, "IMAGE...") if usable else ""
    return Export(path=path, parity=parity, quantised=quantised, images=sample.name, command=command)


def _output_path(
    model: str | Path, output: str | Path | None, form: ExportFormat, *, int8: bool, data: str | None
) -> Path:
    inputs = [model, data, *([model_path(Path(model))] if means_a_file(model) else [])]
    wanted = _default_path(model, form.suffix, int8=int8) if output is None else output
    path = output_file(wanted, ours=form.ours, inputs=inputs, flag="--output")
    second = path.with_suffix(form.companion) if form.companion else path
    if second != path and not path.exists():  # the second file of a pair that is replaced is known by the first
        output_file(second, ours=None, inputs=inputs, flag="--output")
    return path


def _default_path(model: str | Path, suffix: str, *, int8: bool) -> Path:
    """Return the path beside a model file, or in the working directory for a network by its name."""
    name = ".int8" * int8 + suffix
    if means_a_file(model):
        file = model_path(Path(model))
        return file.with_name(file.stem + name)
    return Path(f"{model}{name}")


def _from_data(data: str, card: ModelCard) -> _Sample:
    """Take images of a dataset: training images to calibrate with, the others to compare and measure on."""
    multi_label = card.provenance.get("multi_label", False)
    dataset = open_dataset(data, multi_label=multi_label, labelled=False)
    taught = Taught.read(card.provenance)
    nothing_new = bool(taught.among(dataset.digests()).all())
    compared = dataset.evaluation_rows(card.provenance, "all" if nothing_new else "auto")
    rows = compared.rows
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
            name=f"{len(rows):,} {compared.name} images of {dataset.name}",
            calibration=pixels(spread(others if len(others) else rows, _CALIBRATION_IMAGES)),
            check=pixels(rows),
            targets=dataset.targets(card.classes, rows),
        )
    chosen = spread(dataset.rows(), _CALIBRATION_IMAGES)
    images = pixels(chosen)
    return _Sample(name=f"{len(chosen):,} images of {dataset.name}", calibration=images, check=images)


def _from_photos(preprocess: Preprocess) -> _Sample:
    """Cut parts from the two photos of scikit-learn: real edges, textures and colours, if no data is given."""
    from sklearn.datasets import load_sample_images

    parts = [
        preprocess.apply(np.ascontiguousarray(photo[top : top + 200, left : left + 200]))
        for photo in load_sample_images().images
        for top in (0, 100, 200)
        for left in (0, 150, 300, 440)
    ]
    return _Sample(name=f"{len(parts)} parts of two photos", calibration=np.stack(parts), check=np.stack(parts))
