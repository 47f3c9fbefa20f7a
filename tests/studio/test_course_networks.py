"""The lessons on networks in a browser, opened from disk: what they ask to do, and the numbers that come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import CHROMIUM, Browser, browser

from hubel.studio.course.bundle import read_bundle
from hubel.teach.course.page import exported_page

Open = Callable[[str, str], Browser]


@pytest.fixture(scope="module")
def open_lesson(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    folder = tmp_path_factory.mktemp("lessons")
    with browser(tmp_path_factory.mktemp("profile")) as page:

        def opened(name: str, lang: str) -> Browser:
            file = folder / f"{name}-{lang}.html"
            written = exported_page(name, lang, read_bundle())
            file.write_bytes(written if isinstance(written, bytes) else written.encode())
            page.open(Path(file).as_uri(), 390 if lang == "ko" else 1280)
            page.wait("document.querySelectorAll('.step').length > 0")
            return page

        yield opened
        assert page.said == []


def set_input(page: Browser, selector: str, value: float, number: int = 0) -> None:
    """Type a value into a field, or move a slider to it."""
    page.run(
        f"(e => {{ e.focus(); e.value = {value}; e.dispatchEvent(new Event('input', {{bubbles: true}})) }})"
        f"(document.querySelectorAll('{selector} input')[{number}])"
    )


def choose(page: Browser, selector: str, number: int) -> None:
    page.run(f"document.querySelectorAll('{selector} input')[{number}].click()")


def values(page: Browser, selector: str) -> list[float]:
    """Return the numbers that the elements below one hold."""
    found: list[Any] = page.run(
        f"[...document.querySelectorAll('{selector} [data-value]')].map(e => Number(e.dataset.value))"
    )
    return found


def value(page: Browser, selector: str) -> float:
    return float(page.run(f"document.querySelector('{selector}').dataset.value"))


def becomes(page: Browser, read: Callable[[], Any], expected: Any, rtol: float = 1e-9) -> None:
    """Wait until the page shows the numbers."""
    for _ in range(100):
        if np.allclose(read(), expected, rtol=rtol):
            return
        page.run("new Promise(done => requestAnimationFrame(done))")
    np.testing.assert_allclose(read(), expected, rtol=rtol)


@pytest.mark.parametrize("lang", ["en", pytest.param("ko", marks=pytest.mark.slow)])
def test_classics(open_lesson: Open, lang: str) -> None:
    page = open_lesson("classics", lang)
    choose(page, "[data-id=network]", 2)  # VGG-16
    set_input(page, "[data-id=layer]", 20)
    becomes(page, lambda: value(page, "[data-id=layer-params]"), 4096 * 4096 + 4096)
    becomes(page, lambda: value(page, "[data-id=layer-macs]"), 4096 * 4096)

    choose(page, "[data-id=c1]", 1)
    page.wait("document.querySelectorAll('[data-id=c1] .verdict.right').length === 1")

    for number, typed in enumerate((5, -3, 2)):
        set_input(page, "[data-id=norm-values]", typed, number)
    set_input(page, "[data-id=norm-n]", 3)
    set_input(page, "[data-id=norm-alpha]", 4)  # 10 to the power of 0
    a = np.array([5.0, -3.0, 2.0])
    sums = np.convolve(a**2, [1, 1, 1], "same")
    becomes(page, lambda: values(page, "[data-id=norm-sums]"), sums)
    becomes(page, lambda: values(page, "[data-id=norm-results]"), a / (2 + sums) ** 0.75)

    sides = np.array([224, 112, 56, 28, 14])
    set_input(page, "[data-id=width]", 32)
    filters = np.array([32, 64, 128, 256, 256])
    becomes(page, lambda: values(page, "[data-id=stage-macs]"), 9 * filters**2 * sides**2)
    choose(page, "[data-id=double]", 0)
    becomes(page, lambda: values(page, "[data-id=stage-macs]"), 9 * 32**2 * sides**2)

    set_input(page, "[data-id=stack-layers]", 2)
    becomes(page, lambda: values(page, "[data-id=stack-weights]"), [18 * 64 * 64, 25 * 64 * 64])
