"""Key points from data to report, on dots whose places are known."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

import hubel
from dots import SIDE, Dots
from hubel.data.annotation import POINTS, Annotation
from hubel.data.augment import Policy
from hubel.data.dataset import open_dataset
from hubel.data.index import scan
from hubel.data.inputs import Input
from hubel.data.loading import Images
from hubel.data.preprocess import Preprocess
from hubel.data.samples import Labelled
from hubel.data.sources import open_source
from hubel.evaluation import evaluate_file
from hubel.explain import explain
from hubel.explain.dense_scores import PointScores, load_explained
from hubel.export import export
from hubel.inference.bulk_job import BulkJob, local_rows
from hubel.inference.dense import DenseModel
from hubel.inference.dense_rows import dense_row
from hubel.inference.point_decoding import network_points
from hubel.studio.annotated import annotated
from hubel.studio.batching import ScoredImage
from hubel.tasks.catalogue import find_task
from hubel.tasks.key_points import main_points
from hubel.tasks.losses import LossSettings
from hubel.tasks.point_losses import heat_map_targets, point_losses
from hubel.training.recipe import Recipe
from hubel.training.resolve import plan_training
from hubel.weights.card import ModelCard
from hubel.weights.skeleton import Skeleton

PREPROCESS = Preprocess(32, 64, 3, "squash", mean=(0.0,) * 3, std=(1.0,) * 3)  # another shape than the images have
RECIPE = {
    "weights": "none", "options": {"backbone": "convnet", "backbone_options": "filters=16,32", "widths": "16"},
    "epochs": 8, "batch_size": 8, "size": "32", "augment": "none", "lr": 0.01, "threads": 1, "loading_threads": 0,
}  # fmt: skip
SKELETON = Skeleton(object="figure", limbs=Dots.limbs, crops=False, mean=((0.25, 0.5), (0.5, 0.5), (0.75, 0.5)))
CARD = ModelCard("pose", Dots.point_names, PREPROCESS, scores="identity", dense="points", skeleton=SKELETON)


class Known(DenseModel):
    """Gives each image the outputs that were set, in order."""

    def __init__(self, card: ModelCard, outputs: NDArray[np.float32]) -> None:
        super().__init__(card)
        self.answers = outputs

    def _outputs(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        now, self.answers = self.answers[: len(pixels)], self.answers[len(pixels) :]
        return now


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> hubel.RunResult:
    return hubel.train(Dots(40), RECIPE, out=tmp_path_factory.mktemp("points") / "run", quiet=True)


def _images(source: Dots) -> Images:
    return Images(source, scan(source), np.arange(source.n), PREPROCESS, annotations=POINTS)


def _heat_maps(points: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return what a perfect network says, from points in pixels of the input `(n, j, 3)`."""
    chances = heat_map_targets(torch.from_numpy(points), 8, 16, (32, 64))
    return chances.clamp(min=1e-12).log().view(*points.shape[:2], 8, 16).float().numpy()


def test_the_loss_is_the_cross_entropy_of_given_points() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(4, 3, 5, 7))
    points = np.concatenate([random.uniform(0, (28, 20), (4, 3, 2)), random.integers(0, 3, (4, 3, 1))], -1)
    points[3, :, 2] = 0
    y, x = np.mgrid[:5, :7] + 0.5
    wanted = np.zeros(4)
    for n in range(4):
        terms = []
        for one, (left, top, visible) in zip(logits[n], points[n] / (4, 4, 1), strict=True):
            target = np.exp(-((x - left) ** 2 + (y - top) ** 2) / 2)
            logs = one - np.log(np.exp(one).sum())
            terms += [-(target / target.sum() * logs).sum()] if visible else []
        wanted[n] = np.mean(terms) if terms else 0
    found = point_losses(torch.from_numpy(logits), torch.from_numpy(points), (20, 28))
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-6)


def test_points_change_sides_in_a_mirror() -> None:
    class Sided(Dots):
        point_names = ("left_hand", "head", "right_hand")
        point_mirror = (2, 1, 0)

    images = open_dataset(Sided(8)).images(PREPROCESS, threads=0, annotations=POINTS)
    mirrored = 0
    for batch in images.epoch(0, 0, 8, Policy(mirror=True)):
        for at, annotation in zip(batch.positions.tolist(), batch.annotations, strict=True):
            before, after = images.annotation(at).points[:1], annotation.points[:1]
            if not len(before):
                continue
            shown = before * (64 / SIDE, 32 / SIDE, 1)
            if not np.allclose(after, shown):
                mirrored += 1
                turned = np.where(
                    shown[..., 2:] > 0, np.stack([64 - shown[..., 0], *shown[..., 1:].T.swapaxes(1, 2)], -1), 0
                )
                np.testing.assert_allclose(after, turned[:, [2, 1, 0]])
    assert 0 < mirrored < 7


