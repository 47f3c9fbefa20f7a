"""Transfer learning from end to end: what is saved, kept and left alone, and runs that go on as if never stopped."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

import hubel
from hubel.core import group
from hubel.core.errors import UnknownNameError
from hubel.core.stopping import Stop
from hubel.evaluation.evaluate import evaluate_file
from hubel.features.extractor import FeatureExtractor
from hubel.metrics.calibration import fit_temperature
from hubel.nn.freezing import last_linear
from hubel.training import cross_fit, execute, fitted_head, transfer
from hubel.training import run_report as module
from hubel.training.loop import EpochSelection, Loop
from hubel.training.novelty import Unseen
from hubel.training.plan import Plan
from hubel.training.recipe import Recipe
from hubel.training.resolve import plan_training
from hubel.weights.create import create_model
from hubel.weights.imagenet import imagenet_classes
from hubel.weights.model_file import load_model, read_card
from hubel.weights.pretrained import find_weights
from hubel.weights.weight_file import read_weights
from stopping import stop_after

pytestmark = pytest.mark.usefixtures("cache")

SHARED = Path(__file__).parents[3] / "shared" / "data"
OPTIONS = {"depths": "1,1,1"}
SMALL = Recipe(
    model="resnet20",
    options=OPTIONS,
    size="16",
    epochs=2,
    views=2,
    batch_size=8,
    engine="torch",
    threads=1,
    loading_threads=0,
    precision="float32",
    checkpoint_minutes=1000,
)
PHOTOS = replace(SMALL, model="efficientnet_lite0", options={}, size="48", epochs=1)
STAGES = {"none": (), "stage1": ("stem", "stages.0"), "stage2": ("stem", "stages.0", "stages.1")}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No page, less of a cross-validation, and no waiting for the disk: they take most of the time."""

    def write(folder: Path, evaluation: Any, **_: Any) -> Path:
        (folder / "metrics.json").write_text(json.dumps(evaluation.metrics.to_json()))
        return folder / "report.html"

    monkeypatch.setattr(module, "write_evaluation", write)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    # These few validation images are to choose an epoch all the same.
    monkeypatch.setattr("hubel.training.resolve._ENOUGH_TO_SELECT", 0)
    monkeypatch.setattr("hubel.features.probe._FOLDS", 2)
    monkeypatch.setattr("hubel.features.probe._STRENGTHS", (3.0,))


