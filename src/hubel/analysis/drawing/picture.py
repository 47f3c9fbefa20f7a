"""Compose the operations of a network into a picture: boxes, frames of modules around them, and arrows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import Literal, NamedTuple

from hubel.analysis.dataflow import DataFlow
from hubel.analysis.drawing.operations import DrawnOperation, EnclosingModule
from hubel.analysis.drawing.words import HEAVY
from hubel.core.errors import OptionError

__all__ = ["Arrow", "Depth", "Line", "Node", "Picture", "compose"]

Depth = Literal["network", "stage", "block"]
Shape = tuple[int, ...]

_OPEN = {"network": 0, "stage": 1, "block": 2}  # modules that are frames; those within are boxes


class Line(NamedTuple):
    """A line of text in a box; secondary ones are of norms, activations and what only rearranges."""

    text: str
    secondary: bool = False


class Arrow(NamedTuple):
    """A tensor from one node to another.

    Attributes:
        source: place of the node that makes it; below 0 for what enters the picture: -1 is the first.
        target: place of the node that takes it.
        port: which of the outputs of the source it is.
        entry: which of the inputs of the target it is.
        shapes: its shapes, one for each call of shared modules.
    """

    source: int
    target: int
    port: int
    entry: int
    shapes: tuple[Shape, ...]


@dataclass(eq=False, kw_only=True)
class Node:
    """A box, the circle of an addition, or a frame with a picture of its own.

    Attributes:
        kind: a kind of `words.Label`, "block" for a module that is not opened, "frame", "input" or "output".
        title: of a frame or a block.
        lines: what a box says.
        shapes: of each output, its shapes.
        params: parameters.
        macs: multiply-adds.
        steps: numbers of the steps of the data flow.
        name: name of the module; empty for a function.
        times: repetitions in a row that it stands for.
        shared: parallel calls of a shared module.
        content: words of all its operations, by which blocks are told apart.
        inner: the picture of a frame.
    """

    kind: str
    title: str = ""
    lines: list[Line] = field(default_factory=list)
    shapes: list[tuple[Shape, ...]] = field(default_factory=list)
    params: int = 0
    macs: int = 0
    steps: list[int] = field(default_factory=list)
    name: str = ""
    times: int = 1
    shared: int = 1
    content: tuple[str, ...] = ()
    inner: Picture | None = None


@dataclass(eq=False, kw_only=True)
class Picture:
    """Nodes in the order of the data flow, and the arrows between them.

    Attributes:
        nodes: nodes.
        arrows: arrows between them, and from what enters.
        entering: shapes of what enters.
        leaving: for each output, place of the node and number of its output.
    """

    nodes: list[Node]
    arrows: list[Arrow]
    entering: list[tuple[Shape, ...]] = field(default_factory=list)
    leaving: list[tuple[int, int]] = field(default_factory=list)


def compose(
    flow: DataFlow, operations: Sequence[DrawnOperation], depth: Depth, *, part: str = "", fold: bool = True
) -> Picture:
    """Return the picture of a network, or of one module in it.

    Args:
        flow: the data flow of the network.
        operations: its operations.
        depth: "network" draws each stage as a box, "stage" each block, "block" each layer.
        part: name of the module to draw; the network if empty.
        fold: draw blocks in a row that are alike once.
    """
    paths = [operation.path for operation in operations]
    members = list(range(len(operations)))
    level = _OPEN[depth]
    closed = depth != "block"
    if part:
        places = [_end_of(part, path) for path in paths]
        members = [number for number in members if places[number] >= 0]
        if not members:
            raise OptionError(f"{part} is a single layer, or no image passes it; name the part around it")
        above = max(places[number] for number in members)
        closed = closed and above <= max(level, 1)
        level = max(0, level - above)
        paths = [path[place:] if place >= 0 else () for path, place in zip(paths, places, strict=True)]
    else:
        paths = _without_wrapper(paths)
    paths = _without_holders(paths, first=not part)
    # Modules without a name of their own are frames only around a whole section.
    shown = [tuple(box for k, box in enumerate(path[:level]) if box.title or (k == 0 and not part)) for path in paths]
    if closed:
        shown = [(*frames, *path[level : level + 1]) for frames, path in zip(shown, paths, strict=True)]
    composer = _Composer(flow, operations, _convex(operations, shown), level, fold=fold)
    return composer.picture(members, 0)


def _end_of(part: str, path: Sequence[EnclosingModule]) -> int:
    """Return how many modules of a path a part and those around it are; -1 if it is not in the path."""
    for place, box in enumerate(path):
        if box.name == part:
            return place + 1
        if box.name.startswith(f"{part}."):  # a list of modules, which is in no path
            return place
    return -1


def _without_holders(paths: list[tuple[EnclosingModule, ...]], *, first: bool) -> list[tuple[EnclosingModule, ...]]:
    """Remove modules without a name of their own that hold others with one; but not those around a whole section."""
    holders = {
        box.key
        for path in paths
        for place, box in enumerate(path)
        if not box.title and (place or not first) and any(inner.title for inner in path[place + 1 :])
    }
    return [tuple(box for box in path if box.key not in holders) for path in paths]


def _without_wrapper(paths: list[tuple[EnclosingModule, ...]]) -> list[tuple[EnclosingModule, ...]]:
    """Remove a module that is around all others."""
    while paths and all(len(path) > 1 for path in paths) and len({path[0].key for path in paths}) == 1:
        paths = [path[1:] for path in paths]
    return paths


def _convex(
    operations: Sequence[DrawnOperation], paths: list[tuple[EnclosingModule, ...]]
) -> list[tuple[EnclosingModule, ...]]:
    """Remove modules from the paths that their data leaves and enters again, as lists of layers do."""
    members: dict[str, set[int]] = defaultdict(set)
    for number, path in enumerate(paths):
        for container in path:
            members[container.key].add(number)
    broken: set[str] = set()
    for key, own in members.items():
        first, last = min(own), max(own)
        if last - first + 1 == len(own):
            continue
        outside: set[int] = set()  # what depends on the module, and is not in it
        for number in range(first, last + 1):
            fed = any(source in outside or source in own for source in operations[number].inputs)
            if number not in own and fed:
                outside.add(number)
            elif number in own and any(source in outside for source in operations[number].inputs):
                broken.add(key)
                break
    return [tuple(container for container in path if container.key not in broken) for path in paths]


class _Composer:
    def __init__(
        self,
        flow: DataFlow,
        operations: Sequence[DrawnOperation],
        paths: Sequence[tuple[EnclosingModule, ...]],
        level: int,
        *,
        fold: bool,
    ) -> None:
        self.operations, self.paths, self.level, self.fold = operations, list(paths), level, fold
        taken: dict[int, set[int]] = defaultdict(set)
        for number, operation in enumerate(operations):
            for source in operation.inputs:
                taken[source].add(number)
        self.taken = taken
        of_step = {step: number for number, operation in enumerate(operations) for step in operation.steps}
        self.results = {of_step[output.source] for output in flow.outputs if output.source >= 0}

    def picture(self, members: Sequence[int], depth: int) -> Picture:
        """Return the picture of some operations, whose modules down to `depth` are frames around it."""
        own = set(members)
        groups: dict[object, list[int]] = {}
        for number in members:
            path = self.paths[number]
            key: object = path[depth].key if len(path) > depth else number
            groups.setdefault(key, []).append(number)
        ordered = _ordered(list(groups.values()), self.operations)
        if ordered is None:  # data goes to and fro between two modules: their parts are drawn without them
            ordered = [[number] for number in members]
            for number in members:
                self.paths[number] = self.paths[number][:depth]
        node_of = {number: place for place, group in enumerate(ordered) for number in group}
        nodes: list[Node] = []
        ports: dict[int, tuple[int, int]] = {}  # of an operation: its node, and the number of its output there
        entries: list[dict[int, int]] = []
        for place, group in enumerate(ordered):
            leaving = [n for n in group if n in self.results or any(node_of.get(t) != place for t in self.taken[n])]
            ports.update({number: (place, port) for port, number in enumerate(leaving)})
            inner = set(group)
            taken = dict.fromkeys(s for n in group for s in self.operations[n].inputs if s not in inner)
            entries.append({source: entry for entry, source in enumerate(taken)})
            nodes.append(self._node(group, leaving, depth))
        entering: dict[int, int] = {}
        shapes: dict[int, list[Shape]] = defaultdict(list)
        arrows: dict[tuple[int, int, int, int], list[Shape]] = {}
        for number in members:
            for source, taken_shapes in self.operations[number].inputs.items():
                place = node_of[number]
                if source in own:
                    if node_of[source] == place:
                        continue
                    begin, port = ports[source]
                else:
                    begin, port = -1 - entering.setdefault(source, len(entering)), 0
                    shapes[source] = shapes[source] or taken_shapes
                arrows.setdefault((begin, place, port, entries[place][source]), []).extend(taken_shapes)
        leaving_here = [
            ports[n] for n in members if n in self.results or any(taker not in own for taker in self.taken[n])
        ]
        picture = Picture(
            nodes=nodes,
            arrows=[Arrow(*key, tuple(value)) for key, value in arrows.items()],
            entering=[tuple(shapes[source]) for source in entering],
            leaving=leaving_here,
        )
        picture = _fused(picture)
        return _folded(picture) if self.fold else picture

    def _node(self, group: list[int], leaving: list[int], depth: int) -> Node:
        own = [self.operations[number] for number in group]
        node = Node(
            kind="block",
            shapes=[tuple(self.operations[number].shapes) for number in leaving],
            params=sum(one.params for one in own),
            macs=sum(one.macs for one in own),
            steps=[step for one in own for step in one.steps],
            content=tuple(one.label.text for one in own),
        )
        path = self.paths[group[0]]
        if len(path) <= depth:
            (operation,) = own
            node.kind, node.shared = operation.label.kind, operation.times
            secondary = operation.label.kind not in HEAVY
            node.lines = [Line(operation.label.text, secondary)] if operation.label.text else []
            return node
        container = path[depth]
        node.name, node.title = container.name, container.title
        inner = self.picture(group, depth + 1)
        only = inner.nodes[0] if len(inner.nodes) == 1 else None
        if depth < self.level and not (depth and only is not None and only.kind != "frame"):
            node.kind, node.inner = "frame", inner
            node.shared = min((one.shared for one in inner.nodes), default=1)
            return node
        node.shared = min((one.times for one in own), default=1)
        if only is not None and only.kind not in ("block", "frame"):
            node.kind, node.lines, node.title = only.kind, only.lines, ""
        else:
            node.lines = _inside(inner)
        return node


def _ordered(groups: list[list[int]], operations: Sequence[DrawnOperation]) -> list[list[int]] | None:
    """Return groups of operations such that each follows what it takes; None if there is no such order."""
    node_of = {number: place for place, group in enumerate(groups) for number in group}
    before = {
        place: {node_of[s] for n in group for s in operations[n].inputs if s in node_of and node_of[s] != place}
        for place, group in enumerate(groups)
    }
    sorter = TopologicalSorter(before)
    try:
        sorter.prepare()
    except CycleError:
        return None
    ready: list[int] = []
    order: list[list[int]] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()])
        first, *ready = ready
        order.append(groups[first])
        sorter.done(first)
    return order


_MOST_LINES = 6  # an inverted residual with squeeze and excitation is shown whole


def _inside(picture: Picture) -> list[Line]:
    """Say in a few lines what a module that is not opened consists of."""
    heavy = [line for node in picture.nodes for line in node.lines if node.kind in HEAVY and not line.secondary]
    joins = [node for node in picture.nodes if node.kind == "concat"]
    branches = max(
        (len([a for a in picture.arrows if a.source == -1 - e]) for e in range(len(picture.entering))), default=0
    )
    if joins and branches > 2:
        return [Line(f"{branches} branches, concatenated", secondary=True)]
    if len(heavy) > _MOST_LINES:
        return [Line(f"{len(heavy)} layers", secondary=True)]
    return [Line(line.text, secondary=True) for line in heavy]


def _neighbours(picture: Picture) -> tuple[dict[int, list[Arrow]], dict[int, list[Arrow]]]:
    out, into = defaultdict(list), defaultdict(list)
    for arrow in picture.arrows:
        out[arrow.source].append(arrow)
        into[arrow.target].append(arrow)
    return out, into


def _fused(picture: Picture) -> Picture:
    """Write norms and activations into the box of the layer that they follow, or that follows them."""
    merged = list(range(len(picture.nodes)))  # of each node, the one that it is part of
    out, into = _neighbours(picture)
    leaving = {place for place, _ in picture.leaving}
    nodes = [replace(node, lines=list(node.lines), steps=list(node.steps)) for node in picture.nodes]
    for place, node in enumerate(nodes):
        before = into[place]
        if len(before) != 1 or before[0].source < 0 or before[0].source in leaving:
            continue
        if len(out[before[0].source]) != 1:
            continue
        into_node = nodes[merged[before[0].source]]
        if not _joins(into_node, node):
            continue
        merged[place] = merged[before[0].source]
        into_node.lines += node.lines
        into_node.params += node.params
        into_node.macs += node.macs
        into_node.steps += node.steps
        into_node.shapes = node.shapes
        into_node.shared = max(into_node.shared, node.shared)
        into_node.name = into_node.name or node.name
        if into_node.kind == "light":
            into_node.kind = node.kind
    return _renumbered(picture, nodes, merged)


def _joins(first: Node, second: Node) -> bool:
    """Return whether a node belongs into the box of the one before it."""
    if first.kind in ("frame", "block", "concat") or second.kind in ("frame", "block", "concat", "add", "multiply"):
        return False
    if first.kind in ("add", "multiply"):
        return second.kind == "light" and len(first.lines) < 2
    return second.kind == "light" or first.kind == "light"


def _renumbered(picture: Picture, nodes: list[Node], merged: list[int]) -> Picture:
    kept = [number for number in range(len(nodes)) if merged[number] == number]
    place = {old: new for new, old in enumerate(kept)}

    def moved(number: int) -> int:
        return number if number < 0 else place[merged[number]]

    arrows = [
        arrow._replace(source=moved(arrow.source), target=moved(arrow.target))
        for arrow in picture.arrows
        if moved(arrow.source) != moved(arrow.target)
    ]
    leaving = [(moved(number), port) for number, port in picture.leaving]
    return replace(picture, nodes=[nodes[old] for old in kept], arrows=arrows, leaving=leaving)


def _folded(picture: Picture) -> Picture:
    """Draw blocks in a row that are alike once."""
    out, into = _neighbours(picture)
    leaving = {place for place, _ in picture.leaving}
    merged = list(range(len(picture.nodes)))
    nodes = list(picture.nodes)
    rows: dict[int, list[int]] = {}
    for place, node in enumerate(nodes):
        before = into[place]
        if node.kind not in ("block", "frame") or len(before) != 1 or before[0].source < 0:
            continue
        last = before[0].source
        if len(out[last]) != 1 or last in leaving or _signature(nodes[last]) != _signature(node):
            continue
        first = merged[last]
        merged[place] = first
        rows.setdefault(first, [first]).append(place)
    for first, row in rows.items():
        nodes[first] = _repeated([nodes[place] for place in row])
    return _renumbered(picture, nodes, merged)


def _signature(node: Node) -> object:
    """Return what a node shares with those that are drawn alike: all but names, channels that grow, and costs."""
    size = [tuple(shape[1:] for shape in shapes) for shapes in node.shapes]
    arrows = [] if node.inner is None else [arrow[:4] for arrow in node.inner.arrows]
    return node.kind, node.title, node.content, size, node.shared, arrows


def _repeated(row: Sequence[Node]) -> Node:
    """Return one node for several in a row."""
    first, last = row[0], row[-1]
    inner = first.inner
    if inner is not None:
        pictures = [node.inner for node in row if node.inner is not None]
        inner = replace(
            inner,
            nodes=[_alike(group) for group in zip(*(one.nodes for one in pictures), strict=True)],
            arrows=[
                group[0]._replace(shapes=_joined([arrow.shapes for arrow in group]))
                for group in zip(*(one.arrows for one in pictures), strict=True)
            ],
            entering=[_joined(group) for group in zip(*(one.entering for one in pictures), strict=True)],
        )
    return replace(
        first,
        shapes=last.shapes,
        params=sum(node.params for node in row),
        macs=sum(node.macs for node in row),
        steps=[step for node in row for step in node.steps],
        times=len(row),
        inner=inner,
    )


def _alike(group: Sequence[Node]) -> Node:
    """Return one node for the same node of several frames."""
    whole = _repeated(group)
    shapes = [_joined(group) for group in zip(*(node.shapes for node in group), strict=True)]
    return replace(whole, times=group[0].times, shapes=shapes)


def _joined(shapes: Sequence[tuple[Shape, ...]]) -> tuple[Shape, ...]:
    return tuple(dict.fromkeys(shape for one in shapes for shape in one))
