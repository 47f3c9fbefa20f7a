"""Read a recipe from a file: TOML or YAML as a person writes it, or the config.json of a run, of hubel 0.1, too."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from hubel.core.errors import OptionError
from hubel.core.text_files import bounded, read_text
from hubel.training.recipe import flattened

__all__ = ["FORMATS", "modern", "read_data", "read_recipe", "read_settings"]

#: By the end of a file's name: the name of its format, and what reads it.
FORMATS: dict[str, tuple[str, Callable[[str], Any]]] = {
    ".toml": ("TOML", tomllib.loads),
    ".json": ("JSON", json.loads),
    ".yaml": ("YAML", yaml.safe_load),
    ".yml": ("YAML", yaml.safe_load),
}

# What hubel 0.1 called settings and values, and the numbers by which it meant "decide".
_OLD_NAMES = {"fit": "resize", "lr_decay": "layer_decay", "gradual": "gradual_unfreeze"}
_ONLY_OLD = {*_OLD_NAMES, "multi_label"}
_OLD_LOSSES = {"softmax": "cross_entropy", "sigmoid": "bce"}
_OLD_OPEN = {
    "views": 0,
    "epochs": 0,
    "batch_size": 0,
    "lr": 0,
    "label_smoothing": -1,
    "ema": -1,
    "clip": 0,
    "patience": 0,
    "max_minutes": 0,
    "threads": 0,
    "loading_threads": -1,
}


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings in a file, flat.

    Args:
        path: TOML or YAML with settings, in tables or not; or JSON: the config.json of a run, or just settings.

    Raises:
        OptionError: the file cannot be read, or holds no settings.
    """
    return read_recipe(path, "--config")[0]


def read_recipe(path: Path, flag: str) -> tuple[dict[str, Any], Any]:
    """Return the settings in a file, flat, and its table `claim`; {} where there is none.

    Args:
        path: see `read_settings`. The augmentation may be a table, too.
        flag: that names the file, for messages.

    Raises:
        OptionError: the file cannot be read, or holds no settings.
    """
    values = _load(path, flag)
    if isinstance(values, dict) and "recipe" in values:
        values = values["recipe"]
    if not isinstance(values, dict) or not values:
        raise OptionError(f"{flag} {path}: holds no settings; expected TOML, or the config.json of a run")
    values = dict(values)
    claim = values.pop("claim", {})
    flat = modern(values)
    if isinstance(flat.get("augment"), dict):
        flat["augment"] = json.dumps(flat["augment"], sort_keys=True)
    return flat, claim


def read_data(path: Path) -> tuple[str, dict[str, float]]:
    """Return the data that a run's config.json names, and the settings of the images of X and O; "" and {} if none.

    Raises:
        OptionError: the file cannot be read.
    """
    values = _load(path)
    data, xo = (values.get("data"), values.get("xo")) if isinstance(values, dict) and "recipe" in values else ("", {})
    return data if isinstance(data, str) else "", xo if isinstance(xo, dict) else {}


def _load(path: Path, flag: str = "--config") -> Any:
    text = read_text(path, flag=flag, expected="settings in TOML, or the config.json of a run")
    kind, parse = FORMATS.get(path.suffix.lower(), ("TOML", tomllib.loads))
    try:
        return bounded(parse(text))
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise OptionError(f"{flag} {path}: no {kind}: {' '.join(str(error).split())}") from None


def modern(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return flat settings without those that are open; settings of hubel 0.1 get today's names and values."""
    flat = flattened(values)
    if str(flat.get("loss")) in _OLD_LOSSES:
        flat["loss"] = _OLD_LOSSES[flat["loss"]]
    if "class_weights" in flat:  # until 0.2
        flat["balance"] = "inverse" if flat.pop("class_weights") else "none"
    if _ONLY_OLD & flat.keys():
        flat = {name: value for name, value in flat.items() if name not in _OLD_OPEN or value != _OLD_OPEN[name]}
        flat = {_OLD_NAMES.get(name, name): value for name, value in flat.items()}
        if flat.pop("multi_label", False):
            flat["task"] = "multi_label"
        if flat.get("task") == "reconstruct":
            flat.pop("loss", None)  # it stood there without a meaning
    return {name: value for name, value in flat.items() if value is not None and value != "auto"}
