"""The pages `history` and `slips` in a browser: do what they ask, and read what numpy computes."""

from __future__ import annotations

import numpy as np
import pytest
from served_lesson import LessonPage

from hubel.teach.course.catalogue import find_lesson
from hubel.teach.course.lesson import lesson_data, lesson_facts
from hubel.teach.course.lessons.slips.lesson import SLIPS

LANGUAGES = pytest.mark.parametrize("lang", ["en", "ko"])


@LANGUAGES
def test_slips(served: LessonPage, lang: str) -> None:
    served.open("slips", lang, 390)
    row, kernel = np.array([0, 1, 2, 3, 4]), np.array([-1, 0, 1])
    assert served.numbers("try-result", "td") == np.correlate(row, kernel, "valid").tolist()
    served.type("try-row", "7", 0)
    served.type("try-kernel", "3", 2)
    row[0], kernel[2] = 7, 3
    right = np.correlate(row, kernel, "valid")
    served.tab.wait(f"document.querySelector('[data-id=try-sum]').dataset.value === '{right[0]}'")
    assert served.numbers("try-result", "td") == right.tolist()
    assert served.numbers("try-flipped", "td") == np.convolve(row, kernel, "valid").tolist()
    served.slide("try-position", 1)
    assert served.value("try-sum") == right[1]
    # Decide first: nothing is shown before.
    assert served.tab.run("document.querySelector('[data-id=guess-bars]')") is None
    served.toggle("guess-vgg", 2)
    shares = served.numbers("guess-bars", "tr")
    conv, dense = 0, 0
    for ins, outs, depth in ((3, 64, 2), (64, 128, 2), (128, 256, 3), (256, 512, 3), (512, 512, 3)):
        conv += sum((9 * (ins if not at else outs) + 1) * outs for at in range(depth))
    for ins, outs in ((25088, 4096), (4096, 4096), (4096, 1000)):
        dense += (ins + 1) * outs
    assert shares[4] == round(100 * dense / (conv + dense), 1) == 89.4
    values = served.tab.run(
        "Object.fromEntries([...document.querySelectorAll('aside.slip')]"
        ".map(one => [one.dataset.id, one.dataset.value]))"
    )
    assert values["box-cost"] == str(28 * 28 * 32 * 5 * 5 * 16)
    assert values["box-flatten"] == str(7 * 7 * 512)
    assert values["box-googlenet_stem"] == str(112 * 112 * 64 * 7 * 7 * 3)
    assert served.tab.run("document.querySelectorAll('aside.slip').length") == len(SLIPS) == 14
    assert served.tab.run("document.querySelectorAll('aside.slip details[open]').length") == 0
    assert served.tab.said == []


@LANGUAGES
def test_history(served: LessonPage, lang: str) -> None:
    served.open("history", lang, 390)
    networks = {row["name"]: row for row in lesson_data(find_lesson("history"))["networks"]}
    facts = lesson_facts("history")
    served.toggle("guess-parameters", 1)
    bars = served.numbers("guess-bars", "tr")
    assert max(bars) == bars[1] == networks["vgg16"]["parameters"]
    assert served.tab.run("document.querySelector('[data-id=guess-parameters] .verdict').className").endswith("right")
    # The chart: another axis and another network by the keyboard.
    served.slide("chart-axis", 1)
    assert served.tab.run("document.querySelector('[data-id=chart-axis]').dataset.value") == "parameters"
    served.slide("chart-named", 2)
    assert served.value("chart-read") == facts["vgg16.top5"]["value"]
    served.slide("table-order", 1)
    assert served.tab.run("document.querySelector('[data-id=table-numbers] tbody th').textContent") == "VGG-16"
    # The interval of a share, by numpy.
    served.slide("human-count", -1)
    n, share, z = served.value("human-count"), served.value("human-wrong") / 100, 1.959964
    low, high = map(float, served.tab.run("document.querySelector('[data-id=human-interval]').dataset.value").split())
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    np.testing.assert_allclose([low, high], [middle - half, middle + half], rtol=1e-6)
    assert n == 1450
    # The worked answers.
    ratio = networks["alexnet"]["parameters"] / networks["googlenet"]["parameters"]
    assert served.value("few-ratio") == pytest.approx(ratio, rel=1e-6)
    assert served.tab.said == []


def test_history_counts_again(served: LessonPage) -> None:
    served.open("history")
    served.click("count-live-start")
    served.tab.wait("document.querySelectorAll('[data-id=count-table] tbody tr').length >= 2")
    rows = served.tab.run(
        "[...document.querySelectorAll('[data-id=count-table] tbody tr')].map(one => one.lastChild.textContent)"
    )
    assert set(rows) == {"yes"}
    served.click("count-live-stop")
    served.tab.wait("document.querySelector('[data-id=count-live]').dataset.value === 'idle'")
