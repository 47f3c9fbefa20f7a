"""`hubel demo`."""

from __future__ import annotations

from pathlib import Path

from hubel.cli.printing import print_line

EXAMPLES = (
    "hubel demo",
    "hubel demo --out my-demo",
)


def demo(*, out: Path | None = None) -> int:
    """Train, evaluate and predict on built-in data, in about two minutes.

    First compare LeNet-5 with two models without convolution on 1,797 real handwritten digits; then train a network
    with two outputs that classifies X and O, and one that finds geometric figures with their boxes.

    Args:
        out: folder for the runs; runs/demo-1, -2, ... if not given.
    """
    from hubel.cli.results import print_training_result
    from hubel.cli.tables import print_table
    from hubel.core.outputs import make_folder, output_folder
    from hubel.core.progress import say
    from hubel.teach.demo import digits_demo, shapes_demo, xo_demo

    folder = make_folder(output_folder(out, verb="demo"), verb="demo", name="demo")
    say("1. Handwritten digits: linear, nearest neighbours, LeNet-5")
    runs, guesses = digits_demo(folder)
    stopped = [run for run in runs if run.stopped_by]
    if stopped:
        return print_training_result(stopped[0])
    rows = [(run.folder.name, f"{run.accuracy:.1%}", f"{60 * run.minutes:.1f} s") for run in runs]
    print_table(["model", "test accuracy", "training"], rows, title="Test digits")
    print_table(["image", "label", "LeNet-5", "score"], guesses, title="Some predictions")
    say("2. X and O: two outputs with independent scores")
    xo = xo_demo(folder)
    if code := print_training_result(xo):
        return code
    say("3. Shapes: the box and the class of each figure")
    shapes = shapes_demo(folder)
    if code := print_training_result(shapes):
        return code
    print()
    print_line(f"Open the report of LeNet-5:  {runs[-1].report}")
    print_line(f"Open that of the shapes:     {shapes.report}")
    return 0
