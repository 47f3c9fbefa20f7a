"""JSON in files that anyone may have written, parsed within bounds."""

from __future__ import annotations

import json
from typing import Any, NoReturn

__all__ = ["parse_json"]

# The largest network of the catalogue needs 1 MiB. Parsed JSON takes up to 200 bytes a value, and 4 a letter.
_MAX_BYTES = 32 * 2**20
_MAX_VALUES = 2**21


def parse_json(text: bytes) -> Any:
    """Parse JSON of at most 32 MiB, 2 million values and integers of 64 bits; NaN and infinity are no JSON.

    Raises:
        ValueError: it is no JSON, or larger.
        RecursionError: it is nested too deeply.
    """
    if len(text) > _MAX_BYTES:
        raise ValueError(f"{len(text):,} bytes of description, where {_MAX_BYTES:,} are the most")
    if (values := sum(map(text.count, (b",", b"[", b"{")))) > _MAX_VALUES:
        raise ValueError(f"a description of {values:,} values, where {_MAX_VALUES:,} are the most")
    return json.loads(text, parse_constant=_refuse, parse_int=_integer)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _integer(digits: str) -> int:
    if (value := int(digits)).bit_length() > 64:  # no float can be made of some
        raise ValueError(f"{digits:.20}... is too large a number")
    return value
