"""Colours of drawings on light and on dark pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["DARK", "FONTS", "LIGHT", "Colours"]

#: Fonts that browsers have; none is wider than the one that the text is measured by.
FONTS = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"


@dataclass(frozen=True, kw_only=True)
class Colours:
    """Colours of text and lines, and by kind those of boxes: inside, and their border."""

    page: str
    ink: str
    muted: str
    edge: str
    boxes: Mapping[str, tuple[str, str]]


LIGHT = Colours(
    page="#ffffff",
    ink="#1f2933",
    muted="#52606d",
    edge="#7b8794",
    boxes={
        "conv": ("#dbeaf7", "#5b9bd0"),
        "pool": ("#fbe3d6", "#d98b5f"),
        "linear": ("#e3dcf3", "#9079c4"),
        "light": ("#eef1f4", "#b3bcc6"),
        "other": ("#eef1f4", "#8d99a5"),
        "block": ("#d9efe7", "#4ea487"),
        "concat": ("#fdf0c4", "#c9a227"),
        "add": ("#ffffff", "#52606d"),
        "multiply": ("#ffffff", "#52606d"),
        "frame": ("#f7f9fb", "#cbd2d9"),
        "input": ("#ffffff", "#9aa5b1"),
        "output": ("#ffffff", "#9aa5b1"),
    },
)
DARK = Colours(
    page="#14181d",
    ink="#e6ebf0",
    muted="#a7b3bf",
    edge="#8592a0",
    boxes={
        "conv": ("#1d3a53", "#4f8fc4"),
        "pool": ("#4d2f20", "#c77d54"),
        "linear": ("#352c52", "#8f7acb"),
        "light": ("#262d35", "#5b6773"),
        "other": ("#262d35", "#7a8794"),
        "block": ("#17402f", "#479a7c"),
        "concat": ("#45390f", "#b8942a"),
        "add": ("#14181d", "#a7b3bf"),
        "multiply": ("#14181d", "#a7b3bf"),
        "frame": ("#1a2027", "#3b4652"),
        "input": ("#14181d", "#6b7886"),
        "output": ("#14181d", "#6b7886"),
    },
)
