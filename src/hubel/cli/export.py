"""`hubel export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from hubel.cli.data_flags import Root, rooted
from hubel.cli.printing import print_line

EXAMPLES = (
    "hubel export runs/PHOTOS-efficientnet_lite0-1",
    "hubel export runs/PHOTOS-efficientnet_lite0-1 --int8 --data PHOTOS",
    "hubel export efficientnet_lite0 -o lite0.onnx",
)


def export(
    model: str,
    /,
    *,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    format: Literal[  # noqa: A002
        "onnx", "torchscript", "openvino", "safetensors-timm", "safetensors-torchvision"
    ] = "onnx",
    int8: bool = False,
    data: str | None = None,
    root: Root = None,
    max_drop: float = 1.0,
    tta: bool = False,
) -> int:
    """Export a model as one file that hubel predict runs without torch and any ONNX tool opens.

    The file takes images of the network's size as bytes, (n, height, width, channels), and contains normalisation,
    temperature and softmax; of detectors, suppression, and of segmenters, the choice of a class. Its output is compared
    with the model's before it is written.

    Args:
        model: a model file, the folder of a run, or a pretrained network by its name, as for hubel predict.
        output: file to write; MODEL with another suffix, beside it, if not given.
        format: onnx; torchscript (for libtorch), openvino (.xml and .bin), or the weights alone under the names of timm
            or torchvision.
        int8: quantise to int8, which is two to four times as fast on most processors; needs --data.
        data: images for the comparison and for the calibration of int8. With labels, the loss of accuracy is measured:
            of average precision for boxes, of mean IoU for masks, which need them.
        root: folder that the paths of a table start at.
        max_drop: largest loss of accuracy (without labels: of agreement) by int8, in percentage points; if it is
            larger, nothing is written.
        tta: make the file average its scores over each image, its mirror image and its centre (grey images: over small
            shifts), as --tta of hubel predict does; it takes three to five times the time.
    """
    from hubel.export.run import export as run

    sample = data and rooted(data, root)
    done = run(model, output, form=format, int8=int8, data=sample, max_drop=max_drop / 100, tta=tta)
    for line in done.lines():
        print_line(line)
    return 0
