"""Declarations of a network: layout, input shape, facts and where they were published."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

__all__ = ["InputShape", "Origin", "Published", "Rounded", "Stated", "Variant", "computed", "library", "paper"]


class InputShape(NamedTuple):
    """Channels, rows and columns of one image."""

    channels: int
    height: int
    width: int


class Origin(StrEnum):
    """Origin of a fact."""

    PAPER = "paper"
    LIBRARY = "library"
    HERE = "computed here"


@dataclass(frozen=True)
class Rounded:
    """A number as a paper prints it.

    Attributes:
        value: the number.
        digits: its significant digits.
        differs: why our number, rounded likewise, is known to be another one; empty if it is the same.
    """

    value: float
    digits: int
    differs: str = ""


@dataclass(frozen=True, kw_only=True)
class Stated:
    """A fact of a network, with its source and its precision.

    Attributes:
        quantity: "parameters", "parameters without auxiliary", "macs", or the name of a map.
        value: a number, or the shape `(c, h, w)` of a map.
        kind: who states it.
        source: publication, or how it was computed.
        digits: significant digits of a rounded number; 0 if the fact is exact.
        differs: why our number is known to be another one; empty if it is the same.
    """

    quantity: str
    value: int | tuple[int, ...]
    kind: Origin
    source: str
    digits: int = 0
    differs: str = ""

    @property
    def precision(self) -> str:
        """The precision in words: "exact" or, for example, "2 digits"."""
        return "exact" if not self.digits else "1 digit" if self.digits == 1 else f"{self.digits} digits"

    @property
    def printed(self) -> str:
        """The value as its source prints it, such as "6.9 million" or "16x10x10"."""
        if isinstance(self.value, tuple):
            return "x".join(map(str, self.value))
        if not self.digits:
            return f"{self.value:,}"
        unit, word = (1e9, "billion") if self.value >= 1e9 else (1e6, "million")
        return f"{self.value / unit:.{max(0, self.digits - _whole_digits(self.value / unit))}f} {word}"

    def agrees(self, computed: int | tuple[int, ...] | None) -> bool:
        """Return whether a computed value equals this one within its precision."""
        if not self.digits or not isinstance(computed, int) or not isinstance(self.value, int):
            return computed == self.value
        unit: int = 10 ** (_whole_digits(self.value) - self.digits)
        return 2 * abs(computed - self.value) <= unit


def _whole_digits(number: float) -> int:
    """Return the number of digits before the point; 0 for 0.39, as no digit before it counts."""
    return math.floor(math.log10(number)) + 1


@dataclass(frozen=True)
class Published:
    """The facts of a network; the tests recompute each one. `+` joins those of several sources."""

    facts: tuple[Stated, ...] = ()

    def __add__(self, other: Published) -> Published:
        return Published(self.facts + other.facts)

    @property
    def params(self) -> int | None:
        """Trainable parameters with `Variant.num_classes` outputs, if stated exactly."""
        return self._exact("parameters")

    @property
    def params_without_auxiliary(self) -> int | None:
        """Parameters without the auxiliary classifiers, if there are any and they are stated exactly."""
        return self._exact("parameters without auxiliary")

    @property
    def macs(self) -> int | None:
        """Multiply-adds for one image of `Variant.shape`, if stated exactly."""
        return self._exact("macs")

    @property
    def maps(self) -> dict[str, tuple[int, ...]]:
        """Shape `(c, h, w)` of named intermediate maps."""
        return {fact.quantity: fact.value for fact in self.facts if isinstance(fact.value, tuple)}

    def _exact(self, quantity: str) -> int | None:
        exact = (fact.value for fact in self.facts if fact.quantity == quantity and not fact.digits)
        return next((value for value in exact if isinstance(value, int)), None)


def _stated(
    kind: Origin,
    source: str,
    *,
    params: int | Rounded | None = None,
    params_without_auxiliary: int | None = None,
    macs: int | Rounded | None = None,
    maps: Mapping[str, tuple[int, ...]] | None = None,
) -> Published:
    """Return facts from one source.

    Args:
        kind: who states them.
        source: publication, or how they were computed.
        params: trainable parameters with `Variant.num_classes` outputs.
        params_without_auxiliary: parameters without the auxiliary classifiers.
        macs: multiply-adds of convolutions and matrix products, for one image of `Variant.shape`.
        maps: shape `(c, h, w)` of named intermediate maps; literals, not computed from what builds the network.
    """
    numbers = {
        "parameters": params,
        "parameters without auxiliary": params_without_auxiliary,
        "macs": macs,
        **(maps or {}),
    }
    facts = []
    for quantity, value in numbers.items():
        if isinstance(value, Rounded):
            number, digits, differs = round(value.value), value.digits, value.differs
            facts.append(
                Stated(quantity=quantity, value=number, kind=kind, source=source, digits=digits, differs=differs)
            )
        elif value is not None:
            facts.append(Stated(quantity=quantity, value=value, kind=kind, source=source))
    return Published(tuple(facts))


paper = partial(_stated, Origin.PAPER)
library = partial(_stated, Origin.LIBRARY)
computed = partial(_stated, Origin.HERE)


@dataclass(frozen=True)
class Variant:
    """One network of a family.

    Attributes:
        layout: frozen dataclass of the family; its fields are the options of the network.
        summary: description in one line.
        shape: published input shape.
        num_classes: published number of outputs.
        published: facts to verify, with their sources.
        smallest: least height and width of an image.
        fixed_size: whether height and width must be those of `shape`.
        augment: default augmentation policy; "none" for networks that are too small to profit from augmentation.
        output: "vector" (one number per class), "image" (the reconstructed image), "maps" (one number per class
            for each pixel), "points" (a heat map for each point, at a lower resolution), "boxes" (a box and its class
            for each of many points) or "samples" (images made from random codes).
    """

    layout: Any
    summary: str
    shape: InputShape
    num_classes: int = 10
    published: Published = field(default_factory=Published)
    smallest: int = 1
    fixed_size: bool = False
    augment: str = "auto"
    output: str = "vector"

    @property
    def conditional(self) -> bool:
        """The class of an image is an input of the network."""
        return bool(getattr(self.layout, "conditional", False))
