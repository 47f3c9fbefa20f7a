"""From single pixels to a trained network, as one HTML page whose every number is computed.

The page needs nothing else: no network, no script, no other file; its own policy forbids them.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np

from hubel.core.errors import UnknownNameError
from hubel.core.files import write_atomic
from hubel.metrics.tables import percent
from hubel.teach.walkthrough import drawings as pictures
from hubel.teach.walkthrough.story import BATCH, RATE, STEPS, Story, tell

__all__ = ["WALKTHROUGHS", "render", "write_walkthrough"]

WALKTHROUGHS = {"xo": tell}
POOLED = [(row, column, min(2, 7 - row), min(2, 7 - column)) for row in range(0, 7, 2) for column in range(0, 7, 2)]
NAMES = ("falling", "crossing", "rising")  # the three patterns


def write_walkthrough(name: str, path: Path) -> None:
    """Write a page to `path`, atomically. The same version writes the same bytes.

    Raises:
        UnknownNameError: there is no such walkthrough.
    """
    if name not in WALKTHROUGHS:
        raise UnknownNameError("walkthrough", name, WALKTHROUGHS)
    write_atomic(path, render(WALKTHROUGHS[name]()))


def render(story: Story) -> str:
    """The page that tells a story."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "number": pictures.number,
        "terms": pictures.terms,
        "percent": percent,
        "grouped": "{:,}".format,
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
    }
    source = files("hubel.teach.walkthrough").joinpath("walkthrough.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(source).render(
        story=story,
        grid=pictures.grid,
        sheets=pictures.sheets,
        curve=pictures.curve,
        squashed=pictures.squashed,
        loss_of=pictures.loss_of,
        names=NAMES,
        windows=POOLED,
        batch=BATCH,
        rate=RATE,
        steps=STEPS,
        best=_best_matches(story),
        unchanged=_unchanged(story),
        learned=sum(part.size for part in vars(story.weights).values()),
    )


def _best_matches(story: Story) -> list[list[tuple[int, int, int, int]]]:
    """Where each pattern matches the X perfectly, as windows."""
    return [
        [(int(row), int(column), 3, 3) for row, column in np.argwhere(matches > 0.999)]
        for matches in story.x_trace.matches[0]
    ]


def _unchanged(story: Story) -> tuple[float, float]:
    """The shares of rectified and of pooled numbers that stay the same when the X moves by a pixel."""
    before, after = story.x_trace, story.moved_trace
    pairs = ((before.rectified, after.rectified), (before.pooled, after.pooled))
    rectified, pooled = (float((abs(a - b) < 1e-9).mean()) for a, b in pairs)
    return rectified, pooled
