"""A network as a table of layers, in TOML or JSON: read it, and compute shapes, parameters and multiply-adds.

```toml
[[layers]]
kind = "conv"
filters = 8

[[layers]]
kind = "relu"

[[layers]]
kind = "flatten"

[[layers]]
kind = "dense"
```

The last layer's `units` or `filters` are the number of classes where they are left out. Importing this does not import
torch. A table may come from a file that anyone has written: its length, its depth and the size of the network that it
describes are bounded.
"""

from __future__ import annotations

import json
import math
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from hubel.core.errors import HubelError, OptionError, UnknownNameError

__all__ = [
    "KINDS",
    "LayerCost",
    "StackTable",
    "TableLayer",
    "is_stack_file",
    "measure_stack",
    "padding_of",
    "read_stack",
    "read_stack_file",
]

_MOST_LETTERS, _MOST_LAYERS, _MOST_DEPTH = 2**16, 300, 8
_MOST_VALUE = 2**16  # filters, units, pixels of a window
_MOST_PARAMETERS, _MOST_NUMBERS = 2**28, 2**27  # of a network, and of one map: 1 GiB and 512 MiB as float32

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class TableLayer:
    """One layer of a table.

    Attributes:
        name: its number and kind, such as "3 (conv)"; "5.2 (relu)" within layer 5, "5.shortcut.1 (conv)" of several.
        key: name of its module, such as "conv3".
        kind: a key of `KINDS`.
        line: of the text where it stands; 0 where that cannot be told.
        settings: by name, with defaults for those that are left out; None where the number of classes decides.
        branches: tables of layers within it: of a residual layer the residual and the shortcut.
    """

    name: str
    key: str
    kind: str
    line: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    branches: tuple[tuple[TableLayer, ...], ...] = ()

    def refuse(self, reason: str) -> NoReturn:
        """Refuse the layer; the message names it and its line.

        Raises:
            OptionError: always.
        """
        raise OptionError(f"layer {self.name}{f', line {self.line}' if self.line else ''}: {reason}")


@dataclass(frozen=True, kw_only=True)
class StackTable:
    """A network as a table of layers.

    Attributes:
        layers: in order.
    """

    layers: tuple[TableLayer, ...]


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


@dataclass(frozen=True)
class _Setting:
    """A setting of a kind of layer: its default, and the values that it takes."""

    default: Any
    kind: str  # "count", "window", "padding", "bool", "share", or "|"-separated names
    least: int = 1


@dataclass(frozen=True)
class _Kind:
    """A kind of layer: its settings, and the cost of it."""

    settings: Mapping[str, _Setting]
    cost: Callable[[TableLayer, Shape, int | None], tuple[Shape, int, int]]
    nested: tuple[str, ...] = ()


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


def _branches(layer: TableLayer, shape: Shape, _: int | None) -> tuple[Shape, int, int]:
    raise AssertionError("the costs of branches are those of their layers")


_BIAS = _Setting(True, "bool")
_CONV = {
    "filters": _Setting(None, "count"),
    "kernel": _Setting(3, "window"),
    "stride": _Setting(1, "window"),
    "padding": _Setting("same", "padding", 0),
    "dilation": _Setting(1, "count"),
    "groups": _Setting(1, "count"),
    "bias": _BIAS,
}
_POOL = {
    "kernel": _Setting(2, "window"),
    "stride": _Setting(None, "window"),
    "padding": _Setting(0, "padding", 0),
    "mode": _Setting("max", "max|average"),
    "round_up": _Setting(False, "bool"),
}
_TRANSPOSED = {
    "filters": _Setting(None, "count"),
    "kernel": _Setting(2, "window"),
    "stride": _Setting(2, "window"),
    "padding": _Setting(0, "count", 0),
    "extra": _Setting(0, "count", 0),
    "bias": _BIAS,
}

