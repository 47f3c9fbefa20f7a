"""Figure style: colours, axes, and text in fonts that have its characters."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Literal

from hubel.core.language import Sentence, in_language
from hubel.plots.backend import import_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "BLUE", "DPI", "FAINT", "GREEN", "INK", "MUTED", "ORANGE", "PALE_BLUE",
    "canvas", "class_labels", "drawable", "ems", "finish", "heading", "legend_below", "style_axes", "worded",
]  # fmt: skip

# The palette of Okabe and Ito (2008), distinguishable with any kind of colour blindness.
BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"
PALE_BLUE = "#b5d6ec"
INK, MUTED, FAINT = "#1f2933", "#616e7c", "#e4e7eb"
DPI = 150

Layout = Literal["constrained", "compressed"]
Grid = Literal["x", "y"]

# Matplotlib ships DejaVu Sans, which lacks East Asian scripts and emoji. Systems usually have one of these.
FALLBACK_FAMILIES = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK KR", "Noto Sans KR", "NanumGothic", "Source Han Sans",
    "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "Microsoft YaHei", "Yu Gothic",
    "Malgun Gothic", "PingFang SC", "Apple SD Gothic Neo", "Hiragino Sans", "Arial Unicode MS",
    "Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Thai", "Nirmala UI", "Leelawadee UI", "Noto Emoji",
    "Segoe UI Symbol", "Segoe UI Emoji",
)  # fmt: skip
MISSING = "\N{WHITE SQUARE}"


def canvas(width: float, height: float, layout: Layout | None = "constrained") -> Figure:
    """Return an empty figure of `width` by `height` inches, not registered with pyplot; notebooks show it."""
    import_matplotlib()
    from hubel.plots.figure import ShownFigure

    return ShownFigure((width, height), dpi=DPI, facecolor="white", layout=layout)


def drawable(text: str, *, limit: float = 1000.0) -> str:
    """Return `text` on one line as matplotlib can draw it, at most about `limit` ems wide.

    A character that no installed font has becomes a white square, control characters are removed, dollar signs are
    escaped, and text that is too long is shortened in the middle: names often differ only at their ends. A sentence
    that is drawn as it is remains one, for `worded`.
    """
    plain = " ".join(unicodedata.normalize("NFC", text).split())
    visible = "".join(character for character in plain if unicodedata.category(character) not in ("Cc", "Cf"))
    has = _glyphs(fallback=not _glyphs(fallback=False).issuperset(map(ord, visible)))
    drawn = _shortened("".join(c if ord(c) in has else MISSING for c in visible), limit).replace("$", r"\$")
    return text if drawn == text else drawn


def class_labels(classes: Sequence[str], *, limit: float) -> list[str]:
    """Return class names as `drawable` text; those that lose characters get their number, to stay distinguishable."""
    labels = [drawable(name, limit=limit) for name in classes]
    return [f"#{number} {label}" if MISSING in label else label for number, label in enumerate(labels)]


def ems(text: str) -> float:
    """Return the approximate width of `text` in DejaVu Sans, in units of the font size."""
    return sum(map(_em, text))


def heading(axes: Axes, text: str, aside: str = "") -> None:
    """Set a title at the left above `axes`, and a smaller remark at the right."""
    axes.set_title(text, loc="left", fontsize=11, fontweight="bold", color=INK, pad=8)
    axes.set_title(aside, loc="right", fontsize=9, color=MUTED, pad=8)


def legend_below(figure: Figure) -> None:
    """Add one legend for all axes of `figure`, below them."""
    figure.legend(frameon=False, fontsize=9, labelcolor=INK, loc="outside lower center", ncols=3)


def style_axes(axes: Axes, *, grid: Grid | None = "y") -> None:
    """Reduce the frame and ticks to what helps to read values; draw `grid` lines at values of x or y."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#9aa5b1")
    axes.tick_params(colors=MUTED, labelsize=9, length=3)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(axis=grid, color=FAINT, linewidth=0.8)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(color=INK, fontsize=9.5)


def finish(figure: Figure) -> Figure:
    """Set all text of `figure` in fonts that have its characters; return the figure."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_fontfamily(_families())
    return figure


@contextmanager
def worded(figure: Figure, language: str) -> Iterator[None]:
    """Show the sentences in a figure in another language for a while, where the fonts have all of its characters."""
    from matplotlib.text import Text

    texts = [text for text in figure.findobj(Text) if isinstance(text.get_text(), Sentence)]
    before = [text.get_text() for text in texts]
    translated = [in_language(text, language) for text in before]
    if any(MISSING in drawable(text) for text in translated):
        translated = before
    for text, said in zip(texts, translated, strict=True):
        text.set_text(said)
    yield
    for text, said in zip(texts, before, strict=True):
        text.set_text(said)


def _em(character: str) -> float:
    if unicodedata.east_asian_width(character) in "WF" or character in "MWmw@%":
        return 1.0
    if character in " .,:;|!'ijlIft()[]-":
        return 0.4
    return 0.75 if unicodedata.category(character) == "Lu" else 0.64


def _shortened(text: str, limit: float) -> str:
    if ems(text) <= limit:
        return text

    def cut(kept: int) -> str:
        return f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"

    fitting = bisect_right(range(min(len(text), int(limit / 0.4) + 1)), limit, key=lambda kept: ems(cut(kept)))
    return cut(max(0, fitting - 1))


@cache
def _families() -> list[str]:
    import_matplotlib()
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return ["DejaVu Sans", *(family for family in FALLBACK_FAMILIES if family in installed)]


@cache
def _glyphs(*, fallback: bool) -> frozenset[int]:
    """Return the characters of DejaVu Sans, regular and bold; with `fallback` also those of the other families."""
    import_matplotlib()
    from matplotlib.font_manager import FontProperties, findfont, get_font

    def of(family: str, weight: str = "normal") -> frozenset[int]:
        return frozenset(get_font(findfont(FontProperties(family=[family], weight=weight))).get_charmap())

    own = of("DejaVu Sans") & of("DejaVu Sans", "bold")
    return own.union(*(of(family) for family in _families()[1:])) if fallback else own
