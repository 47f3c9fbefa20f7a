"""The score from which on detections are shown, beside the F1 of every score."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubel.data.annotation import Annotation
from hubel.inference import Detections
from hubel.metrics import choose_shown_score, class_matches
from hubel.metrics.detection_confusion import detection_confusion

BOX = np.array([0.0, 0.0, 10.0, 10.0])


def on_one_image(right: list[float], wrong: list[float], missed: int) -> tuple[Detections, Annotation]:
    """Detections with these scores in a row of boxes, and the objects: those of the right ones, and more."""
    places = np.arange(len(right) + len(wrong) + missed)[:, None] * np.array([20.0, 0, 20, 0]) + BOX
    found = Detections(
        scores=np.array([*right, *wrong]),
        classes=np.zeros(len(right) + len(wrong), np.int64),
        boxes=places[: len(right) + len(wrong)],
    )
    objects = np.concatenate([places[: len(right)], places[len(right) + len(wrong) :]])
    return found, Annotation(
        classes=np.zeros(len(objects), np.int64), boxes=objects, crowd=np.zeros(len(objects), np.bool_)
    )


def f1_from(score: float, found: Detections, truth: Annotation) -> float:
    counts = detection_confusion(found.part(found.scores >= score), truth, 1)
    return float(2 * counts[0, 0] / (counts[:, 0].sum() + counts[0].sum()))


def test_a_gap_is_halved() -> None:
    found, truth = on_one_image([0.8] * 12, [0.4] * 9, 1)
    assert choose_shown_score([class_matches([found], [truth], 0)]) == pytest.approx(0.6)


@settings(max_examples=30, deadline=None)
@given(
    right=st.lists(st.integers(6, 99), min_size=10, max_size=25),
    wrong=st.lists(st.integers(6, 99), max_size=25),
    missed=st.integers(0, 5),
)
def test_no_score_has_a_much_better_f1(right: list[int], wrong: list[int], missed: int) -> None:
    found, truth = on_one_image([s / 100 for s in right], [s / 100 for s in wrong], missed)
    score = choose_shown_score([class_matches([found], [truth], 0)])
    assert score is not None
    assert 0.05 <= score < 0.99
    best = max(f1_from(one, found, truth) for one in np.unique(found.scores))
    assert f1_from(score, found, truth) >= 0.99 * best - 1e-12


def test_of_few_objects_nothing_is_concluded() -> None:
    few = on_one_image([0.9] * 9, [0.3], 0)
    assert choose_shown_score([class_matches([few[0]], [few[1]], 0)]) is None
    blind = on_one_image([], [0.3] * 4, 20)
    assert choose_shown_score([class_matches([blind[0]], [blind[1]], 0)]) is None
    assert choose_shown_score([class_matches([], [], 0)]) is None
