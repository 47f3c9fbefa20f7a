"""Captions and parameters of an operation at both ends of its range, where several operations share them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from hubel.data.augment.operation import Extreme, Values

__all__ = ["MINUS", "TIMES", "Extremes", "both_signs", "extreme_factors", "extreme_pair", "from_unchanged"]

MINUS, TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"

P = TypeVar("P")
Extremes = Callable[..., tuple[Extreme[Any], Extreme[Any]]]


def extreme_pair(low: str, low_parameters: P, high: str, high_parameters: P) -> tuple[Extreme[P], Extreme[P]]:
    """Return both ends, each with its caption and parameters."""
    return Extreme(low, low_parameters), Extreme(high, high_parameters)


def from_unchanged(caption: Callable[..., str], parameters: Callable[..., Any]) -> Extremes:
    """Return ends of which the weaker one leaves the image unchanged; both functions take the operation's settings."""
    return lambda *settings: (Extreme("unchanged", None), Extreme(caption(*settings), parameters(*settings)))


def both_signs(unit: str, *, values: int = 1, scale: float = 1.0) -> Extremes:
    """Return ends of so many equal values, negative and positive, written in a unit after they are scaled."""

    def ends(most: float) -> tuple[Extreme[Values], Extreme[Values]]:
        number = f"{float(most) * scale:.3g}{unit}"
        return extreme_pair(f"{MINUS}{number}", (-float(most),) * values, f"+{number}", (float(most),) * values)

    return ends


def extreme_factors(most: float) -> tuple[Extreme[Values], Extreme[Values]]:
    """Return the ends of a factor from 1 - most to 1 + most."""
    low, high = 1 - float(most), 1 + float(most)
    return extreme_pair(f"{TIMES} {low:.3g}", (low,), f"{TIMES} {high:.3g}", (high,))