def test_the_largest_object_with_points_counts() -> None:
    points = np.zeros((3, 2, 3))
    points[:2, 0] = (5, 5, 2)
    boxes = np.array([[0.0, 0, 5, 5], [0, 0, 9, 9], [0, 0, 50, 50]])
    annotation = Annotation(classes=np.zeros(3, np.int64), boxes=boxes, crowd=np.zeros(3, bool), points=points)
    assert main_points(annotation) == 1
    assert main_points(replace(annotation, crowd=np.array([False, True, False]))) == 0
    assert main_points(replace(annotation, points=np.zeros((3, 2, 3)))) is None
    assert main_points(Annotation()) is None


def test_a_perfect_model_of_key_points() -> None:
    source, task = Dots(12), find_task("key_points")
    images = _images(source)
    objective = task.objective(LossSettings(name=task.losses[0]), CARD, np.arange(12), torch.device("cpu"))
    (batch,) = images.in_sequence(12)
    targets = objective.targets(Labelled(images, np.arange(12)), batch)
    outputs = torch.from_numpy(_heat_maps(targets.double().numpy()))
    assert objective.correct(outputs, targets).tolist() == pytest.approx([1.0] * 3 + [0.0] + [1.0] * 8, abs=0.02)
    alone = targets.clone()
    alone[:, 1:, 2] = 0  # one point is given
    assert objective.correct(outputs, alone)[:3].tolist() == pytest.approx([1.0] * 3, abs=0.05)
    alone[:, 0, 0] += 2 * float(objective.sigmas[0])  # exp(-d² / (2 s² (2 sigma)²)), where the scale s is a pixel
    assert objective.correct(outputs, alone)[:3].tolist() == pytest.approx([math.exp(-0.5)] * 3, abs=0.1)
    assert objective.losses(outputs, targets)[3] == 0
    assert objective.row("val", 0.5, 0.25) == {"val_loss": 0.5, "val_oks": 0.25}

    evaluation = task.evaluate(Known(CARD, np.delete(outputs.numpy(), 3, 0)), images, np.arange(12))
    numbers = evaluation.to_json()
    assert (numbers["n"], numbers["pck"], numbers["oks_ap50"], numbers["left_out"]) == (11, 1, 1, 0)
    assert {"oks", "oks_ap"} <= numbers.keys()
    assert numbers["pck_mean_pose"] < 0.3
    assert numbers["of"] == "0.1 box"
    assert (evaluation.quality().values == 0).all()
    assert evaluation.headline("test").startswith("PCK@0.1 is 100% (95% interval 74.1 to 100%) on 11 test images; the")
    (table,) = evaluation.report_tables()
    assert [row[1] for row in table.rows] == ["11", "9", "11"]
    assert [drawing.name for drawing in evaluation.drawings()] == ["worst_images", "median_images", "best_images"]


def test_people_whose_torso_is_not_given_are_left_out() -> None:
    card = replace(CARD, classes=("left_shoulder", "left_hip", "right_shoulder", "right_hip"), skeleton=None)

    class Torsos(Dots):
        point_names = card.classes
        point_mirror = (2, 3, 0, 1)

        def read(self, row: int, path: str) -> NDArray[np.uint8]:
            return np.full((SIDE, SIDE, 3), row, np.uint8)

        def annotation(self, row: int, *, masks: bool = True) -> Annotation:
            found = super().annotation(row)
            return replace(found, points=found.points[:, [0, 1, 2, 1]])

    images = _images(Torsos(10))  # of which image 3 has no object, and 4 and 9 lack two points
    evaluation = find_task("key_points").evaluate(
        Known(card, np.zeros((7, 4, 8, 16), np.float32)), images, np.arange(10)
    )
    numbers = evaluation.to_json()
    assert (numbers["n"], numbers["left_out"], numbers["of"], numbers["pck_mean_pose"]) == (7, 2, "0.2 torso", None)
    assert evaluation.remarks("test") == ["2 images of test without both shoulders and hips cannot be measured"]


def test_the_labels_say_what_the_task_is(run: hubel.RunResult) -> None:
    numbers = json.loads((run.folder / "metrics.json").read_text())
    assert numbers["pck"] > 0.9, "dots are learnt"
    assert numbers["pck_mean_pose"] < 0.2
    card = hubel.load(run.model).card
    assert (card.classes, card.objects, card.task) == (Dots.point_names, ("figure",), "key_points")
    assert card.skeleton is not None
    assert ModelCard.from_json(json.loads(json.dumps(card.to_json()))) == card
    everything = [Dots(40).annotation(row).points for row in range(40)]
    assert np.abs(np.array(card.skeleton.mean) - 0.5).max() < 0.15 < np.std([p[0, 0, 0] for p in everything if len(p)])


