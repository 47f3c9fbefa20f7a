"""`hubel ensemble`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hubel.cli.data_flags import Root, rooted
from hubel.cli.printing import print_line
from hubel.cli.tables import print_table

EXAMPLES = (
    "hubel ensemble runs/PHOTOS-efficientnet_lite0-1 runs/PHOTOS-efficientnet_lite0-2 -o model.onnx",
    "hubel ensemble runs/PHOTOS-efficientnet_lite0-* --data PHOTOS --int8",
    "hubel ensemble runs/PHOTOS-efficientnet_lite0-* --soup -o soup.safetensors",
)


def ensemble(
    *models: str,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    soup: bool = False,
    int8: bool = False,
    data: str | None = None,
    root: Root = None,
    max_drop: float = 1.0,
    tta: bool = False,
) -> int:
    """Export several models as one file, whose probabilities are the mean over theirs.

    The file is used like every exported one, and takes the time of all its models together. Their networks and their
    normalisation may differ; their classes and the size of their images are the same.

    Args:
        models: model files, folders of runs, or pretrained networks by their names, at least two.
        output: file to write; ensemble.onnx, or soup.safetensors, if not given.
        soup: write one model file with the mean of the weights instead, which is as fast as one model: of runs of one
            network from the same pretrained weights, as far as their validation images say that it is better. Other
            flags than --output do not go with it.
        int8: quantise to int8, which is two to four times as fast on most processors; needs --data.
        data: images for the comparison and for the calibration of int8. With labels, the accuracy of each model and of
            all together is measured on the images that the training of all held out.
        root: folder that the paths of a table start at.
        max_drop: largest loss of accuracy (without labels: of agreement) by int8, in percentage points; if it is
            larger, nothing is written.
        tta: make the file average its scores over each image, its mirror image and its centre (grey images: over small
            shifts), too; see hubel export.
    """
    from hubel.core.errors import OptionError
    from hubel.export.ensemble import Ensemble
    from hubel.export.ensemble import ensemble as run
    from hubel.training.soup import Soup
    from hubel.training.soup import soup as mix

    done: Ensemble | Soup
    if soup and (int8 or tta or data is not None):
        raise OptionError("--soup makes a model file from the runs' own data; --int8, --tta and --data are for exports")
    if soup:
        done = mix(models, "soup.safetensors" if output is None else output)
    else:
        sample, file = data and rooted(data, root), "ensemble.onnx" if output is None else output
        done = run(models, file, int8=int8, data=sample, max_drop=max_drop / 100, tta=tta)
    print_table(done.columns, done.rows())
    for line in done.lines():
        print_line(line)
    return 0
