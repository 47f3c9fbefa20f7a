"""Drawings: text that is legible, edges that are the traced data flow, files that are valid."""

from __future__ import annotations

import itertools
import math
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.font_manager import FontProperties, findfont, get_font
from torch import Tensor, nn
from torch.nn import functional as F

import hubel
from hubel.analysis import DRAWING_STYLE, NetworkDrawing, compare_networks, follow
from hubel.analysis.drawing.layered import Edge, Extent, lay_out
from hubel.analysis.drawing.picture import Picture
from hubel.analysis.drawing.shapes import Box, Circle, Curve, Text
from hubel.analysis.drawing.text import text_width
from hubel.core.errors import OptionError, UnknownNameError
from hubel.models.catalogue import build_model, find
from hubel.plots.style import canvas

QUICK = ["lenet5", "googlenet", "resnet18", "unet_2015", "fcos", "knn"]
OPENED = [
    "lenet5_modern", "alexnet", "vgg16", "nin", "inception_v3", "resnet18", "resnet50", "mobilenet_v3_small",
    "densenet121", "efficientnet_b0", "unet", "fcos",
]  # fmt: skip
FONT = get_font(findfont(FontProperties(family=["DejaVu Sans"])))


def real_box(text: Text) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a line of text, as the font itself has them."""
    FONT.set_size(1000.0, 72)
    advance = sum(FONT.load_char(ord(character)).linearHoriAdvance / 65536 for character in text.text)
    width = advance * text.size / 1000
    left = text.x - {"start": 0.0, "middle": width / 2, "end": width}[text.anchor]
    return left, text.y - 0.76 * text.size, left + width, text.y + 0.24 * text.size


def assert_legible(drawing: NetworkDrawing) -> None:
    texts = [real_box(shape) for shape in drawing.shapes if isinstance(shape, Text)]
    boxes = [shape for shape in drawing.shapes if isinstance(shape, Box)]
    rounds = [shape for shape in drawing.shapes if isinstance(shape, Circle)]
    frames = [(b.x, b.y, b.x + b.width, b.y + b.height) for b in boxes]
    frames += [(c.x - c.radius, c.y - c.radius, c.x + c.radius, c.y + c.radius) for c in rounds]
    a, b = np.array(texts), np.array(frames)
    assert a[:, :2].min() >= 0
    assert a[:, 2].max() <= drawing.width
    assert a[:, 3].max() <= drawing.height

    def meet(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        lows, highs = np.maximum(one[:, None, :2], other[None, :, :2]), np.minimum(one[:, None, 2:], other[None, :, 2:])
        found: np.ndarray = (highs > lows).all(2)
        return found

    assert not np.triu(meet(a, a), 1).any()
    within = ((a[:, None, :2] >= b[None, :, :2]) & (a[:, None, 2:] <= b[None, :, 2:])).all(2)
    assert not (meet(a, b) & ~within).any()
    inside = ((b[:, None, :2] >= b[None, :, :2] - 0.01) & (b[:, None, 2:] <= b[None, :, 2:] + 0.01)).all(2)
    assert not (meet(b, b) & ~inside & ~inside.T).any()  # a box is within a frame, or beside it
    points = np.array([p for shape in drawing.shapes if isinstance(shape, Curve) for p in sampled(shape)])
    for left, top, right, bottom in texts:
        x, y = points[:, 0], points[:, 1]
        assert not ((x > left) & (x < right) & (y > top + 1) & (y < bottom - 1)).any()


def sampled(curve: Curve) -> list[tuple[float, float]]:
    found = []
    start = np.array(curve.points[0])
    for first, second, end in zip(*(map(np.array, curve.points[k::3]) for k in (1, 2, 3)), strict=True):
        for t in np.linspace(0, 1, 12):
            point = (1 - t) ** 3 * start + 3 * t * (1 - t) ** 2 * first + 3 * t * t * (1 - t) * second + t**3 * end
            found.append((float(point[0]), float(point[1])))
        start = end
    return found


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in hubel.list_models()]
)
def test_each_network_is_drawn_legibly(name: str) -> None:
    drawing = hubel.draw(name)
    assert_legible(drawing)
    root = ElementTree.fromstring(drawing.svg())
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
    shown = sorted("".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text"))
    assert shown == sorted(shape.text for shape in drawing.shapes if isinstance(shape, Text))


@pytest.mark.parametrize("costs", [False, True])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "resnet18" else pytest.mark.slow) for name in OPENED]
)
def test_layers_are_drawn_legibly(name: str, costs: bool) -> None:
    assert_legible(hubel.draw(name, depth="block", costs=costs))


def everything(picture: Picture) -> tuple[int, int, set[int]]:
    """Parameters, multiply-adds and steps in a picture."""
    steps = {step for node in picture.nodes for step in node.steps}
    return sum(node.params for node in picture.nodes), sum(node.macs for node in picture.nodes), steps


@pytest.mark.parametrize(
    "name",
    [
        *["lenet5", "googlenet_bn_tv", "unet"],
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("densenet_bc_100", "mobilenet_v3_small", "fcos")),
    ],
)
def test_costs_are_those_of_the_summary(name: str) -> None:
    found = hubel.summary(name)
    with torch.device("meta"):
        network = build_model(name)
    flow = follow(network, find(name)[1].shape)
    for depth in ("network", "block"):
        params, macs, steps = everything(hubel.draw(name, depth=depth).picture)
        auxiliary = found.unused if name.startswith("googlenet") else 0
        assert params == found.params - found.unused + auxiliary
        assert macs == sum(step.macs for step in flow.steps)
        assert steps == set(range(len(flow.steps)))
        assert macs == found.macs or auxiliary


def wires(picture: Picture, entering: list[int], found: set[tuple[int, int]], node_of: dict[int, int]) -> list[int]:
    """Collect the arrows between nodes without a picture of their own, through all frames; return what leaves."""
    made: dict[tuple[int, int], int] = {}
    for place, node in enumerate(picture.nodes):
        into = [arrow for arrow in picture.arrows if arrow.target == place]
        sources = {a.entry: entering[-1 - a.source] if a.source < 0 else made[a.source, a.port] for a in into}
        if node.inner is None:
            found.update((source, id(node)) for source in sources.values())
            node_of.update(dict.fromkeys(node.steps, id(node)))
            made.update({(place, port): id(node) for port in range(len(node.shapes))})
        else:
            inside = wires(node.inner, [sources[k] for k in range(len(sources))], found, node_of)
            made.update({(place, port): source for port, source in enumerate(inside)})
    return [made[one] for one in picture.leaving]


@pytest.mark.parametrize("depth", ["network", "stage", "block"])
@pytest.mark.parametrize(
    "name",
    [
        *["googlenet", "unet_2015"],
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("fcos", "densenet121", "inception_v3", "fcn8s", "pose")),
    ],
)
def test_arrows_are_the_traced_data_flow(name: str, depth: str) -> None:
    with torch.device("meta"):
        flow = follow(build_model(name), find(name)[1].shape)
    found: set[tuple[int, int]] = set()
    node_of: dict[int, int] = {-1: -1}
    leaving = wires(hubel.draw(name, depth=depth, fold=False).picture, [-1], found, node_of)
    expected = {(node_of[source], node_of[step.number]) for step in flow.steps for source, _ in step.inputs}
    assert found == {(a, b) for a, b in expected if a != b}
    assert sorted(leaving) == sorted(node_of[output.source] for output in flow.outputs)


@pytest.mark.parametrize(
    ("name", "additions", "concatenations"),
    [
        ("resnet18", 8, 0),
        ("plain18", 0, 0),
        ("googlenet", 0, 9),
        ("unet_2015", 0, 4),
        pytest.param("resnet50", 16, 0, marks=pytest.mark.slow),
        pytest.param("mobilenet_v2", 10, 0, marks=pytest.mark.slow),
        pytest.param("densenet121", 0, 58, marks=pytest.mark.slow),
        # Modules, and the pairs of 1x3 and 3x1 in the last two.
        pytest.param("inception_v3", 0, 11 + 4, marks=pytest.mark.slow),
    ],
)
def test_additions_and_concatenations_are_those_of_the_paper(name: str, additions: int, concatenations: int) -> None:
    with torch.device("meta"):
        flow = follow(build_model(name), find(name)[1].shape)
    assert (flow.count("add"), flow.count("cat")) == (additions, concatenations)
    drawn = hubel.draw(name, depth="block", fold=False).picture

    def count(picture: Picture, kind: str) -> int:
        return sum((node.kind == kind) + (count(node.inner, kind) if node.inner else 0) for node in picture.nodes)

    assert (count(drawn, "add"), count(drawn, "concat")) == (additions, concatenations)


class Branching(nn.Module):
    """In-place functions, a tensor taken twice, weights shared in a row and side by side, a constant, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.shared = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 2)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        x, y = self.relu(self.first(x)), self.first(y)
        y = F.relu(y)
        a, b = self.shared(x), self.shared(y)
        a += b
        squared = a * a
        return {"map": squared + torch.ones_like(squared), "scores": self.head(squared.mean((2, 3)))}


