"""Segmentation from data to report, on squares whose masks are known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

import hubel
from hubel.core.errors import OptionError
from hubel.data.annotation import IGNORED, MASKS, Annotation
from hubel.data.augment import Policy
from hubel.data.dataset import open_dataset
from hubel.data.inputs import Input
from hubel.data.preprocess import Preprocess
from hubel.evaluation import evaluate_file
from hubel.explain import explain
from hubel.explain.dense_scores import PixelMeans, load_explained
from hubel.export import OnnxQuantiser, export, quantise
from hubel.export.annotated_cost import AnnotatedCheck
from hubel.export.onnx_graph import onnx_network
from hubel.inference.bulk_job import BulkJob, local_rows
from hubel.inference.dense import DenseModel
from hubel.inference.dense_predictor import DensePredictor
from hubel.inference.predictor import load_network
from hubel.metrics.segmentation import measure_segmentation, pixel_confusion
from hubel.models.catalogue import build_model
from hubel.nn.dense import DenseNetwork
from hubel.tasks.catalogue import find_task
from hubel.tasks.segment import SegmentationObjective, image_ious
from hubel.tasks.segmentation_losses import PixelLoss
from hubel.training.optimizer import make_optimizer
from hubel.training.plan import OptimizerSettings
from hubel.training.recipe import Recipe
from hubel.training.resolve import plan_training
from hubel.weights.model_file import read_card, save_model
from squares import SIDE, Squares

RECIPE = {
    "model": "unet", "weights": "none", "options": {"backbone": "resnet20", "widths": "16"}, "epochs": 12,
    "batch_size": 8, "augment": "none", "lr": 0.01, "threads": 1, "loading_threads": 0,
}  # fmt: skip


class _RareDark(Squares):
    """Squares, of which hardly any is dark."""

    def annotation(self, row: int, *, masks: bool = True) -> Annotation:
        found = super().annotation(row, masks=masks)
        return found if found.mask is None or row % 8 == 0 else replace(found, mask=np.minimum(found.mask, 1))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> hubel.RunResult:
    return hubel.train(Squares(40), RECIPE, out=tmp_path_factory.mktemp("segment") / "run", quiet=True)


def test_the_labels_say_what_the_task_is(run: hubel.RunResult) -> None:
    numbers = json.loads((run.folder / "metrics.json").read_text())
    assert numbers["mean_iou"] > 0.9, "squares are learnt"
    assert numbers["intervals"]["mean_iou"][0] <= numbers["mean_iou"] <= numbers["intervals"]["mean_iou"][1]
    assert run.evaluation is not None
    assert "worst_images" in {drawing.name for drawing in run.evaluation.drawings()}
    table = (run.folder / "predictions.csv").read_text().splitlines()
    assert "mean_iou" in table[0]
    assert len(table) == 1 + numbers["n"]


def test_errors_on_rare_classes_weigh_more() -> None:
    assert plan_training(Squares(40), Recipe().with_settings(**RECIPE)).loss.balance == "none", "no class is rare"
    source = _RareDark(40)
    plan = plan_training(source, Recipe().with_settings(**RECIPE))
    masks = np.stack([source.annotation(row).mask for row in plan.splits.train.tolist()])
    pixels = np.bincount(masks.ravel(), minlength=256)[:3]  # not those that count for nothing
    assert plan.loss.balance == "inverse_sqrt"
    assert plan.loss.counts == tuple(pixels)
    objective = find_task("segment").objective(plan.loss, plan.card, plan.train.targets, torch.device("cpu"))
    assert isinstance(objective, SegmentationObjective)
    assert objective.loss.weights is not None
    weights = objective.loss.weights.double().numpy()
    np.testing.assert_allclose(weights**2 * pixels, weights[0] ** 2 * pixels[0], rtol=1e-5)
    assert weights @ pixels == pytest.approx(pixels.sum())
    assert any("rare classes" in note for note in plan.notes)


def test_the_head_takes_larger_steps_than_a_pretrained_backbone() -> None:
    network = build_model("unet", num_classes=3, input_size=(32, 32), options={"backbone": "resnet20", "widths": "16"})
    optimizer = make_optimizer(network, OptimizerSettings(name="adamw", lr=0.01, backbone_lr=0.1))
    assert isinstance(network, DenseNetwork)
    head = {id(p) for p in network.head.parameters()}
    for group in optimizer.param_groups:
        assert {group["lr_scale"]} == {1.0 if id(p) in head else 0.1 for p in group["params"]}


def test_the_numbers_are_those_of_the_masks(run: hubel.RunResult) -> None:
    model = hubel.load(run.model)
    assert isinstance(model, DenseModel)
    source = Squares(6, seed=5)
    found = model.predict([source.read(row, "") for row in range(6)])
    confusions = []
    for row, answer in enumerate(found):
        truth = source.annotation(row).mask
        assert truth is not None
        assert answer.annotation.mask is not None
        assert answer.annotation.mask.shape == (SIDE, SIDE)
        confusions.append(pixel_confusion(answer.annotation.mask, truth, 3))
    metrics = measure_segmentation(np.stack(confusions), model.classes)
    evaluated = evaluate_file(run.model, source, out=run.folder.parent / "again")
    assert evaluated.evaluation.to_json()["mean_iou"] == pytest.approx(metrics.mean_iou)


def test_an_exported_file_answers_alike(run: hubel.RunResult, tmp_path: Path) -> None:
    result = export(run.model, tmp_path / "m.onnx")
    assert result.parity.top1_equal == result.parity.images
    images = [Squares(3, seed=9).read(row, "") for row in range(3)]
    mine = hubel.load(run.model)
    file = hubel.load(tmp_path / "m.onnx")
    assert isinstance(mine, DenseModel)
    assert isinstance(file, DenseModel)
    for one, other in zip(mine.predict(images), file.predict(images), strict=True):
        assert one.annotation.mask is not None
        assert other.annotation.mask is not None
        assert (one.annotation.mask == other.annotation.mask).mean() > 0.999
        assert one.scores == pytest.approx(other.scores, abs=1e-4)
    # A stranger needs the file and ONNX Runtime alone.
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    classes, scores = session.run(["classes", "scores"], {"images": np.stack(images)})
    assert classes.dtype == np.uint8
    assert (classes[0] == mine.predict(images)[0].annotation.mask).mean() > 0.999
    assert scores.mean((1, 2)) == pytest.approx([one.scores[0] for one in mine.predict(images)], abs=1e-4)


def test_int8_costs_what_the_masks_say(run: hubel.RunResult, monkeypatch: pytest.MonkeyPatch) -> None:
    network, card = load_network(run.model)
    images = open_dataset(Squares(16, seed=3)).images(card.preprocess, annotations=MASKS)
    check = AnnotatedCheck(card=card, images=images, targets=np.arange(16))
    graph, pixels = onnx_network(network, card), images.pixels(np.arange(16))
    done = OnnxQuantiser(max_drop=0.05, check=check).quantise_with_cost(graph, pixels)
    others = images.subset(np.arange(1, 16, 2))
    before = find_task("segment").evaluate(DensePredictor(network, card), others, others.rows).to_json()["mean_iou"]
    assert (done.cost.images, done.cost.measure) == (8, "mean_iou")
    assert done.cost.accuracy_before == pytest.approx(before, abs=1e-3)
    assert done.cost.drop < 0.05
    assert done.cost.agreement is None
    assert str(done).startswith(f"mean_iou {before:.1%} before, ")
    assert len(done.model) < len(graph) / 2
    monkeypatch.setattr(quantise, "_most_sensitive_first", lambda *_: [])  # no layer may return to float
    with pytest.raises(OptionError, match=r"int8 costs too much.*mean_iou .*% before"):
        OnnxQuantiser(max_drop=-0.5, check=check).quantise_with_cost(graph, pixels)


def test_int8_without_masks_is_refused(run: hubel.RunResult, tmp_path: Path) -> None:
    Image.fromarray(Squares(1).read(0, "")).save(tmp_path / "photo.png")
    with pytest.raises(OptionError, match=r"--int8 of unet needs images with labels.*no masks to learn from"):
        export(run.model, tmp_path / "m.onnx", int8=True, data=str(tmp_path))


def test_a_stage_that_is_tapped_inside_is_explained(run: hubel.RunResult, tmp_path: Path) -> None:
    """The head of LR-ASPP reads a block within a stage of the backbone, which then never runs as a whole."""
    options = {"backbone_options": "width=0.25"}
    card = replace(read_card(run.model), model="lraspp_mobilenet_v3_large", options=options)
    network = card.create()
    assert any(".block" in tap for tap in network.taps)  # type: ignore[union-attr]
    save_model(tmp_path / "m.safetensors", network.state_dict(), card)
    predictor = load_explained(tmp_path / "m.safetensors")
    for layer in (None, "network.backbone.stages.2.0"):
        (found,) = explain(predictor, Squares(1).read(0, ""), method="gradcam", layer=layer, label="bright")
        assert found.map.shape == (SIDE, SIDE)
        assert np.isfinite(found.map).all()


@pytest.mark.parametrize(
    "policy", [Policy(mirror=True, flip=True, shift=0.2), Policy(mirror=True, crop=0.4, rotate=20)]
)
def test_masks_move_with_their_images(policy: Policy) -> None:
    images = open_dataset(Squares(16)).images(Preprocess(SIDE, SIDE), threads=0, annotations=MASKS)
    moved = 0
    for batch in images.epoch(0, 0, 8, policy):
        for pixels, annotation in zip(batch.pixels, batch.annotations, strict=True):
            assert annotation.mask is not None
            grey = pixels.mean(-1)
            bright, dark = annotation.mask == 1, annotation.mask == 2
            # Pixels at the edges of a square are interpolated with what lies around it.
            assert (grey[bright] > 200).mean() > 0.85 if bright.any() else not (grey > 235).any()
            assert (grey[dark] < 60).mean() > 0.85 if dark.any() else True
            moved += bool((annotation.mask[0] != IGNORED).any())
    assert moved, "the border, which is ignored, has moved"


def test_the_score_of_an_image_is_its_mean_iou() -> None:
    random = np.random.default_rng(0)
    logits = torch.from_numpy(random.normal(size=(5, 4, 9, 7)).astype(np.float32))
    masks = random.choice([0, 1, 2, 3, IGNORED], size=(5, 9, 7), p=[0.4, 0.3, 0.1, 0.1, 0.1]).astype(np.uint8)
    masks[4] = IGNORED
    objective = SegmentationObjective(loss=PixelLoss("cross_entropy"))
    scores = objective.correct(logits, torch.from_numpy(masks.astype(np.int64)))
    found = logits.argmax(1).numpy().astype(np.uint8)
    confusions = np.stack([pixel_confusion(one, mask, 4) for one, mask in zip(found, masks, strict=True)])
    assert scores.tolist() == pytest.approx(image_ious(confusions).tolist())


def test_data_of_other_classes_is_refused(run: hubel.RunResult) -> None:
    class Others(Squares):
        mask_names = ("background", "light", "dark")

    with pytest.raises(hubel.DataError, match="the classes of squares are not those of the model"):
        evaluate_file(run.model, Others(4), out=run.folder.parent / "never")


def test_data_without_the_last_class_is_measured(run: hubel.RunResult) -> None:
    class Fewer(Squares):
        mask_names = ("background", "bright")

        def annotation(self, row: int, *, masks: bool = True) -> Annotation:
            return super().annotation(4 * row + 1)

        def read(self, row: int, path: str) -> NDArray[np.uint8]:
            return super().read(4 * row + 1, path)

    found = evaluate_file(run.model, Fewer(3), out=run.folder.parent / "fewer").evaluation.to_json()
    assert [one["pixels"] for one in found["per_class"]][2] == 0


def test_data_without_masks_is_refused(tmp_path: Path) -> None:
    pixels = np.zeros((4, 32, 32, 3), np.uint8)
    with pytest.raises(hubel.DataError, match="arrays has labels of whole images, and no masks to learn from"):
        hubel.train((pixels, ["a", "b", "a", "b"]), {**RECIPE, "task": "segment"}, out=tmp_path / "run", quiet=True)


def test_an_image_without_objects_is_annotated(run: hubel.RunResult) -> None:
    model = hubel.load(run.model)
    assert isinstance(model, DenseModel)
    (found,) = model.predict(np.full((SIDE, 2 * SIDE, 3), 128, np.uint8))
    assert isinstance(found.annotation, Annotation)
    assert found.annotation.mask is not None
    assert found.annotation.mask.shape == (SIDE, 2 * SIDE)
    assert (found.annotation.mask == 0).mean() > 0.9


def test_the_pixels_of_a_class_are_explained(run: hubel.RunResult) -> None:
    predictor = load_explained(run.model)
    source = Squares(4, seed=2)
    (found,) = explain(predictor, source.read(0, ""), method="layercam", label="bright")
    mask = source.annotation(0).mask
    assert mask is not None
    assert found.map.shape == mask.shape
    assert found.map[mask == 1].mean() > 2 * found.map[mask == 0].mean(), "the evidence lies on the square"


def test_means_of_pixels_are_those_of_the_predicted_class() -> None:
    logits = torch.from_numpy(np.random.default_rng(1).normal(size=(2, 3, 4, 5)).astype(np.float32))
    logits[1, 2] = -9  # predicted nowhere
    found = PixelMeans(nn.Identity())(logits).numpy()
    for one, scores in zip(logits.numpy(), found, strict=True):
        best = one.argmax(0)
        wanted = [one[k][best == k].mean() if (best == k).any() else one[k].max() for k in range(3)]
        assert scores == pytest.approx(wanted, abs=1e-6)


def test_what_is_found_becomes_files(run: hubel.RunResult, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    source = Squares(4, seed=2)
    Image.fromarray(source.read(0, "")).save(photo)
    model = hubel.load(run.model)
    assert isinstance(model, DenseModel)
    job = BulkJob(str(run.model), draw=tmp_path / "drawn", labels=tmp_path / "labels")
    rows = list(local_rows(job, model, [Input(str(photo)), Input(str(photo)), Input("gone.png")]))
    assert [row["error"] is None for row in rows] == [True, True, False]
    assert sum(rows[0]["shares"].values()) == pytest.approx(1, abs=1e-5)
    mask = np.asarray(Image.open(tmp_path / "labels" / "photo-2.png"))
    assert rows[0]["shares"]["bright"] == pytest.approx((mask == 1).mean(), abs=1e-5)
    assert {path.name for path in (tmp_path / "drawn").glob("*.jpg")} == {"photo.jpg", "photo-2.jpg"}
    layout = job.layout(model)
    assert layout.columns() == ["path", "width", "height", "background", "bright", "dark", "error"]
    assert layout.lines(rows[0])[0]["dark"] == rows[0]["shares"]["dark"]
