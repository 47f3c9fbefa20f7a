"""`hubel lr-find`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hubel.training.recipe import Recipe


def lr_find(
    data: str,
    /,
    *,
    recipe: Annotated[Recipe | None, Parameter(name="*")] = None,
    steps: int = 100,
    lowest: float = 1e-7,
    highest: float = 10.0,
    out: Path | None = None,
    config: Path | None = None,
    json: bool = False,
) -> int:
    """Find a learning rate: raise it step by step until the loss explodes, and see where it falls fastest.

    Everything happens in memory, with a fresh network that is thrown away: no run is touched. Settings are those of
    hubel train; the ones of the schedule, of the epochs and of their end count for nothing here.

    Args:
        data: labelled images, as for hubel train.
        recipe: how.
        steps: of the test, each with a higher learning rate.
        lowest: the first learning rate.
        highest: the last learning rate.
        out: folder for the table and the picture; runs/lr-find-DATA-1, -2, ... if not given.
        config: the config.json of a former run, whose settings hold where no flag says otherwise.
        json: print the numbers as JSON instead of a table.
    """
    import json as json_module

    from hubel.cli.show import table
    from hubel.training.lr_find import find_lr

    assert config is None, "main() takes it away: it changes what the other flags are when they are not given"
    found = find_lr(data, recipe, steps=steps, lowest=lowest, highest=highest, out=out)
    test = found.test
    if json:
        numbers = {
            "suggestion": test.suggestion,
            "falls_fastest_at": float(test.rates[test.steepest]),
            "lowest_at": float(test.rates[test.lowest]),
            "exploded": test.exploded,
            "steps": len(test.rates),
            "command": found.command,
        }
        print(json_module.dumps(numbers, indent=2))
        return 0
    for note in found.notes:
        print(note)
    end = "the loss exploded" if test.exploded else "the highest learning rate"
    table(
        ["", str(found.folder)],
        [
            ("loss falls fastest at", f"{test.rates[test.steepest]:.2g}"),
            ("loss is lowest at", f"{test.rates[test.lowest]:.2g}"),
            ("steps", f"{len(test.rates):,}, until {end}"),
        ],
    )
    print(f"picture  {found.folder / 'lr_find.png'}")
    print(f"use it   {found.command}")
    return 0