def test_data_flow_of_a_module() -> None:
    network = Branching()
    flow = follow(network, (3, 8, 8), (3, 8, 8))
    told = [(step.function, [source for source, _ in step.inputs]) for step in flow.steps]
    assert told == [
        ("conv2d", [-1]), ("relu", [0]), ("conv2d", [-2]), ("relu", [2]), ("conv2d", [1]), ("conv2d", [3]),
        ("add", [4, 5]), ("mul", [6, 6]), ("add", [7]), ("mean", [7]), ("linear", [9]),
    ]  # fmt: skip
    assert [flow.steps[number].shape for number in (6, 9, 10)] == [(4, 8, 8), (4,), (2,)]
    assert [source for source, _ in flow.outputs] == [8, 10]
    assert network.training
    drawing = hubel.draw(network, (3, 8, 8), (3, 8, 8), depth="block")
    assert_legible(drawing)
    assert [text.text for text in drawing.shapes if isinstance(text, Text) and "input" in text.text] == [
        "input 1",
        "input 2",
    ]


class ToAndFro(nn.Module):
    """Two modules that are called twice each, in both orders, and two lists whose layers alternate."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.left = nn.ModuleDict({"a": nn.Conv2d(3, 3, 1), "b": nn.Conv2d(3, 3, 1)})
        self.blocks = nn.ModuleList(nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.two(self.one(x)) + self.one(self.two(x))
        x = self.blocks[0](self.left["a"](x))
        return self.blocks[1](self.left["b"](x))


@pytest.mark.parametrize("depth", ["network", "stage", "block"])
def test_data_that_goes_to_and_fro(depth: str) -> None:
    drawing = hubel.draw(ToAndFro(), (3, 8, 8), depth=depth)
    assert_legible(drawing)
    assert everything(drawing.picture)[2] == set(range(len(follow(ToAndFro(), (3, 8, 8)).steps)))


def test_masks_keep_their_type() -> None:
    """Of a comparison, shape inference needs the type: masks are true or false, as those of shifted windows."""

    class Masked(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.masked_fill(x.flip(1) > 0, 0.0)

    flow = follow(Masked(), (3, 8, 8))
    assert [(step.function, [source for source, _ in step.inputs]) for step in flow.steps] == [
        ("flip", [-1]), ("gt", [0]), ("masked_fill", [-1, 1]),
    ]  # fmt: skip


def test_blocks_in_a_row_are_drawn_once() -> None:
    text = hubel.draw("resnet32").svg()
    assert ">Residual x5<" in text
    opened = hubel.draw("resnet20", depth="block", fold=False).svg()
    assert opened.count(">Residual<") == 9
    folded = hubel.draw("densenet121", part="stage1", depth="block").svg()
    assert ">Dense layer x6<" in folded


def papers() -> list[Any]:
    """Return the rows of the table "Beside the papers" in the docs; two of them are quick."""
    page = (Path(__file__).parents[2] / "docs" / "draw.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \| (\d+) \| (\d+) \|$", page, re.MULTILINE)
    return [pytest.param(*row, marks=() if row[0] in ("lenet5", "resnet18") else pytest.mark.slow) for row in rows]


@pytest.mark.parametrize(("name", "maps", "additions", "concatenations"), papers())
def test_drawings_are_as_the_papers_say(name: str, maps: str, additions: str, concatenations: str) -> None:
    texts = [shape["text"] for shape in hubel.draw(name, depth="network").to_json()["shapes"] if "text" in shape]
    arrows = [text for text in texts if re.fullmatch(r"\d+x\d+x\d+", text)]
    with torch.device("meta"):
        flow = follow(build_model(name), find(name)[1].shape)
    between = iter(arrows)
    assert all(stage in between for stage in maps.split(", ")), arrows  # in this order, the input's before them
    assert (flow.count("add"), flow.count("cat")) == (int(additions), int(concatenations))


def test_figures_of_the_docs_are_up_to_date() -> None:
    """Run `hubel draw ... -o NAME.svg` of the page, and find docs/figures/NAME.svg."""
    docs = Path(__file__).parents[2] / "docs"
    commands = re.findall(
        r"^\$ hubel draw (\S+)(.*) -o (\S+\.svg)$", (docs / "draw.md").read_text("utf-8"), re.MULTILINE
    )
    assert len(commands) == 4
    for name, flags, file in commands:
        part, depth = (re.search(rf"--{flag} (\S+)", flags) for flag in ("part", "depth"))
        drawing = hubel.draw(
            name, part=part[1] if part else "", depth=depth[1] if depth else "stage", costs="--costs" in flags
        )
        assert (docs / "figures" / file).read_text(encoding="utf-8") == drawing.svg(), (
            f"hubel draw {name}{flags} -o {file}"
        )


@pytest.mark.parametrize("name", ["unet_2015", pytest.param("unet", marks=pytest.mark.slow)])
def test_a_u_has_its_skips_at_one_height(name: str) -> None:
    """The way down is left of the way up, and each skip joins frames that end at the same height."""
    drawing = hubel.draw(name)
    frames = [shape for shape in drawing.shapes if isinstance(shape, Box) and shape.kind == "frame"]
    lefts = [box.x for box in frames]
    right = [box for box in frames if box.x > min(lefts) + 100]
    left = [box for box in frames if box not in right]
    ups = [node.title for node in drawing.picture.nodes if node.title.startswith("up")]
    assert len(right) >= len(ups) >= 3
    assert max(box.x + box.width for box in left) < min(box.x for box in right)
    ends = {round(box.y + box.height, 3) for box in left}
    assert sum(round(box.y + box.height, 3) in ends for box in right) >= 3
    lower = sorted(frames, key=lambda box: box.y)[-1]
    assert lower in left


def test_notebooks_show_comparisons_and_figures() -> None:
    table = compare_networks(["lenet5", "mlp"])._repr_html_()
    root = ElementTree.fromstring(table)
    rows = [[cell.text or "" for cell in row] for row in root.iter("tr")]
    assert rows[1][:4] == ["lenet5", "1x32x32", "60,000", "325,680"]
    assert canvas(1.0, 1.0)._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]


def test_part_and_label() -> None:
    drawing = hubel.draw("googlenet", part="stage1.block2", depth="block")
    assert hubel.draw("googlenet", part="stages.0.1", depth="block").shapes == drawing.shapes
    kinds = [node.kind for node in drawing.picture.nodes]
    assert sorted(kinds) == ["concat", "conv", "conv", "conv", "conv", "conv", "conv", "pool"]
    root = ElementTree.fromstring(drawing.svg("An Inception module & its <branches>", style=False))
    assert root.get("aria-label") == "An Inception module & its <branches>"
    assert root.get("role") == "img"
    assert "<style>" not in drawing.svg(style=False)
    assert DRAWING_STYLE in drawing.svg()
    assert "prefers-color-scheme:dark" in DRAWING_STYLE


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"depth": "blok"}, UnknownNameError, "no depth is called 'blok'; did you mean block"),
        ({"part": "stage9"}, UnknownNameError, "no part is called 'stage9'; did you mean stage"),
        ({"part": "stem.0.conv"}, OptionError, "stem.0.conv is a single layer, or no image passes it"),
    ],
)
def test_mistakes_are_named(arguments: dict[str, str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        hubel.draw("resnet18", **arguments)


def test_values_cannot_decide() -> None:
    class Deciding(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(OptionError, match="cannot be traced"):
        hubel.draw(Deciding(), (3, 8, 8))
    with pytest.raises(OptionError, match=r"such as draw\(module, \(3, 224, 224\)\)"):
        hubel.draw(nn.Conv2d(3, 4, 3))


def test_files(tmp_path: Path) -> None:
    drawing = hubel.draw("lenet5_modern")
    for name, start in (("a.svg", b"<svg"), ("a.pdf", b"%PDF"), ("a.png", b"\x89PNG")):
        assert drawing.save(tmp_path / name).read_bytes().startswith(start)
        first = (tmp_path / name).read_bytes()
        assert drawing.save(tmp_path / name).read_bytes() == first  # its own file may be replaced
    (tmp_path / "b.svg").write_text("<svg>mine</svg>", encoding="utf-8")
    with pytest.raises(OptionError, match=r"b\.svg exists, and is no earlier result"):
        drawing.save(tmp_path / "b.svg")
    with pytest.raises(OptionError, match=r"a drawing is a \.svg, \.pdf or \.png file, not 'a\.gif'"):
        drawing.save(tmp_path / "a.gif")


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30))
@settings(max_examples=30)
def test_width_is_that_of_the_font(text: str) -> None:
    shape = Text(kind="line", x=0.0, y=0.0, text=text, size=12.0)
    assert math.isclose(text_width(text, 12.0), real_box(shape)[2], abs_tol=0.01 * (1 + len(text)))


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Extent], list[Edge]]:
    count = draw(st.integers(1, 12))
    sides = st.floats(1, 80)
    nodes = [Extent(draw(sides), draw(sides), draw(sides)) for _ in range(count)]
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda pair: pair[0] < pair[1])
    edges = [Edge(*pair) for pair in draw(st.lists(pairs, max_size=20))] if count > 1 else []
    return nodes, edges


@given(graphs())
@settings(max_examples=40, deadline=None)
def test_nodes_of_any_graph_do_not_overlap(graph: tuple[list[Extent], list[Edge]]) -> None:
    nodes, edges = graph
    layout = lay_out(nodes, edges)
    boxes = [
        (x - node.left, top, x + node.right, top + node.height)
        for node, x, top in zip(nodes, layout.x, layout.top, strict=True)
    ]
    for a, b in itertools.combinations(boxes, 2):
        assert a[2] <= b[0] + 1e-6 or b[2] <= a[0] + 1e-6 or a[3] <= b[1] + 1e-6 or b[3] <= a[1] + 1e-6
    for edge, points in zip(edges, layout.edges, strict=True):
        source, target = nodes[edge.source], edge.target
        assert points[0] == (layout.x[edge.source], layout.top[edge.source] + source.height)
        assert points[-1] == (layout.x[target], layout.top[target])
        assert np.diff([y for _, y in points]).min() > -1e-6


def test_a_mean_over_maps_is_no_pool() -> None:
    class Means(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            maps: Tensor = self.conv(x)
            return maps.mean(1, keepdim=True) * maps.mean((2, 3), keepdim=True)

    words = [shape.text for shape in hubel.draw(Means(), (3, 8, 8), depth="block").shapes if isinstance(shape, Text)]
    assert "global average pool" in words
    assert "mean" in words
