"""Walkthrough from single pixels to a trained network, as one HTML page whose every number is computed.

The page is self-contained: no connection, no script, no other file; its Content-Security-Policy forbids them.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np

from hubel.core.errors import UnknownNameError
from hubel.core.files import write_atomic
from hubel.core.outputs import output_file
from hubel.metrics.tables import percent
from hubel.teach.walkthrough import svg
from hubel.teach.walkthrough.lesson import BATCH, RATE, STEPS, Lesson, compute_lesson

__all__ = ["WALKTHROUGHS", "render", "write_walkthrough"]

WALKTHROUGHS = {"xo": compute_lesson}
POOLED = [(row, column, min(2, 7 - row), min(2, 7 - column)) for row in range(0, 7, 2) for column in range(0, 7, 2)]
NAMES = ("falling", "crossing", "rising")  # the three patterns


def write_walkthrough(name: str, path: Path) -> None:
    """Write a walkthrough to `path`, atomically. The same version of hubel writes the same bytes.

    Raises:
        UnknownNameError: there is no such walkthrough.
        OptionError: `path` is a folder, or another file that would be lost.
    """
    if name not in WALKTHROUGHS:
        raise UnknownNameError("walkthrough", name, WALKTHROUGHS)
    path = output_file(path, ours=_is_walkthrough)
    write_atomic(path, render(WALKTHROUGHS[name]()))


def _is_walkthrough(path: Path) -> bool:
    return b'content="hubel walkthrough"' in path.read_bytes()


def render(lesson: Lesson) -> str:
    """Return the HTML of a walkthrough."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "number": svg.format_number,
        "terms": svg.format_sum,
        "percent": percent,
        "grouped": "{:,}".format,
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
    }
    source = files("hubel.teach.walkthrough").joinpath("walkthrough.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(source).render(
        lesson=lesson,
        image_grid=svg.image_grid,
        number_grid=svg.number_grid,
        stacked_maps=svg.stacked_maps,
        loss_history_chart=svg.loss_history_chart,
        sigmoid_chart=svg.sigmoid_chart,
        loss_chart=svg.loss_chart,
        names=NAMES,
        windows=POOLED,
        batch=BATCH,
        rate=RATE,
        steps=STEPS,
        best=_best_matches(lesson),
        unchanged=_unchanged(lesson),
        parameters=sum(part.size for part in vars(lesson.weights).values()),
    )


def _best_matches(lesson: Lesson) -> list[list[tuple[int, int, int, int]]]:
    """Return the windows in which each pattern matches the X perfectly."""
    return [
        [(int(row), int(column), 3, 3) for row, column in np.argwhere(matches > 0.999)]
        for matches in lesson.x_trace.matches[0]
    ]


def _unchanged(lesson: Lesson) -> tuple[float, float]:
    """Return the shares of rectified and of pooled values that do not change when the X is shifted by a pixel."""
    before, after = lesson.x_trace, lesson.moved_trace
    pairs = ((before.rectified, after.rectified), (before.pooled, after.pooled))
    rectified, pooled = (float((abs(a - b) < 1e-9).mean()) for a, b in pairs)
    return rectified, pooled
