"""What a family's file declares of each of its networks."""

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
        params: trainable parameters with `Variant.num_classes` outputs.
        macs: multiply-adds of convolutions and linear layers, for one image of `Variant.shape`.
        maps: shape `(c, h, w)` of named intermediate maps.
        source: where the facts are stated.
        params_without_auxiliary: parameters without the auxiliary classifiers, where there are any.
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
        layout: the family's frozen dataclass; its fields are the options of the network.
        summary: one line for lists.
        shape: the input it was published for.
        num_classes: outputs it was published with.
        published: facts to verify.
        smallest: rows and columns that an image must have at least.
        fixed_size: whether it takes no other height and width than `shape`'s.
        augment: the augmentation policy that suits it by default; changed images only confuse a network that is too
            small, or not made, to learn that they are alike.
        lr: the highest learning rate of SGD that suits it; 0 for the usual one. Without batch norm it is smaller.
        output: "vector" (one number for each class) or "image" (the image itself, reconstructed).
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
