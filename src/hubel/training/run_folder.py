"""The folder of a run: config.json, metrics.csv, log.txt, model.safetensors, last/, figures, report, metrics.json."""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubel.core.errors import BusyError, CheckpointError, HubelError
from hubel.core.files import MODEL_FILE, glob_existing, write_atomic, write_json
from hubel.core.lock import FileLock
from hubel.core.outputs import RUNS
from hubel.core.progress import say
from hubel.core.text_files import read_json
from hubel.metrics.intervals import Interval, wilson
from hubel.training.recipe_file import modern

__all__ = ["RunFolder", "RunSummary", "differing_settings", "newest_unfinished", "summarise_runs"]

_LONGEST = 40  # letters of an option
_EVENTS = "events.out.tfevents.*"
_CONFIG = {"hubel", "data", "xo", "recipe", "fingerprint"}  # what a run's config.json has at least


class RunFolder:
    """Paths and records of one run; a quiet one prints nothing and keeps no log."""

    def __init__(self, path: Path, *, quiet: bool = False) -> None:
        self.path, self.quiet = path, quiet
        self.model = path / MODEL_FILE
        self.checkpoints = path / "last"

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write the resolved settings."""
        write_json(self.path / "config.json", config)

    def config(self) -> dict[str, Any]:
        """Return the settings of the run.

        Raises:
            CheckpointError: this is no folder of a run.
        """
        config = read_json(self.path / "config.json")
        if not isinstance(config, dict) or not config.keys() >= _CONFIG:
            raise CheckpointError(f"{self.path} is not the folder of a run: it has no readable config.json of hubel's")
        return config

    def lock(self) -> FileLock:
        """Keep other processes from training into this folder, until the lock is released.

        Raises:
            CheckpointError: another process is training into it.
        """
        try:
            return FileLock(self.path / ".lock")
        except BusyError:
            raise CheckpointError(f"{self.path}: another process is training into this folder") from None

    @property
    def finished(self) -> bool:
        """The run has come to its end: its measurements are there."""
        return (self.path / "metrics.json").is_file()

    def worked_on(self, *files: Path) -> int:
        """Return when the last of these files, by default config.json, was written, in ns; 0 where there is none."""
        found = [file for file in files or (self.path / "config.json",) if file.exists()]
        return max((file.stat().st_mtime_ns for file in found), default=0)

    def tell(self, text: str) -> None:
        """Print a line and add it to `log.txt`."""
        if self.quiet:
            return
        say(text)
        with (self.path / "log.txt").open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text + "\n")

    def write_history(self, history: Sequence[Mapping[str, float]]) -> None:
        """Write `metrics.csv`, a row an epoch; TensorBoard's events too, if it is installed."""
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
        write_atomic(self.path / "metrics.csv", text.getvalue())
        if importlib.util.find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            # One file a run: written anew, as metrics.csv is, so that a resumed run has no row twice.
            for old in self.path.glob(_EVENTS):
                old.unlink()
            with SummaryWriter(self.path) as events:
                for row in history:
                    for name in row.keys() - {"epoch"}:
                        events.add_scalar(name, row[name], int(row["epoch"]))


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """One line of a comparison; None where the run is not finished, or has no such number.

    Attributes:
        path: folder of the run.
        data: name of the dataset.
        model: name of the network.
        settings: settings of the run, flat, without those that are open.
        score: accuracy, or the share of images with exactly the right classes; 0 to 1.
        macro_f1: mean F1 of the classes.
        mse: mean squared error.
        images: number of images that were measured.
        images_digest: digest that runs with the same test images share; "" where it is not known.
        split: what these images are: "test", "validation"; "" where the run does not say.
        damaged: its metrics.json cannot be read.
    """

    path: Path
    data: str
    model: str
    score: float | None
    macro_f1: float | None
    mse: float | None
    images: int | None
    settings: Mapping[str, Any]
    images_digest: str = ""
    split: str = ""
    damaged: bool = False

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of the score."""
        if self.score is None or not self.images:
            return None
        return wilson(min(round(self.score * self.images), self.images), self.images)

    @property
    def finished(self) -> bool:
        """The run has come to its end."""
        return self.images is not None or self.damaged


def summarise_runs(folder: Path) -> list[RunSummary]:
    """Return all runs in a folder, at any depth: by dataset, the best first."""
    found = []
    for run, config in _runs(glob_existing(folder, "**/config.json")):
        metrics = _metrics(run)
        try:
            settings = modern(config["recipe"])
        except (HubelError, TypeError, AttributeError):
            settings = {}
        found.append(
            RunSummary(
                path=run.path,
                data=Path(str(config["data"] or "arrays")).name,
                model=str(settings.get("model", "-")),
                settings=settings,
                score=metrics.get("top1", metrics.get("subset_accuracy")),
                macro_f1=metrics.get("macro_f1"),
                mse=metrics.get("mse"),
                images=metrics.get("n"),
                images_digest=metrics.get("images_digest", ""),
                split=metrics.get("split", ""),
                damaged=run.finished and not metrics,
            )
        )
    return sorted(found, key=lambda run: (run.data, -(run.score or 0), run.mse or 0, run.path))


def _metrics(run: RunFolder) -> dict[str, Any]:
    """Return the numbers in a run's metrics.json, and what was measured; none where it is missing or damaged."""
    found = read_json(run.path / "metrics.json")
    if not isinstance(found, dict):
        return {}
    numbers = {name: value for name, value in found.items() if isinstance(value, int | float)}
    texts = {name: found[name] for name in ("split", "images_digest") if isinstance(found.get(name), str)}
    return {name: value for name, value in numbers.items() if name != "split"} | texts


def differing_settings(runs: Sequence[RunSummary]) -> list[str]:
    """Return, for each run, the settings in which runs of the same data and network differ; "" where there are none."""
    lines = []
    for run in runs:
        alike = [other.settings for other in runs if (other.data, other.model) == (run.data, run.model)]
        names = sorted({name for settings in alike for name in settings})
        differing = [name for name in names if any(one.get(name) != run.settings.get(name) for one in alike)]
        lines.append(", ".join(f"{name} {_short(run.settings.get(name, 'auto'))}" for name in differing))
    return lines


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name}={_cut(str(text))}" for name, text in value.items()) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cut(text: str) -> str:
    """Return the start of an option's text, in one line: a table of layers is a page."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def _runs(configs: Iterable[Path]) -> Iterator[tuple[RunFolder, dict[str, Any]]]:
    """Yield the runs among folders with a `config.json`: other programs have files of this name, too."""
    for config in configs:
        run = RunFolder(config.parent)
        with contextlib.suppress(CheckpointError):
            yield run, run.config()


def newest_unfinished() -> Path:
    """Return the run below `runs/` that was worked on last and has not come to its end.

    A run that has trained goes before those that never came so far, because their weights could not be fetched, say.

    Raises:
        CheckpointError: there is none.
    """
    open_runs = [run for run, _ in _runs(RUNS.glob("*/config.json")) if not run.finished]
    if not open_runs:
        raise CheckpointError(f"there is no unfinished run in {RUNS}/ to resume")
    newest = max(open_runs, key=lambda run: (run.worked_on(run.model, run.checkpoints / "pointer"), run.worked_on()))
    others = sorted(str(run.path) for run in open_runs if run is not newest)
    beside = f"; unfinished, too: {', '.join(others)} (--resume --out FOLDER)" if others else ""
    say(f"resuming {newest.path}{beside}")
    return newest.path
