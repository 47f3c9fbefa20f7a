"""Pages of the course in a browser: drawn without errors, at home only, readable by all, in both languages."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from browser import CHROMIUM, Browser, browser
from served_lesson import AXE, LessonPage

from hubel.studio.course.server import running_course
from hubel.studio.settings import ServerSettings
from hubel.teach.course.catalogue import LESSONS
from hubel.teach.course.lessons.xo.network import Weights, moved, trace_forward
from hubel.teach.course.lessons.xo.training import chosen_weights, references

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
NEEDS_AXE = pytest.mark.skipif(not AXE.is_file(), reason="needs axe-core: npm ci in web/")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running_course(ServerSettings(port=0)) as url:
        yield url


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture
def page(tab: Browser, address: str) -> LessonPage:
    return LessonPage(tab, address)


def test_the_list_leads_to_the_lessons(page: LessonPage) -> None:
    page.open("", width=390)
    links = page.tab.run("[...document.querySelectorAll('.lessons a')].map(a => a.getAttribute('href'))")
    assert links == [f"/learn/{name}" for name in LESSONS]
    page.click("language")
    assert page.tab.run("document.documentElement.lang") == "ko"
    page.click("theme")
    assert page.tab.run("document.documentElement.dataset.theme") == "dark"
    page.focus(f"lesson-{LESSONS[0]}")
    page.press("Enter")
    page.tab.wait(f"location.pathname === '/learn/{LESSONS[0]}' && document.querySelector('h1') !== null")
    assert page.tab.said == []


@pytest.mark.slow
@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("lesson", ["", *LESSONS])
def test_every_page_is_whole(page: LessonPage, lesson: str, lang: str) -> None:
    for width in (1280, 390):
        page.open(lesson, lang, width)
        page.tab.run("for (const one of document.querySelectorAll('details')) one.open = true")
        assert page.tab.said == []
        assert page.tab.run("document.documentElement.scrollWidth") <= width, "the page is wider than the window"
        assert page.foreign_requests() == []
        text = page.tab.run("document.body.innerText")
        assert "undefined" not in text
        assert "NaN" not in text
        assert "{" not in text.replace("{(", "")


@pytest.mark.slow
@NEEDS_AXE
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("lesson", ["", *LESSONS])
def test_axe_finds_nothing_serious(page: LessonPage, lesson: str, dark: bool) -> None:
    page.open(lesson, "ko" if dark else "en", 390 if dark else 1280, dark=dark)
    page.tab.run("for (const one of document.querySelectorAll('details')) one.open = true")
    page.tab.run(f"document.documentElement.dataset.theme = '{'dark' if dark else 'light'}'")
    assert page.violations() == []


def test_xo_by_keyboard(page: LessonPage) -> None:
    """The short form: a pattern is edited, an image moved and drawn; all numbers are numpy's."""
    x, o = references()
    page.open("xo")
    assert page.tab.said == []
    page.choose("compare-letter", "o")
    page.focus("compare-right", "input")
    page.press("ArrowRight")
    page.focus("compare-down", "input")
    page.press("ArrowRight")
    assert page.value("compare-score") == pytest.approx((moved(o, 1, 1) * x).mean(), abs=1e-9)
    assert page.value("compare-differ") == (moved(o, 1, 1) != x).sum()

    page.type("slide-kernel", "3", 4)
    weights = chosen_weights()
    patterns = weights.patterns.copy()
    patterns[0, 0, 1, 1] = 3
    edited = Weights(patterns, weights.arrangements, weights.output, weights.bias)
    trace = trace_forward(edited, x[None])
    np.testing.assert_allclose(page.grid("slide-map"), trace.matches[0, 0], atol=1e-9)
    page.tab.wait(f"Number({page.one('pool-map', 'td')}.dataset.value) > 1")  # the other steps follow
    np.testing.assert_allclose(page.grid("pool-map"), trace.pooled[0, 0], atol=1e-9)
    np.testing.assert_allclose(page.grid("arranged-o"), trace.arranged[0, 1], atol=1e-9)
    assert page.value("output-x") == pytest.approx(trace.outputs[0, 0], abs=1e-6)
    assert page.value("loss-bce") == pytest.approx(-np.log(trace.outputs[0, 0] * (1 - trace.outputs[0, 1])), abs=1e-5)
    page.click("slide-reset")

    drawn = -np.ones((9, 9))
    page.focus("pad", "svg")
    page.press("ArrowDown", 2)
    for column in range(3):
        page.press(" ")
        drawn[2, column] = 1
        page.press("ArrowRight")
    trace = trace_forward(weights, drawn[None])
    for name, k in (("falling", 0), ("crossing", 1), ("rising", 2)):
        np.testing.assert_allclose(page.grid(f"map-{name}"), trace.matches[0, k], atol=1e-9)
    page.focus("compare-predict", "input")
    page.press(" ")
    assert page.tab.run(f"{page.one('compare-predict')}.querySelector('.revealed').innerText.length") > 20


