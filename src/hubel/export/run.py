"""Export of a model to a file, which is compared with the model before it is written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from hubel.core.errors import OptionError, UnknownNameError
from hubel.core.outputs import output_file
from hubel.core.ranges import check_range
from hubel.core.shell import shell_command
from hubel.core.version import __version__
from hubel.data.sources.kind import Rooted
from hubel.export.compose import with_views
from hubel.export.decoded import DECODED, decoded
from hubel.export.formats import FORMATS, ExportFormat
from hubel.export.onnx_graph import OPSET, Parity, check_answers, check_parity, check_scores, onnx_network
from hubel.export.own_graph import check_own_graph
from hubel.export.quantise import OnnxQuantiser, Quantised
from hubel.export.sample import sample_images
from hubel.inference.classifier import Classifier
from hubel.inference.onnx_file import described, is_exported
from hubel.inference.predictor import load_network
from hubel.inference.tta import VIEWS
from hubel.nn.generative import EncodingNetwork, GenerativeNetwork
from hubel.tasks.catalogue import find_task
from hubel.weights.create import means_a_file
from hubel.weights.model_file import model_path

__all__ = ["PARITY_IMAGES", "Export", "export"]

#: Number of images on which an exported file is compared with its model.
PARITY_IMAGES = 64


@dataclass(frozen=True, kw_only=True)
class Export:
    """An exported file.

    Attributes:
        path: path of the file.
        parity: comparison with torch; before quantisation for an int8 file.
        quantised: int8 graph and its cost; None for a file in float32.
        images: description of the images that it was compared on.
        command: command line that uses the file; "" where hubel cannot use it.
        tta: text that names the views over which the file averages its scores; "" for the image alone.
    """

    path: Path
    parity: Parity
    quantised: Quantised | None
    images: str
    command: str = ""
    tta: str = ""

    def lines(self) -> list[str]:
        """Return the result as lines of text."""
        size = self.path.stat().st_size / 2**20
        return [
            f"parity  {self.parity} ({self.images})",
            *([f"int8    {self.quantised}"] if self.quantised else []),
            *([f"views   scores are the mean over {self.tta}"] if self.tta else []),
            f"file    {self.path}, {size:.1f} MiB",
            *([f"use it  {self.command}"] if self.command else []),
        ]


def export(
    model: str | os.PathLike[str],
    output: str | Path | None = None,
    *,
    form: str = "onnx",
    int8: bool = False,
    data: str | Rooted | None = None,
    max_drop: float = 0.01,
    tta: bool = False,
) -> Export:
    """Write a model for other tools, and for `hubel predict` without torch.

    Args:
        model: model as in `hubel.load`.
        output: path of the file. If None, MODEL with another ending, beside it, or NAME.onnx in the working directory
            for a network by its name.
        form: name of the format, a key of `hubel.export.formats.FORMATS`.
        int8: True to compute in int8 where that costs little; needs `data` and the format "onnx". For networks that
            annotate images, the data has annotations of their kind.
        data: images to compare and to calibrate with, see `open_dataset`. With labels of the model's classes, the cost
            of int8 is measured on those that the training held out. Parts of two photos, to compare on, if None.
        max_drop: largest cost of int8, as a share of all images, 0 to 1; measured on the image alone.
        tta: True to make the views of `hubel.inference.tta` part of the graph: scores are the mean over them, and the
            file takes as many times the time of one. Needs the format "onnx".

    Raises:
        OptionError: the network cannot be exported to this format, or the file differs too much; nothing is written.
        HubelError: the model or the data cannot be read.
    """
    if form not in FORMATS:
        raise UnknownNameError("export format", form, list(FORMATS))
    if int8 and (data is None or form != "onnx"):
        wanted = "images to calibrate with: --data PHOTOS" if data is None else "the format onnx"
        raise OptionError(f"--int8 needs {wanted}")
    if tta and form != "onnx":
        raise OptionError("--tta needs the format onnx")
    check_range("--max-drop", 100 * max_drop, 0, 100, unit="percentage points")
    network, card = load_network(model)
    if isinstance(network, GenerativeNetwork) and not isinstance(network, EncodingNetwork):
        raise OptionError(
            f"{card.model} has no encoder, and what is exported of a network that makes images is what it makes of an "
            "image: its reconstruction; vae and cvae have one"
        )
    path = _output_path(model, output, FORMATS[form], made=".int8" * int8 + ".tta" * tta, data=data)
    sample = sample_images(data, card)
    averaging = find_task(card.task).model(network, card, tta=True) if tta else None
    exact = onnx_network(network, card)
    compared = sample.check[:PARITY_IMAGES]
    if card.own is not None:
        check_own_graph(exact, card, compared)
    if card.dense in DECODED:
        parity = check_answers(network, card, decoded(exact, card), compared)
    else:
        parity = check_parity(network, card, exact, compared)
    quantised = None
    if int8:
        quantiser = OnnxQuantiser(max_drop=max_drop, check=sample.measuring(card))
        quantised = quantiser.quantise_with_cost(exact, sample.calibration)
    whole = quantised.model if quantised else exact
    if card.dense in DECODED:
        whole = decoded(whole, card)
    if isinstance(averaging, Classifier):
        card = card.rescored(tta=True, novelty=card.novelty)
        views, whole = with_views(exact, card), with_views(whole, card)
        parity = check_scores(averaging.rows, card, views, sample.check[:PARITY_IMAGES])
    facts = {
        "opset": OPSET,
        "precision": "int8" if quantised else "float32",
        "parity": parity.to_json(),
        "compared_on": sample.name,
        "made_by": {"hubel": __version__, "torch": torch.__version__},
        **({"int8": quantised.facts()} if quantised else {}),
    }
    FORMATS[form].write(path, network, card, described(whole, card, facts))
    usable = form == "onnx" and is_exported(path) and card.classes
    command = shell_command("hubel", "predict", path, "IMAGE...") if usable else ""
    return Export(
        path=path,
        parity=parity,
        quantised=quantised,
        images=sample.name,
        command=command,
        tta=VIEWS[card.preprocess.channels] if tta else "",
    )


def _output_path(
    model: str | os.PathLike[str],
    output: str | Path | None,
    form: ExportFormat,
    *,
    made: str,
    data: str | Rooted | None,
) -> Path:
    inputs = [model, data, *([model_path(Path(model))] if means_a_file(model) else [])]
    wanted = _default_path(model, made + form.suffix) if output is None else output
    path = output_file(wanted, ours=form.ours, inputs=inputs, flag="--output")
    second = path.with_suffix(form.companion) if form.companion else path
    if second != path and not path.exists():  # the second file of a pair that is replaced is known by the first
        output_file(second, ours=None, inputs=inputs, flag="--output")
    return path


def _default_path(model: str | os.PathLike[str], suffix: str) -> Path:
    """Return the path beside a model file, or in the working directory for a network by its name."""
    if means_a_file(model):
        file = model_path(Path(model))
        return file.with_name(file.stem + suffix)
    return Path(f"{model}{suffix}")
