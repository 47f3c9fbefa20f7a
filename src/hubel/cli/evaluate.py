"""`hubel evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_MOST_ROWS = 5  # of each table; the report has all
EXAMPLES = (
    "hubel evaluate runs/PHOTOS-efficientnet_lite0-1 PHOTOS",
    "hubel evaluate model.safetensors other-photos --split all",
    "hubel evaluate model.safetensors photos.csv --json",
)


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
    """Evaluate a model on labelled images: accuracy, each class, confusions, calibration, the highest losses.

    An autoencoder's output is compared with the images themselves.

    Args:
        model: a model file, the folder of a run, a file made by hubel export, or a pretrained network by its name.
        data: images, as for hubel train.
        split: which images. auto: those that training held out, if it was on these images; otherwise test, or val,
            where the data has them; otherwise all.
        out: folder for the report; runs/evaluate-DATA-1, -2, ... if not given.
        device: cpu, cuda, mps or auto.
        tta: average the scores over each image, its mirror image and its centre (grey: over small shifts of it).
        engine: for exported files: onnxruntime, openvino, or auto for the faster one.
        json: print the numbers as JSON instead of a table.
    """
    import json as json_module

    from hubel.cli.tables import print_table
    from hubel.evaluation.evaluate import evaluate_file
    from hubel.inference.tta import VIEWS

    result = evaluate_file(model, data, split=split, out=out, device=device, tta=tta, engine=engine)
    evaluation = result.evaluation
    if json:
        print(json_module.dumps(evaluation.to_json(), indent=2))
        return 0
    for note in result.notes:
        print(note)
    if tta:
        print(f"scores are the mean over {VIEWS[evaluation.images.preprocess.channels]}")
    print_table(["", str(result.folder)], evaluation.rows(result.split))
    for one in evaluation.report_tables():
        if one.above_figures:
            print_table([name.lower() for name in one.columns], one.rows[:_MOST_ROWS], title=one.heading)
    print(f"report  {result.report}")
    return 0
