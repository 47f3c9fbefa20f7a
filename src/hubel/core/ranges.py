"""Ranges of numeric options: a number outside of its range is refused before anything is computed with it."""

from __future__ import annotations

import math
from typing import Any

from hubel.core.errors import OptionError

__all__ = ["check_range"]


def check_range(name: str, value: Any, low: float, high: float, *, whole: bool = False, unit: str = "") -> None:
    """Check that a value is a finite number in a range, ends included.

    Args:
        name: option or setting, for the message.
        value: value to check.
        low: smallest number.
        high: largest number; infinite for none, but the value itself must be finite.
        whole: it must be a whole number.
        unit: what is counted, for the message, such as "seconds".

    Raises:
        OptionError: it is not.

    >>> check_range("--top", 3, 1, 1000, whole=True)
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or (whole and not isinstance(value, int)):
        raise OptionError(f"{name} is {'a whole number' if whole else 'a number'}, not {value!r}")
    if not low <= value <= high or (isinstance(value, float) and not math.isfinite(value)):
        bounds = f"at least {low:g}" if math.isinf(high) or value < low else f"from {_text(low)} to {_text(high)}"
        raise OptionError(f"{name} is {bounds}{f' {unit}' if unit else ''}, not {_text(value)}")


def _text(value: float) -> str:
    """Return a number in few digits: somebody may ask for 10**30 epochs."""
    return str(value) if abs(value) < 10**9 else f"{float(min(value, 1e300)):g}"
