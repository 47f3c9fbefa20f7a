"""Files of other libraries as model files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hubel.core.errors import OptionError
from hubel.data.preprocess import Preprocess
from hubel.models.catalogue import build_model, find
from hubel.weights.card import ModelCard
from hubel.weights.create import card_of
from hubel.weights.foreign import Varying, fit_weights, read_weights, renamed
from hubel.weights.imagenet import imagenet_classes
from hubel.weights.model_file import save_model
from hubel.weights.pretrained import Pretrained, list_weights

__all__ = ["Converted", "convert_file"]

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as most weights of the world expect


@dataclass(frozen=True)
class Converted:
    """A file of another library as a model file.

    Attributes:
        path: of the model file.
        card: of the model file.
        row: the weights of the catalogue that the file holds, byte for byte; None where it holds others.
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
    """Write the weights in a file of another library as a model file.

    The numbers of classes and channels are those of the file. A file of the catalogue brings its options and its
    preprocessing along; of others the usual one of ImageNet is assumed.

    Args:
        file: any that `read_weights` reads.
        model: the network.
        options: of the network.
        classes: a text file, a name in each line; ImageNet's names for 1,000 classes, numbers for others, if not given.
        out: the model file; `file` with another ending if not given.

    Raises:
        WeightsError: the file cannot be read, or does not fit the network.
        OptionError: the names are not as many as the classes, or the result would replace the file itself.
    """
    exact, variant = find(model)
    found = read_weights(file)
    target = out or file.with_suffix(".safetensors")
    if target.exists() and target.samefile(file):
        raise OptionError(f"{target} is the file that is read; choose another name with --out")
    row = _recognised(exact, file)
    chosen = {**(row.options if row else {}), **(options or {})}

    def make(classes: int | None, channels: int | None) -> torch.nn.Module:
        return build_model(exact, num_classes=classes, in_channels=channels, options=chosen)

    with torch.device("meta"):
        named = renamed(exact, make(None, None), found)
    varying = Varying.of(make)
    number = next((len(named[name]) for name in sorted(varying.classes) if name in named), None)
    channels = next(
        (named[name].shape[1] for name in varying.channels if name in named and named[name].ndim == 4), None
    )
    network = make(number, channels)
    fit_weights(network, named, varying)
    card = ModelCard(
        exact,
        () if variant.output != "vector" else _names(classes, number or variant.num_classes),
        card_of(row).preprocess if row else _usual(*variant.shape[1:], channels or variant.shape.channels),
        chosen,
        provenance=card_of(row).provenance if row else {"converted from": file.name},
    )
    save_model(target, network.state_dict(), card)
    return Converted(target, card, row)


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
        raise OptionError(f"--classes {file}: no text file that can be read") from None
    if len(names) != number:
        raise OptionError(f"{file} names {len(names):,} classes, but the weights have {number:,}")
    return names


def _usual(height: int, width: int, channels: int) -> Preprocess:
    """Of ImageNet: 224 of 256 pixels. Grey takes the means over the channels."""
    mean, std = (_MEAN, _STD) if channels == 3 else ((sum(_MEAN) / 3,) * channels, (sum(_STD) / 3,) * channels)
    return Preprocess(height, width, channels, "crop", mean=mean, std=std, crop=0.875)
