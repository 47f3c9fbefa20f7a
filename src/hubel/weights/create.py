"""Create networks with random weights, pretrained weights, or weights from a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from hubel.core.errors import OptionError
from hubel.data.preprocess import Preprocess
from hubel.models.catalogue import build_model, find, options_of
from hubel.nn.dense import DenseNetwork
from hubel.nn.features import FeatureNetwork, feature_maps
from hubel.nn.network import Network
from hubel.weights.card import ModelCard
from hubel.weights.foreign import Varying, fit_weights, renamed
from hubel.weights.imagenet import imagenet_classes
from hubel.weights.pretrained import Pretrained, fetch_weights, find_weights, list_weights
from hubel.weights.weight_file import read_weights

__all__ = ["card_of", "create_model", "is_file_name", "is_tag", "load_backbone", "load_pretrained", "means_a_file"]

_FILES = (".safetensors", ".pth", ".pt", ".bin")


def create_model(
    name: str,
    *,
    weights: str | Path | None = None,
    num_classes: int | None = None,
    in_channels: int | None = None,
    input_size: tuple[int, int] | None = None,
    options: Mapping[str, Any] | None = None,
    features_only: bool = False,
) -> nn.Module:
    """Create a network of the catalogue.

    Args:
        name: name of the network, from `list_models()`.
        weights: tag of pretrained weights ("default" is the best, `hubel models NAME` lists them), or a file with
            weights of hubel, torchvision, timm and others; random weights, drawn from torch's global generator, if not
            given.
        num_classes: number of outputs; the published one if not given. If it differs from that of the weights, or a
            file has no last layer, that layer alone is random.
        in_channels: channels of the image; the published number if not given. The first layer's weights are adapted.
        input_size: height and width in pixels; the published ones if not given.
        options: fields of the network's layout to replace, as values or as text (`{"filters": "16,32"}`).
        features_only: return feature maps by stride, `{"stride4": ..., "stride8": ...}`, instead of logits.

    Raises:
        UnknownNameError: there is no such network, option or tag.
        OptionError: a value is out of range.
        WeightsError: the weights are not available, or do not match.

    >>> sum(p.numel() for p in create_model("lenet5_modern").parameters())
    61706
    >>> [entry.stride for entry in create_model("resnet18", features_only=True).info]
    [2, 4, 8, 16, 32]
    """
    exact, variant = find(name)
    if not isinstance(weights, str | os.PathLike | None):
        raise OptionError(f"weights are a name or a path, not {weights!r:.80}")
    if not isinstance(options, Mapping | None):
        raise OptionError(f"options of a network are a dict, not {options!r:.80}")
    row = None
    if weights is not None and (is_tag(exact, weights) or not is_file_name(weights)):
        row = find_weights(exact, str(weights))
    options = {**(row.options if row else {}), **(options or {})}

    def build(classes: int | None, channels: int | None) -> nn.Module:
        return build_model(exact, num_classes=classes, in_channels=channels, input_size=input_size, options=options)

    network = build(num_classes, in_channels)
    if weights is not None:
        path = fetch_weights(row) if row else Path(weights)
        fit_weights(network, renamed(exact, network, read_weights(path)), Varying(build))
    if not features_only:
        return network
    shape = (in_channels or variant.shape.channels, *(input_size or variant.shape[1:]))
    info = feature_maps(network, shape) if isinstance(network, Network) and variant.output == "vector" else []
    if not info or not isinstance(network, Network):
        raise OptionError(f"{exact} has no feature maps of decreasing resolution")
    return FeatureNetwork(network, info)


def load_pretrained(name: str, weights: str = "default") -> tuple[nn.Module, ModelCard]:
    """Load a network with weights pretrained on ImageNet, in evaluation mode, and its card.

    Raises:
        UnknownNameError: there is no such network or tag.
        WeightsError: the weights are not available.
    """
    exact, _ = find(name)
    row = find_weights(exact, weights)
    network = create_model(exact, weights=row.tag)
    return network.eval(), card_of(row)


def load_backbone(network: nn.Module, name: str, weights: str | Path, preprocess: Preprocess) -> None:
    """Load weights of a classifier into the backbone of a network that has one.

    Args:
        network: changed in place; its head stays as it is.
        name: of the classifier.
        weights: see `create_model`.
        preprocess: of the network's input; the first layer's weights are adapted to its channels.

    Raises:
        WeightsError: the weights are not available, or do not match.
    """
    assert isinstance(network, DenseNetwork)
    options = {"auxiliary": False} if "auxiliary" in options_of(name) else {}
    size = (preprocess.height, preprocess.width)
    like = create_model(name, weights=weights, in_channels=preprocess.channels, input_size=size, options=options)
    assert isinstance(like, Network)
    network.load_backbone(like)


def card_of(row: Pretrained) -> ModelCard:
    """Return the card of pretrained weights."""
    provenance = {"weights": f"{row.model}.{row.tag}", "from": row.location, "licence": row.licence}
    return ModelCard(row.model, imagenet_classes(), row.preprocess, row.options, provenance=provenance)


def is_tag(model: str, weights: str | Path) -> bool:
    """Tell whether `weights` is a tag of pretrained weights, even if a folder has the same name."""
    return isinstance(weights, str) and weights in ("default", *(row.tag for row in list_weights(model)))


def means_a_file(model: str | os.PathLike[str]) -> bool:
    """Tell whether `model` is the path of a model file or a run folder, existing or not, rather than a network."""
    return is_file_name(model) or bool(set(str(model)) & {"/", "\\"})


def is_file_name(weights: str | os.PathLike[str]) -> bool:
    """Tell whether `weights` is the path of a file, rather than a name from the catalogue."""
    return isinstance(weights, os.PathLike) or weights.endswith(_FILES) or Path(weights).exists()
