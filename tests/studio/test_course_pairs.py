"""The lesson `pairs` in a browser: its loss by hand, and the training with the server."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, Browser
from lesson_page import becomes, open_exported, press, set_input, value
from served_lesson import LessonPage

from hubel.studio.course.server import running_course
from hubel.studio.settings import ServerSettings
from hubel.teach.course.lessons.pairs.lesson import pair_contrast

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
PICTURES = np.array([[2.0, 1.0], [-1.0, 2.0], [0.5, -1.0]])
SENTENCES = np.array([[1.0, 1.0], [-2.0, 1.0], [1.0, -1.5]])


def numbers(page: Browser, name: str) -> np.ndarray:
    found = page.run(f"[...document.querySelectorAll('[data-id={name}] td')].map(e => +e.dataset.value)")
    return np.array(found, float)


def test_the_loss_by_hand(page: Browser, tmp_path: Path) -> None:
    open_exported(page, "pairs", "en", tmp_path)
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    pictures, temperature = PICTURES.copy(), 0.5
    for step in range(3):
        if step == 1:
            set_input(page, "pictures", 3, 1)
            pictures[0, 1] = 3
        if step == 2:
            set_input(page, "temperature", 0.25)
            temperature = 0.25
        expected = pair_contrast(pictures, SENTENCES, temperature)
        becomes(page, lambda: value(page, "hand-loss"), expected["loss"])
        for name in ("similar", "rows", "columns"):
            assert np.allclose(numbers(page, name), np.ravel(expected[name]), atol=1e-6)
    press(page, "match")
    becomes(page, lambda: value(page, "hand-loss"), pair_contrast(pictures, pictures, temperature)["loss"])


@pytest.mark.slow
def test_training_and_search(page: Browser) -> None:
    with running_course(ServerSettings(port=0)) as url:
        lesson = LessonPage(page, url)
        lesson.open("pairs", "ko")
        press(page, "search")
        page.wait("document.querySelector('[data-id=find-error]') !== null")
        press(page, "training-start")
        page.wait("document.querySelector('[data-id=training]').dataset.value === 'running'")
        page.wait("document.querySelector('[data-id=training]').dataset.value === 'idle'", 600)
        assert lesson.value("recall-captions") > 0.5
        matrix = np.array(lesson.grid("matrix"))
        assert (matrix.argmax(1) == np.arange(len(matrix))).mean() > 0.8
        press(page, "search")
        page.wait("document.querySelectorAll('[data-id=found] figure').length === 6")
        assert page.said == []
