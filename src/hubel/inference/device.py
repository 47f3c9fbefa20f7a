"""Device and precision of a network."""

from __future__ import annotations

import platform

import torch
from torch import nn

from hubel.core.errors import OptionError

__all__ = ["device_name", "device_of", "has_bfloat16_unit", "pick_device", "pick_precision"]

_DEVICES = ("cpu", "cuda", "mps", "xpu")  # a number may follow, as in cuda:1


def pick_device(name: str | torch.device = "auto") -> torch.device:
    """Return a device by name; "auto" is the first of CUDA, Apple's MPS and the CPU that works here.

    Raises:
        OptionError: the device is unknown or absent.
    """
    name = str(name)
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if name.partition(":")[0] not in _DEVICES:
        number = f"; did you mean cuda:{name}?" if name.isdecimal() else ""
        raise OptionError(f"device is auto, {', '.join(_DEVICES)}, not {name!r}{number}")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise OptionError(f"device {name!r} cannot be used here: {str(error).splitlines()[0]}") from None
    return device


def device_of(network: nn.Module) -> torch.device:
    """Return the device of a network's weights; the CPU for one without any."""
    return next((tensor.device for tensor in network.state_dict().values()), torch.device("cpu"))


def device_name(device: torch.device) -> str:
    """Return what computes, as its driver names it; the name of the device where that states none.

    >>> device_name(torch.device("cpu"))
    'cpu'
    """
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def has_bfloat16_unit() -> bool:
    """Return whether this processor has units for bfloat16: Intel's AMX, or AVX-512 as in AMD since Zen 4."""
    return platform.machine() in ("x86_64", "AMD64") and (
        bool(torch.cpu._is_amx_tile_supported()) or bool(torch.cpu._is_avx512_bf16_supported())
    )


def pick_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the type of convolutions while training: float32, or bfloat16 with float32 weights (autocast).

    "auto" is bfloat16 where the hardware has units for it, which measures 1.6 to 2.2 times as fast; see
    `benchmarks/LOG.md`.

    Raises:
        OptionError: there is no such precision.
    """
    if name == "auto":
        fast = has_bfloat16_unit() if device.type == "cpu" else device.type == "cuda" and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if fast else torch.float32
    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if name not in kinds:
        raise OptionError(f"precision is auto, {' or '.join(kinds)}, not {name!r}")
    return kinds[name]
