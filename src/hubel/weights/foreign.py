"""Load weights under the names of other libraries into networks of hubel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cached_property

import torch
from torch import Tensor, nn

from hubel.core.errors import MismatchError, OptionError, WeightsError
from hubel.data.reading import one_line
from hubel.nn.shapes_only import shapes_only
from hubel.weights.keymaps import key_maps
from hubel.weights.model_file import first_not_finite

__all__ = ["Varying", "fit_weights", "foreign_weights", "match_weights", "parameter_names", "renamed"]

_MOST_PREFIXES = 4  # "_orig_mod.module.model.backbone."
_COUNTERS = ("total_ops", "total_params")  # that thop leaves in each layer
_PARAMETERS = ("", ".weight", ".bias", ".running_mean", ".running_var", ".num_batches_tracked")


def renamed(model: str, network: nn.Module, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename tensors to hubel's names, from those names or from the library whose names match best.

    Prefixes ("module.", "backbone.") are removed where more names match without them. Unknown names are unchanged.
    Tensors of layers that only exist with other options (an auxiliary classifier) are omitted.
    """
    ours = network.state_dict()
    present = {our.rpartition(".")[0] for our in ours}
    namings = [({name: name for name in ours}, set[str]())]
    for key_map in key_maps(model).values():
        layers = {their: our for our, their in key_map(network)}
        namings.append((parameter_names(layers, ours), {their for their, our in layers.items() if our not in present}))
    candidates = ((shorter, *naming) for shorter in _without_prefixes(found) for naming in namings)
    found, names, absent = max(candidates, key=lambda candidate: len(candidate[0].keys() & candidate[1].keys()))
    return {names.get(name, name): t for name, t in found.items() if name.rpartition(".")[0] not in absent}


def _without_prefixes(found: Mapping[str, Tensor]) -> Iterator[Mapping[str, Tensor]]:
    """Yield tensors as they are named, then without the most common first part of their names, and so on."""
    yield found
    for _ in range(_MOST_PREFIXES):
        parts = Counter(name.partition(".")[0] for name in found if "." in name)
        prefix = max(parts, key=parts.__getitem__, default="") + "."
        shorter = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
        if len(shorter) < len(found):  # two would have the same name
            return
        yield (found := shorter)


def foreign_weights(library: str, model: str, network: nn.Module) -> dict[str, Tensor]:
    """Return a network's weights under the names of another library's network of the same layout.

    Raises:
        OptionError: the library has no such network, or a different arrangement of weights.
    """
    key_map = key_maps(model).get(library)
    if key_map is None or (library, model[:3]) == ("timm", "vgg"):  # whose fully connected layers are convolutions
        raise OptionError(f"{library} has no network whose weights are those of {model} under other names")
    ours = network.state_dict()
    names = parameter_names({their: our for our, their in key_map(network)}, ours)
    return {their: ours[our] for their, our in names.items()}


def parameter_names(layers: Mapping[str, str], ours: Collection[str]) -> dict[str, str]:
    """Map their parameter names to ours, given the map of names of layers, or of single parameters."""
    pairs = ((f"{their}{part}", f"{our}{part}") for their, our in layers.items() for part in _PARAMETERS)
    return {their: our for their, our in pairs if our in ours}


class Varying:
    """The weights whose shape depends on the number of classes or of input channels, and their axes that do.

    They are found when they are first asked for: weights that fit as they are need none.

    Args:
        build: builds the network for numbers of classes and channels; called on the meta device.
    """

    def __init__(self, build: Callable[[int, int], nn.Module]) -> None:
        self._build = build

    @cached_property
    def classes(self) -> dict[str, set[int]]:
        """The weights that are not loaded if the number of classes differs."""
        return self._different(3, 3)

    @cached_property
    def channels(self) -> dict[str, set[int]]:
        """The weights that are not loaded if the number of channels differs, but for the first, which is adapted."""
        return self._different(2, 4)

    @cached_property
    def _plain(self) -> dict[str, torch.Size]:
        return self._shapes(2, 3)

    def _shapes(self, classes: int, channels: int) -> dict[str, torch.Size]:
        with shapes_only():
            return {name: tensor.shape for name, tensor in self._build(classes, channels).state_dict().items()}

    def _different(self, classes: int, channels: int) -> dict[str, set[int]]:
        other = self._shapes(classes, channels)
        found = {name: _different_axes(shape, other[name]) for name, shape in self._plain.items()}
        return {name: different for name, different in found.items() if different}

    def explains(self, name: str, theirs: torch.Size, ours: torch.Size) -> bool:
        """Tell whether another number of classes or channels explains the difference of two shapes."""
        allowed = self.classes.get(name, set()) | self.channels.get(name, set())
        return 0 not in theirs and len(theirs) == len(ours) and _different_axes(theirs, ours) <= allowed


