"""`hubel drift`."""

from __future__ import annotations

from hubel.cli.data_flags import Root
from hubel.cli.printing import print_json, print_line, print_notes

EXAMPLES = (
    "hubel drift runs/PHOTOS-efficientnet_lite0-1 new-photos",
    "hubel drift model.onnx new-photos --strict",
    "hubel drift old-model.safetensors new-photos --data PHOTOS",
)


def drift(
    model: str,
    images: str,
    /,
    *,
    data: str | None = None,
    root: Root = None,
    alpha: float = 0.05,
    most: int = 1000,
    strict: bool = False,
    seed: int = 0,
    device: str = "auto",
    engine: str = "auto",
    json: bool = False,
) -> int:
    """Compare new photos with those that a model was trained on, and name what differs.

    Test the network's features, the predicted classes, and simple causes: brightness, contrast, sharpness, noise,
    colour, size, shape, compression and format of the files. Labels are not needed.

    Exit codes: 0 compared, 2 wrong usage, 3 some files could not be read, 4 with --strict if the photos differ.

    Args:
        model: a model file, the folder of a run, or an exported file.
        images: the new photos: a folder, pattern or table of paths; 50 tell the most common changes, 10 are the least.
        data: the training's photos, for a model that keeps no statistics of them (of hubel 0.1, or of another program).
        root: folder that the paths of a table start at.
        alpha: chance that photos like the training's are said to differ, over all tests together.
        most: most photos to measure, 10 to 4,000, selected by the seed.
        strict: return exit code 4 if the photos differ.
        seed: seed of the selection and of the permutation tests.
        device: cpu, cuda, mps or auto, for models that are not exported.
        engine: engine for exported files: openvino, onnxruntime, or auto for the faster one.
        json: print the results as JSON instead of a table.
    """
    from hubel.audit.drifting.compare import drift as compare
    from hubel.cli.tables import print_table
    from hubel.core.progress import say
    from hubel.data.inputs import with_root

    photos, known = with_root([images, data or ""], root)
    found = compare(model, photos, data=known or None, alpha=alpha, most=most, seed=seed, device=device, engine=engine)
    for problem in found.unreadable:
        say(f"unreadable: {problem.name}: {problem.reason}")
    if json:
        print_json(found.to_json())
    else:
        print_notes(found.notes)
        print_table(["", "training", "new", "effect", "p", "p adjusted"], found.rows())
        print_line(found.headline())
    if strict and found.differs:
        return 4
    return 3 if found.unreadable else 0
