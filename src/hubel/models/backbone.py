"""Backbones of dense networks: any classifier of the catalogue that has maps of several strides."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from hubel.core.errors import OptionError
from hubel.models.catalogue import build_model, find, options_of
from hubel.nn.network import Network

__all__ = ["build_backbone", "parse_options"]

_POOLS = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.AvgPool2d, nn.MaxPool2d)


def build_backbone(name: str, in_channels: int, options: Sequence[str] = (), *, keep_head: bool = False) -> Network:
    """Build the backbone of a dense network: a classifier without its head.

    Args:
        name: name of the classifier in the catalogue.
        in_channels: channels of the image.
        options: options of the classifier, each as "name=value".
        keep_head: keep the convolutions of the head before its pooling, such as the last one of MobileNetV3.

    Raises:
        UnknownNameError: there is no such network, or no such option of it.
        OptionError: the network is no classifier, or an option has a wrong value.
    """
    exact, variant = find(name)
    if variant.output != "vector":
        raise OptionError(f"a backbone is a classifier, which {exact} is not; efficientnet_lite0 is one")
    given, known = parse_options(options), options_of(exact)
    # The head's hidden layers will be removed, so they are built narrow, and auxiliary classifiers not at all.
    unused = {"dense": 1} if isinstance(known.get("dense"), int) else {}
    unused |= {"auxiliary": False} if "auxiliary" in known else {}
    network = build_model(exact, in_channels=in_channels, options={**unused, **given})
    if not isinstance(network, Network):
        raise OptionError(f"{exact} has no maps, so it is no backbone; efficientnet_lite0 is one")
    kept = nn.Sequential()
    for key, layer in network.head.named_children() if keep_head else ():
        if isinstance(layer, _POOLS):
            break
        kept.add_module(key, layer)
    network.head = kept if len(kept) else nn.Identity()
    return network


def parse_options(options: Sequence[str]) -> dict[str, str]:
    """Return options as a mapping, from texts such as "same_padding=true".

    Raises:
        OptionError: a text has no equals sign.
    """
    for option in options:
        if "=" not in option:
            raise OptionError(f"an option of the backbone is NAME=VALUE such as same_padding=true, not {option!r}")
    return dict(option.split("=", 1) for option in options)
