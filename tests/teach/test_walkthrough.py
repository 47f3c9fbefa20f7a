"""The walkthrough: its numbers against loops, its gradient against autograd, its page as a browser sees it."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hubel.cli import main
from hubel.core.errors import UnknownNameError
from hubel.teach.walkthrough.lesson import DRAWINGS, RATE, STEPS, Lesson, chosen_weights, compute_lesson, xo_images
from hubel.teach.walkthrough.network import (
    Weights,
    cross_entropies,
    gradient,
    logistic,
    match,
    moved,
    pool,
    trace_forward,
)
from hubel.teach.walkthrough.page import render, write_walkthrough
from hubel.teach.walkthrough.svg import format_number, format_sum, number_grid

VOID = {"meta", "path", "rect", "circle", "polyline", "use", "input", "br"}


@pytest.fixture(scope="module")
def lesson() -> Lesson:
    return compute_lesson()


@pytest.fixture(scope="module")
def source(lesson: Lesson) -> str:
    return render(lesson)


class Page(HTMLParser):
    """Elements with their attributes, and the text outside of styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)


def random_weights(seed: int) -> Weights:
    generator = np.random.default_rng(seed)
    shapes = ((3, 1, 3, 3), (2, 3, 3, 3), (2, 8), (2,))
    return Weights(*(generator.normal(size=shape) for shape in shapes))


