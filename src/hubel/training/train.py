"""Train a model: one run from data to report."""

from __future__ import annotations

import dataclasses
import os
import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Never

import torch
from torch import nn

from hubel.core.errors import CheckpointError, HubelError, OptionError
from hubel.core.files import remove_leftovers, user_path
from hubel.core.group import alone, current_group
from hubel.core.notes import Caution, cautions, marked, warnings_last
from hubel.core.outputs import hold_folder, make_folder, output_folder
from hubel.core.progress import counted, silence
from hubel.core.shell import shell_command
from hubel.core.version import __version__
from hubel.data.sources.builtin import XO
from hubel.evaluation.folds import FoldsResult
from hubel.evaluation.notebook import evaluation_html
from hubel.plots.notebook import list_html
from hubel.tasks.task import Evaluation
from hubel.training.execute import OnEpoch, TrainedModel, execute
from hubel.training.folds import measure_run_in_folds
from hubel.training.initial_weights import check_weights
from hubel.training.named_recipes import claim_record
from hubel.training.own_network import with_network
from hubel.training.plan import Plan
from hubel.training.processes.join import begun_run, check_same_data, joining_ranks, note_run, note_trained
from hubel.training.processes.launch import is_launched, launch_training
from hubel.training.processes.settings import sharing_sentence
from hubel.training.recipe import MachineSettings, Recipe, refuse_settings
from hubel.training.recipe_file import modern
from hubel.training.resolve import plan_training
from hubel.training.run_folder import RunFolder, newest_unfinished
from hubel.training.run_report import evaluate_run

__all__ = ["RunResult", "data_location", "plan_of_run", "resume", "train", "train_planned"]


_NAMES = 60  # letters of the names of classes that are shown at the start: folders that are none stand out
_REPORT = 4.0  # seconds of the figures and the page; they count as the rest of a run does


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """The files and numbers of a run.

    Attributes:
        folder: of the run.
        model: the model file.
        evaluation: the measurement; None when the run was stopped before its end.
        split: the images that were measured: "test" or "validation"; "" when the run was stopped.
        report: the page; None when the run was stopped.
        stopped_by: the number of the signal that stopped it; 0 when it came to its end.
        minutes: time spent on training.
        images_per_second: of the last epoch; None where there were no epochs.
        seconds: spent, by phase.
        notes: what was decided, and warnings, in sentences.
        advice: what to try next, in sentences.
        folds: the cross-validated linear head, where the recipe asks for folds; its files are in the folder `folds`.
        rank: of the process; rank 0 alone measures, and the others return nothing but the place of the files.
    """

    folder: Path
    model: Path
    evaluation: Evaluation | None = field(default=None, repr=False)
    split: str = ""
    report: Path | None = None
    stopped_by: int = 0
    minutes: float = 0.0
    images_per_second: float | None = None
    seconds: Mapping[str, float] = field(default_factory=dict, repr=False)
    notes: Sequence[str] = ()
    advice: Sequence[str] = ()
    folds: FoldsResult | None = field(default=None, repr=False)
    rank: int = 0

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy, or the share of images with exactly the right classes; 0 to 1."""
        accuracy = None if self.evaluation is None else self.evaluation.accuracy
        assert accuracy is not None, "the run was stopped, or its task has no accuracy"
        return accuracy

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the numbers, learning curves and confusion matrix, notes and advice."""
        if self.evaluation is None:
            return list_html([f"{self.folder}: stopped; hubel.resume continues", *self.notes])
        return evaluation_html(self.evaluation, self.split, self.folder, [*self.notes, *self.advice])


