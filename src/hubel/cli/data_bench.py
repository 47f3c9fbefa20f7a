"""`hubel data bench`."""

from __future__ import annotations

from hubel.cli.settings import RecipeFlags

EXAMPLES = (
    "hubel data bench PHOTOS",
    "hubel data bench PHOTOS --augment strong --size 160",
)


def bench(
    source: str,
    /,
    *,
    settings: RecipeFlags | None = None,
    seconds: float = 3.0,
    json: bool = False,
) -> int:
    """Time decoding, augmentation and the network separately, and name the bottleneck of training.

    Settings are those of hubel train; all weights of the network are trained, whatever it starts from.

    Args:
        source: labelled images, as for hubel train.
        settings: of the recipe.
        seconds: of each measurement.
        json: print the numbers as JSON instead of a table.
    """
    import json as json_module

    from hubel.cli.tables import print_table
    from hubel.training.bottleneck import measure_loading

    found = measure_loading(source, settings.recipe() if settings else None, seconds=seconds)
    if json:
        print(json_module.dumps(found.to_json(), indent=2))
        return 0
    body = [
        ("decode", f"{found.decode:,.0f}", "no larger than needed"),
        ("decode and augment", f"{found.augmented:,.0f}", f"{found.augment}, normalised: a first epoch"),
        ("cached and augment", f"{found.cached:,.0f}", "every later epoch, with decoded images in the cache (--cache)"),
        ("the network", f"{found.network:,.0f}", f"{found.model}, steps of all weights, {found.threads} threads"),
    ]
    height, width = found.size
    title = f"{found.images:,} images for an input of {height}x{width}, {found.loading_threads} threads feed"
    print_table(["", "images/s", "what"], body, title=title)
    print(found.bottleneck)
    return 0