#: Kinds of layers: their settings with default and values, and their cost.
KINDS: dict[str, _Kind] = {
    "conv": _Kind(_CONV, _conv),
    "pool": _Kind(_POOL, _pool),
    "relu": _Kind({}, _same),
    "tanh": _Kind({}, _same),
    "sigmoid": _Kind({}, _same),
    "flatten": _Kind({}, _flatten),
    "dense": _Kind({"units": _Setting(None, "count"), "bias": _BIAS}, _dense),
    "dropout": _Kind({"share": _Setting(0.5, "share")}, _same),
    "batch_norm": _Kind({}, _batch_norm),
    "global_average_pool": _Kind({}, _global_average_pool),
    "residual": _Kind({}, _branches, ("layers", "shortcut")),
    "concat": _Kind({}, _branches, ("branches",)),
    "upsample": _Kind(
        {"factor": _Setting(2, "count"), "mode": _Setting("nearest", "nearest|bilinear")}, _upsample
    ),
    "transposed_conv": _Kind(_TRANSPOSED, _transposed_conv),
}  # fmt: skip


def read_stack(text: str) -> StackTable:
    """Read a table of layers: TOML with `[[layers]]`, or JSON, `{"layers": [...]}` or the list alone.

    Raises:
        OptionError: it is no table of layers; the message names the layer and its line.
        UnknownNameError: there is no such kind of layer, or no such setting.

    >>> [layer.kind for layer in read_stack('[{"kind": "flatten"}, {"kind": "dense"}]').layers]
    ['flatten', 'dense']
    """
    if not isinstance(text, str) or len(text) > _MOST_LETTERS:
        raise OptionError(f"a table of layers is a text of at most {_MOST_LETTERS:,} letters")
    values = _parsed(text)
    entries = values.get("layers") if isinstance(values, Mapping) else values
    if not isinstance(entries, list) or not entries or (isinstance(values, Mapping) and len(values) > 1):
        raise OptionError("a table of layers is a list of layers, [[layers]] in TOML, and nothing else")
    lines = _lines_of_kinds(text)
    found = list(_entries(entries, 1))
    if len(found) > _MOST_LAYERS:
        raise OptionError(f"a network of {len(found):,} layers is too large; {_MOST_LAYERS} are the most")
    told = len(lines) == len(found) and all(_kind_comes_first(entry) for entry in found)
    at = iter(lines if told else [0] * len(found))
    return StackTable(layers=_layers(entries, "", at))


def is_stack_file(name: object) -> bool:
    """Return whether a network is named by a file with a table of layers."""
    return isinstance(name, str | os.PathLike) and os.fspath(name).lower().endswith((".toml", ".json"))


def read_stack_file(path: str | Path) -> str:
    """Return the text of a file with a table of layers, as the networks "stack" and "stack_autoencoder" take it.

    Raises:
        OptionError: it cannot be read, or is no such table; the message names the layer and its line.
        UnknownNameError: there is no such kind of layer, or no such setting.
    """
    try:
        if Path(path).stat().st_size > 4 * _MOST_LETTERS:
            raise OptionError(f"{path}: a table of layers is a text of at most {_MOST_LETTERS:,} letters")
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise OptionError(f"{path}: no such file; expected a table of layers in TOML or JSON") from None
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{path}: cannot be read ({' '.join(str(error).split())})") from None
    try:
        read_stack(text)
    except HubelError as error:
        error.args = (f"{path}: {error}",)
        raise
    return text


def _parsed(text: str) -> Any:
    start = text.lstrip()
    try:
        if start.startswith("{") or (start.startswith("[") and not start.startswith("[[")):
            return json.loads(text)
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        hint = "; a file is named by --model FILE" if is_stack_file(text) else ""
        raise OptionError(f"a table of layers is TOML or JSON: {' '.join(str(error).split())}{hint}") from None


def _lines_of_kinds(text: str) -> list[int]:
    """Return the line of each layer's kind, in the order of the text."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        code = re.sub(r"#.*", "", line)
        found += [number] * len(re.findall(r"(?<![\w.])\"?kind\"?\s*[=:]", code))
    return found


def _entries(entries: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    """Yield the tables of all layers, those within others behind these."""
    if depth > _MOST_DEPTH:
        raise OptionError(f"layers within layers within layers: {_MOST_DEPTH} are the most")
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, Mapping):
            raise OptionError(f'a layer is a table such as {{"kind": "relu"}}, not {entry!r:.80}')
        yield entry
        for branch in _inner(entry).values():
            yield from _entries(branch, depth + 1)


def _inner(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the lists of layers within one, by their name and number."""
    found: dict[str, Any] = {}
    for name, value in entry.items():
        if name in ("layers", "shortcut"):
            found[name] = value
        if name == "branches" and isinstance(value, list):
            found |= {f"{name}{number}": branch for number, branch in enumerate(value, start=1)}
    return found


