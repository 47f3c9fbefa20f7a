"""Pages of the course in a browser: drawn without errors, at home only, readable by all, in both languages."""

from __future__ import annotations

import base64
import re
from collections import Counter

import numpy as np
import pytest
from served_lesson import AXE, LessonPage

from hubel.teach.course.catalogue import LESSONS
from hubel.teach.course.lessons.xo.network import Weights, moved, trace_forward
from hubel.teach.course.lessons.xo.training import chosen_weights, references

NEEDS_AXE = pytest.mark.skipif(not AXE.is_file(), reason="needs axe-core: npm ci in web/")

# What a slide cuts off: paper cannot be scrolled.
CUT_OFF = """[...document.querySelectorAll('section.step *')].filter(one =>
  one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).overflowX !== 'visible' && !one.matches('.hidden')
).map(one => `${one.closest('section').id} ${one.className} ${one.dataset.id}`)"""


def test_the_list_leads_to_the_lessons(served: LessonPage) -> None:
    served.open("", width=390)
    links = served.tab.run("[...document.querySelectorAll('.lessons a')].map(a => a.getAttribute('href'))")
    assert links == [f"/learn/{name}" for name in LESSONS]
    served.click("language")
    assert served.tab.run("document.documentElement.lang") == "ko"
    served.click("theme")
    assert served.tab.run("document.documentElement.dataset.theme") == "dark"
    served.focus(f"lesson-{LESSONS[0]}")
    served.press("Enter")
    served.tab.wait(f"location.pathname === '/learn/{LESSONS[0]}' && document.querySelector('h1') !== null")
    assert served.tab.said == []


@pytest.mark.slow
@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("lesson", ["", *LESSONS])
def test_every_page_is_whole(served: LessonPage, lesson: str, lang: str) -> None:
    for width in (390, 1280):
        served.open(lesson, lang, width)
        served.tab.run("for (const one of document.querySelectorAll('details')) one.open = true")
        served.tab.run("for (const one of document.querySelectorAll('.predict')) one.querySelector('input').click()")
        served.settle()
        assert served.tab.run("document.documentElement.scrollWidth") <= width, "the page is wider than the window"
        assert served.tab.said == []
        assert served.foreign_requests() == []
        text = served.tab.run("document.body.innerText")
        assert "undefined" not in text
        assert "NaN" not in text
        assert "{" not in text.replace("{(", "")
        parts = ".live-controls, .step, .predict, .grid, .slider"
        names = served.tab.run(f"[...document.querySelectorAll('{parts}')].map(one => one.dataset.id)")
        assert [name for name, times in Counter(filter(None, names)).items() if times > 1] == []
    steps = served.tab.run("document.querySelectorAll('section.step').length")
    if not steps:
        return  # the list of lessons
    pdf = served.tab.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"]
    slides = len(re.findall(rb"/Type /Page\b", base64.b64decode(pdf)))
    assert slides == 1 + steps  # the title, and a slide for each step
    served.tab.call("Emulation.setEmulatedMedia", media="print")
    served.tab.call("Emulation.setDeviceMetricsOverride", width=1001, height=538, deviceScaleFactor=1, mobile=False)
    served.tab.run("dispatchEvent(new Event('beforeprint'))")
    served.settle()
    assert served.tab.run(CUT_OFF) == []
    served.tab.run("dispatchEvent(new Event('afterprint'))")
    served.tab.call("Emulation.setEmulatedMedia", media="")


@pytest.mark.slow
@NEEDS_AXE
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("lesson", ["", *LESSONS])
def test_axe_finds_nothing_serious(served: LessonPage, lesson: str, dark: bool) -> None:
    served.open(lesson, "ko" if dark else "en", 390 if dark else 1280, dark=dark)
    served.tab.run("for (const one of document.querySelectorAll('details')) one.open = true")
    served.tab.run(f"document.documentElement.dataset.theme = '{'dark' if dark else 'light'}'")
    assert served.violations() == []


