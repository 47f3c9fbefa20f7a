"""Layers of a network by name, and their feature maps, read through hooks that are removed afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from hubel.core.errors import OptionError, UnknownNameError
from hubel.explain.untouched import untouched
from hubel.nn.dense import DenseNetwork
from hubel.nn.network import Network

__all__ = [
    "before_activation",
    "default_layer",
    "layer_names",
    "map_and_logits",
    "maps_at",
    "section_names",
    "target_logits",
]

_POOLS = (
    nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d, nn.FractionalMaxPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d,
)  # fmt: skip

_ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid, nn.Tanh,
)  # fmt: skip


class _ReachedError(Exception):
    """Raised in a hook when all requested maps are there: the rest of the network need not run."""


def default_layer(network: nn.Module, x: Tensor) -> str:
    """Return the layer of the last map of more than one pixel, found by one forward pass of the first image.

    It is the input of the final pooling or of the first fully connected layer. Pooling in the head of a `Network` is
    passed over: the default layer of VGG is its last convolution. A module that has a `layer` names its own.

    Args:
        network: any module.
        x: images `(n, c, h, w)`, normalised.

    Returns:
        A name among `layer_names`.

    Raises:
        OptionError: there is no such map.
    """
    if isinstance(named := getattr(network, "layer", None), str):
        return named
    image = x[:1].detach().clone()
    # The latest output, held so that no later tensor can have its identity, and whether it is to be passed over.
    last, skipped, found = image, True, ""

    def visit(path: str, module: nn.Module, output: Any) -> None:
        nonlocal last, skipped, found
        if not isinstance(output, Tensor) or output.ndim != 4 or output.shape[2] * output.shape[3] == 1:
            return
        if output is not last:  # a container outputs the tensor of its last part
            in_head = isinstance(network, Network) and path.startswith("head.")
            last, skipped = output, in_head and isinstance(module, _POOLS)
        if path and not skipped:
            found = path

    with untouched(network) as frozen, torch.no_grad(), _hooked(dict(frozen.named_modules()), visit):
        frozen(image)
    if not found:
        raise OptionError("the network has no map of more than one pixel; occlusion and integrated_gradients need none")
    return _shown(network, found)


def layer_names(network: nn.Module) -> dict[str, nn.Module]:
    """Return every layer by name: as `Network.maps` and `DenseNetwork.maps` name them, and all by their module path."""
    by_path = {path: module for path, module in network.named_modules() if path}
    return {_shown(network, path): module for path, module in by_path.items()} | by_path


def section_names(network: nn.Module, x: Tensor) -> list[str]:
    """Return the sections of a network that output maps, as `layer_names` names them: stem, stages, layers of the head.

    The sections of a module that is no `Network` are its direct children.
    """
    paths = [path for path, _ in network.named_children()]
    if isinstance(network, Network | DenseNetwork):
        trunk, prefix = (network.backbone, "backbone.") if isinstance(network, DenseNetwork) else (network, "")
        inside = [f"head.{name}" for name, part in network.head.named_children() if not isinstance(part, _POOLS)]
        paths = [f"{prefix}stem", *(f"{prefix}stages.{number}" for number in range(len(trunk.stages))), *inside]
    image, found = x[:1].detach().clone(), []

    def visit(path: str, module: nn.Module, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output is not image:
            found.append(path)

    with untouched(network) as frozen, torch.no_grad(), _hooked({p: frozen.get_submodule(p) for p in paths}, visit):
        frozen(image)
    return [_shown(network, path) for path in dict.fromkeys(found)]


def map_and_logits(network: nn.Module, x: Tensor, layer: str, *, factor: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return the map of a layer as a leaf tensor, and the logits computed from it; to be called within `untouched`.

    Args:
        network: a network whose parameters require no gradient, so that autograd records only what follows the layer.
        x: images `(n, c, h, w)`, normalised.
        layer: a name among `layer_names`.
        factor: multiplies the map before it is passed on.

    Returns:
        The map `(n, k, h, w)`, and the logits.

    Raises:
        UnknownNameError: there is no such layer.
        OptionError: the layer outputs no map.
    """
    leaves: list[Tensor] = []

    def split(name: str, module: nn.Module, output: Any) -> Tensor:
        leaves.append((factor * _checked(name, output).detach()).requires_grad_())
        return leaves[-1].clone()  # the next layer may work in place

    with _hooked({layer: _find(network, layer)}, split):
        logits = network(x.detach().clone())
    if not leaves:
        raise OptionError(f"the network does not use its layer {layer} for this image")
    return leaves[-1], logits


