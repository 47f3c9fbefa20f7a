"""Read weights of other libraries, and load them into networks of hubel."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from hubel.core.errors import MismatchError, OptionError, WeightsError
from hubel.data.reading import one_line
from hubel.nn.network import Network
from hubel.weights.keymaps import key_maps

__all__ = ["Varying", "fit_weights", "foreign_weights", "read_weights", "renamed"]

_WRAPPERS = ("state_dict", "model_state_dict", "state_dict_ema", "model_ema", "model", "net", "ema")
_PREFIXES = ("module.", "_orig_mod.", "model.")
_PARAMETERS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a `.safetensors` file or a torch file (`.pth`, `.pt`, `.bin`), by name.

    A torch file is a pickle; it is read with `weights_only`, which runs no code in it. Wrappers ("state_dict", "model")
    and prefixes ("module.") are removed.

    Raises:
        WeightsError: the file cannot be read, contains other objects than weights, or no weights.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    try:
        if path.suffix == ".safetensors":
            found = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # malformed bytes can raise errors of any type
        if type(error).__name__ == "UnpicklingError":
            raise WeightsError(
                f"{path} contains Python objects beside weights, or is not a torch file; such a file can run any "
                "program, so it is not opened: save its state_dict() alone"
            ) from None
        raise WeightsError(f"{path} is damaged, or contains no weights ({one_line(error)})") from None
    return _unwrapped(path, found)


def _unwrapped(path: Path, found: Any) -> dict[str, Tensor]:
    while isinstance(found, Mapping) and not any(isinstance(value, Tensor) for value in found.values()):
        found = next((found[name] for name in _WRAPPERS if isinstance(found.get(name), Mapping)), None)
    tensors = {str(k): v for k, v in found.items() if isinstance(v, Tensor)} if isinstance(found, Mapping) else {}
    if not tensors:
        raise WeightsError(f"{path} contains no named tensors; expected the state_dict of a network")
    while prefix := next((p for p in _PREFIXES if all(name.startswith(p) for name in tensors)), ""):
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def renamed(model: str, network: nn.Module, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename tensors to hubel's names, from those names or from the library whose names match best.

    Unknown names are unchanged. Tensors of layers that only exist with other options (an auxiliary classifier) are
    omitted.
    """
    ours = network.state_dict()
    names, absent = {name: name for name in ours}, set[str]()
    for key_map in key_maps(model).values():
        assert isinstance(network, Network)
        layers = {their: our for our, their in key_map(network)}
        theirs = _parameters(layers, ours)
        if len(theirs.keys() & found.keys()) > len(names.keys() & found.keys()):
            present = {our.rpartition(".")[0] for our in ours}
            names, absent = theirs, {their for their, our in layers.items() if our not in present}
    return {names.get(name, name): t for name, t in found.items() if name.rpartition(".")[0] not in absent}


def foreign_weights(library: str, model: str, network: nn.Module) -> dict[str, Tensor]:
    """Return a network's weights under the names of another library's network of the same layout.

    Raises:
        OptionError: the library has no such network, or a different arrangement of weights.
    """
    key_map = key_maps(model).get(library)
    if key_map is None or (library, model[:3]) == ("timm", "vgg"):  # whose fully connected layers are convolutions
        raise OptionError(f"{library} has no network whose weights are those of {model} under other names")
    assert isinstance(network, Network)
    ours = network.state_dict()
    names = _parameters({their: our for our, their in key_map(network)}, ours)
    return {their: ours[our] for their, our in names.items()}


def _parameters(layers: Mapping[str, str], ours: Collection[str]) -> dict[str, str]:
    """Map their parameter names to ours, given the map of layer names."""
    pairs = ((f"{their}.{part}", f"{our}.{part}") for their, our in layers.items() for part in _PARAMETERS)
    return {their: our for their, our in pairs if our in ours}


@dataclass(frozen=True)
class Varying:
    """Names of the weights whose shape depends on the number of classes or of input channels.

    Attributes:
        classes: weights that are not loaded if the number of classes differs.
        channels: weights that are not loaded if the number of channels differs, but for the first convolution, which is
            adapted.
    """

    classes: Collection[str]
    channels: Collection[str]

    @classmethod
    def of(cls, build: Callable[[int, int], nn.Module]) -> Varying:
        """Find the names for a network that `build` builds for numbers of classes and channels, on the meta device."""
        with torch.device("meta"):
            plain, classes, channels = (build(*numbers).state_dict() for numbers in ((2, 3), (3, 3), (2, 4)))
        return cls(
            {name for name in plain if plain[name].shape != classes[name].shape},
            {name for name in plain if plain[name].shape != channels[name].shape},
        )


def fit_weights(network: nn.Module, found: Mapping[str, Tensor], varying: Varying) -> list[str]:
    """Load tensors under hubel's names into a network; return the names of the weights that are not loaded.

    The last layer is not loaded if the number of classes differs, nor are auxiliary classifiers that the file lacks. A
    first convolution over RGB is adapted to other channels: summed for grayscale, which gives the same output for a
    gray image; repeated and scaled for more. A fully connected layer can be loaded from a convolution over the whole
    map.

    Raises:
        MismatchError: weights are missing, unexpected, or of another shape.
    """
    ours = network.state_dict()
    first = next(iter(ours), "")
    loaded, unchanged, wrong = {}, [], [f"unexpected: {name}" for name in found.keys() - ours.keys()]
    has_auxiliary = any(name.startswith("auxiliary.") for name in found)
    for name, our in ours.items():
        tensor = found.get(name)
        if tensor is None:
            if name.endswith("num_batches_tracked"):  # files from before torch 0.4.1 lack it
                continue
            if name.startswith("auxiliary.") and not has_auxiliary:
                unchanged.append(name)
                continue
            wrong.append(f"missing: {name} {tuple(our.shape)}")
            continue
        if name == first and our.ndim == tensor.ndim == 4 and name in varying.channels:
            tensor = _for_channels(tensor, our.shape[1])
        if 2 in (tensor.ndim, our.ndim) and tensor.numel() == our.numel():
            tensor = tensor.reshape(our.shape)
        if tensor.shape == our.shape:
            loaded[name] = tensor.to(our.dtype)
        elif name in varying.classes or name in varying.channels:
            unchanged.append(name)
        else:
            wrong.append(f"other shape: {name} is {tuple(tensor.shape)} in the file, {tuple(our.shape)} in the network")
    if wrong:
        raise MismatchError(len(loaded), sorted(wrong))
    network.load_state_dict(loaded, strict=False)
    return unchanged


def _for_channels(weight: Tensor, channels: int) -> Tensor:
    """Adapt the weights `(out, in, h, w)` of a first layer to another number of channels."""
    before = weight.shape[1]
    if channels == before:
        return weight
    if channels == 1:
        return weight.sum(1, keepdim=True)
    repeats = -(-channels // before)
    return weight.repeat(1, repeats, 1, 1)[:, :channels] * (before / channels)
