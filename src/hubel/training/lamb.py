"""LAMB. You et al. 2019, "Large batch optimization for deep learning", arXiv:1904.00962, Algorithm 2."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = ["Lamb"]


class Lamb(torch.optim.Optimizer):
    """Adam whose step in each tensor w is as long as the learning rate's share of |w|.

    With m and v as in Adam, bias corrected, r = m / (sqrt(v) + eps) and u = r + decay w: w <- w - lr |w| / |u| u.
    Deviation: a tensor that does not decay (a bias, the factors of a norm) takes the step u itself, as in the code with
    which the recipe A3 was made (Wightman et al. 2021, arXiv:2110.00476).

    Args:
        params: groups of tensors; see `torch.optim.Optimizer`.
        lr: learning rate.
        betas: decays of m and v.
        eps: added to the root of v.
        weight_decay: decay.
    """

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # nobody here passes a closure
        """Update every tensor that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        (first, second), steps = group["betas"], float(state["step"])
        state["exp_avg"].lerp_(gradient, 1 - first)
        state["exp_avg_sq"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        root = (state["exp_avg_sq"] / (1 - second**steps)).sqrt_().add_(group["eps"])
        update = (state["exp_avg"] / (1 - first**steps)).div_(root)
        ratio: Tensor | float = 1.0
        if group["weight_decay"]:
            update.add_(parameter, alpha=group["weight_decay"])
            weight, length = parameter.norm(), update.norm()
            ratio = torch.where((weight > 0) & (length > 0), weight / length, 1.0)
        parameter.sub_(update.mul_(ratio), alpha=group["lr"])
