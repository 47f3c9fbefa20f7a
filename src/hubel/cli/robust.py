"""`hubel robust`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from hubel.cli.data_flags import Root, rooted
from hubel.cli.printing import print_json, print_line, print_notes

EXAMPLES = (
    "hubel robust runs/PHOTOS-efficientnet_lite0-1 PHOTOS",
    "hubel robust runs/PHOTOS-efficientnet_lite0-1 PHOTOS --quick",
    "hubel robust runs/PHOTOS-efficientnet_lite0-1 PHOTOS --only rotation,turn",
    "hubel robust runs/PHOTOS-efficientnet_lite0-1 PHOTOS --baseline runs/PHOTOS-linear-1",
)


def robust(
    model: str,
    data: str,
    /,
    *,
    baseline: str | None = None,
    only: str = "",
    split: Literal["auto", "train", "val", "test", "all"] = "auto",
    images: int | None = None,
    quick: bool = False,
    seed: int = 0,
    root: Root = None,
    out: Path | None = None,
    device: str = "auto",
    json: bool = False,
) -> int:
    """Measure a model's robustness to noise, blur, weather, compression, shifts, crops, rotations and turns.

    Apply the 15 corruptions of ImageNet-C at 5 severities, and simple corruptions with strengths in plain units.

    Args:
        model: a model file, the folder of a run, or a pretrained network by its name, as for hubel predict.
        data: labelled images, as for hubel train.
        baseline: another model to compare with on the same images (first / baseline).
        only: corruptions to apply, such as shift,rotation,fog; all if not given. A turn is a
            rotation by 60 to 180 degrees, upside down at the end.
        split: split of the images, as for hubel evaluate.
        images: largest number of images; 1,000 if not given, or 100 with --quick.
        quick: use fewer images, and three strengths of each corruption instead of five.
        seed: seed of the selection of images and of the corruptions.
        root: folder that the paths of a table start at.
        out: folder for the results and curves; runs/robust-DATA-1, -2, ... if not given.
        device: cpu, cuda, mps or auto.
        json: print the results as JSON instead of tables.
    """
    from hubel.audit.robustness.run import robustness_files, robustness_json
    from hubel.cli.tables import print_table
    from hubel.metrics.tables import percent

    found = robustness_files(
        model,
        rooted(data, root),
        baseline=baseline,
        only=[name.strip() for name in only.split(",") if name.strip()],
        split=split,
        images=images,
        quick=quick,
        seed=seed,
        out=out,
        device=device,
    )
    if json:
        print_json(robustness_json(found))
        return 0
    print_notes(found.notes)
    first = found.results[0]
    severities = ["1", "3", "5"] if quick else list("12345")
    for title, simple in (("accuracy (%) at severity", False), ("accuracy (%) at strength", True)):
        if rows := found.rows(simple=simple):
            print_table([title, *severities], rows)
    clean = [(f"clean accuracy of {result.model}", f"{percent(result.clean, 2)}%") for result in found.results]
    means = [(name, "-" if value is None else f"{100 * value:.2f}%") for name, value in found.means.items()]
    print_table(["", str(found.folder)], [*clean, *means, (f"{found.split} images", f"{first.n:,}")])
    print_line(f"curves  {found.folder / 'robustness.png'}")
    return 0
