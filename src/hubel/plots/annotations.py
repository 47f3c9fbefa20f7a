"""Boxes with names, masks as translucent colours, and key points with limbs, drawn on an image."""

from __future__ import annotations

import colorsys
import contextlib
import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

__all__ = ["Marked", "class_colour", "draw_annotation"]

_IGNORED = 255
_TINT = 0.5  # of the colour of a class in a mask
_BACKGROUND = "background"
# Okabe and Ito (2008), the brightest first, and seven more; further classes have hues a golden section apart.
_COLOURS = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (213, 94, 0), (204, 121, 167), (0, 114, 178), (240, 228, 66),
    (140, 86, 75), (170, 110, 220), (150, 150, 150), (190, 230, 120), (220, 40, 60), (250, 190, 190), (0, 90, 70),
)  # fmt: skip
_GOLDEN = 0.618033988749895
_FINE = ((700, 3), (1800, 2))  # images up to these pixels a side are drawn so many times as large, and shrunk
_MOST_IN_LEGEND = 10
_OTHER_SCRIPTS = (  # which Pillow finds in the folders of the system
    *("NotoSansCJK-Regular.ttc", "NotoSansCJKkr-Regular.otf", "wqy-zenhei.ttc", "DroidSansFallbackFull.ttf"),
    *("malgun.ttf", "msyh.ttc", "YuGothM.ttc", "AppleSDGothicNeo.ttc", "PingFang.ttc", "Arial Unicode.ttf"),
)

Colour = tuple[int, int, int]


class Marked(Protocol):
    """The marks on an image, as `hubel.data.Annotation` has them."""

    @property
    def classes(self) -> NDArray[np.int64]:
        """Return the class of each object."""

    @property
    def boxes(self) -> NDArray[np.float64]:
        """Return the boxes, `(k, 4)`."""

    @property
    def crowd(self) -> NDArray[np.bool_]:
        """Return whether each box holds a group."""

    @property
    def points(self) -> NDArray[np.float64]:
        """Return the key points, `(k, j, 3)`."""

    @property
    def mask(self) -> NDArray[np.uint8] | None:
        """Return the class of each pixel."""


def class_colour(number: int) -> Colour:
    """Return the colour of a class: red, green, blue, 0 to 255."""
    if number < len(_COLOURS):
        return _COLOURS[number]
    red, green, blue = colorsys.hsv_to_rgb(number * _GOLDEN % 1, 0.55 + 0.3 * (number % 2), 0.95 - 0.2 * (number % 3))
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_annotation(
    image: NDArray[np.uint8],
    annotation: Marked,
    names: Sequence[str],
    scores: Sequence[float] = (),
    *,
    mask_names: Sequence[str] = (),
    limbs: Sequence[tuple[int, int]] = (),
    legend: bool = True,
) -> NDArray[np.uint8]:
    """Return an image with all that is marked on it.

    Args:
        image: uint8 `(h, w)` or `(h, w, 1)` grey, or `(h, w, 3)` RGB; not changed.
        annotation: in pixels of the image.
        names: of the classes of objects; without `mask_names` those of the mask, too.
        scores: of the objects, shares of 1, written behind their names; none if empty.
        mask_names: of the classes of the mask. One that is called background has no colour.
        limbs: pairs of key points that a line joins.
        legend: write the names of a mask's classes into a corner.

    Returns:
        uint8 `(h, w, 3)`.
    """
    pixels = _coloured(image)
    of_mask = mask_names or names
    if annotation.mask is not None:
        pixels = _tinted(pixels, annotation.mask, of_mask, names)
    height, width = pixels.shape[:2]
    fine = next((times for side, times in _FINE if max(height, width) <= side), 1)
    canvas = Image.fromarray(pixels)
    if fine > 1:  # whole copies of pixels, so that what is not drawn over comes back unchanged
        canvas = canvas.resize((fine * width, fine * height), Image.Resampling.NEAREST)
    pen = _Pen(ImageDraw.Draw(canvas), fine, max(1.8, min(height, width) / 220), max(10.0, min(height, width) / 30))
    several = len(names) > 1 or not annotation.points.size
    order = np.argsort(-np.prod(annotation.boxes[:, 2:] - annotation.boxes[:, :2], axis=1)).tolist()
    for i in order:
        number = int(annotation.classes[i])
        # Objects of one class are told apart by colours if it is their key points that matter.
        colour = class_colour(number if several else order.index(i))
        pen.box(annotation.boxes[i].tolist(), colour, crowd=bool(annotation.crowd[i]))
    for i in order:
        number = int(annotation.classes[i])
        text = names[number] if 0 <= number < len(names) else str(number)
        text = f"group of {text}" if annotation.crowd[i] else text
        text = f"{text} {scores[i]:.0%}" if i < len(scores) else text
        if several or len(scores):
            pen.label(annotation.boxes[i].tolist(), text, class_colour(number if several else order.index(i)))
    for one in annotation.points:
        pen.skeleton(one, limbs)
    if legend and annotation.mask is not None and not len(annotation.boxes):  # whose names say the same
        pen.legend(_present(annotation.mask, of_mask, names))
    return np.asarray(canvas.reduce(fine) if fine > 1 else canvas)


