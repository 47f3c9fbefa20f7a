"""Whatever number an option gets, a command ends well or in one line, before it computes anything."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from cyclopts import Parameter

from hubel.cli.verbs import VERBS

Call = Callable[..., Any]
NOTHING_MEANS = ("nan", "inf", str(10**30))
EDGES = ("-1", "0")

# Words that come as far as the check of the numbers, and no further.
WORDS = {
    "data preview": "nowhere --policy none",
    "data bench": "nowhere",
    "search": "nowhere dog",
    "similar": "RUN photos photos/red/1.png",
    "train": "nowhere",
    "data": "nowhere",
    "evaluate": "RUN nowhere",
    "tune": "nowhere",
    "predict": "RUN nowhere",
    "lr-find": "nowhere",
    "summary": "lenet5",
    "robust": "RUN nowhere",
    "drift": "RUN nowhere",
    "generate": "nowhere",
    "ensemble": "nowhere elsewhere",
    "conv": "8x8x4",
    "export": "RUN --int8 --data nowhere",
    "bench": "nowhere",
    "serve": "nowhere",
    "learn": "nowhere",
}
# Numbers without an end: a seed is taken modulo 2**64 where it is one, depths and widths of exact arithmetic are free.
UNBOUNDED = {"data preview --seed", "robust --seed", "drift --seed", "generate --seed", "summary --depth"}
UNBOUNDED |= {f"conv --{name}" for name in ("out-channels", "groups", "bottleneck")}


def numbers_of(function: Callable[..., Any]) -> Iterator[str]:
    """Yield the flags of a verb that take a number, those of its tables of settings included."""
    yield from _numbers(function, set(inspect.signature(function).parameters))


def _numbers(described: Any, names: set[str]) -> Iterator[str]:
    hints = typing.get_type_hints(described, include_extras=True)
    for name in names:
        hint, own = hints[name], name
        if typing.get_origin(hint) is Annotated:
            hint, *extras = typing.get_args(hint)
            given = [extra.name[0] for extra in extras if isinstance(extra, Parameter) and extra.name]
            own = given[0].lstrip("-") if given and given[0] != "*" else name
        kinds = set(typing.get_args(hint)) | {hint}
        if kinds & {int, float}:
            yield f"--{own.replace('_', '-')}"
        for kind in kinds:
            if is_dataclass(kind):
                yield from _numbers(kind, {one.name for one in fields(kind)})


FLAGS = [(verb.name, flag) for verb in VERBS for flag in sorted(numbers_of(verb.function()))]


def test_every_verb_with_numbers_is_tried() -> None:
    assert {name for name, _ in FLAGS} == {*WORDS, "weights convert"}  # whose --crop is checked with the file
    assert len(FLAGS) > 60


@pytest.mark.parametrize("verb", WORDS)
def test_numbers(hubel: Call, model: Path, photos: Path, verb: str) -> None:
    words = [*verb.split(), *WORDS[verb].replace("RUN", str(model)).split()]
    for flag in (flag for name, flag in FLAGS if name == verb):
        if verb in ("lr-find", "tune", "data bench") and ("train", flag) in FLAGS:
            continue  # settings of the recipe, tried there
        for value in (*NOTHING_MEANS, *EDGES):
            answer = hubel(*words, f"{flag}={value}")
            assert answer.code in (0, 2), (flag, value, answer)
            if answer.code == 2:
                assert answer.err.startswith("hubel: "), (flag, value, answer)
            if value in NOTHING_MEANS and f"{verb} {flag}" not in UNBOUNDED:
                said = flag.removeprefix("--").removesuffix("-mib").replace("-", "_")
                assert said in answer.err.replace("-", "_"), (flag, value, answer)
                assert answer.code == 2
    assert not Path("runs").exists()


@pytest.mark.parametrize("name", ["size", "count", "shift", "scale", "rotate", "thicker", "noise"])
def test_numbers_of_the_letters(hubel: Call, name: str) -> None:
    for value in NOTHING_MEANS:
        answer = hubel("train", "xo", f"--xo.{name}", value)
        assert (answer.code, answer.out) == (2, ""), (value, answer)
