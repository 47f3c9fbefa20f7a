"""`hubel lr-find`."""

from __future__ import annotations

from pathlib import Path

from hubel.cli.data_flags import named_data
from hubel.cli.printing import print_json, print_line, print_notes
from hubel.cli.settings import RecipeFlags

EXAMPLES = (
    "hubel lr-find PHOTOS",
    "hubel lr-find PHOTOS --model resnet20 --optimizer adamw",
    "hubel lr-find --config runs/PHOTOS-convnet-1/config.json",
)


def lr_find(
    data: str = "",
    /,
    *,
    settings: RecipeFlags | None = None,
    steps: int = 100,
    lowest: float = 1e-7,
    highest: float = 10.0,
    out: Path | None = None,
    config: Path | None = None,
    xo: dict[str, float] = {},  # noqa: B006
    json: bool = False,
) -> int:
    """Find a learning rate: raise it step by step until the loss explodes, and report where the loss falls fastest.

    A new network is trained in memory and discarded: no run is changed. The settings are those of hubel train;
    schedule and epochs have no effect here.

    Args:
        data: labelled images, as for hubel train.
        settings: settings of the recipe.
        steps: steps of the test, each with a higher learning rate.
        lowest: the first learning rate.
        highest: the last learning rate.
        out: folder for the table and the figure; runs/lr-find-DATA-1, -2, ... if not given.
        config: settings in a TOML or YAML file, or the config.json of a run; flags override them. A run's data are
            taken, too, if no others are named.
        xo: settings of the built-in dataset xo, such as --xo.size 15.
        json: print the results as JSON instead of a table.
    """
    from hubel.cli.tables import print_table
    from hubel.training.lr_find import find_lr

    data, drawn = named_data("lr-find", data, config, xo)
    recipe = settings.recipe() if settings else None
    found = find_lr(data, recipe, steps=steps, lowest=lowest, highest=highest, out=out, xo=drawn)
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
        print_json(numbers)
        return 0
    print_notes(found.notes)
    end = "the loss exploded" if test.exploded else "the highest learning rate"
    print_table(
        ["", str(found.folder)],
        [
            ("loss falls fastest at", f"{test.rates[test.steepest]:.2g}"),
            ("loss is lowest at", f"{test.rates[test.lowest]:.2g}"),
            ("steps", f"{len(test.rates):,}, until {end}"),
        ],
    )
    print_line(f"figure   {found.folder / 'lr_find.png'}")
    print_line(f"use it   {found.command}")
    return 0
