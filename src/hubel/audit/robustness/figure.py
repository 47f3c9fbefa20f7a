"""Plot accuracy over the strength of corruptions, as small multiples."""

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
    """Plot accuracy in percent: a panel per group of the 15 corruptions of ImageNet-C, then one per simple corruption.

    Args:
        results: results of one model or of two (the second dashed), with the same corruptions.

    Raises:
        DataError: there are no or more than two results, or they have different corruptions, or none.
    """
    names = [one.name for one in results[0].corruptions] if results else []
    if len(results) not in (1, 2) or not names or any(list(one.accuracy) != names for one in results):
        raise DataError("robustness curves need one or two results with the same corruptions")
    measured = {one.name: one for one in results[0].corruptions}
    published = [[one for name, one in measured.items() if name in CORRUPTIONS and one.group == g] for g in GROUPS]
    simple = [one for name, one in measured.items() if name not in CORRUPTIONS]
    panels = [
        *((group, shown) for group, shown in zip(GROUPS, published, strict=True) if shown),
        *((_title(one), [one]) for group in GROUPS for one in simple if one.group == group),
    ]
    rows = -(-len(panels) // _COLUMNS)
    figure = canvas(11.5, 0.8 + 2.45 * rows)
    axes = figure.subplots(rows, _COLUMNS, sharey=True, squeeze=False)
    for number, (panel_axes, panel) in enumerate(zip_longest(axes.flat, panels)):
        if panel is None:
            panel_axes.axis("off")
            continue
        title, shown = panel
        _draw(panel_axes, title, shown, results)
        if number % _COLUMNS == 0:
            panel_axes.set_ylabel("Accuracy (%)")
    axes[0, 0].set_ylim(0, 100)
    _add_legend(figure, results)
    return finish(figure)


def _draw(axes: Axes, title: str, shown: Sequence[Corruption], results: Sequence[Robustness]) -> None:
    """Plot corruptions that share one scale of strengths; the leftmost point is the clean accuracy."""
    for corruption, colour in zip(shown, _COLOURS, strict=False):
        for result, dashes in zip(results, _DASHES, strict=False):
            values = [100 * value for value in (result.clean, *result.accuracy[corruption.name])]
            label = _title(corruption) if result is results[0] else None
            axes.plot(
                (corruption.clean, *corruption.strengths),
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


def _add_legend(figure: Figure, results: Sequence[Robustness]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=MUTED, linestyle=dashes) for _, dashes in zip(results, _DASHES, strict=False)]
    labels = [f"{drawable(one.model, limit=40)}: {100 * one.clean:.1f}% on unchanged images" for one in results]
    figure.legend(handles, labels, frameon=False, fontsize=9, labelcolor=INK, loc="outside lower center", ncols=2)


def _title(corruption: Corruption) -> str:
    return corruption.name.replace("_", " ").replace("jpeg", "JPEG")
