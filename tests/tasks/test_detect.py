"""Detection and localisation: targets, the score of an epoch, evaluation of models whose answers are known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hubel import train
from hubel.core.errors import DataError, OptionError
from hubel.data.annotation import Annotation
from hubel.data.index import scan
from hubel.data.loading import Images
from hubel.data.preprocess import Preprocess
from hubel.data.samples import Labelled
from hubel.inference.answers import answers
from hubel.inference.dense import DenseModel
from hubel.inference.detections import Detections
from hubel.nn.points import pyramid_points
from hubel.tasks.catalogue import find_task
from hubel.tasks.detect import box_targets, image_precision
from hubel.tasks.localise import main_object
from hubel.tasks.losses import LossSettings
from hubel.weights.card import ModelCard
from squares import SIDE, Squares

PREPROCESS = Preprocess(64, 128, 3, "squash", mean=(0.0,) * 3, std=(1.0,) * 3)  # another shape than the images have
SCALE = np.array([128, 64, 128, 64]) / SIDE
CPU = torch.device("cpu")
DATA = Squares(12, seed=1)
TRUTH = [DATA.annotation(row, masks=False) for row in range(12)]
IMAGES = Images(DATA, scan(DATA), np.arange(12), PREPROCESS, annotations="boxes")
NOTHING = [row for row in range(12) if not len(TRUTH[row].boxes)]


def _card(task: str, model: str) -> ModelCard:
    return ModelCard(model, DATA.names, PREPROCESS, scores="identity", task=task, dense="boxes")


def _objective(task: str, model: str) -> Any:
    card = _card(task, model)
    return find_task(task).objective(LossSettings(name=find_task(task).losses[0]), card, np.arange(12), CPU)


def _outputs(annotations: list[Annotation], points: int) -> NDArray[np.float32]:
    """Return what a perfect network says: each object on a point of its own."""
    outputs = np.full((len(annotations), points, 8), -20, np.float32)
    outputs[..., :4] = (0.4, 0.4, 0.6, 0.6)
    for output, annotation in zip(outputs, annotations, strict=True):
        for row, (box, number) in enumerate(zip(annotation.boxes / SIDE, annotation.classes, strict=True)):
            output[row] = [*box, 20, -20, -20, -20]
            output[row, 5 + number] = 20 - row
    return outputs


class Known(DenseModel):
    """Gives each image the outputs that were set, in order."""

    def __init__(self, card: ModelCard, outputs: NDArray[np.float32]) -> None:
        super().__init__(card)
        self.known = outputs

    def _outputs(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        now, self.known = self.known[: len(pixels)], self.known[len(pixels) :]
        return answers(now, self.card)


def test_the_data_has_what_is_tried() -> None:
    assert NOTHING
    assert {len(annotation.boxes) for annotation in TRUTH} == {0, 1, 2}


def test_targets_are_boxes_in_pixels_of_the_input_and_padded() -> None:
    (batch,) = IMAGES.in_sequence(12)
    targets = box_targets(batch).numpy()
    assert targets.shape == (12, 2, 6)
    for row, annotation in zip(targets, TRUTH, strict=True):
        k = len(annotation.boxes)
        np.testing.assert_allclose(row[:k, :4], annotation.boxes * SCALE, atol=0.51)
        assert row[:k, 4].tolist() == annotation.classes.tolist()
        assert (row[k:, 4] == -1).all()


def test_an_epoch_is_scored_by_the_precision_of_each_image() -> None:
    objective = _objective("detect", "fcos")
    (batch,) = IMAGES.in_sequence(12)
    targets = objective.targets(Labelled(IMAGES, np.arange(12)), batch)
    outputs = torch.from_numpy(_outputs(TRUTH, len(pyramid_points(64, 128)[0])))
    assert objective.correct(outputs, targets).tolist() == pytest.approx([1] * 12)
    outputs[..., 6:] = outputs[..., 6:].flip(2)  # the other class
    wrong = objective.correct(outputs, targets).tolist()
    assert [wrong[row] for row in NOTHING] == [1] * len(NOTHING)
    assert sum(wrong) == len(NOTHING)
    assert objective.losses(outputs, targets).shape == (12,)
    assert objective.row("val", 0.5, 0.25) == {"val_loss": 0.5, "val_ap": 0.25}


def test_a_class_that_is_made_up_costs_precision() -> None:
    box = np.array([[0.1, 0.1, 0.5, 0.5], [0.6, 0.6, 0.9, 0.9]])

    def precision(scores: list[float], classes: list[int], crowd: list[bool]) -> float:
        truth = Annotation(classes=np.array([0, 2]), boxes=box, crowd=np.array(crowd))
        found = Detections(scores=np.array(scores), classes=np.array(classes), boxes=box)
        return image_precision(found, truth)

    assert precision([0.9, 0.9], [0, 2], [False, False]) == pytest.approx(1)
    assert precision([0.9, 0.9], [0, 1], [False, False]) == pytest.approx(1 / 3)  # of the classes 0, 1, 2
    assert precision([0.9, 0.2], [0, 1], [False, False]) == pytest.approx(1 / 2)  # the unsure one is not shown
    assert precision([0.9, 0.9], [0, 2], [False, True]) == pytest.approx(1)  # in a crowd
    nothing = Annotation()
    assert image_precision(Detections(scores=np.ones(1), classes=np.zeros(1, int), boxes=box[:1]), nothing) == 0
    assert image_precision(Detections(scores=np.full(1, 0.3), classes=np.zeros(1, int), boxes=box[:1]), nothing) == 1


def test_a_perfect_detector() -> None:
    task, card = find_task("detect"), _card("detect", "fcos")
    evaluation = task.evaluate(Known(card, _outputs(TRUTH, 20)), IMAGES, np.arange(12))
    numbers = evaluation.to_json()
    objects = sum(len(annotation.boxes) for annotation in TRUTH)
    assert numbers["ap50"] == 1
    assert numbers["ap"] > 0.95  # boxes of 32-bit numbers
    assert numbers["shown"] == {"score": 0.5, "precision": 1, "recall": 1}
    assert (evaluation.quality().values == 0).all()
    assert dict(row[:2] for row in evaluation.rows("test"))["objects"] == str(objects)
    table = evaluation.prediction_table()
    assert table is not None
    assert sum(table.facts["right"]) == objects
    assert [drawing.name for drawing in evaluation.drawings()] == [
        *("precision_recall", "confusion_matrix", "worst_images", "median_images", "best_images"),
    ]
    assert {len(row) for one in evaluation.report_tables() for row in one.rows} == {6, 2}
    assert evaluation.files()["confusion.csv"].splitlines()[-1] == "nothing,0,0,0,0"
    assert evaluation.headline("test").startswith("AP50 is 100%")


def test_a_model_shows_from_its_own_score_on() -> None:
    outputs = _outputs(TRUTH, 20)
    outputs[:, 10] = [0.1, 0.1, 0.3, 0.3, 20, 1.4, -20, -20]  # a box that is no object, with a score of 0.9
    evaluate = find_task("detect").evaluate
    sure = replace(_card("detect", "fcos"), shown_score=0.95)
    assert evaluate(Known(sure, outputs), IMAGES, np.arange(12)).to_json()["shown"] == {
        "score": 0.95, "precision": 1, "recall": 1,
    }  # fmt: skip
    usual = evaluate(Known(_card("detect", "fcos"), outputs), IMAGES, np.arange(12)).to_json()["shown"]
    assert usual["precision"] < 0.7
    for card, more in ((sure, 0), (_card("detect", "fcos"), 1)):
        found = [Known(card, outputs).decode(rows, (SIDE, SIDE)) for rows in answers(outputs, card)]
        assert [len(one.boxes) for one, _ in found] == [len(one.boxes) + more for one in TRUTH]
    assert ModelCard.from_json(json.loads(json.dumps(sure.to_json()))).shown_score == 0.95
    assert "shown_score" not in _card("detect", "fcos").to_json()
    with pytest.raises(OptionError, match=r"0 to 1, not 1\.5"):
        replace(sure, shown_score=1.5)


def test_a_detector_that_misses_and_makes_up() -> None:
    outputs = _outputs(TRUTH, 20)
    outputs[:, 0, 6:] = outputs[:, 0, 6:][:, ::-1]  # the first object of each image has the wrong class
    outputs[NOTHING[0], 5] = [0.1, 0.1, 0.2, 0.2, 5, 5, -20, -20]
    card = _card("detect", "fcos")
    evaluation = find_task("detect").evaluate(Known(card, outputs), IMAGES, np.arange(12))
    objects = [len(annotation.boxes) for annotation in TRUTH]
    f1 = [0.0 if row == NOTHING[0] else 1.0 if k == 0 else (k - 1) / k for row, k in enumerate(objects)]
    assert evaluation.f1.tolist() == pytest.approx(f1)
    assert evaluation.confusions.sum(0)[3].sum() == 1
    assert 0 < evaluation.metrics.ap50 < 1


def test_the_main_object_is_the_largest_that_is_no_crowd() -> None:
    boxes = np.array([[0.0, 0, 5, 5], [0, 0, 9, 9], [0, 0, 50, 50]])
    crowd = np.array([False, False, True])
    assert main_object(Annotation(classes=np.zeros(3, np.int64), boxes=boxes, crowd=crowd)) == 1
    assert main_object(Annotation(classes=np.zeros(3, np.int64), boxes=boxes, crowd=~crowd & False | True)) is None
    assert main_object(Annotation()) is None


def test_localisation_learns_class_and_box() -> None:
    objective = _objective("localise", "localiser")
    (batch,) = IMAGES.in_sequence(12)
    targets = objective.targets(Labelled(IMAGES, np.arange(12)), batch)
    outputs = torch.randn(12, 1, 8, generator=torch.Generator().manual_seed(0))
    outputs[:, 0, :4] = torch.tensor([0.2, 0.2, 0.7, 0.8])
    losses = objective.losses(outputs, targets)
    for row, annotation in enumerate(TRUTH):
        at = main_object(annotation)
        if at is None:
            assert losses[row] == 0
            continue
        goal, box, logits = (
            targets[row, :4].numpy() / (128, 64, 128, 64),
            outputs[row, 0, :4].numpy(),
            outputs[row, 0, 5:],
        )
        assert targets[row, 4] == annotation.classes[at]
        low, high = np.maximum(goal[:2], box[:2]), np.minimum(goal[2:], box[2:])
        common, areas = np.maximum(high - low, 0).prod(), [(b[2:] - b[:2]).prod() for b in (goal, box)]
        union = sum(areas) - common
        hull = (np.maximum(goal[2:], box[2:]) - np.minimum(goal[:2], box[:2])).prod()
        giou = common / union - (hull - union) / hull
        away = np.abs(goal - box)
        smooth = np.where(away < 0.1, away**2 / 0.2, away - 0.05).sum()
        entropy = -torch.log_softmax(logits, 0)[annotation.classes[at]].item()
        assert losses[row].item() == pytest.approx(entropy + 1 - giou + smooth, abs=1e-4)
        right = int(logits.argmax()) == annotation.classes[at]
        assert objective.correct(outputs, targets)[row].item() == pytest.approx(right * common / union, abs=1e-5)


def test_localisation_is_measured_on_images_with_an_object() -> None:
    main = [main_object(annotation) for annotation in TRUTH]
    chosen = [
        Annotation(classes=a.classes[[k]], boxes=a.boxes[[k]], crowd=a.crowd[[k]])
        for a, k in zip(TRUTH, main, strict=True)
        if k is not None
    ]
    outputs = _outputs(chosen, 1)
    outputs[0, 0, 6:] = outputs[0, 0, 6:][::-1]
    card = _card("localise", "localiser")
    evaluation = find_task("localise").evaluate(Known(card, outputs), IMAGES, np.arange(12))
    n = len(chosen)
    assert evaluation.to_json() == pytest.approx(
        {"n": n, "localised": (n - 1) / n, "mean_iou": 1, "accuracy": (n - 1) / n}
    )
    assert [drawing.name for drawing in evaluation.drawings()] == ["worst_images", "median_images", "best_images"]
    assert len(evaluation.tiles()) == 3
    table = evaluation.prediction_table()
    assert table is not None
    assert (np.array(table.facts["label"]) != np.array(table.facts["prediction"])).tolist() == [True] + [False] * (
        n - 1
    )
    with pytest.raises(DataError, match="nothing to localise"):
        find_task("localise").evaluate(Known(card, outputs), IMAGES.subset(np.array(NOTHING)), np.array(NOTHING))


def test_boxes_have_no_views() -> None:
    with pytest.raises(OptionError, match="--tta"):
        find_task("detect").model(torch.nn.Identity(), _card("detect", "fcos"), tta=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "images", "metric", "least"), [("detect", 200, "ap50", 0.9), ("localise", 800, "mean_iou", 0.5)]
)
def test_squares_are_learnt(task: str, images: int, metric: str, least: float, tmp_path: Path) -> None:
    """Four numbers from the whole map take more images than the same box at each point: of 200, 0.38 is learnt.

    A third of the images with objects have two, whose sizes differ by few pixels: the larger one counts.
    """
    recipe = {"task": task, "epochs": 25, "options": {"width": 32}}
    run = train(Squares(images), recipe, out=tmp_path / "run", quiet=True)
    assert run.evaluation.to_json()[metric] >= least
