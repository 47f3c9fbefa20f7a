"""Published facts, computed again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from hubel.analysis.counting import counting_macs, parameters
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
    """Every published fact of a network beside what its code gives; on the `meta` device, so nothing is allocated."""
    exact, variant = find(model)
    published = variant.published
    with torch.device("meta"):
        network = build_model(exact).eval()
        images = torch.empty(1, *variant.shape)
    facts = []
    if published.params is not None:
        facts.append(Fact(exact, "parameters", published.params, parameters(network)))
    if published.params_without_auxiliary is not None:
        assert isinstance(network, Network)
        without = parameters(network) - parameters(network.auxiliary)
        facts.append(Fact(exact, "parameters without auxiliary", published.params_without_auxiliary, without))
    if published.macs is None and not published.maps:
        return facts
    with counting_macs(network) as macs, torch.no_grad():
        maps = network.maps(images) if isinstance(network, Network) else {"logits": network(images)}
    if published.macs is not None:
        facts.append(Fact(exact, "macs", published.macs, macs.total))
    shapes = {name: tuple(tensor.shape[1:]) for name, tensor in maps.items()}
    facts += [Fact(exact, name, shape, shapes.get(name)) for name, shape in published.maps.items()]
    return facts


def verify_all(pattern: str = "*") -> Iterator[tuple[str, list[Fact]]]:
    """The facts of every network whose name matches a glob, one network after another."""
    for model in list_models(pattern):
        yield model, verify(model)
