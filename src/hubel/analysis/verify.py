"""Recompute the published facts of networks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hubel.analysis.tracing import trace
from hubel.models.catalogue import build_model, find, list_models
from hubel.nn.network import Network

__all__ = ["Fact", "verify", "verify_all"]


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A published fact of a network and its recomputed value.

    Attributes:
        model: name of the network.
        quantity: "parameters", "macs", or the name of a feature map.
        published: number or shape `(c, h, w)` in the paper or the reference implementation.
        computed: the value of this implementation; None if it has no such map.
    """

    model: str
    quantity: str
    published: int | tuple[int, ...]
    computed: int | tuple[int, ...] | None

    @property
    def holds(self) -> bool:
        """True if the computed value equals the published one."""
        return self.published == self.computed


def verify(model: str) -> list[Fact]:
    """Compare every published fact of a network with its implementation, on the `meta` device."""
    exact, variant = find(model)
    published = variant.published
    with torch.device("meta"):
        network = build_model(exact)

    def fact(quantity: str, stated: int | tuple[int, ...], computed: int | tuple[int, ...] | None) -> Fact:
        return Fact(model=exact, quantity=quantity, published=stated, computed=computed)

    facts = []
    if published.params is not None:
        facts.append(fact("parameters", published.params, _parameters(network)))
    if published.params_without_auxiliary is not None:
        assert isinstance(network, Network)
        without = _parameters(network) - _parameters(network.auxiliary)
        facts.append(fact("parameters without auxiliary", published.params_without_auxiliary, without))
    if published.macs is None and not published.maps:
        return facts
    assert isinstance(network, Network)
    shapes: dict[str, tuple[int, ...]] = {}

    def record(images: Tensor) -> None:
        shapes.update({name: tuple(x.shape[1:]) for name, x in network.maps(images).items()})

    calls = trace(network, variant.shape, run=record)
    if published.macs is not None:
        facts.append(fact("macs", published.macs, sum(call.macs for call in calls)))
    facts += [fact(name, shape, shapes.get(name)) for name, shape in published.maps.items()]
    return facts


def _parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def verify_all(pattern: str = "*") -> Iterator[tuple[str, list[Fact]]]:
    """Yield name and facts of every network that matches a glob pattern."""
    for model in list_models(pattern):
        yield model, verify(model)