def in_torch(weights: Weights, images: np.ndarray, targets: np.ndarray) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Return the weights and the loss of the same network in torch operations."""
    by_name = {f.name: torch.tensor(getattr(weights, f.name), requires_grad=True) for f in dataclasses.fields(Weights)}
    patterns, arrangements, output, bias = by_name.values()
    # Divided last, so that whole numbers stay exact and equal ones tie.
    x = F.relu(F.conv2d(torch.tensor(images)[:, None], patterns) / 9)
    x = F.relu(F.conv2d(F.max_pool2d(x, 2, ceil_mode=True), arrangements) / 9)
    loss = F.binary_cross_entropy_with_logits(
        F.linear(x.flatten(1), output, bias), torch.tensor(targets), reduction="none"
    )
    return by_name, loss.sum(1).mean()


@pytest.mark.parametrize("weights", [chosen_weights(), *map(random_weights, range(4))])
@pytest.mark.parametrize("count", [1, 20])
def test_gradient_is_autograds(weights: Weights, count: int) -> None:
    images, targets = (rows[:count] for rows in xo_images(DRAWINGS))
    by_name, loss = in_torch(weights, images, targets)
    loss.backward()
    trace = trace_forward(weights, images)
    assert cross_entropies(trace.outputs, targets).sum(1).mean() == pytest.approx(loss.item(), rel=1e-12)
    by_hand = gradient(weights, trace, targets)
    for name, parameter in by_name.items():
        assert parameter.grad is not None
        np.testing.assert_allclose(getattr(by_hand, name), parameter.grad.numpy(), atol=1e-13, err_msg=name)


def test_match_is_a_mean_of_products() -> None:
    generator = np.random.default_rng(0)
    maps, patterns = generator.normal(size=(2, 3, 6, 7)), generator.normal(size=(4, 3, 3, 3))
    expected = np.zeros((2, 4, 4, 5))
    for n, k, y, x in np.ndindex(expected.shape):
        expected[n, k, y, x] = (maps[n, :, y : y + 3, x : x + 3] * patterns[k]).sum() / 9
    np.testing.assert_allclose(match(maps, patterns), expected, atol=1e-14)


def test_pool_takes_the_largest() -> None:
    maps = np.random.default_rng(0).normal(size=(2, 3, 5, 7))
    pooled = pool(maps)
    assert pooled.shape == (2, 3, 3, 4)
    for n, c, y, x in np.ndindex(pooled.shape):
        assert pooled[n, c, y, x] == maps[n, c, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].max()


def test_moved() -> None:
    image = np.array([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    assert moved(image, 0, 0).tolist() == image.tolist()
    assert moved(image, 0, 1).tolist() == [[-1, 1, -1], [-1, -1, 1], [-1, -1, -1]]
    assert moved(image, 1, 0).tolist() == [[-1, -1, -1], [1, -1, -1], [-1, 1, -1]]
    assert moved(image, -1, -1).tolist() == [[1, -1, -1], [-1, 1, -1], [-1, -1, -1]]


def test_references_are_the_classic_pictures(lesson: Lesson) -> None:
    rows = ["".join("#" if pixel > 0 else "." for pixel in row) for row in lesson.x]
    assert rows == [
        ".........",
        ".#.....#.",
        "..#...#..",
        "...#.#...",
        "....#....",
        "...#.#...",
        "..#...#..",
        ".#.....#.",
        ".........",
    ]
    assert set(np.unique(lesson.o)) == {-1, 1}
    assert np.array_equal(lesson.o, lesson.o.T)
    # The map that the classic explanation prints (Rohrer 2016), whose 0.77 and 0.55 are 7/9 and 5/9.
    first = np.rint(9 * lesson.x_trace.matches[0, 0]).astype(int).tolist()
    assert first == [
        [7, -1, 1, 3, 5, -1, 3],
        [-1, 9, -1, 3, -1, 1, -1],
        [1, -1, 9, -3, 1, -1, 5],
        [3, 3, -3, 5, -3, 3, 3],
        [5, -1, 1, -3, 9, -1, 1],
        [-1, 1, -1, 3, -1, 9, -1],
        [3, -1, 5, 3, 1, -1, 7],
    ]


def test_comparisons(lesson: Lesson) -> None:
    itself, right, other = lesson.comparisons
    assert (itself.score, itself.agree, itself.differ) == (1, 81, 0)
    equal = sum(bool(a == b) for a, b in zip(moved(lesson.x, 0, 1).flat, lesson.x.flat, strict=True))
    assert (right.agree, right.differ) == (equal, 81 - equal)
    assert right.score == pytest.approx((2 * equal - 81) / 81)
    assert other.score == pytest.approx(float((lesson.o * lesson.x).sum()) / 81)
    # What the page says of them.
    assert right.score < 0.5 * itself.score
    assert right.score - other.score < 0.1
    assert lesson.moved_o[0] > lesson.moved_o[1]


def test_positions_are_the_map(lesson: Lesson) -> None:
    scores = np.array([at.score for at in lesson.positions]).reshape(7, 7)
    np.testing.assert_allclose(scores, lesson.x_trace.matches[0, 0], atol=1e-15)
    for at in lesson.positions:
        assert at.under.tolist() == lesson.x[at.row : at.row + 3, at.column : at.column + 3].tolist()


def test_the_arrangements_find_their_letters(lesson: Lesson) -> None:
    for trace, letter in ((lesson.x_trace, 0), (lesson.o_trace, 1)):
        arranged = trace.arranged[0]
        assert arranged[letter].max() > 0.1 > arranged[1 - letter].max()


def test_one_step_goes_downhill(lesson: Lesson) -> None:
    step = lesson.step
    assert step.error.tolist() == (step.before.outputs[0] - [1, 0]).tolist()
    np.testing.assert_allclose(step.gradient.output, np.outer(step.error, step.before.flat[0]))
    np.testing.assert_allclose(step.weights.output, lesson.weights.output - RATE * step.gradient.output)
    p = logistic(step.before.flat[0] @ lesson.weights.output.T)
    np.testing.assert_allclose(step.losses, [-np.log(p[0]), -np.log(1 - p[1])])
    assert step.losses_after.sum() < 0.8 * step.losses.sum()


def test_training_tells_x_from_o(lesson: Lesson) -> None:
    training = lesson.training
    assert len(training.loss_history) == STEPS
    assert training.loss_history[0] > 1.2
    assert training.loss_history[-10:].mean() < 0.15
    assert {key: int(counts.sum()) for key, counts in training.confusions.items()} == {
        ("drawn", "pixels"): 1000, ("drawn", "network"): 1000, ("moved", "pixels"): 50, ("moved", "network"): 50,
    }  # fmt: skip
    assert training.accuracy("drawn", "network") > 0.98
    assert training.accuracy("moved", "network") > 0.95
    assert training.accuracy("drawn", "pixels") < 0.7
    assert training.accuracy("moved", "pixels") < 0.7
    images, targets = xo_images(dataclasses.replace(DRAWINGS, seed=1))
    says = trace_forward(training.weights, images).outputs.argmax(1)
    right = [int(((says == letter) & (targets.argmax(1) == letter)).sum()) for letter in (0, 1)]
    assert np.diag(training.confusions["drawn", "network"]).tolist() == right


def test_page_is_whole_and_asks_for_nothing(source: str) -> None:
    page = Page(source)
    assert page.open == []
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "form", "img", "image"}
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") or name == "src" for name in attributes)
        assert (attributes.get("href") or "#the-x") == "#the-x", tag
    assert not re.search(r"https?:|url\(|@import", source)
    assert "default-src 'none'" in source
    assert [attributes["id"] for _, attributes in page.elements if "id" in attributes] == ["the-x"]


def test_page_has_all_pictures(source: str, lesson: Lesson) -> None:
    page = Page(source)
    images = [attributes for tag, attributes in page.elements if tag == "svg"]
    named = [attributes["aria-label"] or "" for attributes in images if "aria-hidden" not in attributes]
    assert all(named)
    assert len(images) - len(named) == 49
    for words, times in {
        "reference X as": 1, "reference O as": 1, "with the reference X:": 3, "where the pattern": 3,
        "nine products": 52,
        "matches the X": 3, "matches the O": 3, "before ReLU": 1, "after ReLU": 2, "pooled map": 2, "as a stack": 1,
        "Arrangement of": 6, "of the arrangement": 4, "sigmoid curve": 1, "loss over the probability": 1,
        "Gradient of": 3, "A drawing": 12, "loss over 200 steps": 1, "trained pattern": 3,
    }.items():  # fmt: skip
        assert sum(words in label for label in named) == times, words
    assert [tag for tag, _ in page.elements].count("h2") == 12
    assert [tag for tag, _ in page.elements].count("h1") == 1
    assert sum(attributes.get("type") == "radio" for _, attributes in page.elements) == len(lesson.positions)
    assert sum("checked" in attributes for _, attributes in page.elements) == 1


def test_page_says_the_numbers(source: str, lesson: Lesson) -> None:
    text = " ".join(" ".join(Page(source).text).split())
    said = [comparison.score for comparison in lesson.comparisons]
    said += [*lesson.step.losses, lesson.step.losses.sum(), lesson.step.losses_after.sum(), *lesson.step.error]
    said += [*lesson.training.weights.patterns.flat, *lesson.x_trace.sums.flat, *lesson.x_trace.outputs.flat]
    said += [*lesson.weights.output.flat, *lesson.x_trace.arranged.flat, *lesson.o_trace.arranged.flat]
    for value in said:
        assert format_number(float(value)) in text
    for counts in lesson.training.confusions.values():
        for count in counts.flat:
            assert f" {count} " in text
    assert f"classifies {100 * lesson.training.accuracy('drawn', 'network'):.1f}% correctly" in text
    assert "all 99 parameters of the network" in text
    # The rounded numbers add up, so that nobody stumbles over a sum.
    first, second, total = (round(float(v), 2) for v in (*lesson.step.losses, lesson.step.losses.sum()))
    assert round(first + second, 2) == total


def test_the_same_bytes_each_time(source: str) -> None:
    assert render(compute_lesson()) == source


def test_numbers_as_written() -> None:
    assert [format_number(v) for v in (-0.004, 0.005001, -2, 7 / 9)] == ["0.00", "0.01", "\N{MINUS SIGN}2.00", "0.78"]
    assert format_sum(np.array([-1.0, 1, -1])) == "\N{MINUS SIGN}1 + 1 \N{MINUS SIGN} 1"


def test_labels_are_escaped() -> None:
    assert "<script>" not in number_grid(np.eye(2), '"><script>')


def test_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hubel.cli.tune_process", lambda: None)

    def call(*words: str) -> int | str | None:
        with pytest.raises(SystemExit) as ended:
            main(["walkthrough", *words])
        return ended.value.code

    assert call("xo") == 0
    assert "walkthrough-xo.html" in capsys.readouterr().out
    assert Path("walkthrough-xo.html").read_text(encoding="utf-8") == source
    assert call("xo", "--out", "pages/x.html") == 0
    assert Path("pages/x.html").read_text(encoding="utf-8") == source
    capsys.readouterr()
    for words, message in (
        (["ox"], "no walkthrough is called 'ox'"),
        (["xo", "--out", "pages"], "--out pages is a folder"),
    ):
        assert call(*words) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert len(said.err.splitlines()) == 1
        assert message in said.err
    with pytest.raises(UnknownNameError):
        write_walkthrough("digits", tmp_path / "x.html")
