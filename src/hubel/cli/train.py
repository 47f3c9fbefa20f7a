"""`hubel train`."""

from __future__ import annotations

from pathlib import Path

from hubel.cli.data_flags import named_data
from hubel.cli.settings import RecipeFlags

EXAMPLES = (
    "hubel train PHOTOS",
    "hubel train PHOTOS --freeze all",
    "hubel train PHOTOS --model resnet50 --weights default --freeze stage3",
    "hubel train PHOTOS --model convnet --size 96 --epochs 30",
    "hubel train photos.csv --model resnet20 --max-minutes 10",
    "hubel train digits --model lenet5",
    "hubel train PHOTOS --model convnet --options.filters 16,32,64 --options.dense 128",
    "hubel train captions.csv",
    "hubel train xo --model net.toml",
    "hubel train xo --xo.size 15 --xo.noise 0.05 --loss bce",
    "hubel train PHOTOS --task reconstruct",
    "hubel train PHOTOS --model mobilenet_v1 --teacher runs/PHOTOS-efficientnet_lite0-1",
    "hubel train PHOTOS --config runs/PHOTOS-efficientnet_lite0-1/config.json --epochs 50",
    "hubel train CIFAR10 --recipe resnet-cifar --seed 1",
    "hubel train --resume",
)


def train(
    data: str = "",
    /,
    *,
    settings: RecipeFlags | None = None,
    out: Path | None = None,
    resume: bool = False,
    recipe: str | None = None,
    config: Path | None = None,
    xo: dict[str, float] = {},  # noqa: B006
) -> int:
    """Train a network on images, evaluate it, and write a report.

    Args:
        data: a folder with one subfolder per class (optionally inside train, val and test); a CSV, TSV or Parquet file
            with image_path and label; Parquet files that contain images; a folder of IDX files; or the built-in
            datasets digits and xo. An autoencoder needs no labels: a folder of images is enough. A table with
            image_path and caption trains an encoder for hubel search.
        settings: settings of the recipe.
        out: folder of the run; runs/DATA-MODEL-1, -2, ... if not given.
        recipe: settings of a recipe that hubel recipes lists, or of a TOML or YAML file; flags override them, and the
            plan says so.
        config: settings in a TOML or YAML file, or the config.json of a run; flags override them. A run's data are
            taken, too, if no others are named.
        xo: settings of the built-in dataset xo, such as --xo.size 15.
        resume: continue the unfinished run that was worked on last; another one with --out.
    """
    import time

    started = time.monotonic()  # the imports of what trains take seconds, which count, too
    from hubel.cli.results import print_pairs_result, print_training_result
    from hubel.core.errors import OptionError
    from hubel.core.files import user_path
    from hubel.data.sources.pair_table import is_pair_table
    from hubel.training import train as training

    if resume:
        if data or settings is not None or xo:
            raise OptionError("a resumed run keeps its data and settings; use only --resume and --out RUN")
        return print_training_result(training.resume(out, started=started))
    data, drawn = named_data("train", data, config, xo)
    request = settings.recipe(origin=recipe) if settings else None
    if is_pair_table(user_path(data)):
        from hubel.training.pairs import train_recipe_on_pairs

        return print_pairs_result(train_recipe_on_pairs(data, request, out=out))
    return print_training_result(training.train(data, request, out=out, xo=drawn, started=started))
