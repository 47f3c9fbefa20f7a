"""The catalogue: find and build networks by name.

A family is one file and one line in `FAMILIES`. The file has `VARIANTS`, a table of `Variant`, and `build`, a pure
function `(layout, shape, num_classes) -> nn.Module`.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
import types
import typing
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from types import ModuleType
from typing import Any

from torch import nn

from hubel.core.errors import OptionError, UnknownNameError
from hubel.models.variant import InputShape, Variant
from hubel.nn.shapes_only import shapes_only

__all__ = [
    "ALIASES",
    "build_model",
    "count_parameters",
    "family_of",
    "find",
    "list_models",
    "option_text",
    "options_of",
    "paper_of",
]

FAMILIES = (
    "baselines",
    "neighbours",
    "lenet",
    "convnet",
    "stack",
    "alexnet",
    "vgg",
    "nin",
    "googlenet",
    "inception_v3",
    "resnet",
    "airbench",
    "clip_resnet",
    "mobilenet",
    "densenet",
    "efficientnet",
    "convnext",
    "autoencoder",
    "vae",
    "gan",
    "fcos",
    "localiser",
    "unet",
    "lraspp",
    "fcn",
    "pose",
)

_MOST_SIZE = 2**31 - 1  # of classes or channels: what a tensor's size holds on any system
_MOST_VALUES = 1000  # of one option; bounds the network that an untrusted model file can describe

# Short names of networks.
ALIASES = {"lenet": "lenet5_modern"}
_NEEDS = {
    "vector": "a classifier needs at least one class",
    "boxes": "a detector needs at least one class",
    "maps": "a network that segments needs at least one class",
    "points": "a network of key points needs at least one of them",
}
_KINDS = {int: "integers", float: "numbers", bool: "true or false", str: "text"}


@cache
def _families() -> dict[str, tuple[ModuleType, Variant]]:
    modules = [importlib.import_module(f"hubel.models.{family}") for family in FAMILIES]
    return {name: (module, variant) for module in modules for name, variant in module.VARIANTS.items()}


def list_models(pattern: str = "*") -> list[str]:
    """List the names that match a glob pattern such as "*resnet*", in natural order: 18 before 101.

    >>> list_models("le*")
    ['lenet5', 'lenet5_modern', 'lenet5_relu']

    Raises:
        OptionError: the pattern is no text.
    """
    if not isinstance(pattern, str):
        raise OptionError(f'a pattern of names is a text such as "*resnet*", not {pattern!r:.80}')
    return sorted((name for name in _families() if fnmatchcase(name, pattern)), key=_natural)


def _natural(name: str) -> list[tuple[str, int]]:
    """Split a name into pairs of letters and the number after them."""
    return [(letters, int(digits or 0)) for letters, digits in re.findall(r"(\D*)(\d*)", name)]


def find(name: str) -> tuple[str, Variant]:
    """Return the exact name of a network, and its variant.

    Raises:
        UnknownNameError: there is no such network; the message suggests the nearest names.
        OptionError: it is no name.
    """
    if not isinstance(name, str):
        raise OptionError(f"a network of the catalogue is a name, not {name!r:.80}")
    exact = ALIASES.get(name, name)
    if exact not in _families():
        raise UnknownNameError("model", name, [*_families(), *ALIASES])
    return exact, _families()[exact][1]


def build_model(
    name: str,
    *,
    num_classes: int | None = None,
    in_channels: int | None = None,
    input_size: tuple[int, int] | None = None,
    options: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Build a network with random weights, drawn from torch's global generator.

    Args:
        name: name of the network, from `list_models()`.
        num_classes: number of outputs; the published one if not given.
        in_channels: channels of the image; the published number if not given.
        input_size: height and width in pixels; the published ones if not given.
        options: fields of the network's layout to replace, as values or as text (`{"filters": "16,32"}`).

    Raises:
        UnknownNameError: there is no such network or option.
        OptionError: a value is out of range.

    >>> sum(p.numel() for p in build_model("lenet5_modern").parameters())
    61706
    """
    exact, variant = find(name)
    family = _families()[exact][0]
    height, width = variant.shape[1:] if input_size is None else _two_sides(input_size)
    for argument, value in (("num_classes", num_classes), ("in_channels", in_channels)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise OptionError(f"{argument} is a whole number, not {value!r:.80}")
        if value is not None and value > _MOST_SIZE:
            raise OptionError(f"{argument} is at most {_MOST_SIZE:,}")
    shape = InputShape(variant.shape.channels if in_channels is None else in_channels, height, width)
    if min(shape) < 1:
        raise OptionError(f"an image has at least one channel, row and column, not {'x'.join(map(str, shape))}")
    if min(shape[1:]) < variant.smallest:
        raise OptionError(f"{exact} needs images of at least {variant.smallest} pixels each way, not {height}x{width}")
    if variant.fixed_size and shape[1:] != variant.shape[1:]:
        expected = "x".join(map(str, variant.shape[1:]))
        raise OptionError(f"{exact} takes images of {expected} pixels, not {height}x{width}")
    outputs = num_classes if num_classes is not None else variant.num_classes
    needs = "a conditional network needs at least one class" if variant.conditional else _NEEDS.get(variant.output)
    if outputs < 1 and needs:
        raise OptionError(f"{needs}, not {outputs}")
    layout = _with_options(exact, variant.layout, options or {})
    try:
        network: nn.Module = family.build(layout, shape, outputs)
    except (RuntimeError, TypeError, OverflowError, MemoryError) as error:  # of torch, for sizes beyond all memory
        said = str(error)
        reason = said.splitlines()[0] if said and "allocate" not in said else "out of memory"
        raise OptionError(f"{exact} cannot be built at this size: {reason}") from None
    return network


def _two_sides(size: Any) -> tuple[int, int]:
    if not isinstance(size, list | tuple) or [type(side) for side in size] != [int, int]:
        raise OptionError(f"input_size is (height, width) in pixels, such as (224, 224), not {size!r:.80}")
    return size[0], size[1]


def family_of(name: str) -> str:
    """Return the family of a network: the name of its file.

    >>> family_of("resnet50")
    'resnet'
    """
    return _families()[find(name)[0]][0].__name__.rpartition(".")[2]


def paper_of(name: str) -> str:
    """Return the publication of a network's family, in one line.

    >>> paper_of("nin")
    'Network in Network. Lin, Chen & Yan 2013, arXiv:1312.4400.'
    """
    return str(_families()[find(name)[0]][0].__doc__).splitlines()[0]


def count_parameters(name: str) -> int:
    """Count the trainable parameters of a network as published, without allocating it."""
    with shapes_only():
        return sum(p.numel() for p in build_model(name).parameters())


def options_of(name: str) -> dict[str, Any]:
    """Return the options of a network and their default values."""
    layout = find(name)[1].layout
    return {field.name: getattr(layout, field.name) for field in dataclasses.fields(layout)}


def option_text(value: Any) -> str:
    """Format an option's value as text that `build_model` accepts.

    >>> option_text((16, 32)), option_text(0.5)
    ('16,32', '0.5')
    """
    if isinstance(value, Mapping) or (isinstance(value, list | tuple) and any(isinstance(v, Mapping) for v in value)):
        return json.dumps(value)  # a table of layers
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _with_options(name: str, layout: Any, options: Mapping[str, Any]) -> Any:
    kinds = typing.get_type_hints(type(layout))
    for option in options:
        if option not in kinds:
            raise UnknownNameError(f"option of {name}", option, kinds)
    return dataclasses.replace(layout, **{key: _parse(key, kinds[key], value) for key, value in options.items()})


def _parse(option: str, kind: Any, value: Any) -> Any:
    """Convert `value` to the type of a layout's field: int, float, bool, str, or a tuple of one of these."""
    if typing.get_origin(kind) is tuple:
        element = typing.get_args(kind)[0]
        if isinstance(value, str):
            value = [part for part in value.split(",") if part.strip()]
        parts = value if isinstance(value, list | tuple) else [value]
        if len(parts) > _MOST_VALUES:
            raise OptionError(f"{option} takes at most {_MOST_VALUES} values, not {len(parts)}")
        return tuple(_parse(option, element, part) for part in parts)
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Literal:
        raise TypeError(f"layout fields are plain types, but {option} is {kind}")
    if kind is bool:
        booleans = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if str(value).lower() in booleans:
            return booleans[str(value).lower()]
    else:
        try:
            if kind is str:
                return option_text(value)
            if kind is not int or float(value) == int(value):
                return kind(value)
        except (TypeError, ValueError, OverflowError):
            pass
    raise OptionError(f"{option} takes {_KINDS[kind]}, not {value!r}")