def train(
    data: Any,
    recipe: Recipe | Mapping[str, Any] | str | os.PathLike[str] | None = None,
    *,
    model: str | nn.Module | None = None,
    out: str | Path | None = None,
    xo: XO | None = None,
    quiet: bool = False,
    on_epoch: OnEpoch | None = None,
    started: float | None = None,
    **unknown: Never,
) -> RunResult:
    """Train a network on images, measure it, and write everything into a folder.

    Args:
        data: a folder, table, built-in dataset, or a pair (images, labels); see `hubel.data.open_dataset`.
        recipe: the settings, as a `Recipe`, a dict, a file, or the name of one that `hubel recipes` lists; what they
            leave open is decided from the data.
        model: a network of one's own, any `nn.Module` that gives `(n, classes)`: a copy of it is trained, from the
            weights that it has. Or the name of a network, as in the recipe.
        out: the folder of the run; a new one below `runs/` if not given.
        xo: settings of the images when `data` is "xo".
        quiet: print nothing; `log.txt` in the folder has all lines.
        on_epoch: called after each epoch with its row of `metrics.csv`, such as `{"epoch": 1, "val_loss": 0.5, ...}`;
            not at all where no epoch is made (only the head of a pretrained network is fitted).
        started: when the time of `max_minutes` began, in seconds of `time.monotonic`; now if None.
        unknown: nothing: settings such as `epochs=3` are refused with the recipe that they belong into.

    Raises:
        HubelError: the data or a setting cannot be used; or the loss diverged.
    """
    refuse_settings("train", unknown)
    if on_epoch is not None and not callable(on_epoch):
        raise OptionError(f"on_epoch is a function of one row of metrics, not {on_epoch!r:.80}")
    with silence() if quiet else nullcontext():
        target = None if out is None else _path("out", out)
        request, module = with_network(Recipe.of(recipe), model)
        started = time.monotonic() if started is None else started
        if is_launched(request.machine):
            return launch_training(data, request, module=module, out=target, xo=xo, on_epoch=on_epoch)
        with joining_ranks(request.machine):
            if (begun := begun_run()) is not None and (begun / "config.json").exists():
                return _resume(RunFolder(begun), module, started)
            return _train(data, request, module, target or begun, xo, on_epoch, started)


def _train(
    data: Any,
    recipe: Recipe,
    module: nn.Module | None,
    out: Path | None,
    xo: XO | None,
    on_epoch: OnEpoch | None,
    started: float,
) -> RunResult:
    group = current_group()
    if group.first:
        if out is not None:
            _check_new(out)  # before the images are indexed
        out = output_folder(out, verb="train", inputs=(data,))
    plan = plan_training(data, recipe, xo=xo, module=module)
    check_weights(plan)
    seconds = {"start and index of the images": time.monotonic() - started}
    name = f"{plan.dataset.source.name}-{plan.card.model}"
    check_same_data(plan)
    folder = RunFolder(Path(group.agree(lambda: str(make_folder(out, verb="train", name=name)))))
    with folder.lock() if group.first else nullcontext():
        if group.first:
            _check_new(folder.path)  # another process may have been first
            folder.write_config(_config(data, plan, xo))
            note_run(folder.path)
        return _carry_out(folder, plan, seconds, on_epoch)


def train_planned(
    data: Any, plan: Plan, xo: XO | None, folder: RunFolder, on_epoch: OnEpoch | None = None
) -> RunResult:
    """Train as planned into a folder that the caller has locked, or go on with a run that was begun there; see `train`.

    Its config.json is the same as that of `train` with the plan's pinned recipe.
    """
    folder.write_config(_config(data, plan, xo))
    return _carry_out(folder, plan, {}, on_epoch)


def _check_new(folder: Path) -> None:
    if (folder / "config.json").exists():
        raise CheckpointError(
            f"{folder} already holds a run; resume it (--resume, in Python hubel.resume), or choose another folder"
        )


def _config(data: Any, plan: Plan, xo: XO | None) -> dict[str, Any]:
    """Return the content of config.json: what resumes the run, and what it was made with."""
    return {
        "hubel": __version__,
        "data": data_location(data, plan),
        "xo": dataclasses.asdict(xo) if xo else None,
        "recipe": plan.pinned.to_json(),
        **claim_record(plan.recipe),
        "classes": plan.card.classes,
        "preprocess": plan.preprocess.to_json(),
        "augmentation": plan.loop.policy.to_json(),
        "images": {
            "train": len(plan.splits.train),
            "val": len(plan.splits.val),
            "test": len(plan.splits.test),
        },
        "fingerprint": plan.card.provenance["fingerprint"],
        **_taught_by(plan),
        "environment": {"python": platform.python_version(), "torch": torch.__version__},
    }


def _taught_by(plan: Plan) -> dict[str, Any]:
    """Return who teaches, and a digest of the images without labels; nothing without a teacher."""
    if plan.distillation is None:
        return {}
    return {name: plan.card.provenance[name] for name in ("teachers", "unlabelled") if name in plan.card.provenance}


def _path(name: str, value: Any) -> Path:
    if not isinstance(value, str | os.PathLike):
        raise OptionError(f"{name} is the path of a folder, not {value!r}")
    return user_path(value)