def test_xo_trains_live(page: LessonPage) -> None:
    page.open("xo", "ko", 390)
    page.click("training-start")
    page.tab.wait(f"{page.one('train-right')} !== null")
    page.tab.wait(f"{page.one('training')}.dataset.value === 'idle'", 10)
    assert page.value("train-right") == 1000
    assert page.value("accuracy-drawn-network") > 0.99
    assert page.tab.said == []


@pytest.mark.slow
@pytest.mark.parametrize("lang", ["en", "ko"])
def test_xo_in_full(page: LessonPage, lang: str) -> None:
    """The long form: what else the lesson asks for."""
    x, _ = references()
    weights = chosen_weights()
    trace = trace_forward(weights, x[None])
    page.open("xo", lang, 390)
    page.choose("coding", "signed")
    assert page.grid("numbers-x") == x.tolist()
    page.focus("match-window")
    page.press("ArrowRight")
    products = x[1:4, 2:5] * weights.patterns[0, 0]
    assert page.grid("match-products") == products.tolist()
    assert page.value("match-score") == pytest.approx(products.mean(), abs=1e-9)
    page.choose("maps-image", "o")
    page.choose("maps-image", "x")
    np.testing.assert_allclose(page.grid("relu-map"), trace.rectified[0, 0], atol=1e-9)
    parameters = page.tab.run(
        f"[...{page.one('parameters')}.querySelectorAll('td.number')].map(td => td.dataset.value)"
    )
    assert [int(value) for value in parameters] == [27, 54, 16, 2, 99]

    page.focus("loss-z", "input")
    page.press("ArrowLeft", 10)
    p = 1 / (1 + np.exp(4))
    assert page.value("slope-bce") == pytest.approx(p - 1, abs=1e-9)
    assert page.value("slope-mse") == pytest.approx(2 * (p - 1) * p * (1 - p), abs=1e-9)

    page.focus("step-rate", "input")
    page.press("ArrowRight", 2)  # to 2
    error, values = trace.outputs[0, 0] - 1, trace.flat[0]
    new = (weights.output[0] - 2 * error * values) @ values + weights.bias[0] - 2 * error
    assert page.value("step-output") == pytest.approx(1 / (1 + np.exp(-new)), abs=1e-5)

    page.click("try-pad-x")
    page.tab.wait(f"Number({page.one('try-network')}.querySelector('tr').dataset.value) > 0.9")
    assert page.tab.said == []


@pytest.mark.slow
def test_a_kernel_shows_its_map_within_50_ms(page: LessonPage) -> None:
    """The time of the page's thread for an edit, drawing included; a busy computer does not count in it."""
    page.open("xo")
    page.tab.call("Performance.enable", timeDomain="threadTicks")

    def spent() -> float:
        metrics = page.tab.call("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))

    began, edits = spent(), 20
    for number in range(edits):
        before = page.grid("slide-map")
        page.tab.run(
            f"""(input => {{
              input.value = '{2 + number % 7}';
              input.dispatchEvent(new Event('input', {{ bubbles: true }}));
            }})(document.querySelectorAll('[data-id="slide-kernel"] input')[4])"""
        )
        page.settle()
        assert page.grid("slide-map") != before
    assert (spent() - began) / edits < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS)
def test_drawn_within_a_second(page: LessonPage, lesson: str) -> None:
    """The time of the page's thread until a lesson stands; a busy computer does not count in it."""
    page.open(lesson)  # its data are computed once
    page.tab.call("Performance.enable", timeDomain="threadTicks")
    page.open(lesson)
    page.settle()
    metrics = page.tab.call("Performance.getMetrics")["metrics"]
    assert next(one["value"] for one in metrics if one["name"] == "TaskDuration") < 1
