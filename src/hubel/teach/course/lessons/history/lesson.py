"""A short history: what the networks of ImageNet cost, counted by the catalogue, beside the errors that were published.

The published errors, with their sources, are in `facts.json`; how they were measured differs, and the page says how.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hubel.models.catalogue import build_model, find
from hubel.nn.shapes_only import shapes_only
from hubel.teach.course.lesson import Lesson
from hubel.teach.course.lessons.history.people import people

# In the order of the papers. Those without a network in the catalogue have only published numbers.
NETWORKS = (
    "lenet5",
    "alexnet",
    "zfnet",
    "nin",
    "vgg16",
    "googlenet",
    "inception_v3",
    "resnet50_v1",
    "resnet152",
    "densenet121",
    "mobilenet_v1",
    "senet",
    "mobilenet_v2",
    "efficientnet_b0",
    "efficientnet_b7",
)
_NOT_BUILT = ("zfnet", "senet")


def history() -> dict[str, Any]:
    """Return the cost of each network, `None` where the catalogue has none, and the errors of two people."""
    return {"networks": [_cost(name) for name in NETWORKS], "people": people()}


def _cost(name: str) -> dict[str, Any]:
    """Return parameters and multiply-adds for one image as used for predicting, without auxiliary classifiers."""
    if name in _NOT_BUILT:
        return {"name": name, "built": False, "parameters": None, "macs": None, "input": None}
    # Exact numbers of the catalogue, which `hubel verify` and the action `count` compute from the networks again.
    variant = find(name)[1]
    stated = variant.published
    return {
        "name": name,
        "built": True,
        "parameters": stated.params_without_auxiliary or stated.params,
        "macs": stated.macs,
        "input": list(variant.shape),
    }


def count(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Build each network of the catalogue again, without its weights, and count; yield an event for each."""
    from hubel.analysis.tracing import trace
    from hubel.nn.network import Network

    for name in NETWORKS:
        if name in _NOT_BUILT:
            continue
        with shapes_only():
            network = build_model(name)
        assert isinstance(network, Network), "every one of these is"
        unused = sum(p.numel() for p in network.auxiliary.parameters())
        parameters = sum(p.numel() for p in network.parameters()) - unused
        macs = sum(call.macs for call in trace(network, find(name)[1].shape))
        yield {"name": name, "parameters": parameters, "macs": macs}


LESSON = Lesson(name="history", data=history, live={"count": count})
