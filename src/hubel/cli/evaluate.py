"""`hubel evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hubel.cli.data_flags import Root
from hubel.cli.printing import print_json, print_line, print_notes

if TYPE_CHECKING:
    from hubel.evaluation.evaluate import EvaluationResult

_MOST_ROWS = 5  # of each table; the report lists all
EXAMPLES = (
    "hubel evaluate runs/PHOTOS-efficientnet_lite0-1 PHOTOS",
    "hubel evaluate model.safetensors other-photos --split all",
    "hubel evaluate model.safetensors photos.csv --json",
    "hubel evaluate model.safetensors PHOTOS --unknown other-things",
    "hubel evaluate model.onnx PHOTOS --min-accuracy 0.9 --min-recall shirt=0.8 --min-recall hat=0.8",
    "hubel evaluate model.onnx PHOTOS --no-worse-than runs/PHOTOS-efficientnet_lite0-1",
    "hubel evaluate runs/teacher PHOTOS --beside runs/student --beside runs/student/model-int8.onnx",
    "hubel evaluate model.onnx PHOTOS --coverage 0.95",
    "hubel evaluate efficientnet_lite0 PHOTOS --folds 5",
    "hubel evaluate runs/fashion-mnist-cvae-1 fashion-mnist --judge runs/fashion-mnist-convnet-1",
)


def evaluate(
    model: str,
    data: str,
    /,
    *,
    split: Literal["auto", "train", "val", "test", "all"] = "auto",
    root: Root = None,
    out: Path | None = None,
    device: str = "auto",
    tta: bool = False,
    engine: str = "auto",
    costs: str = "",
    min_accuracy: float | None = None,
    min_recall: list[str] | None = None,
    no_worse_than: str | None = None,
    beside: list[str] | None = None,
    coverage: float | None = None,
    sure: float | None = None,
    folds: int | None = None,
    unknown: Path | None = None,
    judge: str | None = None,
    lang: Literal["en", "ko"] = "en",
    json: bool = False,
) -> int:
    """Evaluate a model on labelled images: accuracy overall and per class, confusions, calibration, highest losses.

    An autoencoder's output is compared with the images themselves; a generative model is measured by its bound, or its
    discriminator, and by a classifier that judges what it makes.

    Exit codes: 0 success, 2 wrong usage, 4 a limit (--min-accuracy, --min-recall, --no-worse-than) is not kept.

    Args:
        model: a model file, the folder of a run, an exported file, or a pretrained network by its name, as for hubel
            predict.
        data: labelled images, as for hubel train; an autoencoder needs no labels.
        split: split of the images. auto: the images that training held out, if the model was trained on them;
            otherwise test, or val, if the data has these splits; otherwise all. Images that the model was trained on
            are left out and counted, but for train and all.
        root: folder that the paths of a table start at.
        out: folder for the report; runs/evaluate-DATA-1, -2, ... if not given.
        device: cpu, cuda, mps or auto.
        tta: average the scores over each image, its mirror image and its centre (grey images: over small shifts).
        engine: engine for exported files: openvino, onnxruntime, or auto for the faster one.
        costs: as for hubel predict: the mean cost is measured, too.
        min_accuracy: lowest accuracy, 0 to 1; a lower one is exit code 4.
        min_recall: lowest recall of a class, such as shirt=0.9; once for each class that has a limit.
        no_worse_than: another model, run or exported file, which is measured on the same images. Exit code 4 if its
            accuracy is higher and that is hardly chance: the 95% interval of the difference, image by image, excludes
            0, and McNemar's p is below 0.05. Without classes the mean errors are compared.
        beside: another model, run or exported file to be shown beside this one, such as the student of a teacher; once
            for each: accuracy, agreement, calibration, parameters, multiply-adds, size, latency, and the images on
            which the first two differ.
        coverage: measure prediction sets, too: how many of them have the true class, and how large they are, where this
            share is to have it, such as 0.95.
        sure: measure the answers that hubel predict --sure gives, too: how many of them are a class, how many a group
            of classes, and how many are right.
        folds: instead of the model's own last layer, measure new ones: one for each of so many parts of all images (or
            of a --split that the data itself has), fitted to the features of the others.
        unknown: images of none of the model's classes, labelled or not: measure how well the model tells them from
            the others.
        judge: a classifier, named as MODEL, that judges the images that a generative model makes: how many it names as
            they were asked for, and how far their features are from those of real images.
        lang: language of the report.
        json: print the results as JSON instead of tables.
    """
    from hubel.cli.results import print_numbers
    from hubel.cli.tables import print_table
    from hubel.core.errors import OptionError
    from hubel.core.progress import say_notes
    from hubel.evaluation.evaluate import evaluate_file
    from hubel.evaluation.folds import FoldsEvaluation, evaluate_folds
    from hubel.evaluation.gates import Gates, parse_min_recall
    from hubel.evaluation.side_by_side import compare_models

    limits = parse_min_recall(min_recall or ())
    gates = Gates(min_accuracy=min_accuracy, min_recall=limits, no_worse_than=no_worse_than)
    result: EvaluationResult
    if folds is None:
        result = evaluate_file(
            model, data, split=split, root=root, out=out, device=device, tta=tta, engine=engine, costs=costs,
            gates=gates, coverage=coverage, sure=sure, unknown=unknown, judge=judge,
            lang=lang,
        )  # fmt: skip
    elif (coverage, sure, unknown, judge) != (None,) * 4 or tta or engine != "auto" or gates != Gates() or costs:
        raise OptionError(
            "--folds measures new last layers, not the model: leave out --tta, --engine, --coverage, --sure, --costs, "
            "--unknown, --judge and limits"
        )
    else:
        result = evaluate_folds(model, data, folds, split=split, root=root, out=out, device=device, lang=lang)
    evaluation = result.evaluation
    if json:
        say_notes(result.notes)
        print_json(result.to_json())
        return _exit_code(result)
    print_notes(result.notes)
    if views := result.to_json().get("tta"):
        print_line(f"scores are the mean over {views}")
    print_numbers(result.folder, evaluation.rows(result.split))
    if isinstance(result, FoldsEvaluation):
        print_line(f"folds   {result.folds.sentence()}")
    for table in evaluation.report_tables():
        if table.above_figures:
            print_table([name.lower() for name in table.columns], table.rows[:_MOST_ROWS], title=table.heading)
    if result.comparison:
        print_line(f"compared  {result.comparison.sentence()}")
    if beside:
        shown = compare_models(
            [model, *beside], data, split=split, root=root, out=result.folder / "beside", device=device
        )
        print_notes(shown.notes)
        print_table(shown.columns, [row.cells() for row in shown.rows])
        print_line(f"beside  {shown.report}")
    print_line(f"report  {result.report}")
    return _exit_code(result)


def _exit_code(result: EvaluationResult) -> int:
    """Print the limits that are not kept to standard error; return the exit code."""
    from hubel.core.progress import say

    for line in result.failed:
        say(f"failed: {line}")
    return 4 if result.failed else 0
