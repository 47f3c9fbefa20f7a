"""`hubel embed`."""

from __future__ import annotations

from pathlib import Path

EXAMPLES = (
    "hubel embed efficientnet_lite0 PHOTOS",
    "hubel embed runs/PHOTOS-efficientnet_lite0-1 PHOTOS --layer stage2",
)


def embed(model: str, data: str, /, *, layer: str | None = None, out: Path | None = None, device: str = "auto") -> int:
    """Embed all images of a dataset: PCA and t-SNE of a network's features, coloured by class.

    Args:
        model: a model file, or the folder of a run; or a network with ImageNet weights, as in hubel predict.
        data: labelled images, as for hubel train; the classes need not be the model's.
        layer: whose maps are pooled to features, such as stage3; the last one's if not given.
        out: folder for the picture and the table (CSV); runs/embed-MODEL-1, -2, ... if not given.
        device: cpu, cuda, mps or auto.
    """
    from hubel.cli.results import print_pictures
    from hubel.explain.output import write_embedding
    from hubel.inference.predictor import load_predictor

    return print_pictures(write_embedding(load_predictor(model, device=device), data, out, layer=layer))
