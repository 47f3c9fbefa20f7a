"""Plot the precision of a detector over its recall."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hubel.core.language import sentence
from hubel.metrics.average_precision import RECALLS, DetectionMetrics
from hubel.plots.style import BLUE, INK, MUTED, canvas, drawable, finish, heading, legend_below, style_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["precision_recall"]

_NAMED = 6  # classes with a line of their own; of more, those with the most objects


def precision_recall(metrics: DetectionMetrics) -> Figure:
    """Plot precision over recall at an overlap of 0.50 for each class, and at higher overlaps for their mean."""
    import matplotlib as mpl

    figure = canvas(6.4, 4.6)
    axes = figure.subplots()
    curves = metrics.precision[:, 0]
    seen = np.flatnonzero(metrics.objects > 0)
    many = seen[np.argsort(-metrics.objects[seen], kind="stable")][:_NAMED]
    mean = curves[seen].mean(0)
    for t, label, style in ((0, "0.50", "-"), (5, "0.75", "--"), (8, "0.90", ":")):
        overlap = sentence("axis.overlap", overlap=label)
        axes.plot(100 * RECALLS, 100 * mean[t], style, color=BLUE, linewidth=2, label=overlap)
    for number, at in enumerate(many if len(seen) > 1 else ()):
        colour = mpl.colormaps["tab10"](number + 1)
        name = drawable(metrics.classes[at], limit=16)
        axes.plot(100 * RECALLS, 100 * curves[at, 0], color=colour, linewidth=1, label=f"{name}, 0.50")
    axes.set(xlim=(0, 100), ylim=(0, 101))
    axes.set(xlabel=sentence("axis.recall_percent"), ylabel=sentence("axis.precision_percent"))
    axes.tick_params(colors=MUTED, labelcolor=INK)
    style_axes(axes)
    heading(axes, sentence("figure.precision_recall"), f"AP50 {100 * metrics.ap50:.1f}%, AP {100 * metrics.ap:.1f}%")
    legend_below(figure)
    return finish(figure)
