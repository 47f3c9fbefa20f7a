"""Shapes, parameters and multiply-adds of a network that is a table of layers, without torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hubel.core.errors import OptionError
from hubel.models.stack_table import StackTable, TableLayer

__all__ = ["COSTS", "LayerCost", "measure_stack", "padding_of"]

_MOST_PARAMETERS, _MOST_NUMBERS = 2**28, 2**27  # of a network, and of one map: 1 GiB and 512 MiB as float32

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class LayerCost:
    """The cost of one layer for one image.

    Attributes:
        layer: the layer.
        before: shape that it takes: `(c, h, w)`, or `(n,)`.
        after: shape that it gives.
        params: parameters, with those of layers within it.
        macs: multiply-adds of its products, likewise.
        within: costs of the layers within it, a tuple for each branch.
    """

    layer: TableLayer
    before: Shape
    after: Shape
    params: int
    macs: int
    within: tuple[tuple[LayerCost, ...], ...] = ()


def _maps(layer: TableLayer, shape: Shape) -> tuple[int, int, int]:
    if len(shape) != 3:
        layer.refuse(f"takes maps (channels, height, width), and gets {_shown(shape)}; put it before flatten")
    return shape[0], shape[1], shape[2]


def _shown(shape: Shape) -> str:
    return f"{shape[0]} numbers in a row" if len(shape) == 1 else f"maps of {'x'.join(map(str, shape))}"


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def padding_of(layer: TableLayer) -> tuple[int, int]:
    """Return the rows and columns of zeros on each side of a convolution's or a pooling's input."""
    kernel, padding = _pair(layer.settings["kernel"]), layer.settings["padding"]
    if padding == "valid":
        return 0, 0
    if padding != "same":
        return _pair(padding)
    if any(side % 2 == 0 for side in kernel):
        layer.refuse(f'a kernel of {kernel[0]}x{kernel[1]} has no centre; padding is "valid" or a number of pixels')
    dilation = layer.settings.get("dilation", 1)
    return dilation * (kernel[0] // 2), dilation * (kernel[1] // 2)


def _windows(layer: TableLayer, sides: tuple[int, int], *, up: bool = False) -> tuple[int, int]:
    """Return the rows and columns that a window makes of so many, rounded down or `up`."""
    s = layer.settings
    kernel, stride, padding = _pair(s["kernel"]), _pair(s["stride"] or s["kernel"]), padding_of(layer)
    found = []
    for side, k, step, pad in zip(sides, kernel, stride, padding, strict=True):
        span = s.get("dilation", 1) * (k - 1) + 1
        free = side + 2 * pad - span
        if free < 0:
            layer.refuse(f"a window of {span} pixels is larger than what is left of the image, {sides[0]}x{sides[1]}")
        steps = -(-free // step) if up else free // step
        # A window that would start in the padding behind the image is left out, as torch does.
        found.append(steps + 1 - (up and steps * step >= side + pad))
    return found[0], found[1]


def _outputs(layer: TableLayer, name: str, classes: int | None) -> int:
    wanted = layer.settings[name]
    if wanted is not None:
        return int(wanted)
    if classes is None:
        layer.refuse(f"{name} are missing: how many does it have?")
    return classes


def _conv(layer: TableLayer, shape: Shape, classes: int | None) -> tuple[Shape, int, int]:
    channels, *sides = _maps(layer, shape)
    filters, groups = _outputs(layer, "filters", classes), layer.settings["groups"]
    if channels % groups or filters % groups:
        layer.refuse(f"{groups} groups do not divide both {channels} channels and {filters} filters")
    rows, columns = _windows(layer, (sides[0], sides[1]))
    weights = filters * (channels // groups) * math.prod(_pair(layer.settings["kernel"]))
    return (filters, rows, columns), weights + filters * layer.settings["bias"], weights * rows * columns


def _transposed_conv(layer: TableLayer, shape: Shape, classes: int | None) -> tuple[Shape, int, int]:
    channels, *sides = _maps(layer, shape)
    s, filters = layer.settings, _outputs(layer, "filters", classes)
    kernel, stride = _pair(s["kernel"]), _pair(s["stride"])
    if s["extra"] >= min(stride):
        layer.refuse(f"extra is below the stride, {min(stride)}, and not {s['extra']}")
    after = [
        (side - 1) * step - 2 * pad + k + s["extra"]
        for side, step, pad, k in zip(sides, stride, _pair(s["padding"]), kernel, strict=True)
    ]
    if min(after) < 1:
        layer.refuse(f"a padding of {s['padding']} leaves no pixel of {sides[0]}x{sides[1]}")
    weights = channels * filters * math.prod(kernel)
    return (filters, after[0], after[1]), weights + filters * s["bias"], weights * math.prod(sides)


def _pool(layer: TableLayer, shape: Shape, _: int | None) -> tuple[Shape, int, int]:
    channels, height, width = _maps(layer, shape)
    if any(2 * pad > side for pad, side in zip(padding_of(layer), _pair(layer.settings["kernel"]), strict=True)):
        layer.refuse("a padding of more than half the window makes windows without any pixel")
    return (channels, *_windows(layer, (height, width), up=layer.settings["round_up"])), 0, 0


def _same(layer: TableLayer, shape: Shape, _: int | None) -> tuple[Shape, int, int]:
    return shape, 0, 0


def _flatten(layer: TableLayer, shape: Shape, _: int | None) -> tuple[Shape, int, int]:
    return (math.prod(shape),), 0, 0


def _dense(layer: TableLayer, shape: Shape, classes: int | None) -> tuple[Shape, int, int]:
    if len(shape) != 1:
        layer.refuse(f"takes numbers in a row, and gets {_shown(shape)}; put flatten or global_average_pool before it")
    units = _outputs(layer, "units", classes)
    return (units,), units * shape[0] + units * layer.settings["bias"], units * shape[0]


def _batch_norm(layer: TableLayer, shape: Shape, _: int | None) -> tuple[Shape, int, int]:
    return shape, 2 * shape[0], 0


def _global_average_pool(layer: TableLayer, shape: Shape, _: int | None) -> tuple[Shape, int, int]:
    return (_maps(layer, shape)[0],), 0, 0


def _upsample(layer: TableLayer, shape: Shape, _: int | None) -> tuple[Shape, int, int]:
    channels, height, width = _maps(layer, shape)
    factor = layer.settings["factor"]
    return (channels, height * factor, width * factor), 0, 0


#: By kind of layer: from a layer, the shape that it takes and the number of classes to the shape that it gives, its
#: parameters and its multiply-adds. Layers with branches cost what the layers within them cost.
COSTS: Mapping[str, Callable[[TableLayer, Shape, int | None], tuple[Shape, int, int]]] = {
    "conv": _conv,
    "pool": _pool,
    "relu": _same,
    "tanh": _same,
    "sigmoid": _same,
    "flatten": _flatten,
    "dense": _dense,
    "dropout": _same,
    "batch_norm": _batch_norm,
    "global_average_pool": _global_average_pool,
    "upsample": _upsample,
    "transposed_conv": _transposed_conv,
}


def measure_stack(
    table: StackTable, shape: Sequence[int], *, classes: int | None = None, output: str = "vector"
) -> tuple[LayerCost, ...]:
    """Return shape, parameters and multiply-adds of each layer of a table.

    Args:
        table: the layers.
        shape: channels, height and width of an image.
        classes: number of outputs, for a last layer that leaves it open; None leaves any number.
        output: "vector" for a network that gives one number a class, "image" for one that gives an image like the
            input.

    Raises:
        OptionError: a layer cannot take what the one before it gives; the message names it and its line. Or the network
            is too large, or gives something else than `output`.

    >>> from hubel.models import read_stack
    >>> table = read_stack('[{"kind": "conv", "filters": 4}, {"kind": "flatten"}, {"kind": "dense"}]')
    >>> [(cost.after, cost.params, cost.macs) for cost in measure_stack(table, (1, 8, 8), classes=10)]
    [((4, 8, 8), 40, 2304), ((256,), 0, 0), ((10,), 2570, 2560)]
    """
    wanted = tuple(shape) if output == "image" else None if classes is None else (classes,)
    last, costs = table.layers[-1], _measured(table.layers, tuple(shape), wanted[0] if wanted else None)
    if (params := sum(cost.params for cost in costs)) > _MOST_PARAMETERS:
        raise OptionError(f"a network of {params:,} parameters is too large; {_MOST_PARAMETERS:,} are the most")
    if last.kind in ("sigmoid", "tanh", "relu", "dropout"):
        last.refuse("comes last; hubel's outputs are logits, and softmax or sigmoid belong to the loss: leave it out")
    after = costs[-1].after
    if wanted is not None and after != wanted:
        more = "; the last layer's units or filters may be left out" if len(after) == len(wanted) == 1 else ""
        goal = f"an image, {_shown(wanted)}" if output == "image" else f"{wanted[0]} numbers, one for each class"
        last.refuse(f"gives {_shown(after)}, and the network has to give {goal}{more}")
    return costs


def _measured(layers: Sequence[TableLayer], shape: Shape, classes: int | None) -> tuple[LayerCost, ...]:
    costs: list[LayerCost] = []
    for number, layer in enumerate(layers):
        # Only the last layer with weights has as many outputs as there are classes.
        last = not any(later.kind in ("dense", "conv", "transposed_conv") for later in layers[number + 1 :])
        cost = _cost(layer, shape, classes if last else None)
        if math.prod(cost.after) > _MOST_NUMBERS:
            layer.refuse(f"gives {math.prod(cost.after):,} numbers for an image; {_MOST_NUMBERS:,} are the most")
        costs.append(cost)
        shape = cost.after
    return tuple(costs)


def _cost(layer: TableLayer, shape: Shape, classes: int | None) -> LayerCost:
    if not layer.branches:
        after, params, macs = COSTS[layer.kind](layer, shape, classes)
        return LayerCost(layer=layer, before=shape, after=after, params=params, macs=macs)
    within = tuple(_measured(branch, shape, None) for branch in layer.branches)
    ends = [costs[-1].after if costs else shape for costs in within]
    after = _added(layer, shape, ends) if layer.kind == "residual" else _joined(layer, ends)
    inner = [cost for costs in within for cost in costs]
    return LayerCost(
        layer=layer,
        before=shape,
        after=after,
        params=sum(cost.params for cost in inner),
        macs=sum(cost.macs for cost in inner),
        within=within,
    )


def _added(layer: TableLayer, shape: Shape, ends: Sequence[Shape]) -> Shape:
    shortcut = ends[1] if len(ends) > 1 else shape
    if ends[0] != shortcut:
        layer.refuse(
            f"adds {_shown(ends[0])} to {_shown(shortcut)}; give it a shortcut that makes one like the other, such as "
            "a conv with kernel 1"
        )
    return ends[0]


def _joined(layer: TableLayer, ends: Sequence[Shape]) -> Shape:
    if len({(len(end), end[1:]) for end in ends}) > 1:
        layer.refuse(f"joins {' and '.join(map(_shown, ends))}; only channels may differ")
    return (sum(end[0] for end in ends), *ends[0][1:])