def test_xo_by_keyboard(served: LessonPage) -> None:
    """The short form: a pattern is edited, an image moved and drawn; all numbers are numpy's."""
    x, o = references()
    served.open("xo")
    assert served.tab.said == []
    served.choose("compare-letter", "o")
    served.focus("compare-right", "input")
    served.press("ArrowRight")
    served.focus("compare-down", "input")
    served.press("ArrowRight")
    assert served.value("compare-score") == pytest.approx((moved(o, 1, 1) * x).mean(), abs=1e-9)
    assert served.value("compare-differ") == (moved(o, 1, 1) != x).sum()

    served.type("slide-kernel", "3", 4)
    weights = chosen_weights()
    patterns = weights.patterns.copy()
    patterns[0, 0, 1, 1] = 3
    edited = Weights(patterns, weights.arrangements, weights.output, weights.bias)
    trace = trace_forward(edited, x[None])
    np.testing.assert_allclose(served.grid("slide-map"), trace.matches[0, 0], atol=1e-9)
    served.tab.wait(f"Number({served.one('pool-map', 'td')}.dataset.value) > 1")  # the other steps follow
    np.testing.assert_allclose(served.grid("pool-map"), trace.pooled[0, 0], atol=1e-9)
    np.testing.assert_allclose(served.grid("arranged-o"), trace.arranged[0, 1], atol=1e-9)
    assert served.value("output-x") == pytest.approx(trace.outputs[0, 0], abs=1e-6)
    assert served.value("loss-bce") == pytest.approx(-np.log(trace.outputs[0, 0] * (1 - trace.outputs[0, 1])), abs=1e-5)
    served.click("slide-reset")

    drawn = -np.ones((9, 9))
    served.focus("pad", "svg")
    served.press("ArrowDown", 2)
    for column in range(3):
        served.press(" ")
        drawn[2, column] = 1
        served.press("ArrowRight")
    trace = trace_forward(weights, drawn[None])
    for name, k in (("falling", 0), ("crossing", 1), ("rising", 2)):
        np.testing.assert_allclose(served.grid(f"map-{name}"), trace.matches[0, k], atol=1e-9)
    served.focus("compare-predict", "input")
    served.press(" ")
    assert served.tab.run(f"{served.one('compare-predict')}.querySelector('.revealed').innerText.length") > 20


def test_xo_trains_live(served: LessonPage) -> None:
    served.open("xo", "ko", 390)
    served.click("training-start")
    served.tab.wait(f"{served.one('train-right')} !== null")
    served.tab.wait(f"{served.one('training')}.dataset.value === 'idle'", 10)
    assert served.value("train-right") == 1000
    assert served.value("accuracy-drawn-network") > 0.99
    assert served.tab.said == []


@pytest.mark.slow
@pytest.mark.parametrize("lang", ["en", "ko"])
def test_xo_in_full(served: LessonPage, lang: str) -> None:
    """The long form: what else the lesson asks for."""
    x, _ = references()
    weights = chosen_weights()
    trace = trace_forward(weights, x[None])
    served.open("xo", lang, 390)
    served.choose("coding", "signed")
    assert served.grid("numbers-x") == x.tolist()
    served.focus("match-window")
    served.press("ArrowRight")
    products = x[1:4, 2:5] * weights.patterns[0, 0]
    assert served.grid("match-products") == products.tolist()
    assert served.value("match-score") == pytest.approx(products.mean(), abs=1e-9)
    served.choose("maps-image", "o")
    served.choose("maps-image", "x")
    np.testing.assert_allclose(served.grid("relu-map"), trace.rectified[0, 0], atol=1e-9)
    parameters = served.tab.run(
        f"[...{served.one('parameters')}.querySelectorAll('td.number')].map(td => td.dataset.value)"
    )
    assert [int(value) for value in parameters] == [27, 54, 16, 2, 99]

    served.focus("loss-z", "input")
    served.press("ArrowLeft", 10)
    p = 1 / (1 + np.exp(4))
    assert served.value("slope-bce") == pytest.approx(p - 1, abs=1e-9)
    assert served.value("slope-mse") == pytest.approx(2 * (p - 1) * p * (1 - p), abs=1e-9)

    served.focus("step-rate", "input")
    served.press("ArrowRight", 2)  # to 2
    error, values = trace.outputs[0, 0] - 1, trace.flat[0]
    new = (weights.output[0] - 2 * error * values) @ values + weights.bias[0] - 2 * error
    assert served.value("step-output") == pytest.approx(1 / (1 + np.exp(-new)), abs=1e-5)

    served.click("try-pad-x")
    served.tab.wait(f"Number({served.one('try-network')}.querySelector('tr').dataset.value) > 0.9")
    assert served.tab.said == []


@pytest.mark.slow
def test_a_kernel_shows_its_map_within_50_ms(served: LessonPage) -> None:
    """The time of the page's thread for an edit, drawing included; a busy computer does not count in it."""
    served.open("xo")
    served.tab.call("Performance.enable", timeDomain="threadTicks")

    def spent() -> float:
        metrics = served.tab.call("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))

    began, edits = spent(), 20
    for number in range(edits):
        before = served.grid("slide-map")
        served.tab.run(
            f"""(input => {{
              input.value = '{2 + number % 7}';
              input.dispatchEvent(new Event('input', {{ bubbles: true }}));
            }})(document.querySelectorAll('[data-id="slide-kernel"] input')[4])"""
        )
        served.settle()
        assert served.grid("slide-map") != before
    assert (spent() - began) / edits < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS)
def test_drawn_within_a_second(served: LessonPage, lesson: str) -> None:
    """The time of the page's thread until a lesson stands; a busy computer does not count in it."""
    served.open(lesson)  # its data are computed once
    served.tab.call("Performance.enable", timeDomain="threadTicks")
    served.open(lesson)
    served.settle()
    metrics = served.tab.call("Performance.getMetrics")["metrics"]
    assert next(one["value"] for one in metrics if one["name"] == "TaskDuration") < 1