def pretrained(path: Path, model: str = "resnet20", options: dict[str, str] | None = None) -> Path:
    """Weights of 10 classes that somebody has trained, as far as these tests can tell."""
    torch.manual_seed(1)
    network = create_model(model, num_classes=10, options=OPTIONS if options is None else options)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -0.2, 0.2)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
            nn.init.uniform_(part.weight, 0.8, 1.2)
            part.num_batches_tracked.fill_(7)
    save_file(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures and weights."""
    folder = tmp_path_factory.mktemp("world")
    pictures(folder / "pictures")
    pretrained(folder / "weights.safetensors")
    return folder


@pytest.fixture
def recipe(world: Path) -> Recipe:
    return replace(SMALL, weights=str(world / "weights.safetensors"))


@pytest.fixture
def data(world: Path) -> str:
    return str(world / "pictures")


@pytest.fixture
def first(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Tensor]]:
    """What each run's model file has when tuning begins."""
    seen: list[dict[str, Tensor]] = []
    loop = execute._open_loop

    def looked(plan: Any, folder: Any, *rest: Any) -> Loop:
        seen.append(state(folder.model))
        return loop(plan, folder, *rest)

    monkeypatch.setattr(execute, "_open_loop", looked)
    return seen


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return list(one) == list(other) and all(torch.equal(value, other[name]) for name, value in one.items())


def pictures(folder: Path, n: int = 14, *, grey: bool = False) -> Path:
    """Stripes of three directions, in noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:18, :20]
    for name, phase in (("across", y), ("down", x), ("slanted", x + y)):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            level = 128 + 60 * np.sin(phase + rng.uniform(0, 6)) + rng.normal(0, 25, (18, 20))
            pixels = level if grey else level[..., None] + rng.uniform(-30, 30, 3)
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name / f"{i:02}.png")
    return folder


def state(model: Path) -> dict[str, Tensor]:
    """The weights of the network, without the score of novelty beside them."""
    return read_weights(model)


def history(folder: Path) -> list[dict[str, str]]:
    """The rows of a run but for their speed."""
    rows = csv.DictReader((folder / "metrics.csv").read_text().splitlines())
    return [{name: value for name, value in row.items() if name != "images_per_second"} for row in rows]


def loaded(recipe: Recipe) -> dict[str, Tensor]:
    """The pretrained weights by our names."""
    network = create_model(
        recipe.network.model,
        weights=recipe.transfer.weights,
        num_classes=3,
        options=recipe.network.options,
    )
    return network.state_dict()


def judged(monkeypatch: pytest.MonkeyPatch, best: int) -> None:
    """Validation finds epoch number `best` the best one; 0 is the head alone."""

    def validate(loop: Loop, *_: object) -> tuple[float, float]:
        return 1.0, 0.9 if loop.progress.epoch + 1 == best else 0.1

    monkeypatch.setattr(Loop, "_validate", validate)
    monkeypatch.setattr(transfer, "validation_score", lambda *_: (0.5, -1.0))


# What a run does ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("freeze", ["all", "auto", "none"])
def test_a_run_from_a_file_of_weights(freeze: str, recipe: Recipe, data: str) -> None:
    done = hubel.train(data, replace(recipe, freeze=freeze))
    assert done.accuracy > 0.5, "a third would be chance"
    card = read_card(done.model)
    assert card.provenance["weights"] == "weights.safetensors"
    assert card.classes == ("across", "down", "slanted")
    log = (done.folder / "log.txt").read_text()
    assert "linear head" in log
    assert "a first model is saved" in log
    assert {"loading weights", "frozen part", "linear head"} <= set(done.seconds)
    if freeze == "all":
        assert not (done.folder / "metrics.csv").exists()
        assert "all but the last layer stays frozen, as requested" in log
    else:
        assert [row["epoch"] for row in history(done.folder)] == ["1", "2"]
        assert "fine-tuning" in done.seconds
    assert not any(path.suffix in (".pkl", ".pth", ".pt") for path in Path.cwd().rglob("*"))


@pytest.mark.parametrize("freeze", ["stage1", "none"])
def test_what_is_frozen_is_what_was_pretrained(
    freeze: str, recipe: Recipe, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(monkeypatch, best=1)
    recipe = replace(recipe, freeze=freeze, ema=0.9, epochs=1)
    got, before = state(hubel.train(data, recipe).model), loaded(recipe)
    assert list(got) == list(before)
    for name in got:
        frozen = name.startswith(STAGES[freeze])
        if name.endswith(("running_mean", "running_var")):
            assert torch.equal(got[name], before[name]), f"{name}: few images leave the statistics alone"
        elif not name.endswith("num_batches_tracked"):
            assert torch.equal(got[name], before[name]) == frozen, name


def test_counters_of_frozen_batch_norms_stand_still(recipe: Recipe, data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    judged(monkeypatch, best=1)
    got = state(hubel.train(data, replace(recipe, freeze="stage1", ema=0.9, epochs=1)).model)
    assert {int(value) for name, value in got.items() if name.endswith("num_batches_tracked")} == {7}


def test_with_many_images_the_norms_above_learn_their_statistics(
    recipe: Recipe, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(monkeypatch, best=1)
    monkeypatch.setattr("hubel.training.freeze_policy._FEW", 10)
    recipe = replace(recipe, freeze="stage1", ema=0.0, epochs=1)
    got, before = state(hubel.train(data, recipe).model), loaded(recipe)
    for name in got:
        if name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            assert torch.equal(got[name], before[name]) == name.startswith(STAGES["stage1"]), name


def test_only_the_last_layer_differs_where_all_is_frozen(recipe: Recipe, data: str) -> None:
    recipe = replace(recipe, freeze="all")
    got, before = state(hubel.train(data, recipe).model), loaded(recipe)
    changed = [name for name in got if not torch.equal(got[name], before[name])]
    assert [name.rsplit(".", 1)[1] for name in changed] == ["weight", "bias"]
    assert all(name.startswith("head.") for name in changed)


def test_what_is_measured_from_kept_features_is_what_evaluate_finds(
    recipe: Recipe, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = hubel.train(data, replace(recipe, freeze="all"))
    again = evaluate_file(done.model, data, out=tmp_path / "again").evaluation
    assert np.allclose(done.evaluation.probabilities, again.probabilities, atol=1e-4)
    monkeypatch.setattr(FeatureExtractor, "_compute", lambda *_: pytest.fail("all of it is kept"))
    second = hubel.train(data, replace(recipe, freeze="all", label_smoothing=0.3)).evaluation
    assert len(second.probabilities) == len(again.probabilities)


def test_a_network_without_a_linear_layer_at_its_end(tmp_path: Path, data: str) -> None:
    weights = pretrained(tmp_path / "nin.safetensors", "nin_cifar10", {})
    recipe = replace(SMALL, model="nin_cifar10", options={}, weights=str(weights), epochs=1)
    done = hubel.train(data, recipe)
    assert "a first model is saved" not in (done.folder / "log.txt").read_text()
    assert done.model.is_file()
    with pytest.raises(UnknownNameError, match="no part to freeze is called 'all'"):
        hubel.train(data, replace(recipe, freeze="all"))


@pytest.mark.parametrize("settings", [{"freeze": "stage9"}, {"engine": "openvin"}])
def test_what_cannot_work_leaves_no_folder(settings: dict[str, str], recipe: Recipe, data: str) -> None:
    with pytest.raises(UnknownNameError):
        hubel.train(data, replace(recipe, **settings))
    assert not list(Path("runs").glob("*"))


# The head first, and the better of the two ----------------------------------------------------------------


def test_the_head_is_saved_before_anything_is_tuned(recipe: Recipe, data: str, first: list[dict[str, Tensor]]) -> None:
    wanted = state(hubel.train(data, replace(recipe, freeze="all")).model)
    hubel.train(data, replace(recipe, freeze="stage1"))
    assert equal(first[0], wanted)


@pytest.mark.parametrize("best", [0, 2])
def test_the_better_one_is_kept(
    best: int, recipe: Recipe, data: str, first: list[dict[str, Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(monkeypatch, best)
    tuned = hubel.train(data, replace(recipe, freeze="stage1"))
    assert equal(state(tuned.model), first[0]) == (best == 0)
    said = "fine-tuning improved nothing on the validation images: the head alone is kept"
    assert (said in (tuned.folder / "log.txt").read_text()) == (best == 0)


def test_tuning_that_ruins_the_network_is_not_kept(recipe: Recipe, data: str, first: list[dict[str, Tensor]]) -> None:
    ruined = hubel.train(data, replace(recipe, freeze="stage1", optimizer="sgd", lr=3.0, clip=1.0, ema=0.0))
    assert float(history(ruined.folder)[0]["val_loss"]) > 3
    assert equal(state(ruined.model), first[0])


@pytest.mark.parametrize("loss", [1.01, 0.99])
def test_an_epoch_that_is_as_right_replaces_the_head_if_its_loss_is_lower(
    loss: float, recipe: Recipe, data: str, first: list[dict[str, Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "validation_score", lambda *_: (0.5, -1.0))
    monkeypatch.setattr(Loop, "_validate", lambda *_: (loss, 0.5))
    done = hubel.train(data, replace(recipe, freeze="stage2", epochs=1))
    assert equal(state(done.model), first[0]) == (loss > 1)


@pytest.mark.parametrize("best", [0, 1])
def test_where_too_few_images_would_choose_the_last_epoch_is_kept(
    best: int, recipe: Recipe, data: str, first: list[dict[str, Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hubel.training.resolve._ENOUGH_TO_SELECT", 100)
    judged(monkeypatch, best)
    kept: list[dict[str, Tensor]] = []
    finish = Loop._finish_epoch

    def finished(loop: Loop, stop: Stop) -> bool:
        kept.append({name: tensor.clone() for name, tensor in loop.trainer.network.network.state_dict().items()})
        return finish(loop, stop)

    monkeypatch.setattr(Loop, "_finish_epoch", finished)
    done = hubel.train(data, replace(recipe, freeze="stage1", ema=0.0))
    assert equal(state(done.model), kept[1])
    assert not equal(kept[0], kept[1])
    assert not equal(kept[1], first[0])
    log = (done.folder / "log.txt").read_text()
    assert "3 images would be too few to select the best epoch: they train as well" in log
    assert "33 images to train, 0 to validate" in log
    assert "   validation loss" not in log, "nothing is measured on images that teach"
    assert "val_" not in (done.folder / "metrics.csv").read_text()
    assert "improved nothing" not in log


@pytest.mark.parametrize("freeze", ["stage1", "none"])
def test_where_all_images_train_each_is_judged_by_a_network_that_has_not_seen_it(
    freeze: str, recipe: Recipe, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hubel.training.resolve._ENOUGH_TO_SELECT", 100)
    seen, judged, said = list[Any](), list[Any](), list[Unseen]()
    tune, judge = cross_fit._tuned_on, cross_fit.unseen_by

    def tuned_on(plan: Plan, transfer: Any, tuning: Any, positions: Any, stop: Stop) -> Any:
        seen.append(plan.train.images.rows[positions])
        return tune(plan, transfer, tuning, positions, stop)

    def unseen_by(network: nn.Module, images: Any) -> Unseen:
        judged.append(images.rows)
        said.append(judge(network, images))
        return said[-1]

    monkeypatch.setattr(cross_fit, "_tuned_on", tuned_on)
    monkeypatch.setattr(cross_fit, "unseen_by", unseen_by)
    done = hubel.train(data, replace(recipe, freeze=freeze))
    plan = plan_training(data, replace(recipe, freeze=freeze))
    assert [len(rows) for rows in judged] == [17, 16]
    for learned, unknown in zip(seen, judged, strict=True):
        assert sorted([*learned, *unknown]) == sorted(plan.splits.train), "each half is judged by the other's network"
    assert not set(judged[0]) & set(judged[1])
    card, place = read_card(done.model), {row: position for position, row in enumerate(plan.splits.train)}
    targets = plan.train.targets[[place[row] for row in np.concatenate(judged)]]
    logits = np.concatenate([one.logits for one in said])
    assert card.temperature == pytest.approx(fit_temperature(logits, targets), rel=1e-5)
    assert card.coverage is not None
    assert card.novelty is not None
    assert card.novelty.images == 33
    assert "cross-fitting" in done.seconds


def test_a_run_that_is_stopped_while_halves_are_tuned_ends_as_if_never_stopped(
    recipe: Recipe, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hubel.training.resolve._ENOUGH_TO_SELECT", 100)
    whole = hubel.train(data, replace(recipe, freeze="stage1"), out="whole")
    with monkeypatch.context() as patch:
        stop_after(patch, 12)  # two epochs of five steps are the whole's
        stopped = hubel.train(data, replace(recipe, freeze="stage1"), out="stopped")
    assert stopped.stopped_by == 15
    assert stopped.evaluation is None
    assert hubel.resume(stopped.folder).model.read_bytes() == whole.model.read_bytes()


def test_the_score_of_the_head_is_what_validation_would_say(recipe: Recipe, data: str) -> None:
    plan, tuning = prepared(replace(recipe, freeze="stage2"), data)
    assert tuning.tuned is not None
    for network, val in ((tuning.tuned, tuning.val), (tuning.network, plan.val)):
        loop = Loop(execute.build_trainer(plan, network), plan.train, plan.loop, EpochSelection(val=val))
        loss, right = loop._validate(network, val, Stop()) or (0.0, 0.0)
        assert (right, -loss) == pytest.approx(tuning.score, rel=0.01)


class Clock:
    """A clock that only the frozen part moves: by a second for each view of an image."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        compute = FeatureExtractor._compute

        def timed(part: Any, engine: Any, images: Any, found: Any, stores: Any, *, divided: bool) -> None:
            self.now += sum(len(stored.missing) for stored in found)
            compute(part, engine, images, found, stores, divided=divided)

        monkeypatch.setattr(FeatureExtractor, "_compute", timed)
        monkeypatch.setattr(transfer, "time", self)
        monkeypatch.setattr(group, "time", self)
        monkeypatch.setattr(transfer, "_WARM_UP", 4)
        monkeypatch.setattr(transfer, "_TIMED", 8)

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("seconds", "used", "views"),
    # 30 images train, 3 validate, 9 measure: those, the 8 that are timed first, and the 4 that are timed in their
    # precision are paid from any budget.
    [(14, 8, 0), (49, 25, 0), (59, 30, 1), (124, 30, 2)],
)
def test_the_limit_of_time_counts_the_frozen_part(
    seconds: int, used: int, views: int, recipe: Recipe, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    plan, tuning = prepared(replace(recipe, freeze="stage2", max_minutes=seconds / 60), data)
    assert (len(plan.train.images), len(plan.splits.measured)) == (30, 9)
    assert any("leaves no time for more" in note for note in tuning.notes) == (used < 30)
    assert any(note.startswith(f"{used} of 30 training images") for note in tuning.notes) == (used < 30)
    assert tuning.plan.boundary == ("stage2" if views else "all")
    if views:
        assert tuning.plan.views == views
        assert tuning.minutes_left == pytest.approx((seconds - clock.now - 9) / 60)
    elif used > 8:
        assert clock.now + 9 <= seconds, "with the measurement, the time is kept"


# Maps, or images ------------------------------------------------------------------------------------------


def prepared(recipe: Recipe, data: str) -> tuple[Plan, transfer.Tuning]:
    plan = plan_training(data, recipe)
    assert plan.transfer is not None
    return plan, transfer.prepare_tuning(plan, plan.transfer, lambda _: None, lambda _: None)


@pytest.mark.parametrize(
    ("settings", "views", "epochs"),
    [
        ({"views": 3, "epochs": 3}, 3, 3),
        ({"views": None, "epochs": None}, 8, 40),
        ({"views": None, "augment": "none"}, 1, 2),
    ],
)
def test_views_and_epochs_are_those_of_the_recipe_or_of_the_policy(
    settings: dict[str, Any], views: int, epochs: int, recipe: Recipe, data: str
) -> None:
    plan, tuning = prepared(replace(recipe, freeze="stage2", **settings), data)
    assert len(tuning.train.images.views) == views
    assert len(tuning.val.images.views) == 1
    assert plan.loop.epochs == epochs
    assert tuning.plan.views == views
    assert tuning.tuned is not None
    assert tuning.tuned.from_maps
    assert np.array_equal(tuning.train.targets, plan.train.targets)


def test_without_room_images_are_learnt_from(recipe: Recipe, data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(recipe, freeze="stage1", views=1, augment="none", lr=1e-3, epochs=1)
    by_maps = hubel.train(data, recipe)
    monkeypatch.setattr(FeatureExtractor, "room_for", lambda *_: False)
    by_images = hubel.train(data, recipe)
    rows = [history(run.folder) for run in (by_maps, by_images)]
    assert rows[0] != rows[1], "half precision rounds maps"
    for one, other in zip(*rows, strict=True):
        for name in ("train_loss", "val_loss"):
            assert float(one[name]) == pytest.approx(float(other[name]), rel=0.02)


def test_where_nothing_is_frozen_images_are_learnt_from(recipe: Recipe, data: str) -> None:
    plan, tuning = prepared(replace(recipe, freeze="none"), data)
    assert tuning.train is plan.train
    assert tuning.tuned is not None
    assert not tuning.tuned.from_maps
    assert all(parameter.requires_grad for parameter in tuning.network.parameters())


# Again, and on --------------------------------------------------------------------------------------------


def test_one_seed_one_file(recipe: Recipe, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(recipe, freeze="stage1")
    first = hubel.train(data, recipe).model.read_bytes()
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "another"))
    assert hubel.train(data, replace(recipe, loading_threads=2)).model.read_bytes() == first


@pytest.mark.parametrize("best", [1, 3])
def test_stop_and_go_on(best: int, recipe: Recipe, data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    judged(monkeypatch, best)
    recipe = replace(recipe, freeze="stage1", epochs=3)
    whole = hubel.train(data, recipe)
    with monkeypatch.context() as patched:
        stop_after(patched, 6)  # of four an epoch
        stopped = hubel.train(data, recipe)
    assert (stopped.stopped_by, stopped.evaluation) == (15, None)
    again = hubel.resume(stopped.folder)
    assert "resuming after epoch 1, step 2" in (again.folder / "log.txt").read_text()
    assert (again.folder / "metrics.json").is_file()
    assert history(again.folder) == history(whole.folder)
    assert again.model.read_bytes() == whole.model.read_bytes()


def test_go_on_with_stages_that_had_not_begun(recipe: Recipe, data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    judged(monkeypatch, best=3)
    recipe = replace(recipe, freeze="none", epochs=3, gradual_unfreeze=0.2, layer_decay=0.5)
    whole = hubel.train(data, recipe).model.read_bytes()
    with monkeypatch.context() as patched:
        stop_after(patched, 3)
        stopped = hubel.train(data, recipe).folder
    killed = Path(shutil.copytree(stopped, "killed-before-the-first-checkpoint"))
    shutil.rmtree(killed / "last")
    (killed / "model.safetensors").unlink()
    shutil.rmtree(Path.cwd() / "cache")  # and what was computed is gone
    for folder in (stopped, killed):
        assert hubel.resume(folder).model.read_bytes() == whole


def test_resumed_from_another_folder(
    recipe: Recipe, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(recipe.transfer.weights, tmp_path)
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patched:
        stop_after(patched, 1)
        run = hubel.train(data, replace(recipe, weights="weights.safetensors", freeze="stage2"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert hubel.resume(tmp_path / run.folder).evaluation is not None


# Other images, other labels -------------------------------------------------------------------------------


def test_several_labels_an_image(recipe: Recipe, tmp_path: Path) -> None:
    rng, rows = np.random.default_rng(0), ["image_path,label"]
    for i in range(60):
        top, left = i % 2, i // 2 % 2 or 1 - i % 2
        pixels = rng.integers(0, 60, (16, 16, 3)).astype(np.uint8)
        pixels[:8, 8:] += np.uint8(150 * top)
        pixels[8:, :8] += np.uint8(150 * left)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,{'|'.join(['top'] * top + ['left'] * left)}")
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    done = hubel.train(str(tmp_path / "table.csv"), replace(recipe, freeze="stage1", task="multi_label"))
    assert done.accuracy > 0.8
    card = read_card(done.model)
    assert (card.classes, card.scores) == (("left", "top"), "sigmoid")
    assert "val_exact" in (done.folder / "metrics.csv").read_text().splitlines()[0]


def test_grey_images_and_weights_of_colours(recipe: Recipe, tmp_path: Path) -> None:
    done = hubel.train(str(pictures(tmp_path / "grey", grey=True)), replace(recipe, freeze="stage1"))
    assert read_card(done.model).preprocess.channels == 1
    assert done.accuracy > 0.5


def test_the_network_of_the_package_sees_grey_images_in_colour(tmp_path: Path) -> None:
    done = hubel.train(str(pictures(tmp_path / "data", grey=True)), replace(PHOTOS, size="32", freeze="all"))
    preprocess = read_card(done.model).preprocess
    assert (preprocess.channels, preprocess.height, preprocess.resize) == (3, 32, "crop")
    assert preprocess.mean == find_weights("efficientnet_lite0").preprocess.mean
    assert done.accuracy > 0.5


# Classes of ImageNet --------------------------------------------------------------------------------------


def plan_of(names: list[str], tmp_path: Path, **settings: Any) -> Plan:
    for name in names:
        (tmp_path / "known" / name).mkdir(parents=True)
        for i in range(6):
            pixels = np.random.default_rng(i).integers(0, 256, (9, 9, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "known" / name / f"{i}.png")
    return plan_training(str(tmp_path / "known"), replace(PHOTOS, **settings))


def test_the_rows_of_the_pretrained_head(tmp_path: Path) -> None:
    plan = plan_of(["goldfish", "Tabby_Cat", "n01440764"], tmp_path)
    own = fitted_head._pretrained_head(plan, plan.transfer)
    assert own is not None
    layer = last_linear(create_model("efficientnet_lite0", weights="default"))
    assert layer is not None
    places = {"goldfish": 1, "Tabby_Cat": 281, "n01440764": 0}
    rows = [places[name] for name in plan.card.classes]
    assert np.array_equal(own[0], layer.weight.detach().numpy()[rows])
    assert np.array_equal(own[1], layer.bias.detach().numpy()[rows])


def test_one_class_that_is_not_imagenet_s(tmp_path: Path) -> None:
    plan = plan_of(["goldfish", "my goldfish"], tmp_path)
    assert fitted_head._pretrained_head(plan, plan.transfer) is None


def test_weights_of_a_file_have_classes_that_nobody_knows(recipe: Recipe, tmp_path: Path) -> None:
    settings = {"model": "resnet20", "options": OPTIONS, "weights": recipe.transfer.weights}
    plan = plan_of(["goldfish", "tabby cat"], tmp_path, **settings)
    assert fitted_head._pretrained_head(plan, plan.transfer) is None


# Real photos ----------------------------------------------------------------------------------------------


def folder_of(tmp_path: Path, name: str, files: dict[str, list[Path]], make: Callable[[Path, Path], Any]) -> str:
    for label, paths in files.items():
        (tmp_path / name / label).mkdir(parents=True)
        for path in paths:
            make(path, tmp_path / name / label / path.name)
    return str(tmp_path / name)


@pytest.fixture
def clothing(tmp_path: Path) -> str:
    """Eight photos of each of four classes."""
    classes = ("dress", "hat", "pants", "shoes")
    files = {name: sorted((SHARED / "clothing" / "train" / name).glob("*"))[:12] for name in classes}
    if not all(files.values()):
        pytest.skip("needs the photos of ../shared/data/clothing")
    return folder_of(tmp_path, "clothing", files, shutil.copy)


def test_photos_of_clothes(clothing: str) -> None:
    done = hubel.train(clothing, PHOTOS)
    assert done.accuracy >= 0.5, "a quarter would be chance"
    assert read_card(done.model).provenance["weights"] == "efficientnet_lite0.package"
    log = (done.folder / "log.txt").read_text()
    assert "36 images in 4 classes" in log
    assert "all up to stage5 stays frozen, and the stages above are tuned with the head\n" in log
    got = state(done.model)
    network = create_model("efficientnet_lite0", weights="default", num_classes=4)
    for name, value in network.state_dict().items():
        if name.startswith(("stem.", *(f"stages.{number}." for number in range(5)))):
            assert torch.equal(got[name], value), name


def test_a_network_that_knows_all_classes_keeps_its_own_head(tmp_path: Path) -> None:
    known = {"monarch butterfly": "n02279972", "Persian cat": "n02123394", "platypus": "n01873310"}
    files = {name: list((SHARED / "imagenet-100").glob(f"{synset}_*")) for name, synset in known.items()}
    if not all(files.values()):
        pytest.skip("needs the photos of ../shared/data/imagenet-100")

    def several(path: Path, target: Path) -> None:
        """The photo, a little smaller each time."""
        with Image.open(path) as image:
            image.thumbnail((160, 160))
            for i in range(4):
                image.crop((i, i, image.width - i, image.height - i)).save(target.with_name(f"{i}.png"))

    data = folder_of(tmp_path, "imagenet", files, several)
    done = hubel.train(data, replace(PHOTOS, size="96", freeze="all"))
    assert "accuracy 100.0% on the training images before any training" in (done.folder / "log.txt").read_text()
    network, card = load_model(done.model)
    layer = last_linear(network)  # type: ignore[arg-type]
    whole = last_linear(create_model("efficientnet_lite0", weights="default"))  # type: ignore[arg-type]
    assert layer is not None
    assert whole is not None
    rows = [imagenet_classes().index(name) for name in card.classes]
    assert torch.equal(layer.weight, whole.weight[rows])
    assert torch.equal(layer.bias, whole.bias[rows])
    assert done.accuracy == 1