def _coloured(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    grey = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    return np.repeat(grey[..., None], 3, axis=2) if grey.ndim == 2 else np.ascontiguousarray(grey)


def _mask_colour(value: int, mask_names: Sequence[str], names: Sequence[str]) -> Colour | None:
    """Return the colour of a mask's class, that of the object class of this name; None for the background."""
    name = mask_names[value] if value < len(mask_names) else str(value)
    if name.lower() == _BACKGROUND:
        return None
    return class_colour(names.index(name) if name in names else value)


def _tinted(
    pixels: NDArray[np.uint8], mask: NDArray[np.uint8], mask_names: Sequence[str], names: Sequence[str]
) -> NDArray[np.uint8]:
    """Return an image under the colours of a mask; each region has an edge, and what is ignored is dark."""
    colours = np.zeros((256, 3), np.float32)
    shares = np.zeros(256, np.float32)
    for value in np.unique(mask).tolist():
        colour = (30, 30, 30) if value == _IGNORED else _mask_colour(value, mask_names, names)
        if colour is not None:
            colours[value], shares[value] = colour, _TINT
    share = shares[mask]
    edge = np.zeros(mask.shape, np.bool_)
    edge[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    edge[1:] |= mask[1:] != mask[:-1]
    share = np.where(edge & (share > 0), 0.95, share)[..., None]
    return np.rint(pixels * (1 - share) + colours[mask] * share).astype(np.uint8)


def _present(mask: NDArray[np.uint8], mask_names: Sequence[str], names: Sequence[str]) -> list[tuple[str, Colour]]:
    """Return names and colours of the classes on a mask, the largest first."""
    counts = np.bincount(mask.ravel(), minlength=256)
    found = []
    for value in np.argsort(-counts, kind="stable").tolist():
        if counts[value] and value != _IGNORED and (colour := _mask_colour(value, mask_names, names)) is not None:
            found.append((mask_names[value] if value < len(mask_names) else str(value), colour))
    return found[:_MOST_IN_LEGEND]


class _Pen:
    """Draw in pixels of the image on a canvas that is several times as large."""

    def __init__(self, draw: Any, fine: int, thickness: float, type_size: float) -> None:
        self._draw, self._fine = draw, fine
        self._thickness, self._type = thickness * fine, round(type_size * fine)

    def box(self, box: Sequence[float], colour: Colour, *, crowd: bool) -> None:
        """Draw a box with a dark edge, which is seen on any ground; that of a crowd is thin."""
        left, top, right, bottom = self._inside(box)
        inner = self._thickness / (2 if crowd else 1)
        for width, ink in ((inner + 0.9 * self._fine, (20, 20, 20)), (inner, colour)):
            self._draw.rectangle(
                (left - width / 2, top - width / 2, right + width / 2 - 1, bottom + width / 2 - 1),
                outline=ink, width=max(1, round(width)),
            )  # fmt: skip

    def _inside(self, box: Sequence[float]) -> tuple[float, float, float, float]:
        """Return a box on the canvas, cut at its edges."""
        width, height = self._draw.im.size
        left, top, right, bottom = (value * self._fine for value in box)
        return max(left, 0), max(top, 0), min(right, width), min(bottom, height)

    def label(self, box: Sequence[float], text: str, colour: Colour) -> None:
        """Write a name above a box, or inside where there is no room."""
        left, top, _, _ = self._inside(box)
        left -= self._thickness / 2
        font = _font(self._type, plain=_is_plain(text))
        width, pad = self._draw.textlength(text, font=font), self._type * 0.22
        height = self._type * 1.25
        total_width, total_height = self._draw.im.size
        y = top - height - self._thickness / 2
        y = y if y >= 0 else min(top, total_height - height)
        x = max(0.0, min(left, total_width - width - 2 * pad))
        self._draw.rectangle((x, y, x + width + 2 * pad, y + height), fill=colour)
        self._draw.text((x + pad, y + height / 2), text, font=font, fill=_ink_on(colour), anchor="lm")

    def skeleton(self, points: NDArray[np.float64], limbs: Sequence[tuple[int, int]]) -> None:
        """Draw the key points of an object and the limbs between them; a hidden point is hollow."""
        places = points[:, :2] * self._fine
        given = points[:, 2] > 0
        for number, (one, other) in enumerate(limbs):
            if given[one] and given[other]:
                line = [tuple(places[one]), tuple(places[other])]
                for width, ink in ((1.9, (20, 20, 20)), (1.2, class_colour(number))):
                    self._draw.line(line, fill=ink, width=max(1, round(width * self._thickness)))
        radius = 1.5 * self._thickness
        for (x, y), visibility in zip(places.tolist(), points[:, 2].tolist(), strict=True):
            if visibility:
                self._draw.ellipse(
                    (x - radius, y - radius, x + radius, y + radius),
                    fill=(255, 255, 255) if visibility > 1 else None,
                    outline=(20, 20, 20) if visibility > 1 else (255, 255, 255),
                    width=max(1, round(self._thickness / 2)),
                )

    def legend(self, entries: Sequence[tuple[str, Colour]]) -> None:
        """Write names with their colours into the lower left corner."""
        if not entries:
            return
        size = round(self._type * 0.9)
        line, pad = size * 1.3, size * 0.35
        widths = [self._draw.textlength(text, font=_font(size, plain=_is_plain(text))) for text, _ in entries]
        _, total = self._draw.im.size
        entries = entries[: max(1, int((total - 2 * pad) // line))]
        height = len(entries) * line + pad
        self._draw.rectangle((0, total - height, max(widths) + size + 3 * pad, total), fill=(20, 20, 20))
        for i, (text, colour) in enumerate(entries):
            y = total - height + pad / 2 + i * line
            self._draw.rectangle((pad, y + line * 0.18, pad + size * 0.8, y + line * 0.82), fill=colour)
            font = _font(size, plain=_is_plain(text))
            self._draw.text((2 * pad + size * 0.8, y + line / 2), text, font=font, fill=(255, 255, 255), anchor="lm")


def _ink_on(colour: Colour) -> Colour:
    red, green, blue = colour
    return (20, 20, 20) if 0.299 * red + 0.587 * green + 0.114 * blue > 128 else (255, 255, 255)


def _is_plain(text: str) -> bool:
    """Return whether DejaVu Sans has the letters of a text: Latin, Greek, Cyrillic."""
    return all(ord(letter) < 0x530 for letter in text)


@cache
def _font(size: int, *, plain: bool) -> Any:
    """Return a font; it comes with matplotlib, which is not imported for it."""
    if not plain:
        for name in _OTHER_SCRIPTS:
            with contextlib.suppress(OSError):
                return ImageFont.truetype(name, size)
    spec = importlib.util.find_spec("matplotlib")
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"
        with contextlib.suppress(OSError):
            return ImageFont.truetype(path, size)
    return ImageFont.load_default(size)
