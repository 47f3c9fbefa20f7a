"""Arrange a network whose maps shrink and grow again as a U, its skips from side to side.

Ronneberger, Fischer & Brox 2015, arXiv:1505.04597, Figure 1, whose sides are from left to right within a level.
"""

from __future__ import annotations

from dataclasses import replace

from hubel.analysis.drawing.arrange import LINE, SECONDARY, Arranged, end_part, node_part
from hubel.analysis.drawing.picture import Arrow, Picture
from hubel.analysis.drawing.shapes import Curve, Shape, Text, shapes_at
from hubel.analysis.drawing.text import text_width
from hubel.analysis.drawing.words import shapes_text

__all__ = ["arrange_as_u", "turning_point"]

_GAP = 58.0  # between the nodes of a side, above one another
_TURN = 28.0  # below a node, where its skip turns to the side
_BETWEEN = 44.0  # between the sides
_CORNER = 10.0
_FEWEST = 2  # skips that make a U


def turning_point(picture: Picture) -> int | None:
    """Return the node with the smallest maps, if the picture is a U around it; otherwise None.

    A U has a way down, a way up, and skips between them, each to another node.
    """
    sides = [max((s[1] for shapes in node.shapes for s in shapes if len(s) == 3), default=0) for node in picture.nodes]
    maps = [number for number, side in enumerate(sides) if side > 1]
    if not maps or len(picture.entering) != 1 or len(picture.leaving) != 1:
        return None
    least = min(sides[number] for number in maps)
    turn = max(number for number in maps if sides[number] == least)
    skips = [arrow for arrow in picture.arrows if 0 <= arrow.source < turn < arrow.target]
    others = [arrow for arrow in picture.arrows if arrow not in skips]
    along = all(arrow.target == max(arrow.source, -1) + 1 for arrow in others)
    down = [arrow.source for arrow in skips]
    up = [arrow.target for arrow in sorted(skips, key=lambda arrow: -arrow.source)]
    nested = len(set(down)) == len(set(up)) == len(skips) and up == sorted(up)
    ends_last = picture.leaving[0][0] == len(picture.nodes) - 1
    return turn if along and nested and ends_last and len(skips) >= _FEWEST else None


def arrange_as_u(picture: Picture, turn: int, *, costs: bool) -> Arranged:
    """Arrange a whole network as a U.

    Args:
        picture: the picture.
        turn: the lowest node; see `turning_point`.
        costs: whether boxes and frames state their parameters and multiply-adds.
    """
    picture = _with_skips_at_the_left(picture, turn)
    count = len(picture.nodes)
    parts = [node_part(node, costs=costs, upward=number > turn) for number, node in enumerate(picture.nodes)]
    ends = [end_part("input", "input"), end_part("output", "output")]
    skips = [arrow for arrow in picture.arrows if 0 <= arrow.source < turn < arrow.target]
    left = [ends[0], *parts[: turn + 1]]
    right = [*parts[turn + 1 :], ends[1]]
    bottoms_left, bottoms_right = _bottoms(left, right, turn, skips)
    height = max(b + p.height for b, p in zip([*bottoms_left, *bottoms_right], [*left, *right], strict=True))
    labels = [shapes_text(shapes) for shapes in picture.entering]
    labels += [shapes_text(picture.nodes[number].shapes[0]) for number in range(count)]
    reach = max([*(part.right for part in left), *(8 + _width(labels[k]) for k in range(turn + 2))])
    across = reach + _BETWEEN + max(part.left for part in right)
    shapes: list[Shape] = []
    tops: list[float] = []  # input, nodes, output
    for part, bottom, x in zip(
        [*left, *right], [*bottoms_left, *bottoms_right], [0.0] * len(left) + [across] * len(right), strict=True
    ):
        tops.append(height - bottom - part.height)
        shapes += shapes_at(part.shapes, x, tops[-1])
    every = [*left, *right]
    for number in range(count + 1):  # from the input to the output
        a, b = every[number], every[number + 1]
        start = (number > turn + 1) * across + _exit(a)
        entry = _entry(picture, number, b)
        end = (number + 1 > turn + 1) * across + entry
        head = _head(picture, number)
        if number <= turn:
            y0, y1 = tops[number] + a.height, tops[number + 1]
            shapes += [
                _line([(start, y0), (end, y1)], (0, 1) if head else None),
                _label(labels[number], start, y0 + 16),
            ]
        elif number == turn + 1:
            y0, y1 = tops[number] + a.height, tops[number + 1] + b.height
            low = y0 + _TURN
            points = [(start, y0), (start, low), (end, low), (end, y1)]
            shapes.append(_line(points, (0, -1) if head else None))
            shapes.append(_label(labels[number], start, y0 + 16))
        else:
            y0, y1 = tops[number], tops[number + 1] + b.height
            shapes += [
                _line([(start, y0), (end, y1)], (0, -1) if head else None),
                _label(labels[number], start, y0 - 8),
            ]
    for arrow in skips:
        a, b = parts[arrow.source], parts[arrow.target]
        x0, y0 = _exit(a), tops[arrow.source + 1] + a.height
        x1, y1 = across + b.entries[arrow.entry % len(b.entries)], tops[arrow.target + 1] + b.height
        shapes.append(_line([(x0, y0 + _TURN), (x1, y0 + _TURN), (x1, y1)], _up(picture, arrow)))
    wide = max(p.right for p in right)
    far = max([across + wide, *(across + 8 + _width(labels[k]) for k in range(turn + 2, count + 1))])
    below = _TURN + 4.0  # the line from the lowest node runs below it
    return Arranged(
        shapes=shapes,
        left=max(p.left for p in left),
        right=far,
        height=height + below,
        entries=[0.0],
        exits=[across],
    )


