"""`hubel export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

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
    max_drop: float = 1.0,
) -> int:
    """Export a model as one file that hubel predict runs without torch and any ONNX tool opens.

    What comes in are images of the network's size as bytes, (n, height, width, channels); normalisation, temperature
    and softmax are inside. Every file is compared with the model before it is written.

    Args:
        model: a model file, or the folder of a run; or a network with ImageNet weights, such as efficientnet_lite0.
        output: the file; MODEL with another ending, beside it, if not given.
        format: onnx; torchscript (for libtorch), openvino (.xml and .bin), or the weights alone under the names of timm
            or torchvision.
        int8: compute in 8 bits, which is two to four times as fast on most processors; needs --data.
        data: images to compare and to calibrate with. Labelled ones also measure what 8 bits cost.
        max_drop: percentage points of accuracy (of agreement, where there are no labels) that 8 bits may cost; when
            they cost more, nothing is written.
    """
    from hubel.export.run import export as run

    done = run(model, output, form=format, int8=int8, data=data, max_drop=max_drop / 100)
    for line in done.lines():
        print(line)
    return 0
