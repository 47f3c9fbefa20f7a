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
    """

    source: str
    params: int | None = None
    macs: int | None = None
    maps: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Variant:
    """One network of a family.

    Attributes:
        layout: the family's frozen dataclass; its fields are the options of the network.
        summary: one line for lists.
        shape: the input it was published for.
        num_classes: outputs it was published with.
        published: facts to verify.
        fixed_size: whether it takes no other height and width than `shape`'s.
        augment: the augmentation policy that suits it by default; changed images only confuse a network that is too
            small, or not made, to learn that they are alike.
    """

    layout: Any
    summary: str
    shape: InputShape
    num_classes: int = 10
    published: Published = field(default_factory=lambda: Published("no publication"))
    fixed_size: bool = False
    augment: str = "auto"