def maps_at(network: nn.Module, x: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """Return the maps `(n, k, h, w)` of several layers, in their order; to be called within `untouched`.

    The forward pass ends with the last of them, so that x may have a size that the network's head does not accept.

    Raises:
        UnknownNameError: there is no such layer.
        OptionError: a layer outputs no map.
    """
    found: dict[str, Tensor] = {}

    def record(name: str, module: nn.Module, output: Any) -> None:
        found[name] = _checked(name, output).clone()
        if len(found) == len(layers):
            raise _ReachedError

    try:
        with _hooked({name: _find(network, name) for name in layers}, record):
            network(x)
    except _ReachedError:
        pass
    if missing := [name for name in layers if name not in found]:
        raise OptionError(f"the network does not use its layer {missing[0]} for this image")
    return {name: found[name] for name in layers}


def before_activation(network: nn.Module, x: Tensor, layer: str) -> Tensor:
    """Return the map of a layer `(n, k, h, w)` before its final activation, if it has one; otherwise as in `maps_at`.

    A closed ReLU has a zero gradient, which gives an ascent no direction.
    """
    inner: dict[str, nn.Module] = {
        path: part for path, part in _find(network, layer).named_modules() if isinstance(part, _ACTIVATIONS)
    }
    before: list[Tensor] = []
    after: list[Tensor] = []

    def enter(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        before[:] = [inputs[0].clone()]

    def leave(path: str, module: nn.Module, output: Tensor) -> None:
        after[:] = [output]

    def finish(name: str, module: nn.Module, output: Any) -> None:
        if not (after and output is after[0]):
            before[:] = [_checked(name, output).clone()]
        raise _ReachedError

    handles = [part.register_forward_pre_hook(enter) for part in inner.values()]
    try:
        with _hooked(inner, leave), _hooked({layer: _find(network, layer)}, finish):
            network(x)
    except _ReachedError:
        return before[0]
    finally:
        for handle in handles:
            handle.remove()
    raise OptionError(f"the network does not use its layer {layer} for this image")


def target_logits(logits: Any, targets: Tensor) -> Tensor:
    """Return each image's logit of its target class `(n,)`.

    Raises:
        OptionError: the output is not logits `(n, classes)`, or has no such class.
    """
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        kind = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise OptionError(f"an explanation needs a network that returns logits (n, classes), not {kind}")
    # A copy: a tensor that was made in inference mode may not be saved for the backward pass.
    targets = torch.as_tensor(targets, device=logits.device).clone()
    if targets.shape != logits.shape[:1] or targets.min() < 0 or targets.max() >= logits.shape[1]:
        raise OptionError(f"targets are {len(logits)} class numbers from 0 to {logits.shape[1] - 1}")
    return logits.gather(1, targets[:, None].long())[:, 0]


@contextmanager
def _hooked(modules: dict[str, nn.Module], hook: Any) -> Iterator[None]:
    """Call `hook(name, module, output)` after each module; a return value other than None replaces the output."""
    handles: list[RemovableHandle] = []
    try:
        for name, module in modules.items():
            handles.append(
                module.register_forward_hook(lambda module, _, output, name=name: hook(name, module, output))
            )
        yield
    finally:
        for handle in handles:
            handle.remove()


def _find(network: nn.Module, name: str) -> nn.Module:
    known = layer_names(network)
    if name not in known:
        raise UnknownNameError("layer", name, [known_name for known_name in known if known_name.count(".") < 2])
    return known[name]


def _checked(name: str, output: Any) -> Tensor:
    if not isinstance(output, Tensor) or output.ndim != 4:
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise OptionError(f"layer {name} outputs no map (n, k, h, w), but {shape}")
    return output


def _shown(network: nn.Module, path: str) -> str:
    """Return a module path as `maps` names it: "stages.2.0", of a backbone, too, is "stage3.block1"."""
    if isinstance(network, DenseNetwork) and path.startswith("backbone.st"):
        return _shown(network.backbone, path.removeprefix("backbone."))
    if not isinstance(network, Network):
        return path
    parts = path.split(".")
    if parts == ["stages"]:
        return f"stage{len(network.stages)}"
    if parts[0] == "stages":
        parts[:2] = [f"stage{int(parts[1]) + 1}"]
    if parts[0].startswith("st") and len(parts) > 1 and parts[1].isdigit():
        parts[1] = f"block{int(parts[1]) + 1}"
    return ".".join(parts)
