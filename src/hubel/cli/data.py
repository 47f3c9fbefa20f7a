"""`hubel data`, `hubel data check` and `hubel data preview`."""

from __future__ import annotations

from pathlib import Path

from hubel.cli.settings import RecipeFlags

_SHOWN = 10  # suspects, and outliers; the page shows more, the table all


def data(source: str, /, *, unreadable: bool = False) -> int:
    """Look at a data set: classes, sizes, splits, files that cannot be read. Nothing of it is changed.

    Args:
        source: labelled images, as for hubel train.
        unreadable: print only the files that cannot be read, one a line, with the reason after a tab.
    """
    import numpy as np

    from hubel.cli.show import table
    from hubel.data.index import scan
    from hubel.data.sources import open_source
    from hubel.data.sources.listing import SPLITS, natural_key

    index = scan(open_source(source))
    if unreadable:
        for path, reason in index.unreadable():
            print(f"{path}\t{reason}")
        return 0
    rows = index.usable()
    present = [code for code in range(len(SPLITS)) if (index.split[rows] == code).any()]
    counts = {
        code: np.bincount(index.label[rows[index.split[rows] == code]], minlength=len(index.labels)) for code in present
    }
    order = sorted(range(len(index.labels)), key=lambda code: natural_key(index.labels[code]))
    body = [(index.labels[i], *(f"{counts[code][i]:,}" for code in present)) for i in order]
    total = ("all", *(f"{counts[code].sum():,}" for code in present))
    table(["class", *(SPLITS[code] or "images" for code in present)], [*body, total], title=index.name)
    heights, widths = index.height[rows], index.width[rows]
    grey = int((index.channels[rows] == 1).sum())
    print(f"sizes     {widths.min()}x{heights.min()} to {widths.max()}x{heights.max()} pixels (width x height)")
    print(f"colours   {grey:,} grey, {len(rows) - grey:,} in colour")
    for note in index.notes():
        print(note)
    return 0


def check(
    source: str,
    /,
    *,
    model: str = "efficientnet_lite0",
    out: Path | None = None,
    device: str = "auto",
    json: bool = False,
) -> int:
    """Find labels that are probably wrong, pictures that are there twice, and pictures that do not belong.

    The data is not changed: a page shows what was found, and a table lists every image.

    Args:
        source: labelled images, as for hubel train.
        model: whose features tell the classes apart; as in hubel predict. One that was trained on these very images
            has learnt their wrong labels, too.
        out: folder for the page and the table; runs/check-DATA-1, -2, ... if not given.
        device: cpu, cuda, mps or auto.
        json: print what was found as JSON instead of tables.
    """
    import json as json_module

    from hubel.audit.data_check import check_dataset
    from hubel.cli.show import table
    from hubel.core.progress import counted
    from hubel.inference.predictor import load_predictor

    found = check_dataset(source, load_predictor(model, device=device), out)
    if json:
        print(json_module.dumps(found.to_json(), indent=2))
        return 0
    for note in found.notes:
        print(note)
    suspects = found.suspects()
    if suspects:
        first = suspects[:_SHOWN]
        rows = [(s.path, s.label, f"{s.label_probability:.1%}", s.guess, f"{s.guess_probability:.1%}") for s in first]
        title = f"{counted(len(suspects), 'label')} may be wrong; the most suspicious:"
        table(["image", "label", "p(label)", "prediction", "p"], rows, title=title)
    table(["", f"{len(found):,} images"], found.summary())
    for path, deviations in found.farthest()[:_SHOWN]:
        print(f"outlier  {path} ({deviations:.1f} deviations)")
    print(f"page   {found.page}")
    print(f"table  {found.table}")
    return 0


def preview(source: str, /, *, policy: str = "auto", out: Path | None = None, size: int = 0, seed: int = 0) -> int:
    """See what augmentation makes of some images before training: variants of each, and every change alone.

    Args:
        source: images, as for hubel train; they need no labels.
        policy: as --augment of hubel train: none, shift, light, standard, strong, trivialaugment, randaugment, auto, or
            a file of settings that ends in .toml.
        out: the file of the first sheet, FILE.png; the second one is FILE-operations.png.
            runs/preview-DATA-1/augmentation.png, -2, ... if not given.
        size: height and width of the network's input in pixels; 0 is 224 for photos, and their own for small images.
        seed: another seed gives other variants.
    """
    from hubel.data.augment.preview import preview as draw_preview

    made = draw_preview(source, policy, out, size=size, seed=seed)
    for name, value in made.policy.to_json().items():
        print(f"{name:12}{value}")
    print(f"variants    {made.variants}")
    if made.operations is not None:
        print(f"alone       {made.operations}")
    return 0


def bench(
    source: str,
    /,
    *,
    settings: RecipeFlags | None = None,
    seconds: float = 3.0,
    json: bool = False,
) -> int:
    """Time decoding, augmentation and the network by themselves, and say which of them a training waits for.

    Settings are those of hubel train; the network learns with all its weights, whatever it starts from.

    Args:
        source: labelled images, as for hubel train.
        settings: of the recipe.
        seconds: of each measurement.
        json: print the numbers as JSON instead of a table.
    """
    import json as json_module

    from hubel.cli.show import table
    from hubel.training.bottleneck import measure_loading

    found = measure_loading(source, settings.recipe() if settings else None, seconds=seconds)
    if json:
        print(json_module.dumps(found.to_json(), indent=2))
        return 0
    body = [
        ("decode", f"{found.decode:,.0f}", "no larger than needed"),
        ("decode and augment", f"{found.augmented:,.0f}", f"{found.augment}, normalised: a first epoch"),
        ("kept and augment", f"{found.cached:,.0f}", "every later epoch, where decoded images are kept (--cache)"),
        ("the network", f"{found.network:,.0f}", f"{found.model}, steps of all weights, {found.threads} threads"),
    ]
    height, width = found.size
    title = f"{found.images:,} images for an input of {height}x{width}, {found.loading_threads} threads feed"
    table(["", "images/s", "what"], body, title=title)
    print(found.bottleneck)
    return 0
