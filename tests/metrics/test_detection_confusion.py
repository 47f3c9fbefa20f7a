"""Confusion of objects, counted by hand."""

from __future__ import annotations

import numpy as np

from hubel.data.annotation import Annotation
from hubel.inference.detections import Detections
from hubel.metrics.average_precision import measure_detections
from hubel.metrics.detection_confusion import detection_confusion, image_f1
from hubel.metrics.detection_figures import precision_recall

A, B, C = [0.0, 0, 50, 50], [60.0, 0, 110, 50], [0.0, 60, 50, 110]


def _truth(boxes: list[list[float]], classes: list[int], crowd: list[bool]) -> Annotation:
    return Annotation(
        classes=np.array(classes, np.int64), boxes=np.array(boxes).reshape(-1, 4), crowd=np.array(crowd, bool)
    )


def _found(boxes: list[list[float]], classes: list[int], scores: list[float]) -> Detections:
    return Detections(
        classes=np.array(classes, np.int64), boxes=np.array(boxes).reshape(-1, 4), scores=np.array(scores)
    )


def test_objects_are_right_confused_missed_and_made_up() -> None:
    truth = _truth([A, B, C, [200.0, 0, 300, 100]], [0, 1, 1, 0], [False, False, False, True])
    in_crowd, nowhere = [210.0, 10, 250, 50], [400.0, 0, 450, 50]
    found = _found([A, B, in_crowd, nowhere], [0, 0, 0, 1], [0.9, 0.8, 0.7, 0.6])
    confusion = detection_confusion(found, truth, 2)
    assert confusion.tolist() == [[1, 0, 0], [1, 0, 1], [0, 1, 0]]
    assert image_f1(confusion[None])[0] == 2 * 1 / (3 + 3)


def test_a_detection_of_the_right_class_comes_first() -> None:
    truth = _truth([A], [1], [False])
    confusion = detection_confusion(_found([A, A], [0, 1], [0.9, 0.5]), truth, 2)
    assert confusion.tolist() == [[0, 0, 0], [0, 1, 0], [1, 0, 0]]
    assert image_f1(confusion[None])[0] == 2 * 1 / (2 + 1)


def test_images_of_nothing() -> None:
    nothing = _truth([], [], [])
    answers = [_found([], [], []), _found([A], [0], [1.0])]
    confusions = np.stack([detection_confusion(found, nothing, 1) for found in answers])
    assert image_f1(confusions).tolist() == [1, 0]


def test_the_figure_has_a_line_for_each_frequent_class() -> None:
    truth = _truth([A, B, C], [0, 0, 1], [False] * 3)
    metrics = measure_detections([_found([A, C], [0, 1], [0.9, 0.8])], [truth], ["tree", "bush", "none"])
    (axes,) = precision_recall(metrics).axes
    labels = [line.get_label() for line in axes.get_lines()]
    assert labels == ["overlap 0.50", "overlap 0.75", "overlap 0.90", "tree, 0.50", "bush, 0.50"]
    assert max(axes.get_lines()[3].get_ydata()) == 100
