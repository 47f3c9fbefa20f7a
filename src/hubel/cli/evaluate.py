"""`hubel evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def evaluate(
    model: str,
    data: str,
    /,
    *,
    split: Literal["auto", "train", "val", "test", "all"] = "auto",
    out: Path | None = None,
    device: str = "auto",
    tta: bool = False,
    engine: str = "auto",
    json: bool = False,
) -> int:
    """Measure a model on labelled images: accuracy, each class, confusions, calibration, the worst mistakes.

    A model that makes images again is compared with the images themselves.

    Args:
        model: a model file, the folder of a run, a file made by hubel export, or a pretrained network by its name.
        data: images, as for hubel train.
        split: which images. auto: those that the training held out, when it was on these images; otherwise test, or
            val, where the data has them; otherwise all.
        out: folder for the report; runs/evaluate-DATA-1, -2, ... if not given.
        device: cpu, cuda, mps or auto.
        tta: score each image by the mean over it, its mirror image and its centre (grey: over small shifts of it).
        engine: for exported files: onnxruntime, openvino, or auto for the faster one.
        json: print the numbers as JSON instead of a table.
    """
    import json as json_module

    from hubel.cli.show import metrics_rows, table
    from hubel.evaluation.run import evaluate_file
    from hubel.inference.tta import VIEWS
    from hubel.metrics.classification import Metrics

    result = evaluate_file(model, data, split=split, out=out, device=device, tta=tta, engine=engine)
    metrics = result.evaluation.metrics
    if json:
        print(json_module.dumps(result.evaluation.to_json(), indent=2))
        return 0
    for note in result.notes:
        print(note)
    if tta:
        print(f"scores are the mean over {VIEWS[result.evaluation.images.preprocess.channels]}")
    table(["", str(result.folder)], metrics_rows(metrics, result.which))
    if isinstance(metrics, Metrics) and (confused := metrics.most_confused(5)):
        table(
            ["it is", "the model says", "images"],
            [(a, b, str(n)) for a, b, n in confused],
            title="Most confused",
        )
    print(f"report  {result.report}")
    return 0
