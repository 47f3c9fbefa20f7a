"""Upper bound of the memory that decoding an image takes, estimated from its header.

Files come from strangers: an estimate may be too high, but never too low.
"""

from __future__ import annotations

from dataclasses import dataclass

from hubel.data.containers import format_of

__all__ = ["bytes_per_pixel"]

# Peak bytes per pixel of decoding and resizing, measured as the growth of the process on the most expensive image of
# each format: WebP, single-strip TIFF, and PNG for all others, each with transparency. AVIF (measured: 19) and HEIF
# (15) with what 12 bits and full colour resolution add.
_BYTES = {"WEBP": 23.0, "TIFF": 16.0, "AVIF": 32.0, "HEIF": 28.0}
_OTHER_FORMATS = 14.0

# JPEG markers by their effect on memory. Files with other markers before the pixels get the highest estimate.
_LINE_BY_LINE = (0xC0, 0xC1)  # baseline and extended sequential
_BUFFERED = (0xC2, 0xC9, 0xCA)  # progressive, arithmetic: all coefficients are in memory
_SKIPPED = (0xC4, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE)
_SCAN = 0xDA
_COEFFICIENT_BYTES = 2


@dataclass(frozen=True)
class _Frame:
    """Size and coding of a JPEG; `buffered` ones hold all coefficients in memory while decoding."""

    width: int
    height: int
    components: int
    buffered: bool


def bytes_per_pixel(data: bytes, min_size: tuple[int, int]) -> float:
    """Return an upper bound of the bytes that decoding takes, per pixel of the full size.

    Args:
        data: an encoded image.
        min_size: as for `hubel.data.decode.decode`, which reads a JPEG at reduced scale.
    """
    kind = format_of(data) or ""
    if kind != "JPEG":
        return _BYTES.get(kind, _OTHER_FORMATS)
    frame = _frame(data) or _Frame(0, 0, 4, buffered=True)
    coefficients = _COEFFICIENT_BYTES * frame.components if frame.buffered else 0
    return coefficients + _OTHER_FORMATS / _scale(frame, max(min_size)) ** 2


def _scale(frame: _Frame, side: int) -> int:
    """Return the factor by which each side is reduced, as Pillow's `draft` chooses it for twice this side."""
    fits = min(frame.width, frame.height) // max(1, 2 * side)
    return next(scale for scale in (8, 4, 2, 1) if scale <= max(1, fits))


def _frame(data: bytes) -> _Frame | None:
    """Return the frame of a JPEG that is well-formed up to its pixels; None for any other."""
    at, frame = 2, None
    while len(data) > at + 9 and data[at] == 0xFF:
        marker, start = data[at + 1], data[at + 4 : at + 10]
        if marker in (*_LINE_BY_LINE, *_BUFFERED):
            if frame is not None:
                return None
            height, width = int.from_bytes(start[1:3]), int.from_bytes(start[3:5])
            frame = _Frame(width, height, start[5], buffered=marker in _BUFFERED)
        elif marker == _SCAN and frame is not None:
            # Components in separate scans are in memory until all have been read.
            return frame if start[0] == frame.components else _Frame(frame.width, frame.height, 4, buffered=True)
        elif marker not in _SKIPPED:
            return None
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return None
