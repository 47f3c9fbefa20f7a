"""The search of settings: its folds, its decision, its files, its end in time."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

import hubel
from hubel.core.errors import CheckpointError, MissingPackageError, OptionError, UnknownNameError
from hubel.data.decoded import DecodedImages
from hubel.data.sources import ArraySource
from hubel.data.sources.builtin import XO
from hubel.tasks.catalogue import TASKS
from hubel.training import resume_tuning
from hubel.training.plan import Plan
from hubel.training.recipe import Recipe
from hubel.training.recipe_file import read_settings
from hubel.training.resolve import plan_training
from hubel.training.search import trials
from hubel.training.search import tune as search
from hubel.training.search.clock import Clock
from hubel.training.search.compare import compare
from hubel.training.search.cost import Costs
from hubel.training.search.decision import Decider
from hubel.training.search.folds import Folds
from hubel.training.search.record import recipe_toml
from hubel.training.search.space import START, make_space
from hubel.training.search.study import Study, TrialRow

pytest.importorskip("optuna")
pytestmark = pytest.mark.usefixtures("cache")

NOISY = XO(size=9, count=240, noise=0.3)


@pytest.fixture
def quick(tiny: Recipe) -> Recipe:
    """A recipe whose trials take tenths of a second."""
    return tiny.with_settings(epochs=2, lr=0.02)


@pytest.fixture(autouse=True)
def no_report(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the report, but where its files are looked at."""

    def write(folder: Path, *_: Any, **__: Any) -> Path:
        (folder / "metrics.json").write_text("{}")
        return folder / "report.html"

    if "with_report" not in request.fixturenames:
        monkeypatch.setattr("hubel.training.run_report.write_evaluation", write)


@pytest.fixture
def with_report() -> None:
    """Ask for the whole report."""


def tuned(quick: Recipe, out: str = "found", **changes: Any) -> search.TuneResult:
    given = {"minutes": 2.0, "trials": 3, "xo": NOISY, "out": out, "quiet": True, **changes}
    return hubel.tune("xo", quick, **given)


# Folds ----------------------------------------------------------------------------------------------------


