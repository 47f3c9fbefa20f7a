"""`hubel embed`."""

from __future__ import annotations

from pathlib import Path

from hubel.cli.data_flags import Root, rooted

EXAMPLES = (
    "hubel embed efficientnet_lite0 PHOTOS",
    "hubel embed runs/PHOTOS-efficientnet_lite0-1 PHOTOS --layer stage2",
)


def embed(
    model: str,
    data: str,
    /,
    *,
    layer: str | None = None,
    root: Root = None,
    out: Path | None = None,
    device: str = "auto",
) -> int:
    """Embed all images of a dataset and plot the features: PCA and t-SNE, coloured by class.

    Args:
        model: a model file, the folder of a run, or a pretrained network by its name, as for hubel predict.
        data: labelled images, as for hubel train; their classes may differ from the model's.
        layer: layer whose maps are pooled into features, such as stage3; the last one if not given.
        root: folder that the paths of a table start at.
        out: folder for the figure and the table (CSV); runs/embed-MODEL-1, -2, ... if not given.
        device: cpu, cuda, mps or auto.
    """
    from hubel.cli.results import print_figures
    from hubel.explain.output import write_embedding
    from hubel.inference.predictor import load_predictor

    predictor = load_predictor(model, device=device)
    return print_figures(write_embedding(predictor, rooted(data, root), out, layer=layer))
