"""Published facts, computed again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hubel.analysis.tracing import trace
from hubel.models.catalogue import build_model, find, list_models
from hubel.nn.network import Network

__all__ = ["Fact", "verify", "verify_all"]


@dataclass(frozen=True)
class Fact:
    """Something that a paper or a reference implementation states of a network.

    Attributes:
        model: the network.
        what: "parameters", "macs", or the name of a map.
        published: a number, or a shape `(c, h, w)`.
        computed: the same, of the network here; None where it has no such map.
    """

    model: str
    what: str
    published: int | tuple[int, ...]
    computed: int | tuple[int, ...] | None

    @property
    def holds(self) -> bool:
        """Whether both are equal."""
        return self.published == self.computed


def verify(model: str) -> list[Fact]:
    """Every published fact of a network beside what its code gives; nothing of it is computed or allocated."""
    exact, variant = find(model)
    published = variant.published
    with torch.device("meta"):
        network = build_model(exact)
    facts = []
    if published.params is not None:
        facts.append(Fact(exact, "parameters", published.params, _parameters(network)))
    if published.params_without_auxiliary is not None:
        assert isinstance(network, Network)
        without = _parameters(network) - _parameters(network.auxiliary)
        facts.append(Fact(exact, "parameters without auxiliary", published.params_without_auxiliary, without))
    if published.macs is None and not published.maps:
        return facts
    assert isinstance(network, Network)
    shapes: dict[str, tuple[int, ...]] = {}

    def look(images: Tensor) -> None:
        shapes.update({name: tuple(x.shape[1:]) for name, x in network.maps(images).items()})

    calls = trace(network, variant.shape, run=look)
    if published.macs is not None:
        facts.append(Fact(exact, "macs", published.macs, sum(call.macs for call in calls)))
    facts += [Fact(exact, name, shape, shapes.get(name)) for name, shape in published.maps.items()]
    return facts


def _parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def verify_all(pattern: str = "*") -> Iterator[tuple[str, list[Fact]]]:
    """The facts of every network whose name matches a glob, one network after another."""
    for model in list_models(pattern):
        yield model, verify(model)