def test_folds_hold_no_test_image_and_share_none(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of()
    folds, digest = Folds.of(plan), plan.dataset.index.digest
    seen = [set(digest[rows].tolist()) for rows in folds.held]
    assert all(not one & other for i, one in enumerate(seen) for other in seen[:i])
    assert set(np.concatenate(folds.held).tolist()) == set(folds.rows.tolist())
    for number in range(len(folds)):
        inner = plan_training_of(plan, folds, number)
        assert inner.measured.images.rows.tolist() == sorted(folds.held[number].tolist())
        parts = (inner.splits.train, inner.splits.val, inner.splits.test)
        assert not set(np.concatenate(parts).tolist()) & set(plan.splits.test.tolist())
        assert not len(set(inner.splits.test.tolist()) & set(np.concatenate(parts[:2]).tolist()))


def plan_training_of(plan: Plan, folds: Folds, number: int, most: int | None = None) -> Plan:
    from hubel.training.resolve import resolve

    return resolve(plan.pinned, folds.data(number, most), plan.task)


def test_a_sample_of_a_fold_has_every_class_and_the_same_images_set_aside(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of()
    folds = Folds.of(plan)
    inner = plan_training_of(plan, folds, 1, 20)
    assert len(inner.splits.train) + len(inner.splits.val) == 20
    assert set(inner.train.targets.tolist()) == {0, 1}
    compared = set(folds.held[0].tolist())
    unused = set(folds.rows.tolist()) - set(inner.splits.train.tolist()) - set(inner.splits.val.tolist()) - compared
    assert set(inner.splits.test.tolist()) == unused >= set(folds.held[1].tolist())
    assert list(folds.samples()) == sorted(folds.samples(), reverse=True)
    for number in range(len(folds)):  # as few images as there are classes
        fewest = folds.data(number, 2)
        assert len(set(fewest.labels(fewest.rows("train")))) == 2


def test_what_confirms_was_neither_taught_nor_compared_nor_measured_before() -> None:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (600, 9, 9), np.uint8)
    images[300:400] = images[:100]  # copies, byte for byte
    source = ArraySource(images, np.arange(600) % 2, np.repeat([1, 3], [500, 100]))
    folds = Folds.of(plan_training(source, Recipe(model="linear", threads=1)))
    digest = folds.dataset.index.digest
    for fit in folds.samples():
        gone = set(digest[folds.held[0]].tolist())
        for number, measured in enumerate(folds.confirming(fit), 1):
            data = folds.data(number, fit)
            taught = set(digest[data.rows("train")].tolist())
            assert sorted(data.rows("test").tolist()) == sorted(measured.tolist())
            assert not set(digest[measured].tolist()) & (taught | gone)
            gone |= set(digest[measured].tolist())
    few = min(folds.samples())
    assert len(folds.confirming(few)[0]) > 1.5 * len(folds.held[1])  # what does not teach measures


def test_the_datas_own_validation_images_stay_what_they_are() -> None:
    generator = np.random.default_rng(0)
    images, labels = generator.integers(0, 256, (300, 9, 9), np.uint8), np.arange(300) % 2
    source = ArraySource(images, labels, np.repeat([1, 2, 3], [160, 70, 70]))
    plan = plan_training(source, Recipe(model="linear", threads=1))
    folds = Folds.of(plan)
    for number in range(len(folds)):
        inner = plan_training_of(plan, folds, number)
        assert inner.splits.val.tolist() == plan.splits.val.tolist() == list(range(160, 230))
        assert max(inner.splits.train.max(), inner.splits.test.max()) < 160


# Decision -------------------------------------------------------------------------------------------------


def beats(new: Any, old: Any, seed: int) -> bool:
    return compare(lambda at: float(old[at].mean()), lambda at: float(new[at].mean()), len(old), seed).better


def test_what_is_only_noise_is_rarely_taken_for_better() -> None:
    """The best of 20 models that are all alike is 'better' on the images it was chosen by, and not on others."""
    generator = np.random.default_rng(1)
    repeats, chosen, confirmed = 80, 0, 0
    for seed in range(repeats):
        right = generator.random((21, 2, 300)) < 0.9  # model, images of the choice or others, image
        best = 1 + int(right[1:, 0].mean(1).argmax())
        chosen += beats(right[best, 0], right[0, 0], seed)
        confirmed += beats(right[best, 1], right[0, 1], seed)
    assert chosen > 0.3 * repeats  # who decides by the images of the choice is fooled
    assert confirmed <= 0.1 * repeats  # 5 %, and what 80 draws may differ


@dataclasses.dataclass
class Answers:
    """A measured trial: for each image, whether its answer is right."""

    right: np.ndarray
    seconds: float = 0.0

    def __len__(self) -> int:
        return len(self.right)

    def score(self, positions: np.ndarray | None = None) -> float:
        return float(self.right[slice(None) if positions is None else positions].mean())


@pytest.mark.parametrize(
    ("score", "seconds", "taught", "words"),
    [
        (0.8, 600, [300, 300], "that may be noise, so the default recipe is kept"),  # behind on enough images
        (0.8, 200, [150, 150], "that may be noise, so the default recipe is kept"),  # with time for one fold of 300
        (0.8, 60, [], "leads with 100 training images, but there was no time to confirm it with 150, and what leads"),
        (0.6, 600, [], "the default recipe is the best of 2 trials"),
    ],
)
def test_what_leads_on_few_images_is_confirmed_on_many(
    score: float, seconds: int, taught: list[int], words: str
) -> None:
    """Frozen features win on a hundred images, a network from scratch on all of them."""
    images = np.random.default_rng(0).integers(0, 256, (500, 9, 9), np.uint8)
    source = ArraySource(images, np.arange(500) % 2, np.repeat([1, 3], [400, 100]))
    folds, asked = Folds.of(plan_training(source, Recipe(model="linear", threads=1))), list[int]()
    assert [folds.telling(sample) for sample in (100, 150, 200)] == [150, 150, 300]
    default, best = {"start": "scratch"}, {"start": "frozen"}
    rows = [
        TrialRow(number=number, params=params, state="complete", score=score, seconds=9.0, note="", sample=100)
        for number, params, score in ((1, best, score), (0, default, 0.7))
    ]

    def measure(params: Any, fold: int, sample: int, name: str, on_epoch: Any) -> Answers:
        asked.append(sample)
        right = {"frozen": 0.82, "scratch": 0.70 if sample < 150 else 0.90}[params["start"]]
        return Answers(np.arange(100) < 100 * right)

    decision = Decider(
        study=SimpleNamespace(complete=rows, made=rows),
        default=default,
        folds=folds,
        forecast=SimpleNamespace(confirmation=lambda params, sample: sample / 5, final=lambda params: 20.0),
        clock=Clock(time.monotonic(), seconds),
        measure=measure,
        tell=lambda line: None,
        save=lambda: None,
        metric="accuracy",
        seed=0,
    ).decide()
    assert (asked, decision.trial) == (taught, 0)
    assert words in decision.reason


def test_what_is_better_is_found() -> None:
    generator = np.random.default_rng(2)
    first = generator.random(1000) < 0.85
    second = first | (generator.random(1000) < 0.3)
    found = compare(lambda at: float(first[at].mean()), lambda at: float(second[at].mean()), 1000)
    assert found.better
    assert found.difference == pytest.approx(second.mean() - first.mean())
    error = np.sqrt(found.difference * (1 - found.difference) / 1000)  # of a share of ones
    assert found.lower == pytest.approx(found.difference - 1.645 * error, abs=0.005)


# Space ----------------------------------------------------------------------------------------------------


def test_the_first_values_are_those_of_the_default_recipe(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of(network=dataclasses.replace(Recipe().network))
    space = make_space(plan)
    default = space.default
    assert space.recipe(default.params()) == default.recipe
    assert space.settings(default.params()) == {}
    sizes = {side for side in (9, 96, 128, 160, 224) if f"efficientnet_lite0 at {side}" in space.starts}
    assert sizes == {96, 128, 160, 224}, "what is pretrained sees small images enlarged"
    assert [name for name in space.starts if name.startswith("resnet20")] == ["resnet20 at 9"]
    changed = default.params(lr=1)
    assert space.recipe(changed).optimization.lr == default.values["lr"][1] != plan.optimizer.lr


def test_stored_features_cost_nothing_again(plan_of: Callable[..., Plan]) -> None:
    space = make_space(plan_of(network=Recipe().network))
    start, costs = space.starts["efficientnet_lite0 at 96"], Costs()
    params, first = start.params(), costs.training(start, start.params(), 100)
    costs.record(start, params, 100, 100, seconds=first, measuring=0.1)
    again = costs.training(start, params, 100)
    assert again < costs.training(start, params, 200) < first + again, "of the second hundred, features are computed"
    assert again < costs.training(start, params, 100, other_fold=True), "half of the images are others"


def test_settings_of_the_user_are_not_searched(quick: Recipe) -> None:
    plan = plan_training("xo", quick, xo=NOISY)
    space = make_space(plan)
    assert [start.plan.card.model for start in space.starts.values()] == ["convnet"]
    assert not {"epochs", "lr", "batch_size"} & space.default.values.keys()
    assert {"augment", "label_smoothing"} <= space.default.values.keys()


def test_networks_by_name_and_by_file(quick: Recipe, tmp_path: Path) -> None:
    run = hubel.train("xo", quick, xo=NOISY, out=tmp_path / "run", quiet=True)
    plan = plan_training("xo", Recipe(threads=1, epochs=1), xo=NOISY)
    space = make_space(plan, ["lenet5_modern", str(run.folder)])
    models = [start.plan.card.model for start in space.starts.values()]
    assert models[0] == plan.card.model
    assert "lenet5_modern" in models[1:]
    assert any("model.safetensors" in name for name in space.starts)
    with pytest.raises(UnknownNameError, match="lenet5_modern"):
        make_space(plan, ["lenet5_modrn"])
    with pytest.raises(OptionError, match="no such file"):
        make_space(plan, ["nowhere.safetensors"])


def test_every_metric_is_in_the_evaluation() -> None:
    from hubel.data.annotation import Annotation
    from hubel.inference.detections import Detections
    from hubel.metrics.average_precision import measure_detections
    from hubel.metrics.classification import measure_classification, measure_multilabel
    from hubel.metrics.segmentation import measure_segmentation, pixel_confusion
    from hubel.tasks.regress import measure_regression

    one = measure_classification([[0.9, 0.1], [0.6, 0.4]], [0, 1], ["a", "b"]).to_json()
    several = measure_multilabel(np.array([[0.9, 0.1]]), np.array([[1.0, 0.0]]), ["a", "b"]).to_json()
    number = dataclasses.asdict(measure_regression(np.array([1.0, 3.0]), np.array([1.0, 2.0])))
    mask, box = (
        np.zeros((2, 2), np.uint8),
        Annotation(classes=np.array([0]), boxes=np.ones((1, 4)), crowd=np.zeros(1, bool)),
    )
    pixels = measure_segmentation(pixel_confusion(mask, mask, 2)[None], ["a", "b"]).to_json()
    boxes = measure_detections([Detections(classes=box.classes, boxes=box.boxes, scores=np.ones(1))], [box], ["a"])
    localised = dict.fromkeys(("localised", "mean_iou"))  # read in tests/tasks/test_detect.py
    known = {"classify": one, "multi_label": several, "regress": number, "segment": pixels, "localise": localised}
    known["detect"] = boxes.to_json()
    points = dict.fromkeys(("oks", "oks_ap", "pck"))  # read in tests/tasks/test_key_points.py
    known |= {"key_points": points, "key_points_in_boxes": points}
    for task in TASKS:
        assert {metric.key for metric in task.metrics.values()} <= known.get(task.name, {}).keys()
    assert sum(bool(task.metrics) for task in TASKS) == len(known)


# Files ----------------------------------------------------------------------------------------------------

names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)


@given(
    lr=st.floats(1e-9, 10),
    epochs=st.integers(1, 1000),
    path=st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: text != "auto"),
    options=st.dictionaries(st.from_regex(r"[a-z_]{1,6}", fullmatch=True), names, max_size=2),
    balance=st.sampled_from([None, "none", "effective"]),
)
@settings(max_examples=60, deadline=None)
def test_a_recipe_comes_back_from_its_toml(
    lr: float, epochs: int, path: str, options: dict[str, str], balance: str | None
) -> None:
    recipe = Recipe(model="convnet", lr=lr, epochs=epochs, augment=path, options=options, balance=balance)
    assert Recipe.from_json(tomllib.loads(recipe_toml(recipe))) == recipe


