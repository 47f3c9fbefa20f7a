"""Build the network that a user names, without its weights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from copy import deepcopy
from functools import reduce
from numbers import Integral
from pathlib import Path
from typing import NamedTuple

from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from hubel.core.errors import OptionError
from hubel.models.catalogue import build_model, find
from hubel.models.stack_table import is_stack_file, read_stack_file
from hubel.nn.shapes_only import shapes_only
from hubel.weights.create import is_file_name
from hubel.weights.model_file import model_path, read_card
from hubel.weights.own_class import OwnModel

__all__ = ["Untrained", "parse_input_shape", "untrained"]


class Untrained(NamedTuple):
    """A network on the `meta` device, or a module that was given.

    Attributes:
        network: the network; of a module with lazy layers a copy.
        title: its name, and the file.
        input_shapes: shape of each input without the batch.
        description: what it is, in one line; empty for a module.
    """

    network: nn.Module
    title: str
    input_shapes: tuple[tuple[int, ...], ...]
    description: str


# Where objects of the package that are no modules have theirs: a Predictor, a fitted ImageClassifier.
_NETWORKS = ("network", "predictor_.network")


def untrained(
    model: nn.Module | str | os.PathLike[str], input_shapes: Sequence[Sequence[int]], *, verb: str
) -> Untrained:
    """Build a network without weights, or take a module as it is.

    Args:
        model: a module; or the name of a network in the catalogue, a model file, or the folder of a run.
        input_shapes: shape of each input without the batch; required for a module, otherwise by default the input shape
            of the network.
        verb: function that was called, for the messages.

    Raises:
        OptionError: the shape is missing, or the network cannot take it.
        UnknownNameError: there is no such network.
        ModelFileError: the file is missing or damaged.
    """
    given = tuple(_checked_shape(shape, maps=not isinstance(model, nn.Module)) for shape in input_shapes)
    if isinstance(model, nn.Module):
        if not given:
            raise OptionError(f"give the shape of the input, such as {verb}(module, (3, 224, 224))")
        return Untrained(_without_lazy(model), type(model).__name__, given, "")
    if not isinstance(model, str | os.PathLike):
        parts = [path for path in _NETWORKS if isinstance(_part(model, path), nn.Module)]
        part = f"; its network is .{parts[0]}" if parts else ""
        raise OptionError(f"a model is a module, a name or a path, not {type(model).__name__}{part}")
    with shapes_only():
        if is_stack_file(model):
            channels, height, width = given[0] if given else find("stack")[1].shape
            text, size = read_stack_file(Path(model)), (height, width)
            network = build_model("stack", in_channels=channels, input_size=size, options={"layers": text})
            return Untrained(network, str(model), given or ((channels, height, width),), "a table of layers")
        if is_file_name(model):
            card = read_card(model_path(Path(model)))
            p = card.preprocess
            shape: tuple[int, ...] = (p.channels, p.height, p.width)
            network = card.create(model.module if isinstance(model, OwnModel) else None)
            described = f"the class {card.own.place}" if card.own else find(card.model)[1].summary
            return Untrained(network, f"{card.model} in {model}", given or (shape,), described)
        title, variant = find(str(model))
        channels, height, width = given[0] if given else variant.shape
        network = build_model(title, in_channels=channels, input_size=(height, width))
    return Untrained(network, title, given or ((channels, height, width),), variant.summary)


def _checked_shape(shape: object, *, maps: bool) -> tuple[int, ...]:
    sides = tuple(shape) if isinstance(shape, Sequence) else ()
    if (
        not sides
        or not all(isinstance(side, Integral) and int(side) > 0 for side in sides)
        or (maps and len(sides) != 3)
    ):
        wanted = "(channels, height, width)" if maps else "whole numbers without the batch, such as (3, 224, 224)"
        raise OptionError(f"the shape of an input is {wanted}, not {shape!r:.80}")
    return tuple(map(int, sides))


def _without_lazy(network: nn.Module) -> nn.Module:
    """Return the network; a copy of one with lazy layers, which a first call would change for good."""
    lazy = any(isinstance(module, LazyModuleMixin) for module in network.modules())
    return deepcopy(network) if lazy else network


def parse_input_shape(text: str) -> list[tuple[int, ...]]:
    """Return the shape that "3x224x224" stands for, in a list; an empty list for an empty text.

    Raises:
        OptionError: the text is no shape.
    """
    sides = text.lower().split("x") if text else []
    if sides and (len(sides) != 3 or not all(side.isdecimal() and int(side) for side in sides)):
        raise OptionError(f"--input is CHANNELSxHEIGHTxWIDTH such as 3x224x224, not {text!r}")
    return [tuple(map(int, sides))] if sides else []


def _part(owner: object, path: str) -> object:
    return reduce(lambda found, name: getattr(found, name, None), path.split("."), owner)
