"""Convert weight files of other libraries to model files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hubel.core.errors import OptionError, WeightsError
from hubel.core.files import sha256_of
from hubel.core.outputs import output_file
from hubel.core.shell import shell_command
from hubel.data.sources.kind import Rooted
from hubel.models.catalogue import build_model, find
from hubel.models.variant import InputShape
from hubel.nn.shapes_only import shapes_only
from hubel.weights.card import DENSE, ModelCard
from hubel.weights.create import card_of
from hubel.weights.foreign import Varying, fit_weights, match_weights, renamed
from hubel.weights.imagenet import imagenet_classes
from hubel.weights.model_file import is_model_file, save_model
from hubel.weights.preprocessings import (
    MeasuredPreprocess,
    PreprocessRequest,
    likely_preprocessings,
    measure_preprocessings,
)
from hubel.weights.pretrained import Pretrained, list_weights
from hubel.weights.weight_file import read_weights

__all__ = ["Converted", "convert_file"]

# By kind of output, where it is not that which the card says by itself.
_TASKS = {"maps": "segment"}


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A model file converted from a file of another library.

    Attributes:
        path: path of the model file.
        card: card of the model file.
        row: entry of the catalogue of pretrained weights with the same checksum; None if there is none.
        colours: name of the mean and standard deviation.
        measured: preprocessings that were measured on `check`, the best first.
    """

    path: Path
    card: ModelCard
    row: Pretrained | None
    colours: str
    measured: tuple[MeasuredPreprocess, ...] = ()


def convert_file(
    file: Path,
    model: str,
    *,
    options: Mapping[str, Any] | None = None,
    classes: Path | None = None,
    out: Path | None = None,
    request: PreprocessRequest | None = None,
    check: str | Rooted | None = None,
) -> Converted:
    """Convert a weight file of another library to a model file.

    The numbers of classes and channels are those of the file. Options and preprocessing of files in the catalogue of
    pretrained weights are known; for other files the likeliest preprocessing is assumed that agrees with `request`, or
    the best one on the images of `check`.

    Args:
        file: a file that `read_weights` can read.
        model: name of the network.
        options: options of the network.
        classes: text file with a class name per line; by default ImageNet's names for 1,000 classes, else numbers.
        out: path of the model file; that of `file` with the suffix .safetensors if not given.
        request: what is known of the preprocessing; it comes before that of the catalogue.
        check: labelled images to measure the likely preprocessings on, see `open_dataset`.

    Raises:
        WeightsError: the file cannot be read, does not match the network, or has no last layer.
        OptionError: the number of names is not that of the classes, a value of the preprocessing is out of range, the
            network to check is no classifier, or the result would replace the file itself or a file of another kind.
        DataError: the images to check with cannot be used.
    """
    exact, variant = find(model)
    found = read_weights(file)
    if check is not None and variant.output != "vector":
        raise OptionError(f"--check is for classifiers, which {exact} is not")
    row = _recognised(exact, file)
    options = {**(row.options if row else {}), **(options or {})}

    def build(classes: int | None, channels: int | None) -> torch.nn.Module:
        return build_model(exact, num_classes=classes, in_channels=channels, options=options)

    with shapes_only():
        named = renamed(exact, build(None, None), found)
    varying = Varying(build)
    number = next((len(named[n]) for n in sorted(varying.classes) if n in named and named[n].ndim), None)
    channels = next((named[n].shape[1] for n in varying.channels if n in named and named[n].ndim == 4), None)
    with shapes_only():  # no memory is spent on what the file says before all of it fits
        _, absent = match_weights(build(number, channels), named, varying)
    if absent := [name for name in absent if not name.startswith("auxiliary.")]:
        train = shell_command("hubel", "train", "PHOTOS", "--model", exact, "--weights", file)
        raise WeightsError(f"{file} has no last layer ({absent[0]}), so it names no classes; {train} gives it one")
    network = build(number, channels)
    fit_weights(network, named, varying)
    target = output_file(
        file.with_suffix(".safetensors") if out is None else out, ours=is_model_file, inputs=(file, classes)
    )
    shape = InputShape(channels or variant.shape.channels, *variant.shape[1:])
    names = _names(classes, number or variant.num_classes) if variant.output != "image" else ()
    if row and not request:
        likely = [("as published", row.preprocess)]
    else:
        known = request or PreprocessRequest()
        likely = list(likely_preprocessings(shape, known.completed(row.preprocess) if row else known))
    measured = tuple(measure_preprocessings(network, likely, names, check)) if check is not None else ()
    colours, preprocess = (measured[0].colours, measured[0].preprocess) if measured else likely[0]
    provenance = card_of(row).provenance if row else {"converted from": file.name}
    dense = variant.output if variant.output in DENSE else ""
    task = _TASKS.get(dense, "")
    card = ModelCard(exact, names, preprocess, options, provenance=provenance, task=task, dense=dense)
    save_model(target, network.state_dict(), card)
    return Converted(path=target, card=card, row=row, colours=colours, measured=measured)


def _recognised(model: str, file: Path) -> Pretrained | None:
    digest = sha256_of(file)
    return next((row for row in list_weights(model) if row.sha256 and digest.startswith(row.sha256)), None)


def _names(file: Path | None, number: int) -> tuple[str, ...]:
    if file is None:
        return imagenet_classes() if number == 1000 else tuple(map(str, range(number)))
    try:
        names = tuple(filter(None, map(str.strip, file.read_text(encoding="utf-8-sig").splitlines())))
    except (OSError, UnicodeDecodeError):
        raise OptionError(f"--classes {file} cannot be read as a text file") from None
    if len(names) != number:
        raise OptionError(f"{file} names {len(names):,} classes, but the weights have {number:,}")
    return names
