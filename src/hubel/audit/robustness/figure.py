"""Accuracy over the strength of what happens to the images, as small multiples."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Literal

from hubel.audit.robustness.accuracy import Robustness
from hubel.audit.robustness.corruptions import CORRUPTIONS, GROUPS, Corruption
from hubel.core.errors import DataError
from hubel.plots.style import BLUE, GREEN, INK, MUTED, ORANGE, canvas, drawable, finish, heading, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["robustness_curves"]

_COLUMNS = 4
_COLOURS = (BLUE, ORANGE, GREEN, "#cc79a7")  # the last one also Okabe and Ito's
_DASHES: tuple[Literal["solid", "dashed"], ...] = ("solid", "dashed")


def robustness_curves(results: Sequence[Robustness]) -> Figure:
    """One panel for each group of the 15 corruptions, then one for each simple change; accuracy in percent.

    Args:
        results: of one model, or of two (the second is dashed), with the same changes.

    Raises:
        DataError: no result or more than two, or they have different changes, or none.
    """
    names = [one.name for one in results[0].corruptions] if results else []
    if len(results) not in (1, 2) or not names or any(list(one.accuracy) != names for one in results):
        raise DataError("robustness curves need one or two results with the same changes")
    measured = {one.name: one for one in results[0].corruptions}
    published = [[one for name, one in measured.items() if name in CORRUPTIONS and one.group == g] for g in GROUPS]
    simple = [one for name, one in measured.items() if name not in CORRUPTIONS]
    panels = [
        *((group, shown) for group, shown in zip(GROUPS, published, strict=True) if shown),
        *((_words(one), [one]) for group in GROUPS for one in simple if one.group == group),
    ]
    rows = -(-len(panels) // _COLUMNS)
    figure = canvas(11.5, 0.8 + 2.45 * rows)
    axes = figure.subplots(rows, _COLUMNS, sharey=True, squeeze=False)
    for place, (one, panel) in enumerate(zip_longest(axes.flat, panels)):
        if panel is None:
            one.axis("off")
            continue
        title, shown = panel
        _draw(one, title, shown, results)
        if place % _COLUMNS == 0:
            one.set_ylabel("Accuracy (%)")
    axes[0, 0].set_ylim(0, 100)
    _say_which(figure, results)
    return finish(figure)


def _draw(axes: Axes, title: str, shown: Sequence[Corruption], results: Sequence[Robustness]) -> None:
    """The curves of some changes with one scale of strengths; unchanged images are the leftmost point."""
    for change, colour in zip(shown, _COLOURS, strict=False):
        for result, dashes in zip(results, _DASHES, strict=False):
            values = [100 * value for value in (result.clean, *result.accuracy[change.name])]
            label = _words(change) if result is results[0] else None
            axes.plot(
                (change.clean, *change.strengths),
                values,
                color=colour,
                linestyle=dashes,
                linewidth=1.7,
                marker="o",
                markersize=3,
                label=label,
            )
    if shown[0].strengths[0] < shown[0].clean:
        axes.invert_xaxis()
    axes.set_xlabel(shown[0].unit)
    heading(axes, title[0].upper() + title[1:], "ImageNet-C" if shown[0].name in CORRUPTIONS else "")
    style_axes(axes)
    if len(shown) > 1:
        axes.legend(frameon=False, fontsize=7.5, labelcolor=INK, loc="lower left", handlelength=1.2, borderaxespad=0.1)


def _say_which(figure: Figure, results: Sequence[Robustness]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=MUTED, linestyle=dashes) for _, dashes in zip(results, _DASHES, strict=False)]
    labels = [f"{drawable(one.model, limit=40)}: {100 * one.clean:.1f}% on unchanged images" for one in results]
    figure.legend(handles, labels, frameon=False, fontsize=9, labelcolor=INK, loc="outside lower center", ncols=2)


def _words(change: Corruption) -> str:
    return change.name.replace("_", " ").replace("jpeg", "JPEG")
