"""The files of a search: tune.json (what was asked for, and how far it is), leaderboard.csv, best.toml."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hubel.core.csv_text import csv_text
from hubel.core.errors import CheckpointError
from hubel.core.files import write_atomic, write_json
from hubel.core.outputs import RUNS
from hubel.core.text_files import read_json
from hubel.training.recipe import Recipe
from hubel.training.search.study import TrialRow

__all__ = ["BEST", "LEADERBOARD", "SearchFolder", "newest_unfinished_search", "recipe_toml", "settings_text"]

BEST, LEADERBOARD = "best.toml", "leaderboard.csv"
_STATE = "tune.json"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)


# What the state has: the name of each value, what it is in words, and the test.
_VALUES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "hubel": ("a text", _is_text),
    "data": ("a path or a name", lambda value: value is None or _is_text(value)),
    "xo": ("a table", lambda value: value is None or isinstance(value, dict)),
    "recipe": ("a table", lambda value: isinstance(value, dict)),
    "minutes": ("a number from 0", _is_number),
    "metric": ("a text", _is_text),
    "models": ("a list of names", lambda value: isinstance(value, list) and all(map(_is_text, value))),
    "trials": ("a whole number", _is_count),
    "sample": ("a whole number", _is_count),
    "fingerprint": ("a text", _is_text),
    "spent": ("a number from 0", _is_number),
    "decision": ("a table", lambda value: value is None or isinstance(value, dict)),
}


class SearchFolder:
    """The records of a search in the folder of its run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = path / "trials.jsonl"
        self.trials = path / "trials"

    @property
    def finished(self) -> bool:
        """The search has come to its end: the final model is measured."""
        return (self.path / "metrics.json").is_file()

    def write(self, state: Mapping[str, Any]) -> None:
        """Write what was asked for, and how far the search is."""
        write_json(self.path / _STATE, state)

    def read(self) -> dict[str, Any]:
        """Return what was asked for, and how far the search is.

        Raises:
            CheckpointError: this is no folder of a search, or its state has been edited and cannot be meant so.
        """
        state = read_json(self.path / _STATE)
        state = {"xo": None, "decision": None, **state} if isinstance(state, dict) else {}
        if not state.keys() >= _VALUES.keys():
            raise CheckpointError(f"{self.path} is not the folder of a search: it has no readable {_STATE} of hubel's")
        for name, (what, fits) in _VALUES.items():
            if not fits(state[name]):
                raise CheckpointError(f"{self.path / _STATE}: {name} is {what}, not {state[name]!r:.80}")
        return state

    def check_new(self) -> None:
        """Refuse a folder that holds a search.

        Raises:
            CheckpointError: it does.
        """
        if (self.path / _STATE).exists():
            raise CheckpointError(
                f"{self.path} already holds a search; resume it with --resume, or choose another folder"
            )

    def write_leaderboard(self, rows: Sequence[TrialRow], settings: Mapping[int, Mapping[str, Any]]) -> None:
        """Write all trials: those on the most images first, and of these the best.

        Args:
            rows: the trials.
            settings: of each trial, by its number: what differs from the default recipe.
        """
        table: list[list[Any]] = [["trial", "settings", "score", "seconds", "state", "images", "note"]]
        for row in sorted(rows, key=lambda row: (row.score is None, -row.sample, -(row.score or 0.0), row.number)):
            score = "" if row.score is None else f"{row.score:.6f}"
            changes = settings_text(settings[row.number])
            table.append([row.number, changes, score, f"{row.seconds:.1f}", row.state, row.sample or "", row.note])
        write_atomic(self.path / LEADERBOARD, csv_text(table, formulas=True))

    def write_best(self, recipe: Recipe, remark: str) -> Path:
        """Write a recipe as TOML, with a remark on its first line; return the file."""
        write_atomic(self.path / BEST, f"# {remark}\n{recipe_toml(recipe)}")
        return self.path / BEST


def settings_text(settings: Mapping[str, Any]) -> str:
    """Return settings in one line.

    >>> settings_text({"lr": 0.001, "options": {"filters": "16,32"}}), settings_text({})
    ('lr 0.001, options.filters 16,32', 'the default recipe')
    """
    parts = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            parts += [f"{name}.{key} {one}" for key, one in value.items()]
        else:
            parts.append(f"{name} {f'{value:g}' if isinstance(value, float) else value}")
    return ", ".join(parts) or "the default recipe"


def recipe_toml(recipe: Recipe) -> str:
    """Return a recipe as TOML, which `hubel train --config` takes: a table each, without what is open.

    >>> print(recipe_toml(Recipe(model="lenet5", lr=0.1)).splitlines()[0])
    seed = 0
    """
    top, tables = list[str](), list[str]()
    for name, value in recipe.to_json().items():
        if isinstance(value, Mapping):
            tables += _table(name, value)
        elif value is not None:
            top.append(f"{name} = {_toml(value)}")
    return "\n".join([*top, *tables]) + "\n"


def _table(name: str, values: Mapping[str, Any]) -> list[str]:
    lines = [f"{key} = {_toml(value)}" for key, value in values.items() if _is_plain(value)]
    inner = [
        line for key, value in values.items() if isinstance(value, Mapping) for line in _table(f"{name}.{key}", value)
    ]
    return [*(["", f"[{name}]", *lines] if lines else []), *inner]


def _is_plain(value: Any) -> bool:
    return value is not None and not isinstance(value, Mapping)


def _toml(value: Any) -> str:
    """Return a value as TOML: its texts, numbers and booleans are written as those of JSON, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def newest_unfinished_search() -> Path:
    """Return the folder below `runs/` of the search that was worked on last and has not come to its end.

    Raises:
        CheckpointError: there is none.
    """
    open_ones = [state for state in RUNS.glob(f"*/{_STATE}") if not SearchFolder(state.parent).finished]
    if not open_ones:
        raise CheckpointError(f"there is no unfinished search in {RUNS}/ to resume")
    return max(open_ones, key=lambda state: state.stat().st_mtime_ns).parent
