"""What a benchmark claims, and what it found: printed as it is measured, and as a table at the end."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import NoReturn

__all__ = ["Claims", "chosen"]


class Claims:
    """The claims of one run, each with its figure and whether it holds."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, str, bool]] = []

    def add(self, claim: str, measured: str, holds: bool) -> None:
        """Print a claim with what was measured, and remember it for the table."""
        self._rows.append((claim, measured, holds))
        print(f"    {claim}: {measured}{'' if holds else '   DOES NOT HOLD'}", flush=True)

    def close(self) -> NoReturn:
        """Print the table and end the program: 0 if all hold, 1 if not."""
        print("\n| claim | measured | holds |\n|---|---|---|")
        for claim, measured, holds in self._rows:
            print(f"| {claim} | {measured} | {'yes' if holds else 'NO'} |")
        sys.exit(0 if all(holds for *_, holds in self._rows) else 1)


def chosen(only: str, known: Collection[int]) -> list[int]:
    """The numbers in a text such as "1,2,7"; all that are known for an empty one."""
    return [int(number) for number in only.split(",") if number] or list(known)
