"""Nothing is lost and nothing half-written is taken for whole, wherever the disk fails or the machine stops.

Each kind of file that hubel must not lose is written with a fault at every single operation in turn.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from faults import Disk, Stopped
from hubel.core.files import remove_leftovers, write_atomic
from hubel.data.index import scan
from hubel.data.inputs import collect
from hubel.data.preprocess import Preprocess
from hubel.data.sources.folder import FolderSource
from hubel.export.formats import FORMATS
from hubel.inference.bulk import partial_of, write
from hubel.inference.bulk_job import BulkJob
from hubel.inference.classifier import Classifier
from hubel.training.checkpoint import Checkpoint, load_newest, save
from hubel.weights.card import ModelCard
from hubel.weights.model_file import load_model, save_model

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the model is that of POSIX")

CARD = ModelCard("linear", ("a", "b"), Preprocess(4, 4))


@dataclass(frozen=True)
class Job:
    """Something that is written below a folder.

    Attributes:
        prepare: makes what was there before.
        work: the job.
        found: what is there, as a reader sees it who knows nothing of the fault; raises if it is damaged.
        before: what `found` returns before the job,
        after: and after it.
        forgives: an operation that fails is no error of the job.
    """

    prepare: Callable[[Path], None]
    work: Callable[[Path], object]
    found: Callable[[Path], object]
    before: object
    after: object
    forgives: bool = False


def checkpoint(value: float) -> Checkpoint:
    tensors = {"network": {"weight": torch.full((3, 4), value)}, "optimizer": {"momentum": torch.full((3, 4), value)}}
    return Checkpoint(tensors, {"value": value})


def newest(folder: Path) -> object:
    found = load_newest(folder)
    return found and (found.progress["value"], float(found.tensors["network"]["weight"].sum()))


def old_checkpoints(folder: Path) -> None:
    save(folder, 1, checkpoint(1))
    save(folder, 2, checkpoint(2))


def model(folder: Path, value: float) -> None:
    weights = CARD.create().state_dict()
    save_model(
        folder / "model.safetensors",
        {name: torch.full_like(t, value) for name, t in weights.items()},
        CARD,
    )


def weight(folder: Path) -> float:
    return float(next(iter(load_model(folder / "model.safetensors")[0].state_dict().values())).flatten()[0])


def export(folder: Path, content: bytes) -> None:
    FORMATS["onnx"].write(folder / "model.onnx", torch.nn.Identity(), CARD, content * 10_000)


def photo(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def photos(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-photos")


def indexed(folder: Path) -> None:
    for number in range(3):
        photo(photos(folder) / "ab"[number % 2] / f"{number}.png", number)
    (photos(folder) / "a" / "3.png").unlink(missing_ok=True)
    index(folder)
    photo(photos(folder) / "a" / "3.png", 3)


def index(folder: Path) -> object:
    return scan(FolderSource(photos(folder)), threads=0).width.tolist()


class Means(Classifier):
    def __init__(self) -> None:
        super().__init__(ModelCard("none", ("red", "green", "blue"), Preprocess(512, 512)))

    def _scores(self, pixels: np.ndarray) -> np.ndarray:
        return pixels.mean((1, 2)) / 256 + len(pixels) / 1000


def predicted(folder: Path) -> None:
    if not photos(folder).exists():
        for number in range(6):
            photo(photos(folder) / f"{number}.png", number)
        write(BulkJob("means"), Means(), list(collect([photos(folder)])), photos(folder) / "whole.jsonl")
    folder.mkdir()


def predict(folder: Path) -> None:
    write(BulkJob("means"), Means(), list(collect([photos(folder)])), folder / "x.jsonl", resume=True)


def rows(folder: Path) -> object:
    """Whether the file is there; with every row, or not at all."""
    if not (folder / "x.jsonl").exists():
        return False
    assert (folder / "x.jsonl").read_bytes() == (photos(folder) / "whole.jsonl").read_bytes()
    return True


JOBS = {
    "the first checkpoint": Job(Path.mkdir, lambda f: save(f, 1, checkpoint(1)), newest, None, (1, 12)),
    "a checkpoint": Job(old_checkpoints, lambda f: save(f, 3, checkpoint(3)), newest, (2, 24), (3, 36)),
    "a model file": Job(lambda f: model(f, 1), lambda f: model(f, 2), weight, 1, 2),
    "an export": Job(
        lambda f: export(f, b"old"),
        lambda f: export(f, b"new"),
        lambda f: (f / "model.onnx").read_bytes(),
        b"old" * 10_000,
        b"new" * 10_000,
    ),
    "an index": Job(indexed, index, index, [6] * 4, [6] * 4, forgives=True),
    "a prediction": Job(predicted, predict, rows, False, True),
}


LONG = {"an index", "a prediction"}


@pytest.mark.parametrize("name", [pytest.param(job, marks=[pytest.mark.slow] * (job in LONG)) for job in JOBS])
def test_a_fault_at_any_operation(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, folder, seen = JOBS[name], tmp_path / "work", []
    monkeypatch.setenv("HUBEL_CACHE", str(folder))
    monkeypatch.setattr(os, "fsync", lambda _: None)  # the real one takes long, and only the model's counts here
    for at in range(1, 200):
        for stops, forgets_names in ((False, False), (True, False), (True, True)):
            shutil.rmtree(folder, ignore_errors=True)
            job.prepare(folder)
            disk, ended = Disk(folder, at, stops=stops), False
            with disk.working(), contextlib.suppress(Stopped if stops else OSError):
                job.work(folder)
                ended = True
            if stops or ended:
                disk.crash(forgets_names=forgets_names)
            found = job.found(folder)
            assert found in ([job.after] if ended else [job.before, job.after])
            if not stops and disk.operations >= at:
                assert not ended or job.forgives
            seen.append(found)
            # And the next attempt is as good as any, and leaves nothing of this one.
            if name != "a prediction":  # whose next attempt does so itself
                remove_leftovers(folder)
                assert not list(folder.rglob(".*.tmp"))
            if job.after != found or partial_of(folder / "x.jsonl").exists():
                job.work(folder)
                assert job.found(folder) == job.after
                assert not list(folder.rglob(".*"))
            assert not partial_of(folder / "x.jsonl").exists()
        if disk.operations < at:  # it never came to so many
            break
    else:
        raise AssertionError("there is no end of operations")
    assert at > 4
    assert job.before in seen
    assert job.after in seen


def test_the_model_shows_a_missing_fsync(tmp_path: Path) -> None:
    for forgets_names, syncs, left in ((False, False, b""), (True, False, b"old"), (True, True, b"new")):
        write_atomic(tmp_path / "file", b"old")
        disk = Disk(tmp_path, syncs=syncs)
        with disk.working():
            write_atomic(tmp_path / "file", b"new")
        assert disk.operations == 4
        assert (tmp_path / "file").read_bytes() == b"new"
        disk.crash(forgets_names=forgets_names)
        assert (tmp_path / "file").read_bytes() == left
