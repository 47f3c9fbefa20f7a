"""Lay out a directed graph in layers from top to bottom (Sugiyama, Tagawa & Toda 1981).

The layer of a node is the longest path to it; nodes in a layer are ordered by the barycentre of their neighbours, the
order with the fewest crossings is kept; then each layer in turn is moved to where its neighbours are, as far as its
nodes do not overlap: the least squares under that constraint, found by pooling adjacent violators.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import NamedTuple

__all__ = ["Edge", "Extent", "LayeredLayout", "lay_out"]

_SWEEPS = 12
_GAP = 16.0  # between layers
_BEND = 0.12  # additional gap for each unit of the widest step to the side
_MOST_BEND = 26.0
_SPACING = 18.0  # between nodes of a layer
_STRAIGHT, _HANGING, _LONG = 8.0, 2.0, 0.1  # weights of pieces of edges, where those of others are 1
_PASSES = 4


class Extent(NamedTuple):
    """Size of a node around the line on which its edges end.

    Attributes:
        left: to the left of the line.
        right: to the right of it.
        height: from top to bottom.
        last: whether it belongs into the last layer, as an output does.
    """

    left: float
    right: float
    height: float
    last: bool = False


class Edge(NamedTuple):
    """An edge from one node to another, by their numbers, and where it begins and ends beside their lines."""

    source: int
    target: int
    start: float = 0.0
    end: float = 0.0


@dataclass(frozen=True, kw_only=True)
class LayeredLayout:
    """Places of nodes and edges.

    Attributes:
        x: the line of each node.
        top: the upper side of each node.
        edges: for each edge, its points: of each layer that it passes, where it enters and where it leaves.
        left: the least x of any node.
        right: the greatest.
        height: the lower side of the last layer.
    """

    x: tuple[float, ...]
    top: tuple[float, ...]
    edges: tuple[tuple[tuple[float, float], ...], ...]
    left: float
    right: float
    height: float


def lay_out(nodes: Sequence[Extent], edges: Sequence[Edge]) -> LayeredLayout:
    """Lay out an acyclic graph whose nodes are numbered such that edges lead to greater numbers.

    Args:
        nodes: sizes.
        edges: edges; several between the same nodes are allowed.

    Raises:
        ValueError: an edge leads to a smaller number.
    """
    if any(edge.source >= edge.target for edge in edges):
        raise ValueError("edges lead from smaller to greater numbers")
    if not nodes:
        return LayeredLayout(x=(), top=(), edges=(), left=0.0, right=0.0, height=0.0)
    rank = _ranks(nodes, edges)
    extents = list(nodes)
    ranks = list(rank)
    paths: list[list[int]] = []  # of each edge, the nodes that it passes; those beyond the given ones are its bends
    for edge in edges:
        path = [edge.source]
        for between in range(rank[edge.source] + 1, rank[edge.target]):
            path.append(len(extents))
            extents.append(Extent(2.0, 2.0, 0.0))
            ranks.append(between)
        paths.append([*path, edge.target])
    links = _links(edges, paths)
    layers: list[list[int]] = [[] for _ in range(max(ranks) + 1)]
    for node in _depth_first(len(extents), links, ranks):
        layers[ranks[node]].append(node)
    layers = _with_few_crossings(layers, links)
    x = _places(layers, links, extents)
    _straighten(_columns(links, len(extents)), layers, links, extents, x)
    top, height, bottom = _heights(layers, links, extents, x)
    lines = []
    for edge, path in zip(edges, paths, strict=True):
        points: list[tuple[float, float]] = []
        for place, node in enumerate(path):
            first, last = place == 0, place == len(path) - 1
            across = x[node] + (edge.start if first else edge.end if last else 0.0)
            layer = ranks[node]
            if first:
                points += [(across, top[node] + extents[node].height), (across, bottom[layer])]
            elif last:
                points += [(across, bottom[layer] - height[layer]), (across, top[node])]
            else:
                points += [(across, bottom[layer] - height[layer]), (across, bottom[layer])]
        lines.append(tuple(points))
    return LayeredLayout(
        x=tuple(x[: len(nodes)]),
        top=tuple(top[: len(nodes)]),
        edges=tuple(lines),
        left=min(x[node] - extent.left for node, extent in enumerate(extents)),
        right=max(x[node] + extent.right for node, extent in enumerate(extents)),
        height=bottom[-1],
    )


class _Link(NamedTuple):
    """A piece of an edge between neighbouring layers."""

    node: int
    offset: float  # how far beside the line of the other node this one wants its own to be
    weight: float


class _Links(NamedTuple):
    above: dict[int, list[_Link]]
    below: dict[int, list[_Link]]


def _ranks(nodes: Sequence[Extent], edges: Sequence[Edge]) -> list[int]:
    rank = [0] * len(nodes)
    for edge in sorted(edges, key=lambda edge: edge.target):
        rank[edge.target] = max(rank[edge.target], rank[edge.source] + 1)
    deepest = max(rank)
    return [deepest if node.last else rank[number] for number, node in enumerate(nodes)]


def _links(edges: Sequence[Edge], paths: Sequence[Sequence[int]]) -> _Links:
    above: dict[int, list[_Link]] = defaultdict(list)
    below: dict[int, list[_Link]] = defaultdict(list)
    short = [edge for edge, path in zip(edges, paths, strict=True) if len(path) == 2]
    outputs, inputs = Counter(edge.source for edge in short), Counter(edge.target for edge in short)
    leaving = Counter(edge.source for edge in edges)
    for edge, path in zip(edges, paths, strict=True):
        row = outputs[edge.source] == inputs[edge.target] == 1  # the way that nothing is beside but long edges
        for place, (a, b) in enumerate(pairwise(path)):
            first, last = place == 0, place == len(path) - 2
            # Long edges are straight, go straight down from where they start, and do not pull the nodes at their ends.
            if first and last:
                up = down = _STRAIGHT if row else 1.0
            elif first and leaving[edge.source] == 1:
                up = down = _STRAIGHT
            elif first:
                up, down = _HANGING, _LONG
            else:
                up = down = _LONG if last else _STRAIGHT
            start, end = edge.start if first else 0.0, edge.end if last else 0.0
            above[b].append(_Link(a, start - end, up))
            below[a].append(_Link(b, end - start, down))
    return _Links(above, below)


def _depth_first(count: int, links: _Links, ranks: Sequence[int]) -> list[int]:
    """Return the nodes in the order of a walk that takes the longest way first, so that it is at the left."""
    depth = [0] * count
    for node in sorted(range(count), key=lambda node: -ranks[node]):
        depth[node] = 1 + max((depth[link.node] for link in links.below[node]), default=0)
    order: list[int] = []
    seen: set[int] = set()
    roots = sorted((node for node in range(count) if not links.above[node]), key=lambda node: (ranks[node], node))
    stack = roots[::-1]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        order.append(node)
        below = [link.node for link in reversed(links.below[node]) if link.node not in seen]
        stack += sorted(below, key=depth.__getitem__)
    return order


def _with_few_crossings(layers: list[list[int]], links: _Links) -> list[list[int]]:
    best, fewest = layers, _crossings(layers, links)
    current = [list(layer) for layer in layers]
    for sweep in range(_SWEEPS):
        if fewest == 0:
            break
        down = sweep % 2 == 0
        order = range(1, len(current)) if down else range(len(current) - 2, -1, -1)
        for number in order:
            fixed = current[number - 1 if down else number + 1]
            place = {node: p for p, node in enumerate(fixed)}
            neighbours = links.above if down else links.below
            middle = {}
            for p, node in enumerate(current[number]):
                near = [place[link.node] + 1e-3 * link.offset for link in neighbours[node]]
                middle[node] = sum(near) / len(near) if near else float(p)
            current[number] = sorted(current[number], key=middle.__getitem__)
        crossings = _crossings(current, links)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in current], crossings
    return best


def _crossings(layers: Sequence[Sequence[int]], links: _Links) -> int:
    total = 0
    for upper, lower in pairwise(layers):
        place = {node: p for p, node in enumerate(lower)}
        ends = [
            place[link.node] for node in upper for link in sorted(links.below[node], key=lambda link: place[link.node])
        ]
        total += sum(a > b for i, a in enumerate(ends) for b in ends[i + 1 :]) if len(ends) < 400 else 0
    return total


def _places(layers: Sequence[Sequence[int]], links: _Links, extents: Sequence[Extent]) -> list[float]:
    """Return the line of each node."""
    x = [0.0] * len(extents)
    for layer in layers:
        _settle(layer, [0.0] * len(layer), [1.0] * len(layer), extents, x)
    for sweep in range(2 * _SWEEPS):
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            wanted, weights = [], []
            for node in layer:
                near = [
                    *(links.above[node] if down or sweep > _SWEEPS else ()),
                    *(links.below[node] if not down or sweep > _SWEEPS else ()),
                ]
                weight = sum(link.weight for link in near)
                wanted.append(
                    sum(link.weight * (x[link.node] + link.offset) for link in near) / weight if near else x[node]
                )
                weights.append(weight or 0.01)
            _settle(layer, wanted, weights, extents, x)
    return x


def _settle(
    layer: Sequence[int], wanted: Sequence[float], weights: Sequence[float], extents: Sequence[Extent], x: list[float]
) -> None:
    """Put the nodes of a layer as near as possible to where they should be, in order and without overlap."""
    shift, shifts = 0.0, [0.0]
    for a, b in pairwise(layer):
        shift += extents[a].right + _SPACING + extents[b].left
        shifts.append(shift)
    blocks: list[list[float]] = []  # mean, weight, number of nodes
    for want, weight, shift in zip(wanted, weights, shifts, strict=True):
        blocks.append([want - shift, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, heavy, count = blocks.pop()
            before = blocks[-1]
            before[0] = (before[0] * before[1] + mean * heavy) / (before[1] + heavy)
            before[1] += heavy
            before[2] += count
    means = [mean for mean, _, count in blocks for _ in range(int(count))]
    for node, mean, shift in zip(layer, means, shifts, strict=True):
        x[node] = mean + shift


def _columns(links: _Links, count: int) -> list[list[int]]:
    """Return rows of nodes, one below the other, that should have the same line; each node is in one."""
    follows: dict[int, int] = {}
    for node, below in links.below.items():
        straight = [link for link in below if link.weight == _STRAIGHT]
        if len(straight) == 1:
            follows[node] = straight[0].node
    columns, inside = [], set(follows.values())
    for node in range(count):
        if node in inside:
            continue
        column = [node]
        while column[-1] in follows:
            column.append(follows[column[-1]])
        columns.append(column)
    return columns


def _straighten(
    columns: Sequence[Sequence[int]],
    layers: Sequence[Sequence[int]],
    links: _Links,
    extents: Sequence[Extent],
    x: list[float],
) -> None:
    """Give the nodes of each column the same line where their neighbours leave room for it."""
    beside = {
        node: (layer[p - 1] if p else None, layer[p + 1] if p + 1 < len(layer) else None)
        for layer in layers
        for p, node in enumerate(layer)
    }
    for _ in range(_PASSES):
        for column in columns:
            shift, shifts = 0.0, [0.0]
            for a, b in pairwise(column):
                shift -= next(link.offset for link in links.below[a] if link.node == b)
                shifts.append(shift)
            low, high, wanted, weights = -inf, inf, 0.0, 0.0
            own = set(column)
            for node, shift in zip(column, shifts, strict=True):
                left, right = beside[node]
                if left is not None:
                    low = max(low, x[left] + extents[left].right + _SPACING + extents[node].left - shift)
                if right is not None:
                    high = min(high, x[right] - extents[right].left - _SPACING - extents[node].right - shift)
                for link in (*links.above[node], *links.below[node]):
                    if link.node not in own:
                        wanted += link.weight * (x[link.node] + link.offset - shift)
                        weights += link.weight
            if low > high:
                continue
            place = wanted / weights if weights else x[column[0]]
            for node, shift in zip(column, shifts, strict=True):
                x[node] = min(max(place, low), high) + shift


def _heights(
    layers: Sequence[Sequence[int]], links: _Links, extents: Sequence[Extent], x: Sequence[float]
) -> tuple[list[float], list[float], list[float]]:
    """Return the top of each node, and height and bottom of each layer; nodes are in the middle of their layer."""
    top = [0.0] * len(extents)
    heights: list[float] = []
    bottoms: list[float] = []
    y = 0.0
    for number, layer in enumerate(layers):
        if number:
            aside = max(
                (abs(x[link.node] + link.offset - x[node]) for node in layer for link in links.above[node]), default=0.0
            )
            y += _GAP + min(_MOST_BEND, _BEND * aside)
        height = max(extents[node].height for node in layer)
        for node in layer:
            top[node] = y + (height - extents[node].height) / 2
        y += height
        heights.append(height)
        bottoms.append(y)
    return top, heights, bottoms
