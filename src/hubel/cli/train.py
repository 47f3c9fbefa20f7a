"""`hubel train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hubel.training.recipe import Recipe


def train(
    data: str = "",
    /,
    *,
    recipe: Annotated[Recipe | None, Parameter(name="*")] = None,
    out: Path | None = None,
    resume: bool = False,
    config: Path | None = None,
    xo: dict[str, float] = {},  # noqa: B006
) -> int:
    """Train a network on images, measure it, and write a report.

    Args:
        data: a folder with one folder for each class (with train, val and test above them, if you like); a CSV, TSV or
            Parquet file with image_path and label; Parquet files with images inside; a folder of IDX files; or digits
            or xo, which are built in. To reconstruct, a plain folder of images will do.
        recipe: how.
        out: folder of the run; runs/DATA-MODEL-1, -2, ... if not given.
        config: the config.json of a former run, whose settings hold where no flag says otherwise.
        xo: settings of the X and O pictures, such as --xo.size 15.
        resume: go on with the unfinished run, the one in --out if there are several.
    """
    from hubel.cli.show import training_result
    from hubel.core.errors import OptionError
    from hubel.data.sources.builtin import XO
    from hubel.training import run

    assert config is None, "main() takes it away: it changes what the other flags are when they are not given"
    if resume:
        if data or recipe is not None or xo:
            raise OptionError("a resumed run keeps its data and settings; give nothing but --resume and --out")
        return training_result(run.resume(out))
    if not data:
        raise OptionError("name the images: hubel train PHOTOS, or hubel train digits")
    return training_result(run.train(data, recipe, out=out, xo=XO.from_numbers(xo) if xo else None))
