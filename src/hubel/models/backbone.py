"""Backbones of dense networks: any classifier of the catalogue that has maps of several strides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from hubel.core.errors import OptionError
from hubel.models.catalogue import build_model, find, option_text, options_of
from hubel.nn.network import Network

__all__ = ["backbone_options", "build_backbone"]

_POOLS = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.AvgPool2d, nn.MaxPool2d)


def build_backbone(
    name: str,
    in_channels: int,
    options: Sequence[str] = (),
    *,
    input_size: tuple[int, int] | None = None,
    keep_head: bool = False,
) -> Network:
    """Build the backbone of a dense network: a classifier without its head.

    Args:
        name: name of the classifier in the catalogue.
        in_channels: channels of the image.
        options: options of the classifier, each as "name=value".
        input_size: height and width in pixels, which the classifier must be able to take; not checked if not given.
        keep_head: keep the convolutions of the head before its pooling, such as the last one of MobileNetV3.

    Raises:
        UnknownNameError: there is no such network, or no such option of it.
        OptionError: the network is no classifier, the image is too small for it, or an option has a wrong value.
    """
    exact, variant = find(name)
    if variant.output != "vector":
        raise OptionError(f"a backbone is a classifier, which {exact} is not; efficientnet_lite0 is one")
    given, known = _parsed(options), options_of(exact)
    # The head's hidden layers will be removed, so they are built narrow, and auxiliary classifiers not at all.
    unused = {"dense": 1} if isinstance(known.get("dense"), int) else {}
    unused |= {"auxiliary": False} if "auxiliary" in known else {}
    network = build_model(exact, in_channels=in_channels, input_size=input_size, options={**unused, **given})
    if not isinstance(network, Network):
        raise OptionError(f"{exact} has no maps, so it is no backbone; efficientnet_lite0 is one")
    kept = nn.Sequential()
    for key, layer in network.head.named_children() if keep_head else ():
        if isinstance(layer, _POOLS):
            break
        kept.add_module(key, layer)
    network.head = kept if len(kept) else nn.Identity()
    return network


def backbone_options(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return options of a classifier as the field `backbone_options` of a dense layout has them.

    >>> backbone_options({"same_padding": True, "width": 0.5})
    ('same_padding=True', 'width=0.5')
    """
    return tuple(f"{name}={option_text(value)}" for name, value in options.items())


def _parsed(options: Sequence[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    name = ""
    for option in options:
        if "=" in option:
            name, value = option.split("=", 1)
            given[name] = value
        elif name:  # values of an option that takes several are separated by the same commas as the options
            given[name] += f",{option}"
        else:
            raise OptionError(f"backbone_options are each NAME=VALUE such as same_padding=true, not {option!r}")
    return given
