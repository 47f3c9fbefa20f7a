"""Which map of a network to look at, and how to get at it without leaving a hook behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from hubel.core.errors import OptionError, UnknownNameError
from hubel.explain.untouched import untouched
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
    """All maps that were asked for are there; the rest of the network need not run."""


def default_layer(network: nn.Module, x: Tensor) -> str:
    """The last map of more than one pixel, found by one pass of the first image.

    That is what the final pooling, or the first fully connected layer, looks at. In a `Network`, pooling that belongs
    to the head makes no map of interest: of VGG it is the last convolution's.

    Args:
        network: any module.
        x: images `(n, c, h, w)`, normalised.

    Returns:
        A name among `layer_names`.

    Raises:
        OptionError: there is no such map.
    """
    image = x[:1].detach().clone()
    # What was made last, kept so that no later tensor can be mistaken for it, and whether it is to be passed over.
    last, skipped, found = image, True, ""

    def look(path: str, module: nn.Module, output: Any) -> None:
        nonlocal last, skipped, found
        if not isinstance(output, Tensor) or output.ndim != 4 or output.shape[2] * output.shape[3] == 1:
            return
        if output is not last:  # what comes out of a container is what its last part has made
            in_head = isinstance(network, Network) and path.startswith("head.")
            last, skipped = output, in_head and isinstance(module, _POOLS)
        if path and not skipped:
            found = path

    with untouched(network) as quiet, torch.no_grad(), _hooked(dict(quiet.named_modules()), look):
        quiet(image)
    if not found:
        raise OptionError("the network has no map of more than one pixel; occlusion and integrated_gradients need none")
    return _shown(network, found)


def layer_names(network: nn.Module) -> dict[str, nn.Module]:
    """Every layer by its name: a `Network`'s maps as `Network.maps` calls them, everything by its module path."""
    by_path = {path: module for path, module in network.named_modules() if path}
    return {_shown(network, path): module for path, module in by_path.items()} | by_path


def section_names(network: nn.Module, x: Tensor) -> list[str]:
    """The sections of a network that make maps, as `layer_names` calls them: stem, stages, and what the head makes.

    Of a module that is no `Network`, these are its direct children.
    """
    paths = [path for path, _ in network.named_children()]
    if isinstance(network, Network):
        inside = [f"head.{name}" for name, part in network.head.named_children() if not isinstance(part, _POOLS)]
        paths = ["stem", *(f"stages.{place}" for place in range(len(network.stages))), *inside]
    image, found = x[:1].detach().clone(), []

    def look(path: str, module: nn.Module, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output is not image:
            found.append(path)

    with untouched(network) as quiet, torch.no_grad(), _hooked({p: quiet.get_submodule(p) for p in paths}, look):
        quiet(image)
    return [_shown(network, path) for path in dict.fromkeys(found)]


def map_and_logits(network: nn.Module, x: Tensor, layer: str, *, factor: float = 1.0) -> tuple[Tensor, Tensor]:
    """The map of a layer as a leaf, and the logits that follow from it; call it within `untouched`.

    Args:
        network: a network whose parameters ask for no gradient: then only what follows the layer is recorded.
        x: images `(n, c, h, w)`, normalised.
        layer: a name among `layer_names`.
        factor: what the map is multiplied by before it goes on.

    Returns:
        The map `(n, k, h, w)`, and the logits.

    Raises:
        UnknownNameError: there is no such layer.
        OptionError: it makes no map.
    """
    leaves: list[Tensor] = []

    def split(name: str, module: nn.Module, output: Any) -> Tensor:
        leaves.append((factor * _checked(name, output).detach()).requires_grad_())
        return leaves[-1].clone()  # the next layer may write into what it gets

    with _hooked({layer: _find(network, layer)}, split):
        logits = network(x.detach().clone())
    if not leaves:
        raise OptionError(f"the network does not use its layer {layer} for this image")
    return leaves[-1], logits


def maps_at(network: nn.Module, x: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """Maps `(n, k, h, w)` of several layers, in their order; call it within `untouched`.

    What follows the last of them does not run, so that x may have another size than the network's head takes.

    Raises:
        UnknownNameError: there is no such layer.
        OptionError: one makes no map.
    """
    found: dict[str, Tensor] = {}

    def keep(name: str, module: nn.Module, output: Any) -> None:
        found[name] = _checked(name, output).clone()
        if len(found) == len(layers):
            raise _ReachedError

    try:
        with _hooked({name: _find(network, name) for name in layers}, keep):
            network(x)
    except _ReachedError:
        pass
    if missing := [name for name in layers if name not in found]:
        raise OptionError(f"the network does not use its layer {missing[0]} for this image")
    return {name: found[name] for name in layers}


def before_activation(network: nn.Module, x: Tensor, layer: str) -> Tensor:
    """The map of a layer `(n, k, h, w)` before the activation that ends it, if one does; otherwise as in `maps_at`.

    A closed ReLU has no gradient that would say how to open it.
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
    """The logit of each image's own class `(n,)`.

    Raises:
        OptionError: the network gives no logits `(n, classes)`, or has no such class.
    """
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        kind = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise OptionError(f"an explanation needs a network that gives logits (n, classes), not {kind}")
    targets = torch.as_tensor(targets, device=logits.device)
    if targets.shape != logits.shape[:1] or targets.min() < 0 or targets.max() >= logits.shape[1]:
        raise OptionError(f"targets are {len(logits)} class numbers from 0 to {logits.shape[1] - 1}")
    return logits.gather(1, targets[:, None].long())[:, 0]


@contextmanager
def _hooked(modules: dict[str, nn.Module], hook: Any) -> Iterator[None]:
    """Call `hook(name, module, output)` after each of some modules; what it returns takes the place of the output."""
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
        raise OptionError(f"layer {name} makes no map (n, k, h, w), but {shape}")
    return output


def _shown(network: nn.Module, path: str) -> str:
    """A module path of a `Network` as `Network.maps` names it: "stages.2.0" is "stage3.block1"."""
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
