"""Key maps: names of layers in other libraries.

A key map is a function that yields pairs `(our layer, their layer)` for a network; the parameters of a layer (weight,
bias, running mean, ...) have the same names in all libraries. `MAPS` has key maps by library and pattern of network
names.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from hubel.weights.keymaps import classic, clip, dense, mobile, modern
from hubel.weights.keymaps.pairs import Pairs

__all__ = ["MAPS", "key_maps"]

KeyMap = Callable[[Any], Pairs]  # of a `Network`, or of a `DenseNetwork`

MAPS: dict[str, dict[str, KeyMap]] = {
    "torchvision": {
        "alexnet_tv": classic.alexnet_tv,
        "convnext*": modern.convnext_tv,
        "densenet[12]*": classic.densenet,
        "efficientnet_b*": mobile.efficientnet_tv,
        "fcn_resnet*": dense.fcn_tv,
        "googlenet_bn_tv": classic.googlenet_tv,
        "inception_v3": classic.inception_v3,
        "lraspp_mobilenet_v3*": dense.lraspp_tv,
        "mobilenet_v2*": mobile.mobilenet_tv,
        "mobilenet_v3*": mobile.mobilenet_tv,
        "resnet*": classic.resnet,
        "vgg*": classic.vgg_tv,
    },
    "timm": {
        "convnext*": modern.convnext_timm,
        "densenet[12]*": classic.densenet,
        "efficientnet*": mobile.efficientnet_timm,
        "inception_v3": classic.inception_v3,
        "mobilenet_v1*": mobile.mobilenet_v1_timm,
        "mobilenet_v2*": mobile.mobilenet_v2_timm,
        "mobilenet_v3*": mobile.mobilenet_v3_timm,
        "resnet*": classic.resnet,
        "vgg*": classic.vgg_timm,
    },
    "efficientnet_pytorch": {"efficientnet*": mobile.efficientnet_lukemelas},
    "akamaster": {"resnet*": classic.akamaster},
    "open_clip": {"clip_resnet*": clip.image_tower},
}


def key_maps(model: str) -> dict[str, KeyMap]:
    """Return the key maps of a network, by library."""
    return {
        library: families[family]
        for library, families in MAPS.items()
        for family in families
        if fnmatchcase(model, family)
    }
