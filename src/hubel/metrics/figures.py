"""Plot confusion matrix, reliability diagram and metrics of each class, without pyplot or global state."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hubel.core.errors import DataError
from hubel.core.language import sentence
from hubel.metrics.calibration import reliability_bins
from hubel.metrics.checks import checked_pair, checked_probabilities
from hubel.metrics.classification import Metrics, MultiLabelMetrics
from hubel.plots.style import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PALE_BLUE,
    canvas,
    class_labels,
    ems,
    finish,
    heading,
    legend_below,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "class_bars",
    "confusion_matrix",
    "novelty_histogram",
    "reliability",
]

MOST_COUNTS = 20  # most classes with counts in the cells of the confusion matrix
MOST_NAMES = 200  # most names along a side of the confusion matrix
MOST_BINS = 40  # of the histogram of novelty; the outermost hold what lies beyond
MOST_BARS = 100  # most classes that fit a page; of more, those with the lowest F1 are shown


def confusion_matrix(confusion: NDArray[np.int64], classes: Sequence[str]) -> Figure:
    """Plot a confusion matrix, normalised by row: correct predictions in blue, errors in orange.

    Args:
        confusion: number of images by true class (row) and predicted class (column), shape (c, c).
        classes: class names. With up to 20 classes the counts are written into the cells.

    Raises:
        DataError: the matrix is not square, or does not match the names.
    """
    from matplotlib.colors import LinearSegmentedColormap

    c = len(classes)
    if c == 0 or np.shape(confusion) != (c, c):
        raise DataError(f"{c} classes need a confusion matrix of the shape ({c}, {c}), not {np.shape(confusion)}")
    side = max(3.0, 0.45 * c) if c <= MOST_COUNTS else min(max(9.0, 0.11 * c), 20.0)  # inches
    cell = 72 * side / c  # points
    font = min(9.0, 0.75 * cell * ceil(c / MOST_NAMES))
    names = class_labels(classes, limit=16)
    longest = max(map(ems, names)) * font  # points

    # The square root makes a share of 1 % visible. The sign separates correct predictions from errors.
    rows = confusion.sum(axis=1, keepdims=True)
    strength = np.sqrt(np.divide(confusion, rows, out=np.full((c, c), np.nan), where=rows > 0))
    signed = np.where(np.eye(c, dtype=bool), strength, -strength)
    colours = LinearSegmentedColormap.from_list(
        "", ["#8a3c00", ORANGE, "#f7cfae", "#ffffff", "#aed6ee", BLUE, "#004a75"]
    ).with_extremes(bad="#eef0f2")

    below = min(longest, cell) if c < 7 else longest  # points; few names are horizontal
    figure = canvas(side + longest / 72 + 1.6, side + below / 72 + 1.2, "compressed")
    axes = figure.subplots()
    image = axes.imshow(signed, cmap=colours, vmin=-1, vmax=1)
    style_axes(axes, grid=None)
    axes.spines[:].set_visible(False)
    axes.tick_params(labelsize=font, length=0, colors=INK)
    _name_sides(axes, names, flat=longest < 0.95 * cell)
    if c <= 60:
        axes.set_xticks(np.arange(0.5, c - 1), minor=True)
        axes.set_yticks(np.arange(0.5, c - 1), minor=True)
        axes.grid(which="minor", color=FAINT, linewidth=0.6)
        axes.tick_params(which="minor", length=0)
    if c <= MOST_COUNTS:
        _write_counts(axes, confusion, strength > 0.6, cell)
    heading(axes, sentence("figure.confusion"))
    _share_bar(figure, axes, image, side)
    return finish(figure)


def reliability(probabilities: ArrayLike, labels: ArrayLike) -> Figure:
    """Plot a reliability diagram: accuracy over confidence, and the number of images in each bin beneath.

    Args:
        probabilities: class probabilities, shape (n, c); rows sum to 1.
        labels: true classes, shape (n,).

    Raises:
        DataError: the shapes do not match, or the values are not probabilities.
    """
    p, truth = checked_pair(checked_probabilities(probabilities, exclusive=True), labels, "probabilities")
    bins = reliability_bins(p.max(axis=1), p.argmax(axis=1) == truth)
    used = bins.count > 0
    count = np.maximum(bins.count, 1)
    accuracy, confidence = 100 * bins.correct / count, 100 * bins.confidence / count
    left, width = 100 * bins.edges[:-1][used], 100 / len(count)

    figure = canvas(5.2, 6.0)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    style = {"width": width, "align": "edge", "edgecolor": "white", "linewidth": 0.8}
    top.bar(left, accuracy[used], color=PALE_BLUE, label=sentence("axis.accuracy"), **style)
    top.vlines(confidence[used], accuracy[used], confidence[used], ORANGE, linewidth=2.5, label=sentence("axis.gap"))
    perfect = sentence("axis.perfect")
    top.plot([0, 100], [0, 100], color=INK, linewidth=1, linestyle=(0, (4, 3)), label=perfect)
    top.set_ylim(0, 100)
    top.set_xlim(0, 100)
    top.set_ylabel(sentence("axis.accuracy_percent"))
    heading(
        top, sentence("axis.reliability"), sentence("axis.calibration_error", error=f"{100 * bins.expected_error:.1f}")
    )
    bottom.bar(left, bins.count[used], color=MUTED, **style)
    bottom.set_ylabel(sentence("column.images"))
    bottom.set_xlabel(sentence("axis.confidence"))
    for axes in (top, bottom):
        style_axes(axes)
    legend_below(figure)
    return finish(figure)


def novelty_histogram(known: NDArray[np.float64], unknown: NDArray[np.float64], threshold: float) -> Figure:
    """Plot the novelty of images of the classes `(n,)` and of others `(m,)`, and the threshold between them."""
    least, most = np.quantile(np.concatenate([known, unknown]), [0.01, 0.99])
    edges = np.linspace(min(least, threshold - 0.5), max(most, threshold + 0.5), MOST_BINS + 1)
    figure = canvas(7, 3.2)
    axes = figure.subplots()
    for values, colour, label in ((known, BLUE, "axis.known"), (unknown, ORANGE, "axis.unknown")):
        share = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / len(values)
        axes.stairs(100 * share, edges, color=colour, fill=True, alpha=0.6, label=sentence(label))
    axes.axvline(threshold, color=INK, linewidth=1.2, label=sentence("axis.threshold"))
    axes.set(xlabel=sentence("axis.novelty"), ylabel=sentence("axis.share"))
    style_axes(axes)
    called = sentence("axis.called_unknown", share=f"{100 * (unknown > threshold).mean():.1f}")
    heading(axes, sentence("axis.novelty"), called)
    legend_below(figure)
    return finish(figure)


def class_bars(metrics: Metrics | MultiLabelMetrics) -> Figure:
    """Plot F1 of each class that has images as bars, best first, with precision and recall as marks.

    Of more than 100 classes the 100 with the lowest F1 are shown.
    """
    labelled = zip(metrics.per_class, class_labels(metrics.classes, limit=22), strict=True)
    seen = sorted((pair for pair in labelled if pair[0].support), key=lambda pair: -pair[0].f1)
    shown, names = zip(*seen[-MOST_BARS:], strict=True)
    rows = range(len(shown))
    pitch = 0.3 if len(shown) <= 30 else 0.19  # inches per class
    font = min(9.0, 58 * pitch)

    figure = canvas(6 + max(map(ems, names)) * font / 72, 1.5 + pitch * len(shown))
    axes = figure.subplots()
    axes.barh(rows, [100 * one.f1 for one in shown], height=0.7, color=PALE_BLUE, label="F1")
    marks: dict[str, Any] = {"markersize": 0.55 * font, "markeredgewidth": 0, "clip_on": False}
    precision, recall = sentence("axis.precision"), sentence("axis.recall")
    axes.plot([100 * one.precision for one in shown], rows, "D", color=ORANGE, label=precision, **marks)
    axes.plot([100 * one.recall for one in shown], rows, "o", color=GREEN, label=recall, **marks)
    axes.set_xlim(0, 100)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlabel("%")
    style_axes(axes, grid="x")
    axes.set_yticks(rows, names)
    axes.tick_params("y", labelsize=font, length=0, labelcolor=INK)
    counts = axes.secondary_yaxis("right")
    counts.set_yticks(rows, [str(one.support) for one in shown])
    counts.tick_params(labelsize=font, length=0, labelcolor=MUTED, pad=7)
    counts.spines[:].set_visible(False)
    truncated = len(shown) < len(seen)
    weakest = sentence("axis.weakest", shown=len(shown), n=len(seen))
    heading(axes, weakest if truncated else sentence("table.classes"))
    above: dict[str, Any] = {"xytext": (7, 8), "textcoords": "offset points", "xycoords": "axes fraction"}
    axes.annotate(sentence("axis.images"), (1, 1), size=9, color=MUTED, **above)
    legend_below(figure)
    return finish(figure)


def _name_sides(axes: Axes, names: Sequence[str], *, flat: bool) -> None:
    """Label both axes with class names; of more than 200 with every second, third, ... one."""
    shown = range(0, len(names), ceil(len(names) / MOST_NAMES))
    axes.set_yticks(shown, names[:: shown.step])
    if flat or len(names) > MOST_COUNTS:
        axes.set_xticks(shown, names[:: shown.step], rotation=0 if flat else 90)
    else:
        axes.set_xticks(shown, names[:: shown.step], rotation=45, ha="right", rotation_mode="anchor")
    axes.set_xlabel(sentence("axis.predicted_class"), labelpad=8)
    axes.set_ylabel(sentence("axis.true_class"), labelpad=8)


def _write_counts(axes: Axes, confusion: NDArray[np.int64], dark: NDArray[np.bool_], cell: float) -> None:
    """Write the number of images into each cell of `cell` points, without zeros off the diagonal."""
    size = min(11.0, 0.5 * cell, 1.25 * cell / len(str(confusion.max())))
    for (row, column), count in np.ndenumerate(confusion):
        if count or row == column:
            colour = "white" if dark[row, column] else INK
            axes.text(column, row, str(count), ha="center", va="center", size=size, color=colour)


def _share_bar(figure: Figure, axes: Axes, image: Any, side: float) -> None:
    """Add a colour bar in shares of a row, of which the image holds signed roots; `side` of `axes` in inches."""
    bar = figure.colorbar(image, ax=axes, shrink=0.8, aspect=0.8 * side / 0.15, pad=0.03)
    shares = np.array([-100, -50, -20, -5, 0, 5, 20, 50, 100])
    bar.set_ticks(list(np.sign(shares) * np.sqrt(np.abs(shares) / 100)), labels=[str(abs(s)) for s in shares])
    bar.ax.tick_params(colors=MUTED, labelsize=8, length=2)
    bar.outline.set_visible(False)
    bar.set_label(sentence("axis.shares"), color=MUTED, fontsize=8.5)
