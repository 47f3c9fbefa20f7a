"""Average precision against COCO's own tool, a reference of plain loops, and cases that are counted by hand."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from coco_cases import random_case
from hubel.data.annotation import Annotation
from hubel.inference.detections import Detections
from hubel.metrics.average_precision import (
    RECALLS,
    SIZES,
    THRESHOLDS,
    average_precision_intervals,
    class_matches,
    measure_detections,
    precisions,
)
from hubel.metrics.keypoints import COCO_SIGMAS, point_rules
from peers import pycocotools


def _boxes(*rows: tuple[float, ...]) -> NDArray[np.float64]:
    return np.array(rows, np.float64).reshape(-1, 4)


def _truth(*rows: tuple[float, ...], classes: list[int] | None = None, crowd: list[bool] | None = None) -> Annotation:
    numbers = np.array([0] * len(rows) if classes is None else classes, np.int64)
    return Annotation(classes=numbers, boxes=_boxes(*rows), crowd=np.array(crowd or [False] * len(rows), bool))


def _found(*rows: tuple[float, ...], scores: list[float], classes: list[int] | None = None) -> Detections:
    numbers = np.array([0] * len(rows) if classes is None else classes, np.int64)
    return Detections(classes=numbers, boxes=_boxes(*rows), scores=np.array(scores, np.float64))


A, B, C = (0, 0, 50, 50), (60, 0, 110, 50), (0, 60, 50, 110)


def test_a_false_detection_between_two_true_ones() -> None:
    """Precision is 1 up to a recall of 1/2, and 2/3 beyond: 51 recalls of 1 and 50 of 2/3."""
    metrics = measure_detections([_found(A, C, B, scores=[0.9, 0.8, 0.7])], [_truth(A, B)], ["tree"])
    assert metrics.ap == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert metrics.ar == 1
    assert metrics.by_size["medium"] == pytest.approx(metrics.ap)
    assert np.isnan(metrics.by_size["small"])
    assert metrics.to_json()["ap_small"] is None


def test_the_same_object_found_twice_is_wrong_once() -> None:
    metrics = measure_detections([_found(A, A, scores=[0.9, 0.8])], [_truth(A, B)], ["tree"])
    assert metrics.ap50 == pytest.approx(51 / 101)
    assert metrics.recall[0, 0, 0] == 0.5


def test_detections_in_a_crowd_do_not_count() -> None:
    truth = _truth(A, (100, 0, 300, 200), crowd=[False, True])
    inside = [(110, 10, 130, 60), (150, 10, 170, 60), (200, 10, 220, 60)]
    metrics = measure_detections([_found(*inside, A, scores=[0.9, 0.8, 0.7, 0.6])], [truth], ["tree"])
    assert metrics.ap == 1
    assert metrics.objects.tolist() == [1]


def test_images_and_classes_of_nothing() -> None:
    empty = measure_detections([_found(scores=[])], [_truth()], ["tree", "bush"])
    assert np.isnan(empty.ap)
    assert empty.to_json()["ap"] is None
    assert np.isnan(measure_detections([], [], ["tree"]).ap)
    unseen = measure_detections([_found(A, scores=[0.9], classes=[1])], [_truth(A)], ["tree", "bush"])
    assert unseen.by_class["tree"] == (0, 0)
    assert np.isnan(unseen.by_class["bush"][0])


def test_only_the_surest_hundred_of_an_image_count() -> None:
    rows = [*[(0.0, 200.0, 10.0, 210.0)] * 100, A]
    scores = [1.0] * 100 + [0.5]
    assert measure_detections([_found(*rows, scores=scores)], [_truth(A)], ["tree"]).ap == 0
    assert measure_detections([_found(*rows[1:], scores=scores[1:])], [_truth(A)], ["tree"]).ap == pytest.approx(0.01)


@pytest.mark.parametrize("seed", range(60))
def test_equals_plain_loops(seed: int) -> None:
    found, truth, classes = random_case(seed)
    metrics = measure_detections(found, truth, [str(number) for number in range(classes)])
    for number in range(classes):
        for s, size in enumerate(SIZES.values()):
            for t, threshold in enumerate(THRESHOLDS):
                expected = _plain_average_precision(found, truth, number, size, float(threshold))
                np.testing.assert_allclose(metrics.precision[number, s, t].mean(), expected, atol=1e-9)


def _plain_average_precision(
    found: list[Detections], truth: list[Annotation], number: int, size: tuple[float, float], threshold: float
) -> float:
    """The definition, one detection and one object at a time."""

    def outside(box: NDArray[np.float64]) -> bool:
        return not size[0] <= (box[2] - box[0]) * (box[3] - box[1]) <= size[1]

    judged, total = [], 0
    for detections, objects in zip(found, truth, strict=True):
        theirs = [k for k in range(len(objects.classes)) if objects.classes[k] == number]
        aside = {k: bool(objects.crowd[k]) or outside(objects.boxes[k]) for k in theirs}
        total += sum(not value for value in aside.values())
        used: set[int] = set()
        for d in sorted(range(len(detections)), key=lambda d: -detections.scores[d]):
            if detections.classes[d] != number:
                continue
            best = None
            for k in theirs:
                overlap = _plain_overlap(detections.boxes[d], objects.boxes[k], bool(objects.crowd[k]))
                if overlap < min(threshold, 1 - 1e-10) or (k in used and not objects.crowd[k]):
                    continue
                rank = (not aside[k], overlap)
                if best is None or rank >= best[0]:
                    best = (rank, k)
            if best is not None:
                used.add(best[1])
                verdict = "aside" if aside[best[1]] else "right"
            else:
                verdict = "aside" if outside(detections.boxes[d]) else "wrong"
            judged.append((float(detections.scores[d]), verdict))
    if not total:
        return float("nan")
    right = wrong = 0
    curve = []
    for _, verdict in sorted(judged, key=lambda pair: -pair[0]):
        right, wrong = right + (verdict == "right"), wrong + (verdict == "wrong")
        curve.append((right / total, right / max(right + wrong, 1)))
    return float(np.mean([max((p for r, p in curve if r >= recall), default=0.0) for recall in RECALLS]))


def _plain_overlap(a: NDArray[np.float64], b: NDArray[np.float64], crowd: bool) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0.0) * max(height, 0.0)
    own = (a[2] - a[0]) * (a[3] - a[1])
    union = own if crowd else own + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common / union if union > 0 else 0.0


def test_weights_are_repetitions_of_images() -> None:
    found, truth, _ = random_case(15)
    assert len(found) > 2
    weights = np.arange(len(found)) % 3
    again = [i for i, times in enumerate(weights) for _ in range(times)]
    repeated = class_matches([found[i] for i in again], [truth[i] for i in again], 0)
    weighted = precisions(class_matches(found, truth, 0), weights.astype(float))
    np.testing.assert_allclose(weighted.mean(-1), precisions(repeated).mean(-1), atol=0.02)  # order of equal scores


def test_intervals_hold_the_numbers() -> None:
    rng = np.random.default_rng(0)
    truth = [_truth(A) for _ in range(40)]
    found = [_found(A if rng.random() < 0.7 else B, scores=[float(rng.random())]) for _ in range(40)]
    metrics = measure_detections(found, truth, ["tree"])
    interval = average_precision_intervals([class_matches(found, truth, 0)])["ap"]
    assert interval.low < metrics.ap < interval.high
    assert 0.05 < interval.high - interval.low < 0.5


def test_intervals_where_most_images_have_no_object() -> None:
    """A draw of images without any object has no average precision; a perfect one of three images is not certain."""
    truth = [_truth(A), _truth(), _truth(), _truth(A)]
    found = [_found(A, scores=[0.9]), _found(scores=[]), _found(B, scores=[0.8]), _found(scores=[])]
    low, high = average_precision_intervals([class_matches(found, truth, 0)])["ap"]
    assert 0 <= low < measure_detections(found, truth, ["tree"]).ap < high <= 1
    perfect = average_precision_intervals([class_matches(found[:1] * 3, truth[:1] * 3, 0)])
    assert perfect["ap50"] == pytest.approx((3 / (3 + 1.959964**2), 1))
    assert average_precision_intervals([class_matches(found[1:2] * 3, truth[1:2] * 3, 0)]) == {}


@pytest.mark.peer
@pytest.mark.parametrize("cases", [range(200), pytest.param(range(200, 1000), marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["bbox", "keypoints"])
def test_equals_pycocotools(kind: str, cases: range) -> None:
    """The precision of each class, size, threshold and recall, on random cases."""
    coco = pycocotools()
    points = kind == "keypoints"
    rules = {"rules": point_rules(COCO_SIGMAS)} if points else {}
    sizes = [0, 2, 3] if points else [0, 1, 2, 3]  # there are no small people in COCO
    for seed in cases:
        found, truth, classes = random_case(seed, points=points)
        theirs = _by_pycocotools(coco, kind, found, truth, classes)
        ours = measure_detections(found, truth, [str(number) for number in range(classes)], **rules)
        expected = np.where(theirs["precision"] < 0, np.nan, theirs["precision"])[..., -1].transpose(2, 3, 0, 1)
        np.testing.assert_allclose(ours.precision[:, sizes], expected, atol=1e-6, err_msg=f"case {seed}")
        recall = np.where(theirs["recall"] < 0, np.nan, theirs["recall"])[..., -1].transpose(1, 2, 0)
        np.testing.assert_allclose(ours.recall[:, sizes], recall, atol=1e-6, err_msg=f"case {seed}")


def _by_pycocotools(
    coco: Any, kind: str, found: list[Detections], truth: list[Annotation], classes: int
) -> dict[str, NDArray[np.float64]]:
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image, (detections, objects) in enumerate(zip(found, truth, strict=True)):
        for k, box in enumerate(objects.boxes):
            sides = box[2:] - box[:2]
            marks = objects.points[k] if len(objects.points) else np.zeros((0, 3))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": int(objects.classes[k]),
                    "bbox": [*box[:2], *sides],
                    "area": float(sides.prod()),
                    "iscrowd": int(objects.crowd[k]),
                    "keypoints": marks.ravel().tolist(),
                    "num_keypoints": int((marks[:, 2] > 0).sum()),
                }
            )
        for k, box in enumerate(detections.boxes):
            result = {
                "image_id": image,
                "category_id": int(detections.classes[k]),
                "score": float(detections.scores[k]),
            }
            if kind == "bbox":
                result["bbox"] = [*box[:2], *(box[2:] - box[:2])]
            else:
                result["keypoints"] = detections.points[k].ravel().tolist()
            results.append(result)
    with contextlib.redirect_stdout(io.StringIO()):
        truths = coco.coco.COCO()
        truths.dataset = {
            "info": {},
            "images": [{"id": i} for i in range(len(truth))],
            "annotations": annotations,
            "categories": [{"id": number} for number in range(classes)],
        }
        truths.createIndex()
        if results:
            answers = truths.loadRes(results)
        else:  # which loadRes refuses
            answers = coco.coco.COCO()
            answers.dataset = {**truths.dataset, "annotations": []}
            answers.createIndex()
        evaluation = coco.cocoeval.COCOeval(truths, answers, kind)
        evaluation.evaluate()
        evaluation.accumulate()
    return dict(evaluation.eval)
