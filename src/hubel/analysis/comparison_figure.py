"""Accuracy of networks against their multiply-adds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hubel.analysis.compare import ComparedNetwork
from hubel.core.errors import DataError
from hubel.plots.style import BLUE, INK, MUTED, canvas, drawable, finish, heading, style_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["accuracy_against_macs"]

_LARGEST = 1800  # area of the bubble of the largest network, in square points


def accuracy_against_macs(networks: Sequence[ComparedNetwork]) -> Figure:
    """Plot published top-1 accuracy over multiply-adds; the area of a bubble is the number of parameters.

    Raises:
        DataError: no network has a published accuracy.
    """
    from matplotlib.patheffects import withStroke

    published = [network for network in networks if network.top1 is not None]
    if not published:
        raise DataError("none of these networks has a published accuracy")
    most_params = max(network.summary.params for network in published)
    figure = canvas(8, 5)
    axes = figure.subplots()
    for network in sorted(published, key=lambda network: -network.summary.params):
        macs, top1 = network.summary.macs / 1e9, network.top1 or 0.0
        area = _LARGEST * network.summary.params / most_params
        axes.scatter([macs], [top1], s=area, color=BLUE, alpha=0.25, edgecolors=BLUE, linewidths=1)
        axes.scatter([macs], [top1], s=6, color=INK)
        axes.annotate(
            drawable(network.name, limit=24),
            (macs, top1),
            (0, area**0.5 / 2 + 3),
            textcoords="offset points",
            ha="center",
            fontsize=8.5,
            color=INK,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )
    axes.set(xscale="log", xlabel="Multiply-adds of one image (billions, logarithmic)", ylabel="Top-1 accuracy (%)")
    axes.margins(0.15, 0.2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    heading(
        axes, "Accuracy on ImageNet against cost", "area: parameters; accuracy as published for the default weights"
    )
    style_axes(axes)
    axes.tick_params(which="minor", labelcolor=MUTED, labelsize=8)
    return finish(figure)
