"""`hubel data bench`."""

from __future__ import annotations

from hubel.cli.printing import print_json, print_line
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

    The settings are those of hubel train; all weights of the network are trained, even if it is pretrained.

    Args:
        source: labelled images, as for hubel train.
        settings: settings of the recipe.
        seconds: duration of each measurement.
        json: print the results as JSON instead of a table.
    """
    from hubel.cli.tables import print_table
    from hubel.core.progress import counted
    from hubel.training.bottleneck import measure_loading

    found = measure_loading(source, settings.recipe() if settings else None, seconds=seconds)
    if json:
        print_json(found.to_json())
        return 0
    body = [
        ("decode", f"{found.decode:,.0f}", "at reduced size where the format allows it"),
        ("decode and augment", f"{found.augmented:,.0f}", f"policy {found.augment}, normalised: the first epoch"),
        ("augment cached images", f"{found.cached:,.0f}", "later epochs, with cached decoded images (--cache)"),
        (
            "the network",
            f"{found.network:,.0f}",
            f"{found.model}, training all weights, {counted(found.threads, 'thread')}",
        ),
    ]
    height, width = found.size
    loading = counted(found.loading_threads, "loading thread")
    title = f"{counted(found.images, 'image')} for an input of {height}x{width}, {loading}"
    print_table(["stage", "images/s", "description"], body, title=title)
    print_line(found.bottleneck)
    return 0
