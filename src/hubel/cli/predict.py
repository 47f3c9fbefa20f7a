"""`hubel predict`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from hubel.cli.data_flags import Root

if TYPE_CHECKING:
    from hubel.inference.bulk import BulkResult
    from hubel.inference.row_files import Row


EXAMPLES = (
    "hubel predict runs/PHOTOS-efficientnet_lite0-1 photo.jpg",
    "hubel predict efficientnet_lite0 photo.jpg",
    'hubel predict --classes "cat,dog,horse" holiday/',
    "hubel predict model.safetensors holiday/ --csv > classes.csv",
    'hubel predict model.safetensors "photos/**/*.jpg" --top 1 --jsonl',
    "hubel predict model.onnx holiday/ -o answers.parquet --resume",
    "hubel predict model.onnx holiday/ --coverage 0.95",
    "hubel predict model.onnx holiday/ --sure 0.9",
    "hubel predict model.onnx holiday/ --shard 1/3 -o answers-1.csv",
    "hubel predict runs/digits-autoencoder_28-1 drawing.png --draw reconstructed",
    "cat photo.jpg | hubel predict model.safetensors -",
    'find . -name "*.png" | hubel predict model.safetensors - --jsonl',
)


def predict(
    model: str,
    /,
    *sources: str,
    top: int = 3,
    json: bool = False,
    jsonl: bool = False,
    csv: bool = False,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    resume: bool = False,
    shard: str = "1/1",
    engine: str = "auto",
    device: str = "auto",
    tta: bool = False,
    no_formulas: bool = False,
    coverage: float | None = None,
    sure: float | None = None,
    debug_decode: bool = False,
    costs: str = "",
    draw: Path | None = None,
    labels: Path | None = None,
    root: Root = None,
    classes: str = "",
    encoder: str = "concepts",
) -> int:
    """Predict the class of images, or the boxes, pixels or key points on them, or reconstruct them, as the model does.

    Unreadable files are listed with the reason; the others are classified. A model that knows how new an image may be
    (hubel train --reject) says the novelty, about 0 for a typical image, and calls images above its threshold unknown:
    the class is then only the nearest one. Key points are those of one object an image.

    Exit codes: 0 success, 2 wrong usage, 3 some files unreadable.

    Args:
        model: a model file, the folder of a run, an exported file, or a pretrained network by its name, such as
            efficientnet_lite0, or resnet50.a1_in1k for other weights than the default (hubel models NAME lists them).
        sources: image files, folders, patterns, tables (CSV, TSV or Parquet) of paths; "-" is standard input: an image,
            one path per line, or paths that end with a zero byte (find -print0).
        top: number of classes to print for each image.
        json: print one JSON list.
        jsonl: print one JSON object per line, as soon as it is ready.
        csv: print a CSV table with a header, each row as soon as it is ready.
        output: file to write (.jsonl, .csv or .parquet), for any number of images. It appears when it is complete;
            until then the rows are in FILE.partial.
        resume: continue an interrupted --output; start it if nothing is written yet.
        shard: I/N predicts the I-th of N parts of the images, to divide them among several machines.
        engine: engine for exported files: openvino, onnxruntime, or auto for the faster one; or ray, which runs any
            model on all machines of a Ray cluster.
        device: cpu, cuda, mps or auto.
        tta: average the scores over each image, its mirror image and its centre (grey images: over small shifts).
        no_formulas: in CSV, put an apostrophe before names that begin with =, +, - or @, which spreadsheets would take
            for formulas.
        coverage: add the set of classes that the image may have, such that this share of sets have the true class: 0.95
            means 19 of 20. From 0.5 to 0.999, for models that hubel train has calibrated.
        sure: add the class, or the narrowest group of classes that the model knows (hubel train --parents), whose
            probability is at least this: 0.9 for 9 of 10. From 0.5 to 0.999.
        debug_decode: add each image's width, height, mode (as stored in the file) and rgb_mean (mean of the decoded
            pixels, 0 to 255).
        costs: CSV or TOML of what it costs to predict a class (column) where another one is true (row): the class of
            least expected cost comes first, whatever its score. none ignores the costs that the model has.
        draw: folder for the images with what is found drawn on them: boxes, masks, key points; of an autoencoder, for
            each image beside its reconstruction.
        labels: folder for what is found as files of labels: masks as PNG of class numbers, boxes and key points as text
            in YOLO's form.
        root: folder that the paths of a table start at.
        classes: names with commas between them, such as "cat,dog": classify by these words alone, without a model that
            was trained on them. No MODEL is named then.
        encoder: of words and images, for --classes: as for hubel search.
    """
    import sys

    from hubel.cli.prediction_formats import FORMATS
    from hubel.core.errors import OptionError
    from hubel.core.outputs import output_folder
    from hubel.core.progress import say, say_notes
    from hubel.data.inputs import collect, with_root
    from hubel.data.sources.listing import PassedOver, passed_over
    from hubel.inference import bulk

    if classes:
        if output or draw or labels or tta or costs or coverage is not None or sure is not None or engine != "auto":
            raise OptionError("--classes prints classes and scores; of the other flags it takes --top and the formats")
        sources, model = (model, *sources), encoder
    flags = {"json": json, "jsonl": jsonl, "csv": csv, "output": output is not None}
    chosen = [name for name, wanted in flags.items() if wanted]
    if len(chosen) > 1:
        raise OptionError(f"choose one of --{' and --'.join(chosen)}")
    if not sources:
        raise OptionError("name the images: hubel predict MODEL IMAGE...")
    job = bulk.BulkJob(
        model,
        top=top,
        device=device,
        tta=tta,
        engine=engine,
        decoded=debug_decode,
        shard=shard,
        no_formulas=no_formulas,
        costs=costs,
        coverage=coverage,
        draw=output_folder(draw, verb="predict", inputs=(model, *sources), flag="--draw"),
        labels=output_folder(labels, verb="predict", inputs=(model, *sources), flag="--labels"),
        sure=sure,
    )
    if resume and output is None:
        raise OptionError("--resume continues a file: add --output FILE")
    if output is not None and bulk.is_finished(output, resume=resume):
        say(f"{output} is finished already")
        return 0
    if classes:
        from hubel.retrieval.encoders import find_encoder
        from hubel.retrieval.zero_shot import NamedClasses, split_names

        named = NamedClasses(find_encoder(encoder, device=device), split_names(classes))
    classifier = named if classes else job.load()
    if classifier.card.costs is not None:
        say("the class of least expected cost comes first; scores are probabilities all the same")
    if (skeleton := classifier.card.skeleton) is not None and skeleton.crops:
        say(f"each image is taken for one {skeleton.object} that fills it: cut out each {skeleton.object} before")
    layout = job.layout(classifier)
    skip = PassedOver()
    inputs = job.share(collect(with_root(sources, root), sys.stdin.buffer, skip))
    say_notes(passed_over(skip.counts()))
    if output is not None:
        return _report(bulk.write(job, classifier, inputs, output, resume=resume), len(inputs), output)
    unreadable = 0

    def rows() -> Iterator[Row]:
        nonlocal unreadable
        found = bulk.predicted_rows(job, classifier, inputs)
        # Lines that appear one by one are progress enough, and a bar would be drawn across them.
        quiet = sys.stdout.isatty() and (jsonl or csv)
        for row in found if quiet else bulk.with_progress(found, len(inputs)):
            unreadable += row["error"] is not None
            yield row

    FORMATS[chosen[0] if chosen else "table"](rows(), layout)
    return 3 if unreadable else 0


def _report(summary: BulkResult, images: int, output: Path) -> int:
    """Print the last line of a prediction to a file; return the exit code."""
    from hubel.core.progress import counted, say

    if summary.stopped_by:
        say(f"stopped after {summary.images:,} of {counted(images, 'image')}; to continue, repeat it with --resume")
        return 128 + summary.stopped_by
    facts = [counted(summary.images, "image"), f"{summary.unreadable:,} unreadable"]
    if summary.images_per_second:  # missing if all rows were read from the partial file
        facts.append(f"{summary.images_per_second:,.1f} images/s")
    say(f"{', '.join(facts)}: {output}")
    return 3 if summary.unreadable else 0
