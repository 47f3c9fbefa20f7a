"""Recompute the stated facts of networks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from hubel.analysis.tracing import trace
from hubel.models.catalogue import build_model, find, list_models
from hubel.models.variant import Stated
from hubel.nn.dense import DenseNetwork
from hubel.nn.network import Network
from hubel.nn.shapes_only import shapes_only

__all__ = ["Fact", "verify", "verify_all"]


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A stated fact of a network and its recomputed value.

    Attributes:
        model: name of the network.
        stated: the fact, with its source and its precision.
        computed: the value of this implementation; None if it has no such map.
    """

    model: str
    stated: Stated
    computed: int | tuple[int, ...] | None

    @property
    def quantity(self) -> str:
        """The stated quantity: "parameters", "macs", or the name of a feature map."""
        return self.stated.quantity

    @property
    def published(self) -> int | tuple[int, ...]:
        """The stated number or shape `(c, h, w)`."""
        return self.stated.value

    @property
    def holds(self) -> bool:
        """True if the computed value is the stated one within its precision, or another one where that is known."""
        return self.stated.agrees(self.computed) != bool(self.stated.differs)


def verify(model: str) -> list[Fact]:
    """Compare every stated fact of a network with its implementation, on the `meta` device."""
    exact, variant = find(model)
    stated = variant.published.facts
    if not stated:
        return []
    with shapes_only():
        network = build_model(exact)
    assert isinstance(network, Network | DenseNetwork)
    found: dict[str, int | tuple[int, ...]] = {
        "parameters": _parameters(network),
        "parameters without auxiliary": _parameters(network) - _parameters(network.auxiliary),
    }

    def record(images: Tensor) -> None:
        found.update({name: tuple(x.shape[1:]) for name, x in network.maps(images).items()})

    found["macs"] = sum(call.macs for call in trace(network, variant.shape, run=record))
    return [Fact(model=exact, stated=fact, computed=found.get(fact.quantity)) for fact in stated]


def _parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def verify_all(pattern: str = "*") -> Iterator[tuple[str, list[Fact]]]:
    """Yield name and facts of every network that matches a glob pattern."""
    for model in list_models(pattern):
        yield model, verify(model)
