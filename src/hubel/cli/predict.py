"""`hubel predict`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from hubel.inference.bulk import Summary
    from hubel.inference.row_files import Row


EXAMPLES = (
    "hubel predict runs/PHOTOS-efficientnet_lite0-1 photo.jpg",
    "hubel predict efficientnet_lite0 photo.jpg",
    "hubel predict model.safetensors holiday/ --csv > classes.csv",
    'hubel predict model.safetensors "photos/**/*.jpg" --top 1 --jsonl',
    "hubel predict model.onnx holiday/ -o answers.parquet --resume",
    "hubel predict model.onnx holiday/ --shard 1/3 -o answers-1.csv",
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
    debug_decode: bool = False,
) -> int:
    """Classify images.

    A file that cannot be read is named with its reason; the others are classified.

    Exit code: 0 all well, 3 some files unreadable, 2 wrong use.

    Args:
        model: a model file, the folder of a run, or an exported file; or a network with ImageNet weights, such as
            efficientnet_lite0, or resnet50.a1_in1k for other weights than its default ones (hubel models NAME lists
            them).
        sources: images, folders, patterns; "-" is standard input: an image, or paths one a line.
        top: number of classes to print for each image.
        json: one JSON list.
        jsonl: one JSON object a line, as they are found.
        csv: a table with a header, as they are found.
        output: a file that ends in .jsonl, .csv or .parquet, for any number of images. It appears when it is whole;
            until then the rows are in FILE.partial.
        resume: go on with --output where it stopped; begin it if there is nothing yet.
        shard: I/N predicts the I-th of N parts of the images, 1/3, 2/3 and 3/3 together all: for several machines.
        engine: what runs an exported file: auto, openvino or onnxruntime; or ray, which runs any model on all machines
            of a Ray cluster.
        device: cpu, cuda, mps or auto.
        tta: average the scores over each image, its mirror image and its centre (grey: over small shifts of it).
        debug_decode: add each image's width, height, mode (as stored in the file) and rgb_mean (mean of the decoded
            pixels, 0 to 255).
    """
    import sys

    from hubel.cli.prediction_formats import FORMATS
    from hubel.core.errors import OptionError
    from hubel.core.progress import say
    from hubel.data.inputs import collect
    from hubel.inference import bulk

    flags = {"json": json, "jsonl": jsonl, "csv": csv, "output": output is not None}
    chosen = [name for name, wanted in flags.items() if wanted]
    if len(chosen) > 1:
        raise OptionError(f"choose one of --{' and --'.join(chosen)}")
    if not sources:
        raise OptionError("name the images: hubel predict MODEL IMAGE...")
    job = bulk.Job(model, top=top, device=device, tta=tta, engine=engine, decoded=debug_decode, shard=shard)
    if resume and output is None:
        raise OptionError("--resume goes on with a file: give --output FILE, too")
    if output is not None and bulk.is_finished(output, resume=resume):
        say(f"{output} is finished already")
        return 0
    classifier = job.load()
    inputs = job.share(collect(sources, sys.stdin.buffer))
    if output is not None:
        return _told(bulk.write(job, classifier, inputs, output, resume=resume), len(inputs), output)
    unreadable = 0

    def rows() -> Iterator[Row]:
        nonlocal unreadable
        found = bulk.answers(job, classifier, inputs)
        # Lines that are printed as they are found are progress enough, and a bar would be drawn across them.
        quiet = sys.stdout.isatty() and (jsonl or csv)
        for row in found if quiet else bulk.watched(found, len(inputs)):
            unreadable += row["error"] is not None
            yield row

    FORMATS[chosen[0] if chosen else "table"](rows(), job.layout(classifier))
    return 3 if unreadable else 0


def _told(summary: Summary, images: int, output: Path) -> int:
    """The last line of a prediction into a file; the exit code of the command."""
    from hubel.core.progress import counted, say

    if summary.stopped_by:
        say(f"stopped after {summary.images:,} of {counted(images, 'image')}; go on by the same command with --resume")
        return 128 + summary.stopped_by
    facts = [counted(summary.images, "image"), f"{summary.unreadable:,} unreadable"]
    if summary.images_per_second:  # not where all rows were there, and only the file was not
        facts.append(f"{summary.images_per_second:,.1f} images/s")
    say(f"{', '.join(facts)}: {output}")
    return 3 if summary.unreadable else 0
