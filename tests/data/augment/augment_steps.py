"""Steps of an augmentation by the names of their operations, for tests that are tables of names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hubel.data.augment.effects import AUTOCONTRAST, SHARPNESS
from hubel.data.augment.operation import Operation
from hubel.data.augment.operations import OPERATIONS

RECORDS: dict[str, Operation[Any]] = {one.name: one for one in (*OPERATIONS, AUTOCONTRAST, SHARPNESS)}


def recorded(steps: Iterable[tuple[str, tuple[float, ...]]]) -> Any:
    return tuple((RECORDS[name], values) for name, values in steps)


def named(steps: Iterable[Any]) -> list[tuple[str, tuple[float, ...]]]:
    return [(operation.name, values) for operation, values in steps]