def test_a_search_leaves_its_files_and_repeats_bit_for_bit(
    quick: Recipe, with_report: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = tuned(quick)
    assert capsys.readouterr().err == ""
    folder = Path("found")
    assert {"leaderboard.csv", "best.toml", "model.safetensors", "report.html", "metrics.json", "config.json"} <= {
        path.name for path in folder.iterdir()
    }
    assert not (folder / "trials").exists()
    assert [row.number for row in found.trials] == [0, 1, 2]
    assert found.settings[0] == {}
    with (folder / "leaderboard.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(int(row["trial"]) for row in rows) == [0, 1, 2]
    scores = [float(row["score"]) for row in rows if row["score"]]
    assert scores == sorted(scores, reverse=True)
    assert next(row for row in rows if row["trial"] == "0")["settings"] == "the default recipe"
    again = hubel.train("xo", read_settings(found.config), xo=NOISY, out="again", quiet=True)
    ours, theirs = load_file(found.run.model), load_file(again.model)
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours | theirs)
    assert again.accuracy == found.run.accuracy


def test_the_default_recipe_is_what_train_makes_of_the_same_request(quick: Recipe) -> None:
    found = tuned(quick, trials=1)
    assert found.best == 0
    plain = hubel.train("xo", quick, xo=NOISY, out="plain", quiet=True)
    ours, theirs = load_file(found.run.model), load_file(plain.model)
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours | theirs)