def _different_axes(a: torch.Size, b: torch.Size) -> set[int]:
    return {axis for axis, sizes in enumerate(zip(a, b, strict=False)) if len(set(sizes)) > 1}


def fit_weights(network: nn.Module, found: Mapping[str, Tensor], varying: Varying) -> list[str]:
    """Load tensors under hubel's names into a network; return the names of the weights that are not loaded.

    The last layer is not loaded if the number of classes differs or the file has none, nor are auxiliary classifiers
    that the file lacks. A first convolution over RGB is adapted to other channels: summed for grayscale, which gives
    the same output for a gray image; repeated and scaled for more. A fully connected layer can be loaded from a
    convolution over the whole map. A network on the meta device is compared and gets nothing.

    Raises:
        MismatchError: weights are missing, unexpected, or of another shape or type.
        WeightsError: a weight is NaN or infinite.
    """
    loaded, unchanged = match_weights(network, found, varying)
    if name := first_not_finite(loaded):
        raise WeightsError(f"the weights {name} contain NaN or infinite numbers")
    if not any(tensor.is_meta for tensor in network.state_dict().values()):
        network.load_state_dict(loaded, strict=False)
    return unchanged


def match_weights(
    network: nn.Module, found: Mapping[str, Tensor], varying: Varying
) -> tuple[dict[str, Tensor], list[str]]:
    """Return what `fit_weights` loads, and the names that it does not load; no number is read.

    Raises:
        MismatchError: as for `fit_weights`.
    """
    ours = network.state_dict()
    first = next(iter(ours), "")
    unexpected = [name for name in found.keys() - ours.keys() if not _is_counter(name, found[name])]
    loaded, unchanged, wrong = {}, [], [f"unexpected: {one_line(name)}" for name in unexpected]
    has_auxiliary = any(map(_is_auxiliary, found))
    for name, our in ours.items():
        tensor = found.get(name)
        if tensor is None:
            if name.endswith("num_batches_tracked"):  # files from before torch 0.4.1 lack it
                continue
            expected = (
                has_auxiliary if _is_auxiliary(name) else name not in varying.classes or _has_head(found, varying)
            )
            if not expected:
                unchanged.append(name)
                continue
            wrong.append(f"missing: {name} {tuple(our.shape)}")
            continue
        if name == first and tensor.shape != our.shape and our.ndim == tensor.ndim == 4 and name in varying.channels:
            tensor = _for_channels(tensor, our.shape[1])
        if {our.ndim, tensor.ndim} == {2, 4} and our.flatten(1).shape == tensor.flatten(1).shape:
            tensor = tensor.reshape(our.shape)
        if our.ndim == 3 and tensor.ndim == 1 and our.shape == (*tensor.shape, 1, 1):  # factors of channels
            tensor = tensor.reshape(our.shape)
        if tensor.shape == our.shape and tensor.is_floating_point() >= our.is_floating_point():
            loaded[name] = tensor.to(our.dtype)
        elif tensor.shape == our.shape:
            wrong.append(f"other type: {name} is {_dtype(tensor)} in the file, {_dtype(our)} in the network")
        elif varying.explains(name, tensor.shape, our.shape):
            unchanged.append(name)
        else:
            wrong.append(_other_shape(name, tensor, our))
    # The last layer is that of the file as a whole, or not at all.
    if any(name in varying.classes for name in loaded):
        others = (name for name in unchanged if name in found and name in varying.classes)
        wrong += [
            _other_shape(name, found[name], ours[name])
            for name in others
            if _different_axes(found[name].shape, ours[name].shape) & varying.classes[name]
        ]
    if wrong:
        raise MismatchError(len(loaded), sorted(wrong))
    return loaded, unchanged


def _other_shape(name: str, theirs: Tensor, ours: Tensor) -> str:
    return f"other shape: {name} is {tuple(theirs.shape)} in the file, {tuple(ours.shape)} in the network"


def _has_head(found: Iterable[str], varying: Varying) -> bool:
    return any(name in varying.classes and not _is_auxiliary(name) for name in found)


def _is_auxiliary(name: str) -> bool:
    return name.startswith("auxiliary.")


def _is_counter(name: str, tensor: Tensor) -> bool:
    """Tell whether a tensor counts something, such as steps, rather than being a weight."""
    return tensor.ndim == 0 or name.rpartition(".")[2] in _COUNTERS


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _for_channels(weight: Tensor, channels: int) -> Tensor:
    """Adapt the weights `(out, in, h, w)` of a first layer to another number of channels."""
    before = weight.shape[1]
    if before in (0, channels):
        return weight
    if channels == 1:
        return weight.sum(1, keepdim=True)
    repeats = -(-channels // before)
    return weight.repeat(1, repeats, 1, 1)[:, :channels] * (before / channels)
