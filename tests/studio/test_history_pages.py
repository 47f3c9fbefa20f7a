"""The pages `history` and `slips` in a browser: do what they ask, and read what numpy computes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, Browser, browser

from hubel.studio.course.server import running_course
from hubel.studio.settings import ServerSettings
from hubel.teach.course.catalogue import find_lesson
from hubel.teach.course.lesson import lesson_data, lesson_facts
from hubel.teach.course.lessons.slips.lesson import SLIPS

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
LANGUAGES = pytest.mark.parametrize("lang", ["en", "ko"])


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running_course(ServerSettings(port=0)) as url:
        yield url


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


def open_lesson(page: Browser, url: str, name: str, lang: str, width: int = 390) -> None:
    page.said.clear()
    page.open(f"{url}/learn/{name}?lang={lang}", width)
    page.wait("!!document.querySelector('main h1')")
    assert page.run("document.documentElement.lang") == lang
    assert page.run("document.documentElement.scrollWidth") <= width


def value(page: Browser, name: str) -> float:
    return float(page.run(f"document.querySelector('[data-id={name}]').dataset.value"))


def press(page: Browser, selector: str, *keys: str) -> None:
    """Focus an element and press keys, as one does without a mouse."""
    page.run(f"document.querySelector(`{selector}`).focus()")
    for key in keys:
        for kind in ("keyDown", "keyUp"):
            page.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=_CODES[key])


_CODES = {"ArrowRight": 39, "ArrowLeft": 37, "ArrowDown": 40, "ArrowUp": 38}


def fill(page: Browser, grid: str, column: int, number: int) -> None:
    """Type a number into a cell."""
    page.run(f"document.querySelectorAll('[data-id={grid}] input')[{column}].focus()")
    page.call("Input.insertText", text=str(number))


def shown(page: Browser, grid: str) -> list[float]:
    return list(
        page.run(f"[...document.querySelectorAll('[data-id={grid}] td')].map(one => Number(one.dataset.value))")
    )


@LANGUAGES
def test_slips(page: Browser, url: str, lang: str) -> None:
    open_lesson(page, url, "slips", lang)
    row, kernel = np.array([0, 1, 2, 3, 4]), np.array([-1, 0, 1])
    assert shown(page, "try-result") == np.correlate(row, kernel, "valid").tolist()
    fill(page, "try-row", 0, 7)
    fill(page, "try-kernel", 2, 3)
    row[0], kernel[2] = 7, 3
    right = np.correlate(row, kernel, "valid")
    page.wait(f"document.querySelector('[data-id=try-sum]').dataset.value === '{right[0]}'")
    assert shown(page, "try-result") == right.tolist()
    assert shown(page, "try-flipped") == np.convolve(row, kernel, "valid").tolist()
    press(page, "[data-id=try-position] input", "ArrowRight")
    assert value(page, "try-sum") == right[1]
    # Decide first: nothing is shown before.
    assert page.run("document.querySelector('[data-id=guess-bars]')") is None
    page.run("document.querySelectorAll('[data-id=guess-vgg] input')[2].click()")
    shares = page.run("[...document.querySelectorAll('[data-id=guess-bars] tr')].map(one => Number(one.dataset.value))")
    conv, dense = 0, 0
    for ins, outs, depth in ((3, 64, 2), (64, 128, 2), (128, 256, 3), (256, 512, 3), (512, 512, 3)):
        conv += sum((9 * (ins if not at else outs) + 1) * outs for at in range(depth))
    for ins, outs in ((25088, 4096), (4096, 4096), (4096, 1000)):
        dense += (ins + 1) * outs
    assert shares[4] == round(100 * dense / (conv + dense), 1) == 89.4
    values = page.run(
        "Object.fromEntries([...document.querySelectorAll('aside.slip')]"
        ".map(one => [one.dataset.id, one.dataset.value]))"
    )
    assert values["box-cost"] == str(28 * 28 * 32 * 5 * 5 * 16)
    assert values["box-flatten"] == str(7 * 7 * 512)
    assert values["box-googlenet_stem"] == str(112 * 112 * 64 * 7 * 7 * 3)
    assert page.run("document.querySelectorAll('aside.slip').length") == len(SLIPS) == 14
    assert page.run("document.querySelectorAll('aside.slip details[open]').length") == 0
    assert page.said == []


@LANGUAGES
def test_history(page: Browser, url: str, lang: str) -> None:
    open_lesson(page, url, "history", lang)
    networks = {row["name"]: row for row in lesson_data(find_lesson("history"))["networks"]}
    facts = lesson_facts("history")
    page.run("document.querySelectorAll('[data-id=guess-parameters] input')[1].click()")
    bars = page.run("[...document.querySelectorAll('[data-id=guess-bars] tr')].map(one => Number(one.dataset.value))")
    assert max(bars) == bars[1] == networks["vgg16"]["parameters"]
    assert page.run("document.querySelector('[data-id=guess-parameters] .verdict').className").endswith("right")
    # The chart: another axis and another network by the keyboard.
    press(page, "[data-id=chart-axis] input", "ArrowRight")
    assert page.run("document.querySelector('[data-id=chart-axis]').dataset.value") == "parameters"
    press(page, "[data-id=chart-named] input", "ArrowRight", "ArrowRight")
    assert value(page, "chart-read") == facts["vgg16.top5"]["value"]
    press(page, "[data-id=table-order] input", "ArrowRight")
    assert page.run("document.querySelector('[data-id=table-numbers] tbody th').textContent") == "VGG-16"
    # The interval of a share, by numpy.
    press(page, "[data-id=human-count] input", "ArrowLeft")
    n, share, z = value(page, "human-count"), value(page, "human-wrong") / 100, 1.959964
    low, high = map(float, page.run("document.querySelector('[data-id=human-interval]').dataset.value").split())
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    np.testing.assert_allclose([low, high], [middle - half, middle + half], rtol=1e-6)
    assert n == 1450
    # The worked answers.
    ratio = networks["alexnet"]["parameters"] / networks["googlenet"]["parameters"]
    assert value(page, "few-ratio") == pytest.approx(ratio, rel=1e-6)
    assert page.said == []


def test_history_counts_again(page: Browser, url: str) -> None:
    open_lesson(page, url, "history", "en", 1280)
    page.run("document.querySelector('[data-id=count-live-start]').click()")
    page.wait("document.querySelectorAll('[data-id=count-table] tbody tr').length >= 2")
    rows = page.run(
        "[...document.querySelectorAll('[data-id=count-table] tbody tr')].map(one => one.lastChild.textContent)"
    )
    assert set(rows) == {"yes"}
    page.run("document.querySelector('[data-id=count-live-stop]').click()")
    page.wait("document.querySelector('[data-id=count-live]').dataset.value === 'idle'")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["history", "slips"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_accessible(page: Browser, url: str, name: str, theme: str) -> None:
    if not AXE.exists():
        pytest.skip("needs npm ci in web/")
    open_lesson(page, url, name, "ko", 1280)
    page.run(
        f"document.documentElement.dataset.theme = '{theme}';"
        "for (const one of document.querySelectorAll('details')) one.open = true"
    )
    page.run(AXE.read_text(encoding="utf-8") + "; axe.run().then(found => { window.found = found })")
    page.wait("!!window.found", 60)
    serious = page.run(
        "found.violations.filter(one => ['serious', 'critical'].includes(one.impact))"
        ".map(one => [one.id, one.nodes.map(node => node.html).slice(0, 3)])"
    )
    assert serious == []