def test_the_search_sees_no_test_image(quick: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_training("xo", quick, xo=NOISY)
    test, seen, final = set(plan.splits.test.tolist()), set[int](), []
    read, planned = DecodedImages.decoded, search.train_planned

    def reading(self: DecodedImages, position: int, *words: Any) -> Any:
        if not final:
            seen.add(int(self._rows[position]))
        return read(self, position, *words)

    def training(*words: Any) -> Any:
        final.append(True)
        return planned(*words)

    monkeypatch.setattr(DecodedImages, "decoded", reading)
    monkeypatch.setattr(search, "train_planned", training)
    tuned(quick)
    assert seen
    assert not seen & test


def stop_at(number: int, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let the trial of a number end by an error."""
    made, run_trial = [], trials.run_trial

    def running(*words: Any, **named: Any) -> Any:
        made.append(True)
        if len(made) == number:
            raise error
        return run_trial(*words, **named)

    monkeypatch.setattr(trials, "run_trial", running)


def test_ctrl_c_leaves_the_best_so_far(quick: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        stop_at(3, patch, KeyboardInterrupt())
        found = tuned(quick, trials=4)
    assert (found.stopped_by, found.run.evaluation) == (2, None)
    assert len(found.trials) == 2
    assert tomllib.loads(found.config.read_text())["network"]["model"] == "convnet"
    assert hubel.load(found.run.model).classes == ("O", "X")
    whole = resume_tuning("found", quiet=True)
    assert whole.run.evaluation is not None
    assert [row.number for row in whole.trials] == [0, 1, 2, 3]
    assert whole.trials[:2] == found.trials
    with pytest.raises(CheckpointError, match="finished"):
        resume_tuning("found")


class Killed(BaseException):
    """Stands for the end of the process."""


def test_a_killed_search_goes_on(quick: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        stop_at(3, patch, Killed())
        with pytest.raises(Killed):
            tuned(quick, trials=3)
    journal = Path("found/trials.jsonl")
    lines = journal.read_text().splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines)  # text, and nothing that could run
    running = [json.loads(line) for line in lines][-1]
    Path("found/trials.jsonl.lock").touch()  # of the killed process
    whole = resume_tuning("found", quiet=True)
    assert running
    assert [row.number for row in whole.trials] == [0, 1, 2]
    assert len({json.dumps(dict(row.params), sort_keys=True) for row in whole.trials}) == 3


@pytest.fixture
def stopped(quick: Recipe, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A search that was killed after two trials."""
    with monkeypatch.context() as patch:
        stop_at(3, patch, Killed())
        with pytest.raises(Killed):
            tuned(quick, trials=3)
    return Path("found")


def test_a_journal_whose_last_line_was_torn(stopped: Path) -> None:
    """A kill or a full disk leaves a part of a line; the trial under way is made again, the others are not."""
    journal = stopped / "trials.jsonl"
    whole = journal.read_bytes()
    before = [row for row in map(json.loads, whole.splitlines()) if "row" in row.get("user_attr", {})]
    journal.write_bytes(whole[:-7])
    found = resume_tuning(stopped, quiet=True)
    assert [row.number for row in found.trials] == [0, 1, 2]
    assert [row.seconds for row in found.trials[:2]] == [one["user_attr"]["row"]["seconds"] for one in before]
    assert [json.loads(line) for line in journal.read_text().splitlines()]


@pytest.mark.parametrize(
    "added",
    [
        b"no JSON\n",
        b"[]\n",
        b"{}\n",
        b'{"op_code": 99, "worker_id": "x"}\n',
        b"[" * 100_000 + b"\n",
        b"\xff\n",
    ],
)
def test_a_damaged_journal(stopped: Path, added: bytes) -> None:
    with (stopped / "trials.jsonl").open("ab") as file:
        file.write(added)
    with pytest.raises(CheckpointError, match=r"trials\.jsonl is damaged \(.*\); start a new search$"):
        resume_tuning(stopped, quiet=True)


def test_a_journal_of_other_networks_or_numbers(stopped: Path) -> None:
    journal = stopped / "trials.jsonl"
    text = journal.read_text()
    for old, new, message in (
        ("convnet", "resnet20", "a trial of resnet20 .*, which is none of the networks at hand"),
        ('"seconds":', '"seconds":-', "its trial 0 has other numbers than trials have"),
        ('"seconds":', '"second":', "unexpected keyword argument 'second'"),
    ):
        journal.write_text(text.replace(old, new))
        with pytest.raises(CheckpointError, match=message):
            resume_tuning(stopped, quiet=True)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("data", 5, "data is a path or a name, not 5"),
        ("xo", 5, "xo is a table, not 5"),
        ("recipe", [], "recipe is a table"),
        ("minutes", float("inf"), "minutes is a number from 0, not inf"),
        ("metric", 5, "metric is a text, not 5"),
        ("models", [5], "models is a list of names"),
        ("trials", "x", "trials is a whole number, not 'x'"),
        ("sample", 1.5, "sample is a whole number, not 1.5"),
        ("fingerprint", None, "fingerprint is a text, not None"),
        ("spent", float("nan"), "spent is a number from 0, not nan"),
        ("decision", 5, "decision is a table, not 5"),
        ("decision", {"trial": 0}, "records do not have the trial that was decided on"),
        ("decision", {"trial": 9, "reason": "", "comparison": None}, "records do not have the trial"),
    ],
)
def test_a_state_that_was_edited(stopped: Path, name: str, value: Any, message: str) -> None:
    state = json.loads((stopped / "tune.json").read_text())
    (stopped / "tune.json").write_text(json.dumps(state | {name: value}))
    with pytest.raises(CheckpointError, match=message):
        resume_tuning(stopped, quiet=True)
    for text in ("", "[" * 100_000, json.dumps(state)[:100]):
        (stopped / "tune.json").write_text(text)
        with pytest.raises(CheckpointError, match=r"no readable tune\.json"):
            resume_tuning(stopped, quiet=True)


