"""`hubel predict`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def predict(
    model: str,
    /,
    *sources: str,
    top: int = 3,
    json: bool = False,
    jsonl: bool = False,
    csv: bool = False,
    device: str = "auto",
    tta: bool = False,
    debug_decode: bool = False,
) -> int:
    """Say what is on images. A file that cannot be read is named with its reason, and the others go on.

    Exit code: 0 all well, 3 some files unreadable, 2 wrong use.

    Args:
        model: a model file, or the folder of a run; or a network with ImageNet weights, such as efficientnet_lite0, or
            resnet50.a1_in1k for other weights than its default ones (hubel models NAME lists them).
        sources: images, folders, patterns; "-" is standard input: an image, or paths one a line.
        top: how many classes to name for each image.
        json: one JSON list.
        jsonl: one JSON object a line, as they are found.
        csv: a table with a header.
        device: cpu, cuda, mps or auto.
        tta: score each image by the mean over it, its mirror image and its centre (grey: over small shifts of it).
        debug_decode: add each image's width, height, mode (as stored in the file) and rgb_mean (mean of the decoded
            pixels, 0 to 255).
    """
    import sys

    from hubel.cli.rows import FORMATS, row_of
    from hubel.core.errors import OptionError
    from hubel.data.inputs import collect
    from hubel.runtime.predictor import load

    chosen = [name for name, wanted in (("json", json), ("jsonl", jsonl), ("csv", csv)) if wanted]
    if len(chosen) > 1:
        raise OptionError(f"choose one of --{' and --'.join(chosen)}")
    if top < 1:
        raise OptionError(f"--top is at least 1, not {top}")
    if not sources:
        raise OptionError("name the images: hubel predict MODEL IMAGE...")
    inputs = collect(sources, sys.stdin.buffer)
    predictor = load(model, device=device, tta=tta)
    unreadable = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal unreadable
        for item, prediction in predictor.rank(inputs, top_k=top):
            unreadable += prediction.reason is not None
            yield row_of(prediction, item if debug_decode else None)

    FORMATS[chosen[0] if chosen else "table"](rows())
    return 3 if unreadable else 0
