"""Errors of people on ImageNet: the counts of Russakovsky et al. 2015, Table 9, with their 95 % intervals."""

from __future__ import annotations

from typing import Any

from hubel.metrics.intervals import wilson
from hubel.teach.course.lesson import lesson_facts

__all__ = ["CONFIDENCE", "people"]

CONFIDENCE = 0.95  # of the intervals of `hubel.metrics.intervals`

_PEOPLE = ("a1", "a2")
_CELLS = ("both", "person", "network", "neither")  # who is right


def people() -> dict[str, Any]:
    """Return the errors of both annotators, and GoogLeNet's on the same images.

    Errors are shares from 0 to 1 with their 95 % intervals.
    """
    facts, found = lesson_facts("history"), {}
    for who in _PEOPLE:
        both, person, network, neither = (int(facts[f"human.{who}.{cell}"]["value"]) for cell in _CELLS)
        n = both + person + network + neither
        found[who] = {"n": n, "person": _error(network + neither, n), "network": _error(person + neither, n)}
    return found


def _error(wrong: int, n: int) -> dict[str, float]:
    low, high = wilson(wrong, n)
    return {"wrong": wrong, "error": wrong / n, "low": low, "high": high}
