"""The folder of a run: config.json, metrics.csv, log.txt, model.safetensors, last/, figures, report, metrics.json."""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubel.core.errors import BusyError, CheckpointError
from hubel.core.files import write_atomic, write_json
from hubel.core.lock import FileLock
from hubel.core.outputs import RUNS
from hubel.core.progress import say
from hubel.training.recipe_file import modern

__all__ = ["RunFolder", "RunSummary", "only_unfinished", "summarise_runs"]

_CONFIG = {"hubel", "data", "xo", "recipe", "fingerprint"}  # what a run's config.json has at least


class RunFolder:
    """Paths and records of one run; a quiet one prints nothing and keeps no log."""

    def __init__(self, path: Path, *, quiet: bool = False) -> None:
        self.path, self.quiet = path, quiet
        self.model = path / "model.safetensors"
        self.checkpoints = path / "last"

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write the resolved settings."""
        write_json(self.path / "config.json", config)

    def config(self) -> dict[str, Any]:
        """Return the settings of the run.

        Raises:
            CheckpointError: this is no folder of a run.
        """
        try:
            config = json.loads((self.path / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            config = None
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

            with SummaryWriter(self.path) as events:
                row = history[-1]
                for name in row.keys() - {"epoch"}:
                    events.add_scalar(name, row[name], int(row["epoch"]))


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """One line of a comparison; None where the run is not finished, or has no such number."""

    path: Path
    data: str
    model: str
    score: float | None
    macro_f1: float | None
    mse: float | None
    images: int | None

    @property
    def finished(self) -> bool:
        """The run has come to its end."""
        return self.images is not None


def summarise_runs(folder: Path) -> list[RunSummary]:
    """Return all runs in a folder, at any depth: by dataset, the best first."""
    found = []
    for run, settings in _runs(folder.rglob("config.json")):
        metrics = json.loads((run.path / "metrics.json").read_text(encoding="utf-8")) if run.finished else {}
        score = metrics.get("top1", metrics.get("subset_accuracy"))
        name = Path(settings["data"] or "arrays").name
        found.append(
            RunSummary(
                path=run.path,
                data=name,
                model=str(modern(settings["recipe"]).get("model", "-")),
                score=score,
                macro_f1=metrics.get("macro_f1"),
                mse=metrics.get("mse"),
                images=metrics.get("n"),
            )
        )
    return sorted(found, key=lambda run: (run.data, -(run.score or 0), run.mse or 0, run.path))


def _runs(configs: Iterable[Path]) -> Iterator[tuple[RunFolder, dict[str, Any]]]:
    """Yield the runs among folders with a `config.json`: other programs have files of this name, too."""
    for config in configs:
        run = RunFolder(config.parent)
        with contextlib.suppress(CheckpointError):
            yield run, run.config()


def only_unfinished() -> Path:
    """Return the one run below `runs/` that has not come to its end.

    Raises:
        CheckpointError: there is none, or more than one.
    """
    open_runs = sorted(run.path for run, _ in _runs(RUNS.glob("*/config.json")) if not run.finished)
    if not open_runs:
        raise CheckpointError(f"there is no unfinished run in {RUNS}/ to resume")
    if len(open_runs) > 1:
        names = ", ".join(map(str, open_runs))
        raise CheckpointError(
            f"there are {len(open_runs)} unfinished runs ({names}); name one with --resume --out FOLDER"
        )
    return open_runs[0]
