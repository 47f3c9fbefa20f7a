"""Optimizers with fused steps, and their state as named tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hubel.core.errors import CheckpointError
from hubel.nn.dense import DenseNetwork
from hubel.nn.freezing import Tuned
from hubel.nn.frozen_backbone import TunedDense
from hubel.training.eager import eager
from hubel.training.lamb import Lamb
from hubel.training.plan import OptimizerSettings

__all__ = ["OPTIMIZERS", "load_tensors", "make_optimizer", "tensors"]

_Groups = list[dict[str, Any]]


def _sgd(groups: _Groups, settings: OptimizerSettings) -> torch.optim.Optimizer:
    nesterov = settings.momentum > 0
    return eager(torch.optim.SGD)(groups, settings.lr, momentum=settings.momentum, nesterov=nesterov, fused=True)


#: By name: stochastic gradient descent with Nesterov's momentum (Sutskever et al. 2013) and with Polyak's (1964), AdamW
#: (Loshchilov & Hutter 2017, arXiv:1711.05101), Adam (Kingma & Ba 2014, arXiv:1412.6980), Adadelta (Zeiler 2012,
#: arXiv:1212.5701) and LAMB (You et al. 2019, arXiv:1904.00962).
OPTIMIZERS: dict[str, Callable[[_Groups, OptimizerSettings], torch.optim.Optimizer]] = {
    "sgd": _sgd,
    "heavy_ball": lambda groups, settings: eager(torch.optim.SGD)(
        groups, settings.lr, momentum=settings.momentum, fused=True
    ),
    "adamw": lambda groups, settings: eager(torch.optim.AdamW)(groups, settings.lr, settings.betas, fused=True),
    "adam": lambda groups, settings: eager(torch.optim.Adam)(groups, settings.lr, settings.betas, fused=True),
    "adadelta": lambda groups, settings: eager(torch.optim.Adadelta)(groups, settings.lr),
    "lamb": lambda groups, settings: eager(Lamb)(groups, settings.lr, settings.betas),
}


def make_optimizer(network: nn.Module, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """Return an optimizer whose groups decay weights; biases and the factors of norms only where all are to decay.

    In fine-tuning, the learning rate of a stage is the lower the deeper it lies, and its training may start later
    (Howard & Ruder 2018, arXiv:1801.06146, Sections 3.2 and 3.3): each group has its "lr_scale", and the share of the
    steps at which it "starts".
    """
    dense = isinstance(network, DenseNetwork | TunedDense)
    whole = [list(network.parameters())]
    levels = network.levels() if isinstance(network, Tuned | DenseNetwork | TunedDense) else whole
    groups: list[dict[str, Any]] = []
    small_decay = settings.weight_decay if settings.decayed == "all" else 0.0
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    shifts = {id(norm.bias) for norm in norms} if settings.norm_bias_lr != 1 else set()
    for depth, level in enumerate(levels):
        trained = [p for p in level if p.requires_grad]
        shared = {
            "lr_scale": settings.layer_decay**depth * (settings.backbone_lr if dense and depth else 1.0),
            "starts": min(depth * settings.gradual_unfreeze, 0.9),
        }
        small = [p for p in trained if p.ndim <= 1 and id(p) not in shifts]
        groups += [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": settings.weight_decay, **shared},
            {"params": small, "weight_decay": small_decay, **shared},
        ]
        if fast := [p for p in trained if id(p) in shifts]:
            # What decays in a step is the product of both, which stays the same.
            scale = settings.norm_bias_lr
            shared["lr_scale"] *= scale
            groups.append({"params": fast, "weight_decay": small_decay / scale, **shared})
    return OPTIMIZERS[settings.name](groups, settings)


def tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the state of an optimizer: "3.momentum_buffer" belongs to its parameter number 3."""
    return {
        f"{number}.{name}": value
        for number, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
        if isinstance(value, Tensor)
    }


def load_tensors(optimizer: torch.optim.Optimizer, named: Mapping[str, Tensor]) -> None:
    """Load what `tensors` has returned.

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
