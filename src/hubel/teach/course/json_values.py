"""Turn computed values into values of JSON, short enough to send."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["json_ready"]

_DIGITS = 6  # significant


def json_ready(value: Any) -> Any:
    """Return a value as dicts, lists, strings, numbers, booleans and None; floats have 6 significant digits.

    What JSON has no number for, nan and infinity, becomes None.

    >>> json_ready({"map": np.array([[1 / 3, 2.0]]), "count": np.int64(7), "none": float("nan")})
    {'map': [[0.333333, 2.0]], 'count': 7, 'none': None}
    """
    if isinstance(value, Mapping):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return json_ready(value.tolist())
    if isinstance(value, list | tuple):
        return [json_ready(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    return value