def test_a_search_that_ended_while_another_one_indexed_its_images(
    quick: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both found the folder empty; the second one must not write over what the first has found."""
    plan = search.plan_training

    def while_another_one_ends(*words: Any, **named: Any) -> Plan:
        monkeypatch.setattr(search, "plan_training", plan)
        tuned(quick, trials=1)
        return plan(*words, **named)

    monkeypatch.setattr(search, "plan_training", while_another_one_ends)
    with pytest.raises(CheckpointError, match="already holds a search"):
        tuned(quick, trials=2)
    assert json.loads(Path("found/tune.json").read_text())["trials"] == 1


def test_a_search_is_not_made_twice_in_a_folder(quick: Recipe) -> None:
    tuned(quick, trials=1)
    with pytest.raises(CheckpointError, match="already holds a search"):
        tuned(quick, trials=1)
    with pytest.raises(CheckpointError, match="not the folder of a search"):
        resume_tuning("elsewhere")


def test_time_is_the_limit(tiny: Recipe) -> None:
    started = time.monotonic()
    found = tuned(tiny.with_settings(lr=0.02, epochs=2), minutes=0.25, trials=None)
    seconds = time.monotonic() - started
    assert len(found.trials) >= 1
    assert seconds < 15 * 1.05 + 10
    assert found.seconds == pytest.approx(seconds, abs=1)


def test_the_best_trials_are_made_again_on_more_images(quick: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "_DEFAULT_SHARE", 0.0)  # so trials begin with the fewest images
    monkeypatch.setattr(trials, "_EXPLORING", 0.0)  # and learn from more of them at once
    found = tuned(quick, trials=8, xo=dataclasses.replace(NOISY, count=500))
    samples = [row.sample for row in found.trials]
    assert samples == sorted(samples)
    assert len(set(samples)) == 2
    larger = [row.params for row in found.trials if row.sample == samples[-1]]
    assert larger[0] == found.trials[0].params, "the default recipe comes first"
    with Path("found/leaderboard.csv").open(newline="") as file:
        shown = [int(row["images"]) for row in csv.DictReader(file) if row["score"]]
    assert shown == sorted(shown, reverse=True)


def test_a_failing_trial_is_one_line_of_the_leaderboard(quick: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_at(2, monkeypatch, OptionError("no such\nthing"))
    found = tuned(quick)
    assert (found.trials[1].state, found.trials[1].note, found.trials[1].score) == ("failed", "no such thing", None)
    assert found.run.evaluation is not None


@pytest.mark.slow
def test_the_winner_has_to_be_confirmed(quick: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial that is lucky on the images of the choice is not taken; one that is right everywhere is."""
    for lucky in (True, False):
        with monkeypatch.context() as patch:
            run_trial = search.run_trial

            def running(
                recipe: Recipe, dataset: Any, *words: Any, run: Any = run_trial, lucky: bool = lucky, **named: Any
            ) -> Any:
                measured = run(recipe, dataset, *words, **named)
                default = recipe.optimization.label_smoothing == 0
                first = str(words[2]).endswith(
                    ("0", "1")
                )  # folders of the trials; those of the confirmation have names
                right = 0.6 if default or (lucky and not first) else 0.95
                truth = measured.held.targets
                answers = np.where(
                    np.random.default_rng(len(str(words[2]))).random(len(truth)) < right, truth, 1 - truth
                )
                outputs = 4 * np.eye(2, dtype=np.float32)[answers]
                return dataclasses.replace(measured, outputs=outputs)

            patch.setattr(search, "run_trial", running)
            patch.setattr("hubel.training.search.study._CHANGES", (("label_smoothing", 1),))
            found = tuned(quick, f"found-{lucky}", trials=2)
        assert found.comparison is not None
        assert found.best == (0 if lucky else 1)
        assert ("noise" in found.reason) == lucky


def test_numbers_are_chosen_by_r2() -> None:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (160, 8, 8), np.uint8)
    source = ArraySource(images, images.mean((1, 2)).round(3).astype(str), name="means")
    recipe = Recipe(task="regress", model="linear", epochs=2, threads=1, loading_threads=0)
    found = hubel.tune(source, recipe, minutes=2, trials=2, out="numbers", quiet=True)
    assert found.metric == "r2"
    assert found.trials[0].score is not None


