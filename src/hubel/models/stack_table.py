"""A network as a table of layers, in TOML or JSON: read it.

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
torch. A table may come from a file that anyone has written: its length and its depth are bounded here, the size of the
network that it describes in `stack_cost`.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from hubel.core.errors import HubelError, OptionError, UnknownNameError
from hubel.core.text_files import read_text

__all__ = [
    "KINDS",
    "StackTable",
    "TableLayer",
    "is_stack_file",
    "read_stack",
    "read_stack_file",
]

_MOST_LETTERS, _MOST_LAYERS, _MOST_DEPTH = 2**16, 300, 8
_MOST_VALUE = 2**16  # filters, units, pixels of a window


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


@dataclass(frozen=True)
class _Setting:
    """A setting of a kind of layer: its default, and the values that it takes."""

    default: Any
    kind: str  # "count", "window", "padding", "bool", "share", or "|"-separated names
    least: int = 1


@dataclass(frozen=True)
class _Kind:
    """A kind of layer: its settings, and the names of the lists of layers within it."""

    settings: Mapping[str, _Setting] = field(default_factory=dict)
    nested: tuple[str, ...] = ()


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

#: Kinds of layers, each with its settings; their costs are in `stack_cost`, their modules in `stack`.
KINDS: dict[str, _Kind] = {
    "conv": _Kind(_CONV),
    "pool": _Kind(_POOL),
    "relu": _Kind(),
    "tanh": _Kind(),
    "sigmoid": _Kind(),
    "flatten": _Kind(),
    "dense": _Kind({"units": _Setting(None, "count"), "bias": _BIAS}),
    "dropout": _Kind({"share": _Setting(0.5, "share")}),
    "batch_norm": _Kind(),
    "global_average_pool": _Kind(),
    "residual": _Kind(nested=("layers", "shortcut")),
    "concat": _Kind(nested=("branches",)),
    "upsample": _Kind({"factor": _Setting(2, "count"), "mode": _Setting("nearest", "nearest|bilinear")}),
    "transposed_conv": _Kind(_TRANSPOSED),
}


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
    text = read_text(Path(path), expected="a table of layers in TOML or JSON")
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