def data_location(data: Any, plan: Plan) -> str | None:
    """Return what finds the data from any folder; None for arrays."""
    source = plan.dataset.source
    if not isinstance(data, str | Path):
        return source.location or None
    path = user_path(data)
    if path.exists():
        return str(path.resolve())
    # A pattern of archives has a place; an address of the hub is one already, and a built-in dataset has its name.
    return str(data) if "://" in str(data) else source.location or str(data)


def resume(
    folder: str | Path | None = None, *, model: nn.Module | None = None, started: float | None = None
) -> RunResult:
    """Go on with an unfinished run: the one in `folder`, or the newest one below `runs/`.

    Args:
        folder: of the run.
        model: a module of the class that is trained, for a network of one's own.
        started: see `train`.

    Raises:
        CheckpointError: there is no such run, it is finished, or its data has changed; or it trains a network of one's
            own, and the module is missing or another one.
    """
    run = RunFolder(newest_unfinished() if folder is None else _path("folder", folder))
    machine = _machine_of(run)  # before a lock is put where no run is
    if is_launched(machine):
        return launch_training(None, None, module=model, out=run.path)
    with joining_ranks(machine):
        return _resume(run, model, time.monotonic() if started is None else started)


def _machine_of(run: RunFolder) -> MachineSettings:
    """Return the settings of the machine that a run was begun with.

    Raises:
        CheckpointError: this is no folder of a run.
    """
    config = run.config()
    return MachineSettings() if config["data"] is None else _request(run, config)[0].machine


def _resume(run: RunFolder, module: nn.Module | None, started: float) -> RunResult:
    with run.lock() if current_group().first else nullcontext():
        if current_group().first:
            hold_folder(run.path)
        note_run(run.path)
        if begun_run() is not None and run.finished:  # ended between its last file and its own end
            return RunResult(folder=run.path, model=run.model, rank=current_group().rank)
        return _go_on(run, run.config(), module, started)


def _go_on(run: RunFolder, config: Mapping[str, Any], module: nn.Module | None, started: float) -> RunResult:
    if run.finished:
        raise CheckpointError(f"{run.path} is finished; there is nothing to resume")
    plan = plan_of_run(run, config, module)
    check_same_data(plan)
    return _carry_out(run, plan, {"start and index of the images": time.monotonic() - started})


def plan_of_run(run: RunFolder, config: Mapping[str, Any], module: nn.Module | None = None) -> Plan:
    """Return the plan of a run, from its `config.json`, and the module that it trains if that is a user's own.

    Raises:
        CheckpointError: its data is gone or has changed, or its config.json has been edited; or the module is missing.
    """
    if config["data"] is None:
        raise CheckpointError(f"{run.path} was trained on arrays, which are gone; only runs on files can be resumed")
    recipe, xo = _request(run, config)
    place = recipe.network.model or ""
    if (":" in place) != (module is not None):
        bring = f"your class {place}; in Python, bring a module of it: hubel.resume({str(run.path)!r}, model=...)"
        raise CheckpointError(f"{run.path} trains {bring if ':' in place else f'{place} of the catalogue: no model='}")
    plan = plan_training(config["data"], recipe, xo=xo, module=module)
    if plan.card.provenance["fingerprint"] != config["fingerprint"]:
        raise CheckpointError(f"{config['data']} has changed since {run.path} began; start a new run")
    for name, value in _taught_by(plan).items():
        if config.get(name) != value:
            what = "the teacher has" if name == "teachers" else "the images without labels have"
            raise CheckpointError(f"{what} changed since {run.path} began; start a new run")
    return plan


