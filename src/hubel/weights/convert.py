"""Convert weight files of other libraries to model files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hubel.core.errors import OptionError
from hubel.core.outputs import output_file
from hubel.data.preprocess import Preprocess
from hubel.models.catalogue import build_model, find
from hubel.weights.card import ModelCard
from hubel.weights.create import card_of
from hubel.weights.foreign import Varying, fit_weights, read_weights, renamed
from hubel.weights.imagenet import imagenet_classes
from hubel.weights.model_file import is_model_file, save_model
from hubel.weights.pretrained import Pretrained, list_weights

__all__ = ["Converted", "convert_file"]

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as for most published weights


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A model file converted from a file of another library.

    Attributes:
        path: path of the model file.
        card: card of the model file.
        row: entry of the catalogue of pretrained weights with the same checksum; None if there is none.
    """

    path: Path
    card: ModelCard
    row: Pretrained | None


def convert_file(
    file: Path,
    model: str,
    *,
    options: Mapping[str, Any] | None = None,
    classes: Path | None = None,
    out: Path | None = None,
) -> Converted:
    """Convert a weight file of another library to a model file.

    The numbers of classes and channels are those of the file. Options and preprocessing of files in the catalogue of
    pretrained weights are known; for other files the usual preprocessing of ImageNet is assumed.

    Args:
        file: a file that `read_weights` can read.
        model: name of the network.
        options: options of the network.
        classes: text file with a class name per line; by default ImageNet's names for 1,000 classes, else numbers.
        out: path of the model file; that of `file` with the suffix .safetensors if not given.

    Raises:
        WeightsError: the file cannot be read, or does not match the network.
        OptionError: the number of names is not that of the classes, or the result would replace the file itself or a
            file of another kind.
    """
    exact, variant = find(model)
    found = read_weights(file)
    row = _recognised(exact, file)
    options = {**(row.options if row else {}), **(options or {})}

    def build(classes: int | None, channels: int | None) -> torch.nn.Module:
        return build_model(exact, num_classes=classes, in_channels=channels, options=options)

    with torch.device("meta"):
        named = renamed(exact, build(None, None), found)
    varying = Varying.of(build)
    number = next((len(named[name]) for name in sorted(varying.classes) if name in named), None)
    channels = next(
        (named[name].shape[1] for name in varying.channels if name in named and named[name].ndim == 4), None
    )
    network = build(number, channels)
    fit_weights(network, named, varying)
    card = ModelCard(
        exact,
        () if variant.output != "vector" else _names(classes, number or variant.num_classes),
        card_of(row).preprocess
        if row
        else _imagenet_preprocess(*variant.shape[1:], channels or variant.shape.channels),
        options,
        provenance=card_of(row).provenance if row else {"converted from": file.name},
    )
    target = output_file(
        file.with_suffix(".safetensors") if out is None else out, ours=is_model_file, inputs=(file, classes)
    )
    save_model(target, network.state_dict(), card)
    return Converted(path=target, card=card, row=row)


def _recognised(model: str, file: Path) -> Pretrained | None:
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
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


def _imagenet_preprocess(height: int, width: int, channels: int) -> Preprocess:
    """Return the usual preprocessing of ImageNet: 224 of 256 pixels; grayscale takes the means over the channels."""
    mean, std = (_MEAN, _STD) if channels == 3 else ((sum(_MEAN) / 3,) * channels, (sum(_STD) / 3,) * channels)
    return Preprocess(height, width, channels, "crop", mean=mean, std=std, crop=0.875)
