"""Optimizers with fused steps, and their state as named tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hubel.core.errors import CheckpointError
from hubel.nn.freezing import Tuned
from hubel.training.recipe import Recipe

__all__ = ["load_tensors", "make_optimizer", "tensors"]

_LR = {"classify": {"auto": 0.1, "sgd": 0.1, "adamw": 0.002}, "reconstruct": {"sgd": 0.1, "adamw": 0.02}}


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer; its groups decay weights only, not biases and the factors of norms.

    A network that is fine-tuned learns more slowly the deeper a stage lies, and may begin later with it (Howard & Ruder
    2018, arXiv:1801.06146, Sections 3.2 and 3.3).
    """
    levels = network.levels() if isinstance(network, Tuned) else [list(network.parameters())]
    lr = recipe.lr or _LR.get(recipe.task, _LR["classify"])[recipe.optimizer]
    groups: list[dict[str, Any]] = []
    for depth, level in enumerate(levels):
        learning = [p for p in level if p.requires_grad]
        shared = {"highest_lr": lr * recipe.lr_decay**depth, "begins": min(depth * recipe.gradual, 0.9)}
        groups += [
            {"params": [p for p in learning if p.ndim > 1], "weight_decay": recipe.weight_decay, **shared},
            {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0, **shared},
        ]
    optimizer: torch.optim.Optimizer
    if recipe.optimizer == "adamw":
        optimizer = torch.optim.AdamW(groups, lr, fused=True)
    else:
        nesterov = recipe.momentum > 0
        optimizer = torch.optim.SGD(groups, lr, momentum=recipe.momentum, nesterov=nesterov, fused=True)
    return optimizer


def tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The state of an optimizer: "3.momentum_buffer" belongs to its parameter number 3."""
    return {
        f"{number}.{name}": value
        for number, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
        if isinstance(value, Tensor)
    }


def load_tensors(optimizer: torch.optim.Optimizer, named: Mapping[str, Tensor]) -> None:
    """The inverse of `tensors`.

    Raises:
        CheckpointError: they belong to another optimizer.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in named.items():
        number, _, name = key.partition(".")
        if not number.isdecimal() or int(number) >= len(parameters):
            raise CheckpointError(f"the checkpoint has the state of another optimizer: {key}")
        parameter = parameters[int(number)]
        if value.shape == parameter.shape:
            # Fused steps walk through memory: state must lie in the order of its parameter (channels last).
            value = torch.empty_like(parameter, requires_grad=False).copy_(value)
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
