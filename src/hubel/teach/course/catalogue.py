"""The lessons in their order: a lesson is its folder in `lessons/` and its line here."""

from __future__ import annotations

from importlib import import_module

from hubel.core.errors import UnknownNameError
from hubel.teach.course.lesson import Lesson

__all__ = ["LESSONS", "check_lesson", "find_lesson"]

#: Names of the lessons, in their order.
LESSONS = (
    "xo",
    "kernels",
    "sizes",
    "pooling",
    "compare",
    "training",
    "classics",
    "residual",
    "modules",
    "transfer",
    "distillation",
    "autoencoder",
    "seeing",
    "pairs",
    "history",
    "slips",
)


def check_lesson(name: str) -> None:
    """Check that there is a lesson of this name, without importing it.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in LESSONS:
        raise UnknownNameError("lesson", name, LESSONS)


def find_lesson(name: str) -> Lesson:
    """Return a lesson by its name.

    Raises:
        UnknownNameError: there is no such lesson.
    """
    check_lesson(name)
    lesson: Lesson = import_module(f"hubel.teach.course.lessons.{name}.lesson").LESSON
    return lesson
