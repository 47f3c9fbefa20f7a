"""`hubel tune`."""

from __future__ import annotations

from pathlib import Path

from hubel.cli.data_flags import named_data
from hubel.cli.settings import RecipeFlags

EXAMPLES = (
    "hubel tune PHOTOS",
    "hubel tune PHOTOS --minutes 60 --metric macro_f1",
    "hubel tune PHOTOS --models efficientnet_lite0,runs/OTHER-efficientnet_lite0-1",
    "hubel tune digits --model convnet --minutes 10",
    "hubel tune --resume",
)


def tune(
    data: str = "",
    /,
    *,
    minutes: float | None = None,
    metric: str | None = None,
    models: str = "",
    trials: int | None = None,
    settings: RecipeFlags | None = None,
    out: Path | None = None,
    resume: bool = False,
    config: Path | None = None,
    xo: dict[str, float] = {},  # noqa: B006
) -> int:
    """Search the settings of training within a time limit, and train a model with the best ones.

    The networks at hand, their input size, augmentation, frozen part, head, learning rate and epochs are tried: on
    cached features first, then in fine-tuning. The default recipe is the first trial; another one is taken only if it
    is better beyond noise on images that no trial was compared on. The test images are measured once, at the end.
    Settings that you give stay as they are.

    Ctrl-C ends the search with the best so far; --resume continues it.

    Args:
        data: labelled images, as for hubel train.
        minutes: time for everything, from start to report; 20 if not given. With --resume: from now on.
        metric: what settings are chosen by: accuracy, macro_f1, macro_recall or loss; r2 or loss for numbers. The
            task's first one if not given.
        models: networks to try, and model files or runs to start from, separated by commas. Default: pretrained
            networks that need no download, and small ones from scratch for small images.
        trials: number of trials at most; as many as there is time for if not given.
        settings: settings of the recipe, which stay as they are.
        out: folder of the search; runs/DATA-tune-1, -2, ... if not given.
        resume: continue the unfinished search that was worked on last; another one with --out.
        config: settings in a TOML or YAML file, or the config.json of a run; flags override them. A run's data are
            taken, too, if no others are named.
        xo: settings of the built-in dataset xo, such as --xo.size 15.
    """
    import time

    started = time.monotonic()  # the imports of what trains take seconds, which count, too
    from hubel.cli.results import print_tuning_result
    from hubel.core.errors import OptionError
    from hubel.training.search import tune as search

    if resume:
        if data or settings is not None or metric or models or trials is not None or xo:
            raise OptionError(
                "a resumed search keeps its data and settings; use only --resume, --out RUN and --minutes"
            )
        return print_tuning_result(search.resume_tuning(out, minutes=minutes, started=started))
    data, drawn = named_data("tune", data, config, xo)
    return print_tuning_result(
        search.tune(
            data,
            settings.recipe() if settings else None,
            minutes=search.MINUTES if minutes is None else minutes,
            metric=metric,
            models=[name for name in models.split(",") if name],
            trials=trials,
            out=out,
            xo=drawn,
            started=started,
        )
    )
