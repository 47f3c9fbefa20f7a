"""A lesson: the numbers of its page, its live computations, its sentences in each language, its published facts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from hubel.core.errors import OptionError
from hubel.core.language import LANGUAGES
from hubel.teach.course.json_values import json_ready

__all__ = [
    "LANGUAGES",
    "Lesson",
    "LiveAction",
    "RefusedError",
    "lesson_data",
    "lesson_facts",
    "lesson_strings",
    "shared_strings",
]

LiveAction = Callable[[Mapping[str, Any]], Iterator[Mapping[str, Any]]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Lesson:
    """A lesson of the course.

    Attributes:
        name: name in addresses and on the command line; also that of its folder.
        data: computes what the page shows without a server, within 2 seconds; numpy arrays are welcome.
        live: computations on demand by name of the action: a generator of events for a request's JSON object. It
            raises `RefusedError` for what a learner can ask and it cannot serve, and `OptionError` for what no page
            sends; that line is shown on the page.
    """

    name: str
    data: Callable[[], Mapping[str, Any]]
    live: Mapping[str, LiveAction] = field(default_factory=dict)


class RefusedError(OptionError):
    """A learner's request that a lesson cannot serve; its page says so in its own language.

    Args:
        lesson: name of the lesson.
        key: of the sentence in the tables of the lesson.
        values: numbers and texts that the sentence needs.
    """

    def __init__(self, lesson: str, key: str, **values: int | str) -> None:
        super().__init__(lesson_strings(lesson)[LANGUAGES[0]][key].format(**values))
        self.key, self.values = key, values


@cache
def lesson_data(lesson: Lesson) -> Any:
    """Return a lesson's data as JSON values; computed once."""
    return json_ready(lesson.data())


@cache
def lesson_strings(name: str) -> dict[str, dict[str, str]]:
    """Return the sentences of a lesson by language and key."""
    return {lang: _read("lessons", name, f"{lang}.json") for lang in LANGUAGES}


@cache
def lesson_facts(name: str) -> dict[str, dict[str, Any]]:
    """Return the published numbers of a lesson: value, source and perhaps a note, by name."""
    return _read("lessons", name, "facts.json")


@cache
def shared_strings() -> dict[str, dict[str, str]]:
    """Return the sentences that all lessons share by language and key."""
    return {lang: _read("strings", f"{lang}.json") for lang in LANGUAGES}


def _read(*path: str) -> dict[str, Any]:
    file = files("hubel.teach.course").joinpath(*path)
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return content