def _with_skips_at_the_left(picture: Picture, turn: int) -> Picture:
    """Return the picture with the entries of the way up in an order in which no skip crosses it."""
    nodes, arrows = list(picture.nodes), list(picture.arrows)
    for number in range(turn + 1, len(nodes)):
        into = sorted((a for a in arrows if a.target == number), key=lambda a: a.source)
        inner = nodes[number].inner
        if inner is None or sorted(a.entry for a in into) != list(range(len(inner.entering))):
            continue
        place = {arrow.entry: entry for entry, arrow in enumerate(into)}
        arrows = [a._replace(entry=place[a.entry]) if a.target == number else a for a in arrows]
        moved = [a._replace(source=-1 - place[-1 - a.source]) if a.source < 0 else a for a in inner.arrows]
        entering = [inner.entering[arrow.entry] for arrow in into]
        nodes[number] = replace(nodes[number], inner=replace(inner, arrows=moved, entering=entering))
    return replace(picture, nodes=nodes, arrows=arrows)


def _bottoms(
    left: list[Arranged], right: list[Arranged], turn: int, skips: list[Arrow]
) -> tuple[list[float], list[float]]:
    """Return how far above the lowest line each node of both sides ends; those that a skip joins end alike."""
    partner = {arrow.target - turn - 1: arrow.source + 1 for arrow in skips}
    bottoms_left, bottoms_right = [0.0] * len(left), [0.0] * len(right)
    place, here, there = len(left) - 1, 0.0, 0.0
    for number, part in enumerate(right):
        meets = partner.get(number)
        while meets is not None and place > meets:
            bottoms_left[place] = here
            here += left[place].height + _GAP
            place -= 1
        if meets is not None:
            here = there = max(here, there)
        bottoms_right[number] = there
        there += part.height + _GAP
    while place >= 0:
        bottoms_left[place] = here
        here += left[place].height + _GAP
        place -= 1
    return bottoms_left, bottoms_right


def _width(text: str) -> float:
    return text_width(text, SECONDARY)


def _exit(part: Arranged) -> float:
    return part.exits[0]


def _entry(picture: Picture, number: int, part: Arranged) -> float:
    """Return where the line from the node before enters, beside the line of a node."""
    entry = next((a.entry for a in picture.arrows if a.target == number and a.source == number - 1), 0)
    return part.entries[entry % len(part.entries)]


def _head(picture: Picture, number: int) -> bool:
    return number >= len(picture.nodes) or picture.nodes[number].inner is None


def _up(picture: Picture, arrow: Arrow) -> tuple[int, int] | None:
    return (0, -1) if picture.nodes[arrow.target].inner is None else None


def _label(text: str, x: float, y: float) -> Text:
    return Text(kind="shape", x=x + LINE / 2, y=y, text=text, size=SECONDARY)


def _line(points: list[tuple[float, float]], head: tuple[int, int] | None) -> Curve:
    """Return a line along some points, round at its corners; a step to the side between two points is a curve."""
    if len(points) == 2 and points[0][0] != points[1][0]:
        (x0, y0), (x1, y1) = points
        middle = (y0 + y1) / 2
        return Curve(points=((x0, y0), (x0, middle), (x1, middle), (x1, y1)), head=head)
    path = [points[0]]
    for before, corner, after in zip(points[:-2], points[1:-1], points[2:], strict=True):
        first, last = _towards(corner, before), _towards(corner, after)
        path += [path[-1], first, first, corner, corner, last]
    path += [path[-1], points[-1], points[-1]]
    return Curve(points=tuple(path), head=head)


def _towards(corner: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    x, y = corner
    length = max(abs(other[0] - x), abs(other[1] - y)) or 1.0
    share = min(_CORNER, length / 2) / length
    return x + (other[0] - x) * share, y + (other[1] - y) * share