def _request(run: RunFolder, config: Mapping[str, Any]) -> tuple[Recipe, XO | None]:
    """Return what a run was asked for.

    Raises:
        CheckpointError: its config.json has been edited, and cannot be meant so.
    """
    try:
        if not isinstance(config["data"], str):
            raise OptionError(f"data is a path or a name, not {config['data']!r}")
        return Recipe.from_json(modern(config["recipe"])), XO.from_numbers(config["xo"]) if config["xo"] else None
    except (HubelError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{run.path / 'config.json'}: {error}") from None


def _carry_out(
    folder: RunFolder, plan: Plan, seconds: Mapping[str, float], on_epoch: OnEpoch | None = None
) -> RunResult:
    group = current_group()
    if group.first:
        remove_leftovers(folder.path)
        _announce(folder, plan)
    spent = group.agree(lambda: (sum(seconds.values()) + _REPORT) / 60)
    trained = execute(plan, folder.path, quiet=False, spent=spent, on_epoch=on_epoch)
    result = RunResult(
        folder=folder.path,
        model=trained.path,
        stopped_by=trained.stopped_by,
        minutes=trained.minutes,
        rank=group.rank,
    )
    if trained.stopped_by or not group.first or note_trained({**trained.to_json(), "phases": dict(seconds)}):
        return result
    with alone():
        return _measured(result, folder, plan, trained, seconds)


def _measured(
    result: RunResult, folder: RunFolder, plan: Plan, trained: TrainedModel, seconds: Mapping[str, float]
) -> RunResult:
    spent, folds, started = dict(trained.seconds), None, time.monotonic()
    if plan.recipe.data.folds:
        folds = measure_run_in_folds(folder.path / "folds", plan, trained)
        folder.tell(f"linear heads on frozen features, each image left out once: {folds.sentence()}")
        spent["folds"], started = time.monotonic() - started, time.monotonic()
    measured = evaluate_run(folder.path, plan, trained)
    folder.tell(measured.headline)
    for remark in measured.evaluation.remarks(measured.split):
        folder.tell(marked(remark))
    if command := _beside_teacher(folder, plan):
        folder.tell(f"beside its teacher: {command}")
    return dataclasses.replace(
        result,
        evaluation=measured.evaluation,
        split=measured.split,
        report=measured.report,
        images_per_second=trained.history[-1]["images_per_second"] if trained.history else None,
        seconds={**seconds, **spent, "evaluation and report": time.monotonic() - started},
        notes=_notes(plan, trained),
        advice=measured.advice,
        folds=folds,
    )


def _beside_teacher(folder: RunFolder, plan: Plan) -> str:
    """Return the command that compares a student with its teacher; "" where there is none that has the same classes."""
    data = folder.config()["data"]
    if plan.distillation is None or data is None:
        return ""
    teacher = plan.distillation.teachers[0]
    if set(teacher.card.classes) != set(plan.card.classes):
        return ""
    return shell_command("hubel", "evaluate", teacher.name, data, "--beside", str(folder.path))


def measured_run(folder: Path, told: Mapping[str, Any] | None, stopped_by: int = 0) -> RunResult:
    """Measure a model that other processes have trained, and return the result of the run.

    Args:
        folder: of the run.
        told: what rank 0 has told of the training, and the seconds of the phases before it; None where it was stopped.
        stopped_by: the number of the signal that stopped it; 0 when it came to its end.
    """
    run = RunFolder(folder)
    if told is None:
        return RunResult(folder=folder, model=run.model, stopped_by=stopped_by)
    with run.lock():
        with silence():
            plan = plan_of_run(run, run.config())
        trained = TrainedModel.from_json(run.model, told)
        result = RunResult(folder=folder, model=run.model, minutes=trained.minutes)
        return _measured(result, run, plan, trained, told["phases"])


def _notes(plan: Plan, trained: TrainedModel) -> list[str]:
    """Return what the last screen repeats of the notes that have scrolled away: what trained, and all warnings."""
    chosen = [note for note in plan.notes if not note.startswith(" ") and not isinstance(note, Caution)]
    reason = [trained.tuning.reason] if trained.tuning else []
    return [*chosen, *reason, *cautions([*plan.notes, *trained.notes])]


def _announce(folder: RunFolder, plan: Plan) -> None:
    for note in warnings_last(plan.notes):
        folder.tell(marked(note))
    p, splits, names = plan.preprocess, plan.splits, ", ".join(plan.card.classes)
    shown = f" ({names})" if len(names) <= _NAMES else ""
    folder.tell(
        f"{plan.dataset.name}: {f'{plan.classes} classes{shown}, ' if plan.classes else ''}"
        f"{len(splits.train):,} images to train, {len(splits.val):,} to validate, {len(splits.test):,} to test; "
        f"input {p.channels}x{p.height}x{p.width} ({p.resize})"
    )
    backbone = f" on {plan.backbone.name} ({plan.backbone.weights})" if plan.backbone else ""
    start = f"from the weights {plan.transfer.weights}" if plan.transfer else counted(plan.loop.epochs, "epoch")
    how = f"{start}, batches of {plan.loop.batch_size}" if plan.learns else "which stores the images"
    folder.tell(f"{plan.card.model}{backbone}, {how}; run folder {folder.path}")
    if plan.sharding is not None:
        folder.tell(sharing_sentence(plan.sharding, plan.threads))
