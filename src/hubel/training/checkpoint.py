"""Checkpoints that are whole or absent: `last/step-00000120/`, and the file `last/pointer` that names the newest.

Each folder holds the weights, the optimizer's state, the moving average and the progress, without pickle, and a
manifest of sizes and SHA-256 that is written last. A checkpoint is chosen by its step, never by the clock.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor

from hubel.core.errors import CheckpointError
from hubel.core.files import is_whole, publish_folder, remove_leftovers, write_atomic
from hubel.weights.model_file import unshared

__all__ = ["Checkpoint", "load_newest", "save"]

_MANIFEST = "manifest.json"
_POINTER = "pointer"
_KEPT = 2  # the newest, and one to fall back to if the disk damages it


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a run needs to go on as if it had never stopped.

    Attributes:
        tensors: groups of named tensors ("network", "optimizer", "average").
        progress: plain JSON values.
    """

    tensors: Mapping[str, Mapping[str, Tensor]]
    progress: Mapping[str, Any]


def save(folder: Path, step: int, checkpoint: Checkpoint) -> None:
    """Add a checkpoint, point to it, and remove those that are no longer needed."""
    target = folder / f"step-{step:08d}"  # one that is there is damaged, or was never pointed to
    publish_folder(target, _files(checkpoint), manifest=_MANIFEST)
    write_atomic(folder / _POINTER, target.name + "\n")
    found = _by_step(folder)
    # What is newer than this one is damaged, or was never pointed to: the run went on from an older one.
    keep = [path for path in found if path.name <= target.name][:_KEPT]
    for path in found:
        if path not in keep:
            shutil.rmtree(path, ignore_errors=True)
    remove_leftovers(folder)


def _files(checkpoint: Checkpoint) -> Iterator[tuple[str, bytes]]:
    for group, named in checkpoint.tensors.items():
        plain = unshared({name: tensor.detach().cpu().contiguous() for name, tensor in named.items()})
        yield f"{group}.safetensors", to_bytes(plain)
    yield "progress.json", json.dumps(checkpoint.progress).encode()


def load_newest(folder: Path) -> Checkpoint | None:
    """Return the checkpoint that the pointer names, or the newest whole one; None where there is none.

    Raises:
        CheckpointError: there are checkpoints, but each is damaged.
    """
    found = _by_step(folder)
    pointer = folder / _POINTER
    if pointer.is_file():
        named = pointer.read_text(encoding="utf-8", errors="replace").strip()
        found.sort(key=lambda path: path.name != named)
    for path in found:
        if is_whole(path, manifest=_MANIFEST):
            files = path.glob("*.safetensors")
            progress = json.loads((path / "progress.json").read_text(encoding="utf-8"))
            return Checkpoint({file.stem: load_file(file) for file in files}, progress)
    if found:
        raise CheckpointError(f"{folder}: every checkpoint is damaged; start a new run")
    return None


def _by_step(folder: Path) -> list[Path]:
    """Return the folders of checkpoints, newest step first."""
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if path.name.startswith("step-")), reverse=True)
