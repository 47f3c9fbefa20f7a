"""The lessons on networks in a browser: what they ask to do, and the numbers that come of it.

They are opened from disk; what is computed live is asked of the server.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from browser import Browser
from lesson_page import becomes as shows
from lesson_page import choose, open_exported, set_input, value, values
from served_lesson import LessonPage

Open = Callable[[str, str], Browser]
becomes = partial(shows, rtol=1e-9)


@pytest.fixture
def open_lesson(page: Browser, tmp_path: Path) -> Open:
    def opened(name: str, lang: str) -> Browser:
        open_exported(page, name, lang, tmp_path)
        return page

    return opened


@pytest.mark.parametrize("lang", ["en", pytest.param("ko", marks=pytest.mark.slow)])
def test_classics(open_lesson: Open, lang: str) -> None:
    page = open_lesson("classics", lang)
    choose(page, "network", 2)  # VGG-16
    set_input(page, "layer", 20)
    becomes(page, lambda: value(page, "layer-params"), 4096 * 4096 + 4096)
    becomes(page, lambda: value(page, "layer-macs"), 4096 * 4096)

    choose(page, "c1", 1)
    page.wait("document.querySelectorAll('[data-id=c1] .verdict.right').length === 1")

    for number, typed in enumerate((5, -3, 2)):
        set_input(page, "norm-values", typed, number)
    set_input(page, "norm-n", 3)
    set_input(page, "norm-alpha", 4)  # 10 to the power of 0
    a = np.array([5.0, -3.0, 2.0])
    sums = np.convolve(a**2, [1, 1, 1], "same")
    becomes(page, lambda: values(page, "norm-sums"), sums)
    becomes(page, lambda: values(page, "norm-results"), a / (2 + sums) ** 0.75)

    sides = np.array([224, 112, 56, 28, 14])
    set_input(page, "width", 32)
    filters = np.array([32, 64, 128, 256, 256])
    becomes(page, lambda: values(page, "stage-macs"), 9 * filters**2 * sides**2)
    choose(page, "double", 0)
    becomes(page, lambda: values(page, "stage-macs"), 9 * 32**2 * sides**2)

    set_input(page, "stack-layers", 2)
    becomes(page, lambda: values(page, "stack-weights"), [18 * 64 * 64, 25 * 64 * 64])


@pytest.mark.parametrize("lang", ["en", pytest.param("ko", marks=pytest.mark.slow)])
def test_residual(open_lesson: Open, lang: str) -> None:
    page = open_lesson("residual", lang)
    a, w1 = np.array([3.0, 0, 1]), np.array([[1.0, -1, 0], [0, 2, 1], [-1, 0, 1]])
    b1, w2, b2 = np.array([0.0, -1, 0]), np.array([[1.0, 0, 1], [0, -1, 0], [-1, -1, 0]]), np.array([0.0, 0, 1])
    set_input(page, "block-a", 3)
    set_input(page, "block-a", 1, 2)
    set_input(page, "block-w1", 2, 4)
    for scale in (1.0, 0.5, 0.0):
        set_input(page, "scale", scale)
        z2 = scale * (w2 @ np.maximum(scale * (w1 @ a + b1), 0) + b2)
        becomes(page, lambda: values(page, "block-z2"), z2)
        becomes(page, lambda: values(page, "block-plain"), np.maximum(z2, 0))
        becomes(page, lambda: values(page, "block-residual"), np.maximum(z2 + a, 0))
    assert values(page, "block-residual") == a.tolist()  # weights of zero: the identity

    choose(page, "blocks", 2)
    set_input(page, "slope", 0.1)
    becomes(page, lambda: value(page, "chain-plain"), 0.1**54)
    becomes(page, lambda: value(page, "chain-residual"), 1.1**54)
    choose(page, "vanish", 2)
    page.wait("document.querySelectorAll('[data-id=vanish] .verdict.right').length === 1")
    choose(page, "batch-norm", 0)
    assert page.run("document.querySelectorAll('.live-only').length") == 2


@pytest.mark.parametrize("lang", ["en", pytest.param("ko", marks=pytest.mark.slow)])
def test_modules(open_lesson: Open, lang: str) -> None:
    page = open_lesson("modules", lang)
    set_input(page, "mix-map-1", -5)
    set_input(page, "mix-filters", 3, 1)
    maps = np.array([[[1, 2], [0, 3]], [[-5, 0], [1, 1]], [[2, 2], [5, 0]]])
    for number, weights in enumerate(([1, 3, 1], [2, -1, 0])):
        expected = np.tensordot(weights, maps, 1)
        becomes(page, lambda number=number: values(page, f"mix-result-{number}"), expected.ravel())

    becomes(page, lambda: values(page, "squeezed"), [120_422_400, 12_443_648])
    set_input(page, "narrow", 32)
    becomes(page, lambda: values(page, "squeezed"), [120_422_400, 28 * 28 * 32 * (192 + 25 * 32)])

    page.run("document.querySelector('[data-id=module] input[value=\"5b\"]').click()")
    reduced = 832 * (384 + 192 + 48 + 128) + 9 * 192 * 384 + 25 * 48 * 128
    direct = 832 * (384 + 9 * 384 + 25 * 128)
    becomes(page, lambda: values(page, "module-macs"), [reduced * 49, direct * 49])

    for key, loss in (("main", 0.5), ("one", 3), ("two", 1)):
        set_input(page, f"loss-{key}", loss)
    becomes(page, lambda: value(page, "loss-total"), 0.5 + 0.3 * (3 + 1))

    set_input(page, "outside", 512)
    becomes(page, lambda: values(page, "bottleneck-weights"), [18 * 512**2, 2 * 512 * 128 + 9 * 128**2])

    set_input(page, "kernel", 5)
    set_input(page, "filters", 256)
    becomes(page, lambda: value(page, "separable-ratio"), 100 * (1 / 256 + 1 / 25))

    set_input(page, "dense-layers", 3)
    set_input(page, "dense-growth", 5)
    becomes(page, lambda: value(page, "dense-maps"), 3 + 3 * 5)

    set_input(page, "phi", 2.5)
    becomes(page, lambda: value(page, "phi-depth"), 1.2**2.5, rtol=1e-5)
    becomes(page, lambda: value(page, "phi-resolution"), round(224 * 1.15**2.5))


@pytest.mark.slow
def test_live_gradients_and_degradation(served: LessonPage) -> None:
    served.open("residual")
    page = served.tab
    page.wait("document.querySelectorAll('[data-id=gradients-start]').length === 1", 60)
    page.run("document.querySelector('[data-id=gradients-start]').click()")
    page.wait("document.querySelectorAll('[data-id=training-norms] .series').length === 2", 60)
    page.run("document.querySelector('[data-id=gradients-stop]').click()")
    page.wait("document.querySelector('[data-id=gradients]').dataset.value === 'idle'")
    page.wait("(document.querySelector('[data-id=degradation-live-start]').click(), true)")
    page.wait("document.querySelectorAll('[data-id=gap-plain]').length === 1", 120)
    page.wait("document.querySelector('[data-id=degradation-live]').dataset.value === 'idle'", 500)
    assert page.run("document.querySelectorAll('.problem').length") == 0
    assert value(page, "gap-plain") > 15
    assert value(page, "gap-residual") < 2
    assert page.said == []
