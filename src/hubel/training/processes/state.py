"""Bring all ranks to one state: the weights of rank 0, and the checkpoint that it finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from hubel.core.group import current_group
from hubel.training.checkpoint import Checkpoint, load_newest
from hubel.training.processes.ranks import Ranks

__all__ = ["share_weights", "shared_checkpoint"]


def share_weights(network: nn.Module) -> None:
    """Overwrite the weights and buffers of a network by those of rank 0."""
    ranks = current_group()
    if isinstance(ranks, Ranks):
        ranks.broadcast(list(network.state_dict().values()))


def shared_checkpoint(folder: Path) -> Checkpoint | None:
    """Return the checkpoint that rank 0 finds; the others need not see the folder. None where there is none.

    Raises:
        CheckpointError: there are checkpoints, but each is damaged.
    """
    ranks = current_group()
    if not isinstance(ranks, Ranks) or ranks.world == 1:
        return load_newest(folder)
    found = load_newest(folder) if ranks.first else None
    described: dict[str, Any] | None = ranks.agree(lambda: None if found is None else _described(found))
    if described is None:
        return None
    tensors = {
        group: {
            name: torch.empty(shape, dtype=getattr(torch, dtype)) if found is None else found.tensors[group][name]
            for name, (shape, dtype) in named.items()
        }
        for group, named in described["tensors"].items()
    }
    ranks.broadcast([tensor for named in tensors.values() for tensor in named.values()])
    return Checkpoint(tensors, described["progress"])


def _described(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the progress, and shapes and types of the tensors, as JSON values."""
    tensors = {
        group: {name: [list(tensor.shape), str(tensor.dtype).removeprefix("torch.")] for name, tensor in named.items()}
        for group, named in checkpoint.tensors.items()
    }
    return {"progress": dict(checkpoint.progress), "tensors": tensors}
