"""Learning curves of a training run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError
from hubel.core.language import sentence
from hubel.plots.style import BLUE, GREEN, INK, MUTED, ORANGE, canvas, finish, heading, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["learning_curves"]

Numbers = NDArray[np.float64]


def learning_curves(history: Sequence[dict[str, float]]) -> Figure:
    """Draw loss and accuracy over the epochs of a training run, with learning rate and speed below if known.

    Args:
        history: one row per epoch with any of `epoch`, `train_loss` and `val_loss` (nats), `val_top1` (0 to
            1), `learning_rate` and `images_per_second`. What is missing or not finite is left out.

    Raises:
        DataError: the history has no epoch.
    """
    if not history:
        raise DataError("learning curves need at least one epoch")
    epochs = np.array([row.get("epoch", number) for number, row in enumerate(history, start=1)], dtype=float)

    def series(key: str, scale: float = 1.0) -> Numbers:
        values = np.array([row.get(key, np.nan) for row in history], dtype=float) * scale
        return np.where(np.isfinite(values), values, np.nan)

    # Where the classes count alike, the mean of their recalls stands for the accuracy.
    balanced = any("val_macro_recall" in row for row in history)
    accuracy, val_loss = series("val_macro_recall" if balanced else "val_top1", 100), series("val_loss")
    rate, speed = series("learning_rate"), series("images_per_second")
    below = bool(np.isfinite([rate, speed]).any())
    figure = canvas(9.5, 4.9 if below else 3.5)
    rows: list[Any] = [["loss", "accuracy" if np.isfinite(accuracy).any() else "loss"], ["rate", "speed"]][: 1 + below]
    grid: dict[str, Any] = figure.subplot_mosaic(
        rows, sharex=True, height_ratios=[3, 1][: 1 + below], gridspec_kw={"wspace": 0.06}
    )
    training, validation = sentence("split.training"), sentence("split.validation")
    losses: dict[str, tuple[Numbers, str]] = {
        training: (series("train_loss"), ORANGE),
        validation: (val_loss, BLUE),
    }
    _plot(grid["loss"], epochs, sentence("axis.loss"), losses, from_zero=True)
    heading(grid["loss"], sentence("tile.loss"))
    if grid["loss"].lines:
        grid["loss"].legend(frameon=False, fontsize=9, labelcolor=INK)
    if "accuracy" in grid:
        label = sentence("axis.macro_recall" if balanced else "axis.top1")
        _plot(grid["accuracy"], epochs, label, {"": (accuracy, BLUE)}, from_zero=False)
        heading(grid["accuracy"], sentence("axis.validation_recall" if balanced else "axis.validation_accuracy"))
    if below:
        _plot(grid["rate"], epochs, sentence("axis.learning_rate"), {"": (rate, MUTED)}, from_zero=True)
        grid["rate"].yaxis.set_major_formatter("{x:g}")
        _plot(grid["speed"], epochs, sentence("axis.speed"), {"": (speed, MUTED)}, from_zero=True)
    for name in rows[-1]:
        grid[name].set_xlabel(sentence("axis.epoch"))
        grid[name].set_xlim(epochs.min() - 0.5, epochs.max() + 0.5)
        grid[name].xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    figure.align_ylabels(list(grid.values()))
    _mark_best(grid, epochs, accuracy, val_loss)
    return finish(figure)


def _plot(axes: Axes, epochs: Numbers, label: str, lines: dict[str, tuple[Numbers, str]], *, from_zero: bool) -> None:
    """Draw the lines (values and colour by name) that have at least one value."""
    style_axes(axes)
    axes.set_ylabel(label)
    known = {name: line for name, line in lines.items() if np.isfinite(line[0]).any()}
    for name, (values, colour) in known.items():
        marker = "o" if len(epochs) <= 30 else ""
        axes.plot(epochs, values, colour, label=name, linewidth=1.8, marker=marker, markersize=3.5)
    if not known:
        axes.text(0.5, 0.5, sentence("axis.not_recorded"), transform=axes.transAxes, ha="center", color=MUTED)
        axes.set_yticks([])
    elif from_zero:
        highest = max(np.nanmax(values) for values, _ in known.values())
        axes.set_ylim(0, 1.08 * highest if highest > 0 else 1)


def _mark_best(grid: dict[str, Any], epochs: Numbers, accuracy: Numbers, val_loss: Numbers) -> None:
    """Mark the best epoch, by accuracy or else by loss, in all axes of `grid`, with its value above one of them."""
    if np.isfinite(accuracy).any():
        # As in the training loop: of equal accuracies, the one with the lower loss.
        order = np.lexsort((-np.nan_to_num(val_loss, nan=np.inf), np.nan_to_num(accuracy, nan=-np.inf)))
        axes, values, best = grid["accuracy"], accuracy, order[-1]
        remark = sentence("axis.best", value=f"{accuracy[best]:.1f}", epoch=f"{epochs[best]:g}")
    elif np.isfinite(val_loss).any():
        axes, values, best = grid["loss"], val_loss, np.nanargmin(val_loss)
        remark = sentence("axis.lowest", value=f"{val_loss[best]:.3g}", epoch=f"{epochs[best]:g}")
    else:
        return
    axes.set_title(remark, loc="right", fontsize=9, color=GREEN, pad=8)
    axes.plot(epochs[best], values[best], "o", color=GREEN, markersize=6.5, zorder=3)
    for each in grid.values():
        if each.lines:
            each.axvline(epochs[best], color=GREEN, linewidth=1.1, linestyle=(0, (4, 3)), zorder=1)