def test_an_exported_file_answers_alike(run: hubel.RunResult, tmp_path: Path) -> None:
    result = export(run.model, tmp_path / "m.onnx")
    assert result.parity.top1_equal == result.parity.images
    images = [Dots(3, seed=9).read(row, "") for row in range(3)]
    mine, file = hubel.load(run.model), hubel.load(tmp_path / "m.onnx")
    assert isinstance(mine, DenseModel)
    assert isinstance(file, DenseModel)
    assert file.limbs == Dots.limbs
    for one, other in zip(mine.predict(images), file.predict(images), strict=True):
        np.testing.assert_allclose(one.annotation.points, other.annotation.points, atol=0.02)


def test_what_is_found_becomes_files(run: hubel.RunResult, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    photo = tmp_path / "images" / "photo.png"
    Image.fromarray(Dots(4, seed=2).read(0, "")).save(photo)
    model = hubel.load(run.model)
    assert isinstance(model, DenseModel)
    job = BulkJob(str(run.model), draw=tmp_path / "drawn", labels=tmp_path / "labels")
    good, _ = local_rows(job, model, [Input(str(photo)), Input("gone.png")])
    (found,) = good["objects"]
    truth = Dots(4, seed=2).annotation(0).points[0]
    assert found["class"] == "figure"
    assert np.abs(np.array(found["points"])[:, :2] - truth[:, :2]).max() < 3
    assert (tmp_path / "drawn" / "photo.jpg").is_file()
    layout = job.layout(model)
    (line,) = layout.lines(good)
    assert layout.columns()[9:12] == ["red_x", "red_y", "green_x"]
    assert line["blue_y"] == found["points"][2][1]
    # The file of labels is one that the data's own reader takes.
    (tmp_path / "data.yaml").write_text("names: [figure]\nkpt_shape: [3, 3]\ntrain: images\n")
    (tmp_path / "drawn" / "photo.jpg").unlink()
    dataset = open_dataset(tmp_path)
    assert dataset.source.annotated[0] == POINTS  # type: ignore[attr-defined]
    again = dataset.source.annotation(0).points[0]  # type: ignore[attr-defined]
    np.testing.assert_allclose(again[:, :2], np.array(found["points"])[:, :2], atol=0.02)


def test_a_key_point_is_explained(run: hubel.RunResult) -> None:
    predictor = load_explained(run.model)
    image = Dots(4, seed=2).read(0, "")
    (explained,) = explain(predictor, image, method="occlusion", label="red")
    x, y, _ = Dots(4, seed=2).annotation(0).points[0, 0].astype(int) // 2
    near = explained.map[y - 2 : y + 3, x - 2 : x + 3].mean()
    assert near > explained.map.mean() + explained.map.std(), "the evidence lies on the dot"
    model = hubel.load(run.model)
    assert isinstance(model, DenseModel)
    (row,) = (dense_row(found, model.classes) for found in model.predict(image))
    assert explained.score == pytest.approx(row["objects"][0]["points"][0][2], abs=1e-3)


def test_scores_of_points_are_those_of_prediction() -> None:
    logits = np.random.default_rng(1).normal(0, 3, (2, 3, 6, 9)).astype(np.float32)
    found = torch.sigmoid(PointScores(nn.Identity())(torch.from_numpy(logits))).numpy()
    wanted = [network_points(one, 24, 36)[:, 2] for one in logits]
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert PointScores(nn.Identity())(torch.zeros(1, 2, 3, 3)).isfinite().all()


def test_data_of_other_points_is_refused(run: hubel.RunResult) -> None:
    class Others(Dots):
        point_names = ("red", "green", "yellow")

    with pytest.raises(hubel.DataError, match="the classes of dots are not those of the model"):
        evaluate_file(run.model, Others(4), out=run.folder.parent / "never")


@pytest.mark.parametrize(
    "wrong",
    [
        {"object": "a", "crops": False, "limbs": [[0, 3]], "mean": [[0, 0]] * 3},
        {"object": "a", "crops": False, "limbs": [], "mean": [[0, 0]] * 2},
        {"object": 1, "crops": False, "limbs": [], "mean": [[0, 0]] * 3},
        {"object": "a", "crops": False, "limbs": [], "mean": [[0, "b"]] * 3},
        {"object": "a", "crops": False, "limbs": 3, "mean": [[0, 0]] * 3},
        {"object": "a", "crops": False, "limbs": [5], "mean": [[0, 0]] * 3},
        {"object": "a", "mean": []},
        [],
    ],
)
def test_a_damaged_skeleton_is_refused(wrong: object) -> None:
    with pytest.raises(hubel.OptionError, match="skeleton"):
        ModelCard.from_json(json.loads(json.dumps(CARD.to_json())) | {"skeleton": wrong})


def test_the_points_of_sports_pose_change_sides() -> None:
    path = Path("../shared/data/sports-pose")
    if not path.is_dir():
        pytest.skip("needs ../shared/data")
    source = open_source(path)
    source.listing()
    names = source.point_names  # type: ignore[attr-defined]
    for name, other in zip(names, source.point_mirror, strict=True):  # type: ignore[attr-defined]
        swapped = {"left": "right", "right": "left"}.get(name.split("_")[0])
        assert names[other] == (name if swapped is None else f"{swapped}_{name.split('_')[1]}")


class Pairs(Dots):
    """Images of 64x128 pixels, each with two objects side by side; every fourth has only the second."""

    def read(self, row: int, path: str) -> NDArray[np.uint8]:
        return np.concatenate([Dots(seed=self.seed).read(2 * row + side, path) for side in (0, 1)], axis=1)

    def annotation(self, row: int, *, masks: bool = True) -> Annotation:
        one, other = (super(Pairs, self).annotation(2 * row + side) for side in (0, 1))
        if row % 4 == 0:
            one = replace(one, points=np.zeros_like(one.points))
        both = [one, other.moved(SIDE, 0)]
        return Annotation(
            classes=np.concatenate([a.classes for a in both]),
            boxes=np.concatenate([a.boxes for a in both]),
            crowd=np.concatenate([a.crowd for a in both]),
            points=np.concatenate([a.points for a in both]),
        )


def test_each_of_several_objects_is_a_sample() -> None:
    plan = plan_training(Pairs(12), Recipe().with_settings(**RECIPE, test_share=0.25, val_share=0.1, resize="pad"))
    assert plan.card.skeleton is not None
    assert plan.card.skeleton.crops
    rows = plan.splits.train
    assert len(plan.train.images) == sum(2 - (row % 4 == 0) - (row == 1) for row in rows.tolist())
    assert len(plan.train.targets) == len(plan.train.images)
    images = plan.measured.images
    for policy in (Policy(), Policy(mirror=True, rotate=10, brightness=0.01)):
        for batch in images.epoch(0, 0, 8, policy):
            for pixels, annotation in zip(batch.pixels, batch.annotations, strict=True):
                (points,) = annotation.points
                for channel, (x, y, visible) in enumerate(points):
                    if visible:  # whose dot is there in its colour
                        assert pixels[int(y), int(x)].argmax() == channel
                        assert np.sort(pixels[int(y), int(x)])[1] < 128
    height, width = images.shape(0)
    assert images.upright(0, (500, 500)).shape == (height, width, 3)
    assert max(height, width) < SIDE


def test_a_single_object_is_cut_out_on_demand() -> None:
    recipe = Recipe().with_settings(**RECIPE, task="key_points_in_boxes")
    plan = plan_training(Dots(12), recipe)
    assert plan.card.skeleton is not None
    assert plan.card.skeleton.crops
    assert max(plan.measured.images.shape(0)) < SIDE


def test_objects_of_an_image_are_measured_in_their_boxes(run: hubel.RunResult) -> None:
    card = replace(hubel.load(run.model).card, skeleton=replace(SKELETON, crops=True))
    source = Pairs(4)
    images = find_task("key_points").samples(_images(source), card)
    assert images.rows.tolist() == [0, 1, 2, 2, 3, 3]
    maps = _heat_maps(np.concatenate([a.points for a in next(images.in_sequence(8)).annotations]))
    evaluation = find_task("key_points").evaluate(
        Known(replace(CARD, skeleton=card.skeleton), maps), images, images.rows
    )
    assert evaluation.to_json()["pck"] == 1
    assert len(evaluation.drawings()) == 3


def test_an_answer_of_the_server_has_points(run: hubel.RunResult) -> None:
    model = hubel.load(run.model)
    assert isinstance(model, DenseModel)
    image = Dots(4, seed=2).read(0, "")
    (row,) = model.outputs(np.stack([model.card.preprocess.apply(image)]))
    answer = annotated(ScoredImage(row=row, size=(SIDE, SIDE), damage=""), model)
    (found,) = model.predict(image)
    assert answer["objects"] == dense_row(found, model.classes)["objects"]