def _kind_comes_first(entry: Mapping[str, Any]) -> bool:
    """Return whether the kind stands before the layers within, so that kinds have the order of the layers."""
    names = [name for name in entry if name in ("kind", "layers", "shortcut", "branches")]
    return names[:1] == ["kind"]


def _layers(entries: Any, prefix: str, lines: Iterator[int]) -> tuple[TableLayer, ...]:
    return tuple(
        _layer(entry, f"{prefix}{number}", next(lines), lines) for number, entry in enumerate(entries, start=1)
    )


def _layer(entry: Mapping[str, Any], number: str, line: int, lines: Iterator[int]) -> TableLayer:
    at = f"layer {number}{f', line {line}' if line else ''}"
    kind = entry.get("kind")
    if not isinstance(kind, str):
        raise OptionError(f"{at}: it has no kind; the kinds are {', '.join(sorted(KINDS))}")
    if kind not in KINDS:
        raise _located(at, UnknownNameError("kind of layer", kind, KINDS))
    description = KINDS[kind]
    known = {"kind", *description.settings, *description.nested}
    for name in entry:
        if name not in known:
            raise _located(at, UnknownNameError(f"setting of {kind}", name, known - {"kind"}))
    shell = TableLayer(name=f"{number} ({kind})", key=f"{kind}{number.rpartition('.')[2]}", kind=kind, line=line)
    settings = {name: _value(shell, name, one, entry.get(name)) for name, one in description.settings.items()}
    inner = _inner(entry)
    for name in description.nested[:1]:
        if not inner or not all(isinstance(branch, list) for branch in inner.values()):
            wanted = "a list of layers" if name == "layers" else "a list of lists of layers"
            shell.refuse(f"{name} is missing, {wanted}")
    branches = {
        name: _layers(branch, f"{number}.{name}." if len(inner) > 1 else f"{number}.", lines)
        for name, branch in inner.items()  # in the order of the text, which is that of the lines
    }
    ordered = tuple(branches[name] for name in sorted(branches, key=_place_of_branch))
    return TableLayer(name=shell.name, key=shell.key, kind=kind, line=line, settings=settings, branches=ordered)


def _place_of_branch(name: str) -> tuple[bool, int]:
    return name == "shortcut", int(name.removeprefix("branches") or 0) if name.startswith("branches") else 0


def _located(at: str, error: UnknownNameError) -> UnknownNameError:
    error.args = (f"{at}: {error}",)
    return error


def _value(layer: TableLayer, name: str, setting: _Setting, value: Any) -> Any:
    """Return a setting's value, or its default."""
    if value is None:
        return setting.default

    def is_count(number: Any) -> bool:
        return isinstance(number, int) and not isinstance(number, bool) and setting.least <= number <= _MOST_VALUE

    if setting.kind == "bool" and isinstance(value, bool):
        return value
    if setting.kind == "share" and isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1:
        return float(value)
    if setting.kind == "count" and is_count(value):
        return value
    if setting.kind == "window" and is_count(value):
        return value
    if setting.kind == "window" and isinstance(value, list) and len(value) == 2 and all(map(is_count, value)):
        return tuple(value)
    if setting.kind == "padding" and (value in ("same", "valid") or is_count(value)):
        return value
    if "|" in setting.kind:
        if value not in (names := setting.kind.split("|")):
            layer.refuse(f"{name} is {' or '.join(names)}, not {value!r:.80}")
        return value
    return layer.refuse(f"{name} is {_WORDS[setting.kind].format(least=setting.least)}, not {value!r:.80}")


_WORDS = {
    "bool": "true or false",
    "share": "a share from 0 to below 1",
    "count": "a whole number, not below {least}",
    "window": "a number of pixels, or two: [height, width]",
    "padding": '"same", "valid" or a number of pixels',
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
        after, params, macs = KINDS[layer.kind].cost(layer, shape, classes)
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
