"""The lessons on transfer learning, autoencoders and explanations in a browser: exported, and with the server."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from browser import Browser
from lesson_page import becomes as shows
from lesson_page import open_exported, set_input, value
from numpy.typing import NDArray
from scipy.stats import binom
from served_lesson import LessonPage

from hubel.teach.course.catalogue import find_lesson
from hubel.teach.course.lesson import lesson_data

Open = Callable[[str, str], Browser]
becomes = partial(shows, atol=1e-5)  # data has 6 significant digits
SHORT = ["en", pytest.param("ko", marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def open_lesson(page: Browser, tmp_path_factory: pytest.TempPathFactory) -> Open:
    folder = tmp_path_factory.mktemp("lessons")

    def opened(name: str, lang: str) -> Browser:
        assert open_exported(page, name, lang, folder).stat().st_size < 2 * 2**20
        assert page.run("document.documentElement.scrollWidth <= innerWidth")
        return page

    return opened


def click(page: Browser, name: str, inner: str = "", number: int = 0) -> None:
    page.run(f"document.querySelectorAll('[data-id={name}] {inner}')[{number}].click()")


def values(page: Browser, name: str) -> NDArray[np.float64]:
    """Return the numbers that the elements below one hold."""
    found: Any = page.run(f"[...document.querySelectorAll('[data-id={name}] [data-value]')].map(e => +e.dataset.value)")
    return np.array(found, float)


def stamped(values: NDArray[np.float64], kernel: NDArray[np.float64], stride: int) -> NDArray[np.float64]:
    """A transposed convolution: zeros between the values, then a full convolution."""
    spread = np.zeros((len(values) - 1) * stride + 1)
    spread[::stride] = values
    return np.convolve(spread, kernel)


@pytest.mark.parametrize("lang", SHORT)
def test_autoencoder(open_lesson: Open, lang: str) -> None:
    page = open_lesson("autoencoder", lang)
    assert (value(page, "parameters"), value(page, "macs")) == (3369, 712_224)
    click(page, "code", "input", 2)
    page.wait("document.querySelector('[data-id=code] .verdict.right') !== null")
    click(page, "table-decoder", "input", 1)
    becomes(page, lambda: value(page, "parameters"), 3221)
    set_input(page, "stamps-input", 5, 1)
    set_input(page, "stamps-kernel", -2, 2)
    typed, kernel = np.array([1.0, 5, 3]), np.array([1.0, 2, -2])
    for stride in (3, 1, 2):
        set_input(page, "stamps-stride", stride)
        becomes(page, lambda: values(page, "stamps-result"), stamped(typed, kernel, stride))
    becomes(page, lambda: values(page, "stamps-smoothed"), np.correlate(np.repeat(typed, 2), kernel, "same"))
    click(page, "even", "input", 1)
    page.wait("document.querySelector('[data-id=even] .verdict.right') !== null")
    for side, stride in ((3, 2), (4, 2), (5, 3)):
        set_input(page, "kernel", side)
        set_input(page, "stride", stride)
        line = stamped(np.ones(8), np.ones(side), stride)[side:-side]
        becomes(page, lambda: value(page, "fewest"), line.min() ** 2)
        becomes(page, lambda: value(page, "most"), line.max() ** 2)


def logits(image: NDArray[np.float64], weights: Any) -> tuple[NDArray[np.float64], Callable[..., NDArray[np.float64]]]:
    """Pooled maps of the X/O network, and the function from them to the logits; loops, as the lesson X or O says."""
    patterns = np.array(weights["patterns"]).reshape(3, 3, 3)
    arrangements, output, bias = (np.array(weights[name]) for name in ("arrangements", "output", "bias"))
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3))
    maps = (windows * patterns[:, None, None]).mean((3, 4))
    pooled = np.array([[[m[r : r + 2, c : c + 2].max() for c in range(0, 7, 2)] for r in range(0, 7, 2)] for m in maps])
    pooled = np.maximum(pooled, 0)

    def head(pooled: NDArray[np.float64]) -> NDArray[np.float64]:
        flat = [(pooled[:, r : r + 3, c : c + 3] * a).sum() / 9 for a in arrangements for r in (0, 1) for c in (0, 1)]
        return np.asarray(output @ np.maximum(flat, 0) + bias)

    return pooled, head


@pytest.mark.parametrize("lang", SHORT)
def test_seeing(open_lesson: Open, lang: str) -> None:
    page = open_lesson("seeing", lang)
    data: Any = lesson_data(find_lesson("seeing"))
    for drawing, use in ((np.array(data["o"], float), "maps-use-o"), (np.array(data["x"], float), "cam-use-x")):
        page.run(f"document.querySelector('[data-id={use}]').click()")
        pooled, head = logits(drawing, data["weights"])
        scores = 1 / (1 + np.exp(-head(pooled)))
        becomes(page, lambda: value(page, "score-x"), scores[0])
        becomes(page, lambda: value(page, "score-o"), scores[1])
        for target in (0, 1):
            click(page, "target", "input", target)
            gradient = np.zeros_like(pooled)  # by differences
            for place in np.ndindex(*pooled.shape):
                moved = [pooled.copy(), pooled.copy()]
                moved[0][place] += 1e-6
                moved[1][place] -= 1e-6
                gradient[place] = (head(moved[0]) - head(moved[1]))[target] / 2e-6
            alphas = gradient.mean((1, 2))
            becomes(page, lambda: values(page, "alphas"), alphas, rtol=1e-3)
            cam = np.maximum(np.tensordot(alphas, pooled, 1), 0)
            becomes(page, lambda: values(page, "cam-map"), cam.ravel(), rtol=1e-3)
        likely = int(scores.argmax())
        whole = head(pooled)[likely]
        set_input(page, "square", 4)
        drops = []
        for r, c in np.ndindex(6, 6):
            covered = drawing.copy()
            covered[r : r + 4, c : c + 4] = 0
            maps, rest = logits(covered, data["weights"])
            drops.append(whole - rest(maps)[likely])
        becomes(page, lambda: values(page, "drops"), drops, rtol=1e-3)


@pytest.mark.parametrize("lang", SHORT)
def test_transfer(open_lesson: Open, lang: str) -> None:
    page = open_lesson("transfer", lang)
    data: Any = lesson_data(find_lesson("transfer"))
    set_input(page, "boundary", 0)
    becomes(page, lambda: value(page, "trainable-share"), 100)
    set_input(page, "boundary", 9)
    becomes(page, lambda: value(page, "trainable-share"), 100 * (1280 * 3 + 3) / data["parameters"])
    set_input(page, "images", 1000)
    set_input(page, "epochs", 50)
    frozen, head = data["boundaries"][-1]["macs"], 3 * 1280 * 3
    becomes(page, lambda: value(page, "saved"), 50 * (frozen + head) / (frozen + 50 * head))
    set_input(page, "augment-rotate", 8)
    page.wait("document.querySelector('[data-id=augment-rotate] output').textContent === '60'")
    set_input(page, "crop", 40)
    inside = np.zeros((96, 96), bool)
    for top, left in ((0, 0), (0, 56), (56, 0), (56, 56), (28, 28)):
        inside[top : top + 40, left : left + 40] = True
    becomes(page, lambda: value(page, "covered"), 100 * inside.mean())
    set_input(page, "members", 11)
    set_input(page, "accuracy", 0.6)
    set_input(page, "rho", 0.25)
    becomes(page, lambda: value(page, "majority"), 100 * binom.sf(5, 11, 0.6))
    becomes(page, lambda: value(page, "variance"), 0.25 + 0.75 / 11)
    set_input(page, "scores", 1, 0)
    scores = np.array([[1, 0.4, 0], [0.55, 0.45, 0], [0, 0.95, 0.05]])
    becomes(page, lambda: values(page, "mean"), scores.mean(0))
    becomes(page, lambda: values(page, "votes"), [2, 1, 0])


@pytest.mark.slow
def test_live(served: LessonPage) -> None:
    page = served.tab
    served.open("autoencoder", "ko")
    page.wait("document.querySelector('[data-id=training-start]') !== null")
    page.run("document.querySelector('[data-id=training-start]').click()")
    page.wait("document.querySelector('[data-id=training]').dataset.value === 'running'")
    page.wait("document.querySelector('[data-id=training]').dataset.value === 'idle'", 300)
    assert value(page, "mse") < 0.012
    assert value(page, "drawing-mse") < 0.03
    click(page, "drawing", "input", 2)
    becomes(page, lambda: value(page, "drawing-mse") > 0.03, expected=True)
    served.open("transfer", "ko", 390, dark=True)
    page.wait("document.querySelector('[data-id=training-start]') !== null")
    page.run("document.querySelector('[data-id=training-start]').click()")
    page.wait("document.querySelectorAll('[data-id=trained] tbody tr').length === 4", 300)
    served.open("seeing", "ko")
    page.wait("document.querySelector('[data-id=look-start]') !== null")
    page.run("document.querySelector('[data-id=look-start]').click()")
    page.wait("document.querySelector('[data-id=photo-occlusion]') !== null", 300)
