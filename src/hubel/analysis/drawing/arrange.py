"""Arrange a picture: frames within frames, each laid out in layers, as shapes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hubel.analysis.drawing.layered import Edge, Extent, LayeredLayout, lay_out
from hubel.analysis.drawing.picture import Node, Picture
from hubel.analysis.drawing.shapes import Box, Circle, Curve, Shape, Text, shapes_at
from hubel.analysis.drawing.text import text_width
from hubel.analysis.drawing.words import count_words, shapes_text

__all__ = ["LINE", "SECONDARY", "Arranged", "arrange", "end_part", "node_part"]

LINE, SECONDARY, TITLE = 12.0, 10.5, 11.0  # font sizes
_LEADING = 1.32  # height of a line in font sizes
_ASCENT = 0.97  # of that, above the baseline
_PADDING = 9.0  # in a box, beside the text
_ABOVE = 5.0  # in a box, above and below the text
_FRAME = 13.0  # in a frame, around its contents
_RADIUS = 9.0
_UNLABELLED = -1


@dataclass(kw_only=True)
class Arranged:
    """Shapes around the line x = 0, from y = 0 down.

    Attributes:
        shapes: the shapes.
        left: how far they reach to the left of the line.
        right: how far to the right.
        height: how far down.
        entries: where each input enters, beside the line.
        exits: where each output leaves, beside the line.
    """

    shapes: list[Shape]
    left: float
    right: float
    height: float
    entries: list[float]
    exits: list[float]


def arrange(
    picture: Picture, *, costs: bool = False, inputs: Sequence[str] = (), shared: int = 1, upward: bool = False
) -> Arranged:
    """Arrange a picture from top to bottom, or from bottom to top.

    Args:
        picture: the picture.
        costs: whether boxes and frames state their parameters and multiply-adds.
        inputs: names of what enters, for boxes above the picture with an output below; none inside a frame.
        shared: calls of the frame around it, which says so.
        upward: whether it begins at the bottom.
    """
    return _Arranger(picture, costs, inputs, shared, upward=upward).arranged()


def node_part(node: Node, *, costs: bool, shared: int = 1, upward: bool = False) -> Arranged:
    """Arrange a node: a box, a circle, or a frame with all that is in it; see `arrange`."""
    if node.inner is not None:
        return _framed(node, costs, upward=upward)
    return _boxed(node, costs, shared)


def end_part(kind: str, name: str) -> Arranged:
    """Arrange the box of an input or of an output."""
    return _box(kind, [(name, False)])


class _Arranger:
    def __init__(self, picture: Picture, costs: bool, inputs: Sequence[str], shared: int, *, upward: bool) -> None:
        self.picture, self.costs, self.shared, self.upward = picture, costs, shared, upward
        self.whole = bool(inputs)
        self.parts: list[Arranged] = []
        self.edges: list[Edge] = []
        self.heads: list[bool] = []
        self.last: set[int] = set()
        self.labels: dict[tuple[int, int], int] = {}  # the label of each output of each node
        boxes = [end_part("input", name) for name in inputs] or [_port() for _ in picture.entering]
        self.entering = [self._add(box) for box in boxes]
        self.numbers: list[int] = []

    def arranged(self) -> Arranged:
        """Return the shapes."""
        taken: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        for arrow in self.picture.arrows:
            taken[arrow.source, arrow.port].append((arrow.target, arrow.entry))
        for number, entering in enumerate(self.picture.entering):
            begin = self.entering[number]
            self.labels[-1 - number, 0] = self._label(begin, 0.0, shapes_text(entering)) if self.whole else begin
        for place, node in enumerate(self.picture.nodes):
            self._add_node(place, node, taken)
        exits = []
        for place, port in self.picture.leaving:
            exits.append(self._add(end_part("output", "output") if self.whole else _port()))
            self.last.add(exits[-1])
            self._connect((place, port), exits[-1], 0.0, head=self.whole)
        if self.whole:
            self.last = set()
        extents = [
            Extent(part.left, part.right, part.height, number in self.last) for number, part in enumerate(self.parts)
        ]
        layout = lay_out(extents, self.edges)
        shapes: list[Shape] = []
        for number, part in enumerate(self.parts):
            top = layout.top[number]
            top = layout.height - top - part.height if self.upward else top
            shapes += shapes_at(part.shapes, layout.x[number], top)
        curves = self._curves(layout)
        shapes += [_upside_down(curve, layout.height) for curve in curves] if self.upward else curves
        line = sum(layout.x[n] for n in self.entering) / len(self.entering) if self.entering else 0.0
        return Arranged(
            shapes=shapes_at(shapes, -line, 0.0),
            left=line - layout.left,
            right=layout.right - line,
            height=layout.height,
            entries=[layout.x[number] - line for number in self.entering],
            exits=[layout.x[number] - line for number in exits],
        )

    def _add(self, part: Arranged) -> int:
        self.parts.append(part)
        return len(self.parts) - 1

    def _add_node(self, place: int, node: Node, taken: dict[tuple[int, int], list[tuple[int, int]]]) -> None:
        part = node_part(node, costs=self.costs, shared=self.shared, upward=self.upward)
        number = self._add(part)
        self.numbers.append(number)
        before = {arrow.shapes for arrow in self.picture.arrows if arrow.target == place}
        for arrow in self.picture.arrows:
            if arrow.target == place:
                end = part.entries[arrow.entry % len(part.entries)]
                self._connect((arrow.source, arrow.port), number, end, head=node.inner is None)
        for port, shapes in enumerate(node.shapes):
            start = part.exits[port % len(part.exits)]
            shown = bool(taken[place, port]) or self.whole
            changed = before != {shapes} or (self.whole and node.kind == "frame")
            if shown and changed:
                self.labels[place, port] = self._label(number, start, shapes_text(shapes))
            else:
                self.labels[place, port] = _UNLABELLED

    def _label(self, begin: int, start: float, text: str) -> int:
        width = text_width(text, SECONDARY)
        shape = Text(kind="shape", x=6.0, y=_ASCENT * SECONDARY, text=text, size=SECONDARY)
        line = Curve(points=_straight(0.0, 0.0, SECONDARY * _LEADING))
        number = self._add(
            Arranged(
                shapes=[line, shape],
                left=3.0,
                right=8.0 + width,
                height=SECONDARY * _LEADING,
                entries=[0.0],
                exits=[0.0],
            )
        )
        self.edges.append(Edge(begin, number, start, 0.0))
        self.heads.append(False)
        return number

    def _connect(self, output: tuple[int, int], target: int, end: float, *, head: bool = True) -> None:
        place, port = output
        label = self.labels.get(output, _UNLABELLED)
        if label >= 0:
            self.edges.append(Edge(label, target, 0.0, end))
        else:
            number = self.numbers[place]
            exits = self.parts[number].exits
            self.edges.append(Edge(number, target, exits[port % len(exits)], end))
        self.heads.append(head)

    def _curves(self, layout: LayeredLayout) -> list[Curve]:
        """Return the arrows; into a box of several inputs they end side by side, into a circle from the side."""
        ends: dict[int, list[int]] = defaultdict(list)
        for number, edge in enumerate(self.edges):
            ends[edge.target].append(number)
        curves: list[Curve] = []
        for number, (edge, points) in enumerate(zip(self.edges, layout.edges, strict=True)):
            part, line = self.parts[edge.target], layout.x[edge.target]
            rivals = sorted(ends[edge.target], key=lambda n: (layout.edges[n][-3][0], n))
            first = part.shapes[0] if part.shapes else None
            head: tuple[int, int] | None = (0, 1) if self.heads[number] else None
            if isinstance(first, Circle) and self._is_free(layout, edge.target, points[-3][0]):
                middle = layout.top[edge.target] + part.height / 2
                curves.append(_from_the_side(points, line + first.radius, middle))
                continue
            if isinstance(first, Box) and first.kind == "concat" and len(rivals) > 1:
                step = min(24.0, (first.width - 16.0) / (len(rivals) - 1))
                across = line + step * (rivals.index(number) - (len(rivals) - 1) / 2)
                points = (*points[:-2], (across, points[-2][1]), (across, points[-1][1]))
            curves.append(_curve(points, head))
        return curves

    def _is_free(self, layout: LayeredLayout, target: int, x: float) -> bool:
        """Return whether nothing is between a circle and a line to the right of it."""
        part, line, top = self.parts[target], layout.x[target], layout.top[target]
        if x < line + 2 * _RADIUS:
            return False
        return not any(
            line < layout.x[n] - other.left < x + 8.0
            and layout.top[n] < top + part.height + 1.0
            and layout.top[n] + other.height > top - 1.0
            for n, other in enumerate(self.parts)
            if n != target
        )


def _upside_down(curve: Curve, height: float) -> Curve:
    head = curve.head and (curve.head[0], -curve.head[1])
    return Curve(points=tuple((x, height - y) for x, y in curve.points), head=head)


def _straight(x: float, top: float, bottom: float) -> tuple[tuple[float, float], ...]:
    return ((x, top), (x, top), (x, bottom), (x, bottom))


def _curve(points: Sequence[tuple[float, float]], head: tuple[int, int] | None) -> Curve:
    path = [points[0]]
    for (x0, y0), (x1, y1) in pairwise(points):
        if (x0, y0) == (x1, y1):
            continue
        middle = (y0 + y1) / 2
        path += [(x0, middle), (x1, middle), (x1, y1)]
    return Curve(points=tuple(path), head=head)


def _from_the_side(points: Sequence[tuple[float, float]], x: float, y: float) -> Curve:
    """Return an arrow that ends at a point, coming from the right."""
    before = _curve(points[:-2], None).points
    x0, y0 = points[-3]
    bend = min(x0 - x, 16.0)
    return Curve(
        points=(*before, (x0, y0 + (y - y0) * 0.6), (x0 - bend * 0.2, y), (x + (x0 - x) * 0.5, y), *_to(x, y)),
        head=(-1, 0),
    )


def _to(x: float, y: float) -> tuple[tuple[float, float], ...]:
    return ((x, y), (x, y), (x, y))


def _port() -> Arranged:
    return Arranged(shapes=[], left=3.0, right=3.0, height=0.0, entries=[0.0], exits=[0.0])


def _box(kind: str, lines: Sequence[tuple[str, bool]], least: float = 0.0) -> Arranged:
    """Return a box with lines of text around the line x = 0; secondary ones are smaller."""
    sizes = [SECONDARY if secondary else LINE for _, secondary in lines]
    width = max([least, *(text_width(text, size) + 2 * _PADDING for (text, _), size in zip(lines, sizes, strict=True))])
    height = sum(sizes) * _LEADING + 2 * _ABOVE
    shapes: list[Shape] = [Box(kind=kind, x=-width / 2, y=0.0, width=width, height=height)]
    y = _ABOVE
    for (text, secondary), size in zip(lines, sizes, strict=True):
        shapes.append(
            Text(
                kind="secondary" if secondary else "line",
                x=0.0,
                y=y + _ASCENT * size,
                text=text,
                size=size,
                anchor="middle",
            )
        )
        y += size * _LEADING
    return Arranged(shapes=shapes, left=width / 2, right=width / 2, height=height, entries=[0.0], exits=[0.0])


def _boxed(node: Node, costs: bool, around: int) -> Arranged:
    if node.kind in ("add", "multiply"):
        return _circle(node)
    lines = [(f"{node.title} x{node.times}" if node.times > 1 else node.title, False)] if node.title else []
    lines += [(line.text, line.secondary) for line in node.lines]
    if node.times > 1 and not node.title:
        lines.append((f"x{node.times}", False))
    if node.shared > around and node.params:
        lines.append((f"shared by {node.shared} maps", True))
    if costs and (words := count_words(node.params, node.macs)):
        lines.append((words, True))
    if node.kind == "light" and not node.title:
        lines = [(text, True) for text, _ in lines]
    return _box(node.kind, lines or [("…", True)], least=64.0 if node.kind == "concat" else 0.0)


def _circle(node: Node) -> Arranged:
    """Return a circle with its sign, and to its left what follows it."""
    shapes: list[Shape] = [Circle(kind=node.kind, x=0.0, y=_RADIUS, radius=_RADIUS)]
    sign, rest = node.lines[0].text, [line.text for line in node.lines[1:]]
    arm = _RADIUS * 0.5
    strokes = [(-arm, 0.0, arm, 0.0), (0.0, -arm, 0.0, arm)] if sign == "+" else [
        (-arm * 0.75, -arm * 0.75, arm * 0.75, arm * 0.75), (-arm * 0.75, arm * 0.75, arm * 0.75, -arm * 0.75)
    ]  # fmt: skip
    for x0, y0, x1, y1 in strokes:
        start, end = (x0, y0 + _RADIUS), (x1, y1 + _RADIUS)
        shapes.append(Curve(points=(start, start, end, end)))
    left = _RADIUS
    if rest:
        text = ", ".join(rest)
        shapes.append(
            Text(
                kind="secondary",
                x=-_RADIUS - 5.0,
                y=_RADIUS + 0.36 * SECONDARY,
                text=text,
                size=SECONDARY,
                anchor="end",
            )
        )
        left += 8.0 + text_width(text, SECONDARY)
    return Arranged(shapes=shapes, left=left, right=_RADIUS, height=2 * _RADIUS, entries=[0.0], exits=[0.0])


def _framed(node: Node, costs: bool, *, upward: bool) -> Arranged:
    """Return a frame around a picture, with its title at the left of the line that crosses, its costs at the right."""
    assert node.inner is not None
    inner = arrange(node.inner, costs=costs, shared=node.shared, upward=upward)
    title = node.title
    title = f"{title} x{node.times}" if node.times > 1 else title
    if node.shared > 1:
        title = f"{title}, shared by {node.shared} maps"
    words = count_words(node.params, node.macs) if costs else ""
    row = TITLE * _LEADING + 6.0
    above, below = (inner.exits, inner.entries) if upward else (inner.entries, inner.exits)
    crossing = above or [0.0]
    left = max(inner.left + _FRAME, text_width(title, TITLE) + 18.0 - min(crossing))
    right = max(inner.right + _FRAME, (text_width(words, SECONDARY) + 18.0 if words else 0.0) + max(crossing))
    height = row + inner.height + _FRAME
    shapes: list[Shape] = [Box(kind="frame", x=-left, y=0.0, width=left + right, height=height)]
    shapes.append(Text(kind="title", x=-left + 9.0, y=4.0 + _ASCENT * TITLE, text=title, size=TITLE))
    if words:
        shapes.append(
            Text(kind="secondary", x=right - 9.0, y=4.0 + _ASCENT * TITLE, text=words, size=SECONDARY, anchor="end")
        )
    shapes += [Curve(points=_straight(x, 0.0, row)) for x in above]
    shapes += shapes_at(inner.shapes, 0.0, row)
    shapes += [Curve(points=_straight(x, row + inner.height, height)) for x in below]
    return Arranged(
        shapes=shapes, left=left, right=right, height=height, entries=inner.entries or [0.0], exits=inner.exits or [0.0]
    )
