"""Figures that a notebook shows at the end of a cell, without pyplot."""

from __future__ import annotations

from matplotlib.figure import Figure

from hubel.plots.figure_files import to_png

__all__ = ["ShownFigure"]


class ShownFigure(Figure):
    """A figure of matplotlib that is not registered with pyplot, and is shown nevertheless."""

    def _repr_png_(self) -> bytes:
        return to_png(self)
