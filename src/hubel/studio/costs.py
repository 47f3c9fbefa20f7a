"""What decoding an image takes, told from its first bytes; a wrong guess must be too high, whoever made the file."""

from __future__ import annotations

from dataclasses import dataclass

from hubel.data.containers import format_of

__all__ = ["bytes_a_pixel"]

# At the peak of decoding and resizing the most wasteful image of a format, measured as the growth of the process: a
# WebP, a single-strip TIFF, and of all others a PNG, with transparency each.
_COSTS = {"WEBP": 23.0, "TIFF": 16.0}
_OTHERS = 14.0

# JPEG's markers by what they mean to memory. Whatever else stands before the pixels is not understood.
_LINE_BY_LINE = (0xC0, 0xC1)  # baseline and extended sequential
_WHOLE = (0xC2, 0xC9, 0xCA)  # progressive, arithmetic: all coefficients are kept
_SKIPPED = (0xC4, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE)
_SCAN = 0xDA
_COEFFICIENT = 2  # bytes


@dataclass(frozen=True)
class _Frame:
    """How a JPEG is coded."""

    width: int
    height: int
    components: int
    whole: bool


def bytes_a_pixel(data: bytes, min_size: tuple[int, int]) -> float:
    """Bytes for each pixel of the full size, at the most.

    Args:
        data: an encoded image.
        min_size: as for `hubel.data.decode.decode`, which reads a JPEG at reduced scale.
    """
    kind = format_of(data) or ""
    if kind != "JPEG":
        return _COSTS.get(kind, _OTHERS)
    frame = _frame(data) or _Frame(0, 0, 4, whole=True)
    kept = _COEFFICIENT * frame.components if frame.whole else 0
    return kept + _OTHERS / _scale(frame, max(min_size)) ** 2


def _scale(frame: _Frame, side: int) -> int:
    """By how much each side is reduced, as Pillow's `draft` has it for twice this side."""
    fits = min(frame.width, frame.height) // max(1, 2 * side)
    return next(scale for scale in (8, 4, 2, 1) if scale <= max(1, fits))


def _frame(data: bytes) -> _Frame | None:
    """The frame of a JPEG that is well-formed up to its pixels; None of another."""
    at, frame = 2, None
    while len(data) > at + 9 and data[at] == 0xFF:
        marker, start = data[at + 1], data[at + 4 : at + 10]
        if marker in (*_LINE_BY_LINE, *_WHOLE):
            if frame is not None:
                return None
            height, width = int.from_bytes(start[1:3]), int.from_bytes(start[3:5])
            frame = _Frame(width, height, start[5], whole=marker in _WHOLE)
        elif marker == _SCAN and frame is not None:
            # Colours that come one after another are kept until all are there.
            return frame if start[0] == frame.components else _Frame(frame.width, frame.height, 4, whole=True)
        elif marker not in _SKIPPED:
            return None
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return None
