"""Declarations of a network: layout, input shape, published facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["InputShape", "Published", "Variant"]


class InputShape(NamedTuple):
    """Channels, rows and columns of one image."""

    channels: int
    height: int
    width: int


@dataclass(frozen=True)
class Published:
    """Facts that a paper or a reference implementation states; the tests recompute each one.

    Attributes:
        source: publication of the facts.
        params: trainable parameters with `Variant.num_classes` outputs.
        macs: multiply-adds of convolutions and linear layers, for one image of `Variant.shape`.
        maps: shape `(c, h, w)` of named intermediate maps.
        params_without_auxiliary: parameters without the auxiliary classifiers, if there are any.
    """

    source: str
    params: int | None = None
    macs: int | None = None
    maps: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    params_without_auxiliary: int | None = None


@dataclass(frozen=True)
class Variant:
    """One network of a family.

    Attributes:
        layout: frozen dataclass of the family; its fields are the options of the network.
        summary: description in one line.
        shape: published input shape.
        num_classes: published number of outputs.
        published: facts to verify.
        smallest: least height and width of an image.
        fixed_size: whether height and width must be those of `shape`.
        augment: default augmentation policy; "none" for networks that are too small to profit from augmentation.
        lr: largest learning rate of SGD; 0 for the usual one. It is smaller without batch norm.
        output: "vector" (one number per class) or "image" (the reconstructed image).
    """

    layout: Any
    summary: str
    shape: InputShape
    num_classes: int = 10
    published: Published = field(default_factory=lambda: Published("no publication"))
    smallest: int = 1
    fixed_size: bool = False
    augment: str = "auto"
    lr: float = 0.0
    output: str = "vector"
