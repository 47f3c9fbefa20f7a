"""The lesson on comparing pictures in a browser: do what it asks, and read the right numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from browser import Browser
from lesson_page import at, becomes, choose, keys, open_exported, press, set_input, value, values
from scipy.ndimage import shift
from scipy.spatial.distance import cdist
from served_lesson import LessonPage
from sklearn.datasets import load_digits

from hubel.teach.course.digit_pictures import digit_pictures
from hubel.teach.course.lesson import lesson_data
from hubel.teach.course.lessons.compare.lesson import LESSON

TRAIN, TEST = digit_pictures()


def nearest_vote(query: np.ndarray, k: int) -> int:
    order = np.argsort(cdist([query.ravel()], TRAIN.levels.reshape(len(TRAIN.levels), -1))[0], kind="stable")
    return int(np.bincount(TRAIN.labels[order[:k]], minlength=10).argmax())


@pytest.mark.parametrize("lang", ["en", pytest.param("ko", marks=pytest.mark.slow)])
def test_page(page: Browser, tmp_path: Path, lang: str) -> None:
    open_exported(page, "compare", lang, tmp_path)
    assert load_digits().images.shape[1:] == TEST.levels.shape[1:]

    # Distances: another picture, another measure, an edited pixel.
    set_input(page, "query-number", 3)
    set_input(page, "stored-number", 5)
    apart = (TEST.levels[3] - TRAIN.levels[5]).astype(float)
    becomes(page, lambda: value(page, "distance"), np.linalg.norm(apart))
    choose(page, "measure", 1)
    becomes(page, lambda: value(page, "distance"), np.abs(apart).sum())
    set_input(page, "query", 16, number=9)
    apart[1, 1] = 16 - TRAIN.levels[5][1, 1]
    becomes(page, lambda: value(page, "distance"), np.abs(apart).sum())
    choose(page, "predict-moved", 1)
    page.wait(f"{at('predict-moved')}.querySelectorAll('.verdict.right').length === 1")
    assert value(page, "moved-distance") > value(page, "other-distance")

    # Votes for a test picture, and for a drawing made with the keyboard: a stroke down, a little left of the middle.
    press(page, "vote-picture-next")
    set_input(page, "vote-k", 9)
    index = int(value(page, "vote-picture-number"))
    becomes(page, lambda: value(page, "vote-answer"), nearest_vote(TEST.levels[index], 9))
    choose(page, "vote-source", 1)
    page.wait(f"{at('vote-pad')} !== null")
    keys(page, '[data-id="vote-pad"] svg', *["ArrowRight"] * 3, *[" ", "ArrowDown"] * 8)
    drawn = np.zeros((8, 8))
    drawn[:, 3] = 16
    becomes(page, lambda: value(page, "vote-answer"), nearest_vote(drawn, 9))

    # What n pictures cost.
    set_input(page, "cost-n", 6)
    choose(page, "cost-side", 5)
    numbers = 10**6 * 224 * 224
    becomes(page, lambda: values(page, "cost-table"), [numbers, numbers * 4 / 2**20, numbers])
    assert value(page, "imagenet-gib") == pytest.approx(1281167 * 224 * 224 * 3 * 4 / 2**30)

    # The score of a template, and what a move does to it.
    data = lesson_data(LESSON)["templates"]
    weights, bias = np.array(data["weights"]), np.array(data["bias"])
    canvas = np.pad(TEST.levels[0] / 16, 2)
    choose(page, "template-class", 3)
    becomes(page, lambda: value(page, "template-score"), (weights[3] * canvas).sum() + bias[3])
    set_input(page, "fall-right", 2)
    moved = shift(canvas, (0, 2), order=0)
    becomes(page, lambda: value(page, "answer-linear"), ((weights * moved).sum((1, 2)) + bias).argmax())
    choose(page, "fall-upside")
    upturned = moved[::-1]
    becomes(page, lambda: value(page, "answer-linear"), ((weights * upturned).sum((1, 2)) + bias).argmax())

    # Parameters with and without sharing; the map of a moved picture is the moved map.
    set_input(page, "share-side", 32)
    set_input(page, "share-kernel", 5)
    expected = [(1024 + 1) * 1024 * 8, 26 * 1024 * 8, 26 * 8]
    becomes(page, lambda: values(page, "share-table"), expected)
    set_input(page, "share-grid", 7, number=4)
    set_input(page, "share-move", 2)
    becomes(page, lambda: max(values(page, "share-moved")), max(values(page, "share-map")))
    assert value(page, "share-difference") == 0
    assert value(page, "alexnet-shared") == 34_944  # Krizhevsky et al. 2012: 96 kernels of 11 x 11 x 3, with biases
    assert value(page, "alexnet-unshared") == 55 * 55 * 34_944


@pytest.mark.slow
def test_live(served: LessonPage) -> None:
    served.open("compare")
    page = served.tab
    page.wait(f"{at('cost-live-start')} !== null")
    press(page, "cost-live-start")
    page.wait(f"{at('cost-slope')} !== null", 60)
    assert value(page, "cost-slope") > 10
    press(page, "fall-live-start")
    page.wait(f"{at('upside_down-cnn')} !== null && {at('fall-live')}.dataset.value === 'idle'", 120)
    assert value(page, "as_is-cnn") > 0.94
    assert value(page, "right2-cnn") > 0.7 > 0.2 > value(page, "right2-linear")
    # The page runs the network that the server has trained: it is right as often as measured there.
    right = 0
    for index in range(40):
        right += value(page, "answer-cnn") == TEST.labels[index]
        press(page, "fall-picture-next")
        page.wait(f"{at('fall-picture-number')}.dataset.value === '{index + 1}'")
    assert right >= 36