def test_what_cannot_be_meant_is_refused(quick: Recipe) -> None:
    for wrong, message in (
        ({"metric": "macro_f2"}, "macro_f1"),
        ({"minutes": 0}, "minutes"),
        ({"trials": 0}, "trials"),
    ):
        with pytest.raises((OptionError, UnknownNameError), match=message):
            tuned(quick, **wrong)
    with pytest.raises(OptionError, match="max_minutes"):
        tuned(quick.with_settings(max_minutes=3))
    with pytest.raises(OptionError, match="no metric"):
        hubel.tune("digits", Recipe(task="reconstruct"), out="none")
    assert not Path("found").exists()


def test_without_optuna_the_extra_is_named(quick: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingPackageError, match=r'pip install "hubel\[tune\]"'):
        tuned(quick)


def test_the_first_trials_go_from_the_default_to_heads_to_networks(
    plan_of: Callable[..., Plan], tmp_path: Path
) -> None:
    space = make_space(plan_of(network=Recipe().network))
    study, asked = Study(tmp_path / "trials.jsonl", space, 0), []
    study.sample = 100
    for _ in range(8):
        params = study.ask()
        study.tell(params, "complete", score=0.5 + 0.01 * len(asked), seconds=1.0)
        asked.append(space.settings(params))
    assert asked[0] == {}
    heads = [settings.get("freeze") == "all" for settings in asked]
    assert heads[1]
    assert sorted(heads[1:], reverse=True) == heads[1:]  # all heads before what is tuned
    assert len({json.dumps(settings, sort_keys=True) for settings in asked}) == len(asked)
    assert [row.number for row in Study(tmp_path / "trials.jsonl", space, 0).rows] == list(range(8))
    assert all(row.params[START] in space.starts for row in study.rows)
    study.sample = 400  # the default recipe and the best trials come again, and are compared among themselves
    for place, number in enumerate((0, 7, 6, 5, 4)):
        params = study.ask()
        assert params == study.rows[number].params
        study.tell(params, "complete", score=0.9 - 0.01 * place, seconds=1.0)
        assert [row.number for row in study.complete] == list(range(8, 9 + place))
    assert study.ask() not in [row.params for row in study.complete]


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
@pytest.mark.slow
def test_photos_repeat_bit_for_bit_from_the_recipe(tmp_path: Path) -> None:
    """In transfer learning, too: with the features of the search, and with an empty cache."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (160, 32, 32, 3), np.uint8)
    images[80:, :16] //= 3
    source = ArraySource(images, np.repeat(["a", "b"], 80), name="halves")
    recipe = Recipe(model="efficientnet_lite0", size="64", threads=1, freeze="stage4", epochs=2)
    found = hubel.tune(source, recipe, minutes=4, trials=2, out="halves", quiet=True)
    for number in range(2):
        again = hubel.train(source, read_settings(found.config), out=f"again-{number}", quiet=True)
        ours, theirs = load_file(found.run.model), load_file(again.model)
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours | theirs), number
        os.environ["HUBEL_CACHE"] = str(tmp_path / "other-cache")
