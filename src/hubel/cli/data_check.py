"""`hubel data check`."""

from __future__ import annotations

from pathlib import Path

from hubel.cli.data_flags import Root, rooted
from hubel.cli.printing import print_json, print_line, print_notes

_SHOWN = 10  # suspects, and outliers; the page shows more, the table lists all
EXAMPLES = (
    "hubel data check PHOTOS",
    "hubel data check PHOTOS --model runs/PHOTOS-efficientnet_lite0-1",
    "hubel data check photos.csv --json > found.json",
)


def check(
    source: str,
    /,
    *,
    model: str = "efficientnet_lite0",
    root: Root = None,
    out: Path | None = None,
    device: str = "auto",
    json: bool = False,
) -> int:
    """Find probable label errors, duplicates and outliers in a dataset.

    The data is not changed. A page shows the findings, and a table lists every image.

    Args:
        source: labelled images, as for hubel train.
        model: a model file, the folder of a run, or a pretrained network by its name, as for hubel predict; its
            features are compared. A model that was trained on these images has fitted their wrong labels, too.
        root: folder that the paths of a table start at.
        out: folder for the page and the table; runs/check-DATA-1, -2, ... if not given.
        device: cpu, cuda, mps or auto.
        json: print the results as JSON instead of tables.
    """
    from hubel.audit.data_check import check_dataset
    from hubel.cli.tables import print_table
    from hubel.core.progress import counted
    from hubel.inference.predictor import load_predictor

    found = check_dataset(rooted(source, root), load_predictor(model, device=device), out)
    if json:
        print_json(found.to_json())
        return 0
    print_notes(found.notes)
    suspects = found.suspects()
    if suspects:
        first = suspects[:_SHOWN]
        rows = [(s.path, s.label, f"{s.label_probability:.1%}", s.guess, f"{s.guess_probability:.1%}") for s in first]
        title = f"{counted(len(suspects), 'label')} may be wrong; the most suspicious:"
        print_table(["image", "label", "p(label)", "prediction", "p(prediction)"], rows, title=title)
    print_table(["", counted(len(found), "image")], found.summary())
    for path, deviations in found.farthest()[:_SHOWN]:
        print_line(f"outlier  {path} ({deviations:.1f} deviations)")
    print_line(f"page   {found.page}")
    print_line(f"table  {found.table}")
    return 0
