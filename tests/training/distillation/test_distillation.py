"""Teachers and students: classes by name, stored and computed answers, images without labels, hostile teachers."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import hubel
from hubel.core.errors import HubelError, OptionError
from hubel.core.group import working_as
from hubel.core.stopping import Stop
from hubel.data.samples import network_input
from hubel.data.shares import share_of
from hubel.data.taught import Taught
from hubel.inference.scores import softmax
from hubel.tasks.catalogue import TASKS
from hubel.training.checkpoint import load_newest
from hubel.training.distillation.answers import pack_answers, unpack_answers
from hubel.training.distillation.choose import check_distillation
from hubel.training.distillation.samples import TaughtImages
from hubel.training.distillation.teach import student_of, teach
from hubel.training.distillation.teacher import find_teachers, mean_answers
from hubel.training.execute import _of_network, build_trainer, execute
from hubel.training.loop import EpochSelection, Loop
from hubel.training.plan import Plan
from hubel.training.processes.ranks import Ranks
from hubel.training.recipe import Recipe
from hubel.training.resolve import plan_training
from hubel.weights.card import ModelCard
from hubel.weights.create import create_model
from hubel.weights.model_file import load_model, read_card, save_model

pytestmark = pytest.mark.usefixtures("cache")

SIDE, COUNT = 12, 60
STUDENT = Recipe(
    model="convnet", options={"filters": "4,4", "repeat": "1"}, epochs=2, batch_size=16, threads=1, lr=0.01,
    precision="float32", loading_threads=0, engine="torch", teacher_views=2, size=SIDE, cache="off",
)  # fmt: skip


def photo(label: int, number: int, side: int = SIDE) -> Image.Image:
    """A square whose place tells the class, on noise."""
    pixels = np.random.default_rng([label, number]).integers(0, 90, (side, side, 3), np.uint8)
    half = side // 2
    pixels[(label // 2) * half : (label // 2 + 1) * half, (label % 2) * half : (label % 2 + 1) * half] += 150
    return Image.fromarray(pixels)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for split, start, count in (("train", 0, COUNT), ("val", 1000, 9), ("test", 2000, 9)):
        for number in range(start, start + count):
            label = number % 3
            folder = tmp_path / "photos" / split / "abc"[label]
            folder.mkdir(parents=True, exist_ok=True)
            photo(label, number).save(folder / f"{number}.png")
    return tmp_path / "photos"


def teacher_file(path: Path, *, classes: str = "abc", side: int = SIDE, seed: int = 0, scale: float = 1.0) -> Path:
    """Write a model file of a small network with random weights, whose outputs differ from image to image."""
    torch.manual_seed(seed)
    preprocess = hubel.data.Preprocess(side, side, 3)
    card = ModelCard("convnet", tuple(classes), preprocess, {"filters": "4,8", "repeat": "1"}, temperature=0.1)
    network = card.create()
    weights = {
        name: value * scale if name.endswith("weight") else value for name, value in network.state_dict().items()
    }
    save_model(path, weights, card)
    return path


def plan_of(photos: Path, teacher: Any, **changes: Any) -> Plan:
    return plan_training(photos, STUDENT.with_settings(teacher=teacher, **changes))


def trained(plan: Plan) -> Loop:
    """Train by the plan, in memory."""
    torch.manual_seed(1)
    network = student_of(plan, plan.create())
    loop = Loop(build_trainer(plan, network), teach(plan, lambda _: None), plan.loop, EpochSelection(val=plan.val))
    assert loop.run(Stop())
    return loop


@pytest.mark.parametrize(
    ("policy", "side"),
    [
        ("light", SIDE),
        ("mixed", 16),
        pytest.param("mixed", SIDE, marks=pytest.mark.slow),
        pytest.param("light", 16, marks=pytest.mark.slow),
    ],
)
def test_stored_answers_train_as_those_in_the_loop(photos: Path, tmp_path: Path, policy: str, side: int) -> None:
    if policy == "mixed":
        (tmp_path / "mixed.toml").write_text("mirror = true\ncrop = 0.6\nmixup = 0.5\ncutmix = 0.5\n")
        policy = str(tmp_path / "mixed.toml")
    teacher = teacher_file(tmp_path / "t.safetensors", side=side)
    losses = []
    for online in (False, True):
        loop = trained(plan_of(photos, teacher, augment=policy, online_teacher=online))
        losses.append([row["train_loss"] for row in loop.progress.history])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)
    assert losses[0][0] != losses[1][0], "16 bits were rounded: the answers came from the cache"


def test_answers_are_for_the_very_view_that_the_student_sees(photos: Path, tmp_path: Path) -> None:
    """The teacher's softmax, computed by hand on the student's pixels, in both views, in any order, and repeated."""
    teacher = teacher_file(tmp_path / "t.safetensors")
    network, card = load_model(teacher)
    plan = plan_of(photos, teacher, augment="standard", epochs=4)
    samples = teach(plan, lambda _: None).images
    assert isinstance(samples, TaughtImages)
    seen = {}
    for epoch in range(4):
        for batch in samples.epoch(0, epoch, 16, plan.loop.policy):
            with torch.no_grad():
                logits = network(network_input(batch.pixels, card.preprocess)).numpy()
            np.testing.assert_allclose(np.exp(batch.answers), softmax(logits, 0.1), atol=2e-3)
            for at, position in enumerate(batch.positions.tolist()):
                seen.setdefault((position, epoch % 2), set()).add(batch.pixels[at].tobytes())
    assert all(len(pictures) == 1 for pictures in seen.values())
    assert len({next(iter(pictures)) for pictures in seen.values()}) == 2 * COUNT


def test_two_processes_get_the_answers_for_the_mixtures_of_their_shards(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "mixed.toml").write_text("mirror = true\nmixup = 1.0\n")
    teacher = teacher_file(tmp_path / "t.safetensors")
    network, card = load_model(teacher)
    with working_as(Ranks()):
        plan = plan_of(photos, teacher, augment=str(tmp_path / "mixed.toml"), shards=4)
        samples, seen = teach(plan, lambda _: None).images, 0
    for rank in range(2):
        for batch in samples.epoch(0, 1, 16, plan.loop.policy, share=share_of(rank, 2, 4)):
            with torch.no_grad():
                logits = network(network_input(batch.pixels, card.preprocess)).numpy()
            np.testing.assert_allclose(np.exp(batch.answers), softmax(logits, 0.1), atol=2e-3)
            seen += len(batch.positions)
    assert seen == COUNT


def test_another_run_and_another_student_find_the_answers(photos: Path, tmp_path: Path) -> None:
    teacher, lines = teacher_file(tmp_path / "t.safetensors"), list[str]()
    teach(plan_of(photos, teacher), lines.append)
    other = {"options": {"filters": "8", "repeat": "1"}, "seed": 5, "distill_loss": "dist"}
    teach(plan_of(photos, teacher, **other), lines.append)
    teach(plan_of(photos, teacher, augment="none"), lines.append)
    assert "120 answers" in lines[0]
    assert "MiB in the cache" in lines[0]
    assert "are in the cache" in lines[1]
    assert "120 answers" in lines[2]


def test_many_classes_keep_the_most_probable_and_the_mass_of_the_rest() -> None:
    p = softmax(np.random.default_rng(0).normal(size=(5, 1000)) * 4)
    stored = pack_answers(np.log(p).astype(np.float32))
    assert stored.nbytes == 5 * 128
    found = np.exp(unpack_answers(stored, 1000).astype(np.float64))
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-4)
    top = np.argsort(-p, 1)[:, :32]
    np.testing.assert_allclose(np.take_along_axis(found, top, 1), np.take_along_axis(p, top, 1), rtol=6e-3)
    few = np.log(p[:, :128]).astype(np.float32)
    np.testing.assert_allclose(unpack_answers(pack_answers(few), 128), few, rtol=5e-4)


def test_classes_are_matched_by_name_and_several_teachers_are_a_mean(photos: Path, tmp_path: Path) -> None:
    one = teacher_file(tmp_path / "one.safetensors", classes="cAxb")
    two = teacher_file(tmp_path / "two.safetensors", classes="abc", seed=1)
    plan = plan_of(photos, [one, two], augment="none", teacher_views=1)
    batch = next(teach(plan, lambda _: None).images.epoch(0, 0, 16, plan.loop.policy))
    own = []
    for path, places in ((one, [1, 3, 0]), (two, [0, 1, 2])):
        network, card = load_model(path)
        with torch.no_grad():
            p = softmax(network(network_input(batch.pixels, card.preprocess)).numpy(), 0.1)[:, places]
        own.append(p / p.sum(1, keepdims=True))
    np.testing.assert_allclose(np.exp(batch.answers), np.mean(own, 0), atol=2e-3)


@pytest.mark.slow
def test_an_exported_teacher_answers_as_its_model_file(photos: Path, tmp_path: Path) -> None:
    teacher = teacher_file(tmp_path / "t.safetensors")
    hubel.export.export(teacher, tmp_path / "t.onnx")
    batches = []
    for path in (teacher, tmp_path / "t.onnx"):
        plan = plan_of(photos, path, teacher_views=1)
        batches.append(next(teach(plan, lambda _: None).images.epoch(0, 0, 16, plan.loop.policy)))
    np.testing.assert_allclose(np.exp(batches[0].answers), np.exp(batches[1].answers), atol=2e-3)


def test_images_without_labels_teach_and_are_never_measured(photos: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    for number in range(3000, 3020):
        photo(number % 3, number).save(more / f"{number}.png")
    for copied in ("test/c/2000.png", "val/b/1000.png", "train/a/0.png"):
        found = next((photos / copied.split("/")[0]).rglob(copied.rsplit("/")[-1]))
        shutil.copy(found, more / f"copy-{found.name}")
    teacher = teacher_file(tmp_path / "t.safetensors")
    plan = plan_of(photos, teacher, unlabelled=more, batch_size=COUNT + 20)
    said = "\n".join(plan.notes)
    for split in ("test", "validation", "training"):
        assert f"1 unlabelled image left out: among the {split} images, byte for byte" in said
    assert "20 images without labels" in said
    taught = teach(plan, lambda _: None)
    assert len(taught.images) == COUNT + 20
    assert (taught.targets[COUNT:] == -1).all()
    assert (len(plan.splits.val), len(plan.splits.test)) == (9, 9)

    objective = build_trainer(plan, plan.create()).objective
    batch = next(taught.images.epoch(0, 0, COUNT + 20, plan.loop.policy))
    targets = objective.targets(taught, batch)
    logits = torch.randn(len(targets), 3)
    losses = objective.losses(logits, targets)
    assert batch.answers is not None
    p, q = (softmax(z / 4) for z in (batch.answers, logits.numpy()))
    soft = 16 * (p * np.log(p / q)).sum(1)
    hard = -np.log(softmax(logits.numpy()))[np.arange(len(targets)), targets[:, 0].long().numpy()]
    without = targets[:, 0].numpy() < 0
    assert without.sum() == 20
    np.testing.assert_allclose(losses, np.where(without, 0, 0.1 * hard) + 0.9 * soft, rtol=1e-4)
    assert plan.card.provenance["unlabelled"]["images"] == 20
    known = Taught.read(plan.card.provenance)
    assert known.images == COUNT + 20
    assert known.among(plan.measured.images.digests).sum() == 0


def test_a_run_goes_on_with_its_teacher_and_says_who_taught(photos: Path, tmp_path: Path) -> None:
    teacher = teacher_file(tmp_path / "t.safetensors")
    recipe = STUDENT.with_settings(teacher=teacher, checkpoint_minutes=0)
    whole = hubel.train(photos, recipe, out=tmp_path / "whole", quiet=True)
    card = read_card(whole.model)
    (record,) = card.provenance["teachers"]
    assert record == {
        "name": "t.safetensors",
        "network": "convnet",
        "digest": find_teachers(str(teacher), ("a",))[0].digest,
    }
    assert f"t.safetensors (convnet, {record['digest']})" in (whole.folder / "MODEL_CARD.md").read_text()
    assert f"t.safetensors (convnet, {record['digest']})" in (whole.folder / "report.html").read_text()

    def stopped(row: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hubel.train(photos, recipe, out=tmp_path / "part", quiet=True, on_epoch=stopped)
    assert load_newest(tmp_path / "part" / "last") is not None
    resumed = hubel.resume(tmp_path / "part")
    for one, two in zip(*(load_model(run.model)[0].state_dict().values() for run in (whole, resumed)), strict=True):
        assert torch.equal(one, two)

    config = tmp_path / "part" / "config.json"
    (tmp_path / "part" / "metrics.json").unlink()
    teacher_file(teacher, seed=3)
    with pytest.raises(HubelError, match="the teacher has changed since"):
        hubel.resume(tmp_path / "part")
    assert json.loads(config.read_text())["teachers"] == [record]


def test_hints_shape_the_middle_map(photos: Path, tmp_path: Path) -> None:
    teacher = teacher_file(tmp_path / "t.safetensors", classes="xyz", side=16)
    plan = plan_of(photos, teacher, distill_loss="hint", teacher_views=None, epochs=1)
    student = student_of(plan, plan.create())
    taught = teach(plan, lambda _: None)
    batch = next(taught.images.epoch(0, 0, 8, plan.loop.policy))
    assert batch.answers is not None
    outputs = student.train()(taught.images.network_input(batch.pixels))
    assert outputs.shape[1] == 3 + batch.answers.shape[1]
    objective = build_trainer(plan, student).objective
    before = student.regressor.weight.clone()  # type: ignore[union-attr, operator]
    losses = objective.losses(outputs, objective.targets(taught, batch))
    labels = torch.from_numpy(taught.targets[batch.positions])
    hard = torch.nn.functional.cross_entropy(outputs[:, :3], labels, reduction="none")
    soft = (outputs[:, 3:] - torch.from_numpy(batch.answers)).square().mean(1) / 2
    torch.testing.assert_close(losses, 0.5 * hard + 0.5 * soft)
    losses.sum().backward()
    assert student.regressor.weight.grad.abs().sum() > 0  # type: ignore[union-attr]
    assert torch.equal(before, student.regressor.weight)  # type: ignore[arg-type]
    network = plan.create()
    assert _of_network(network, student_of(plan, network).state_dict()).keys() == network.state_dict().keys()


def test_a_pretrained_student_is_tuned_as_a_whole(photos: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    options = {"depths": "1,1,1"}
    network = create_model("resnet20", num_classes=10, options=options)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    recipe = {"model": "resnet20", "options": options, "weights": tmp_path / "weights.safetensors", "epochs": 1}
    plan = plan_of(photos, teacher_file(tmp_path / "t.safetensors"), **recipe)
    assert plan.transfer is not None
    assert plan.transfer.boundaries == ("none",)
    assert plan.loss.label_smoothing == 0, "soft targets are smooth as they are"
    lines = list[str]()
    done = execute(plan, tmp_path, on_epoch=lambda row: lines.append(f"{row['train_loss']:.3f}"))
    assert len(lines) == 1
    assert done.frozen == "none"
    assert "teacher" in done.seconds


def test_images_that_taught_the_teacher_do_not_measure_its_student(photos: Path, tmp_path: Path) -> None:
    split = shutil.move(photos / "val", tmp_path / "gone")
    assert split
    first = plan_training(photos, STUDENT.with_settings(teacher_views=None, test_share=0.2, val_share=0.2))
    taught = first.card.provenance["taught"]
    teacher = teacher_file(tmp_path / "t.safetensors")
    network, card = load_model(teacher)
    save_model(teacher, network.state_dict(), dataclasses.replace(card, provenance={"taught": taught}))
    second = plan_of(photos, teacher, val_share=0.2, seed=4)
    known = {digest.tobytes() for digest in first.train.images.digests}
    assert second.val is None, "of 12 images, most taught: what is left could select nothing"
    assert not known & {digest.tobytes() for digest in second.measured.images.digests}
    assert "validation images train the student, as they taught its teacher" in "\n".join(second.notes)
    assert len(second.train.images) == COUNT


HOSTILE: dict[str, tuple[Callable[[Path], Any], dict[str, Any], str]] = {
    "missing": (lambda at: at / "none.safetensors", {}, r"^--teacher .*none.safetensors: no such model file"),
    "no name": (lambda at: "efficientnet_lite7", {}, "^--teacher efficientnet_lite7: no model .* did you mean"),
    "damaged": (lambda at: damaged(teacher_file(at / "t.safetensors")), {}, "^--teacher .* is damaged"),
    "not a model": (lambda at: written(at / "t.safetensors"), {}, "^--teacher .*t.safetensors"),
    "damaged export": (lambda at: written(at / "t.onnx"), {}, "^--teacher .*t.onnx"),
    "other classes": (
        lambda at: teacher_file(at / "t.safetensors", classes="axyz"),
        {},
        r"^--teacher .* does not know 2 of the 3 classes \(b, c; it knows a, x, y, z\): --distill-loss hint",
    ),
    "not finite": (lambda at: teacher_file(at / "t.safetensors", scale=1e30), {}, "^--teacher .* NaN or infinite"),
    "two hints": (
        lambda at: [teacher_file(at / "t.safetensors")] * 2, {"distill_loss": "hint", "teacher_views": None}, "one teac"
    ),
    "temperature": (
        lambda at: teacher_file(at / "t.safetensors"), {"distill_loss": "mse", "temperature": 2}, "leave out --temp"
    ),
    "sampling": (lambda at: teacher_file(at / "t.safetensors"), {"balance": "sampling"}, "several times an epoch"),
    "bce": (lambda at: teacher_file(at / "t.safetensors"), {"loss": "bce"}, "leave out --loss bce"),
}  # fmt: skip


def damaged(path: Path) -> Path:
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)
    return path


def written(path: Path) -> Path:
    path.write_bytes(b"something else")
    return path


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_and_wrong_teachers_get_one_line(name: str, photos: Path, tmp_path: Path) -> None:
    make, changes, message = HOSTILE[name]
    with pytest.raises(HubelError, match=message) as caught:
        hubel.train(photos, STUDENT.with_settings(teacher=make(tmp_path), **changes), out=tmp_path / "run", quiet=True)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("setting", ["distill_loss", "temperature", "teacher_weight", "online_teacher", "unlabelled"])
def test_settings_of_a_teacher_need_one(setting: str, photos: Path) -> None:
    value: Any = {"distill_loss": "kd", "online_teacher": True, "unlabelled": photos}.get(setting, 0.5)
    with pytest.raises(OptionError, match=f"^{setting} has no meaning without a teacher"):
        plan_training(photos, Recipe(**{setting: value}))


def test_a_student_stays_free() -> None:
    with pytest.raises(OptionError, match="--freeze stage2 would keep"):
        check_distillation(Recipe(teacher="t", freeze="stage2"), TASKS[0], "cross_entropy", learns=True)


def test_mean_answers_are_logarithms_of_mean_probabilities() -> None:
    p = softmax(np.random.default_rng(1).normal(size=(2, 4, 3)))
    np.testing.assert_allclose(np.exp(mean_answers(list(np.log(p).astype(np.float32)))), p.mean(0), rtol=1e-5)


@pytest.mark.parametrize(("settings", "divisor"), [({}, 4), ({"temperature": 2}, 2), ({"distill_loss": "mse"}, 1)])
def test_the_rate_falls_with_the_temperature(settings: dict[str, Any], divisor: int, photos: Path) -> None:
    recipe = STUDENT.with_settings(lr=None, teacher=str(teacher_file(photos.parent / "t.safetensors")), **settings)
    plan = plan_training(str(photos), recipe)
    alone = plan_training(str(photos), STUDENT.with_settings(lr=None, teacher_views=None))
    assert plan.optimizer.lr == pytest.approx(alone.optimizer.lr / divisor)
