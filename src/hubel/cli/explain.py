"""`hubel explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from hubel.cli.data_flags import Root

EXAMPLES = (
    "hubel explain runs/PHOTOS-efficientnet_lite0-1 photo.jpg",
    "hubel explain efficientnet_lite0 photo.jpg --class goldfish --method layercam",
    "hubel explain efficientnet_lite0 holiday/ --compare",
    "hubel explain model.safetensors photo.jpg --maps",
    "hubel explain model.safetensors photo.jpg --maps --layer stage2.block1",
    "hubel explain model.safetensors photo.jpg --unit stage3:17 --patches PHOTOS",
    "hubel explain model.safetensors --filters --format svg --lang ko",
    "hubel explain runs/digits-linear-1 --templates --beside runs/digits-lenet5-1",
)


def explain(
    model: str,
    /,
    *images: str,
    method: str = "gradcam",
    class_: Annotated[str | None, Parameter(name="--class")] = None,
    layer: str | None = None,
    compare: bool = False,
    maps: bool = False,
    unit: str | None = None,
    patches: Path | None = None,
    filters: bool = False,
    templates: bool = False,
    beside: str | None = None,
    root: Root = None,
    out: Path | None = None,
    form: Annotated[Literal["png", "svg", "pdf"], Parameter(name="--format")] = "png",
    lang: Literal["en", "ko"] = "en",
    device: str = "auto",
) -> int:
    """Explain predictions and units: class-activation maps, feature maps, filters, patches, class templates.

    Exit codes: 0 success, 2 wrong usage, 3 some files unreadable.

    Args:
        model: a model file, the folder of a run, or a pretrained network by its name, as for hubel predict.
        images: image files, folders, patterns, tables (CSV, TSV or Parquet) of paths.
        method: gradcam, gradcam++, layercam, eigencam, cam, occlusion, integrated_gradients or smoothgrad.
        class_: class to explain; the class with the highest score of each image if not given.
        layer: layer to explain, such as stage3 or stage3.block2; chosen automatically if not given.
        compare: draw all methods and measure their faithfulness (insertion, deletion), beside a random map.
        maps: draw the activation maps of every stage, or of the layer.
        unit: draw the receptive field of a unit, such as stage3:17.
        patches: folder or table of images to search for the patches that activate the unit most.
        filters: draw the first layer's weights, and images that activate units of every stage, or of the layer.
        templates: draw a template of each class: weights of a linear model, or images that maximise the class's output.
        beside: another model of the same classes, whose templates are drawn beside.
        root: folder that the paths of a table start at.
        out: folder for figures and arrays (.npy); runs/explain-MODEL-1, -2, ... if not given.
        form: file format of the figures.
        lang: language of the figures' captions and legends, which say how to read them.
        device: cpu, cuda, mps or auto.
    """
    from hubel.cli.results import print_figures
    from hubel.core.errors import OptionError
    from hubel.data.inputs import with_root
    from hubel.explain import output
    from hubel.explain.dense_scores import load_explained

    wanted = {"compare": compare, "maps": maps, "unit": unit, "filters": filters, "templates": templates}
    chosen = [name for name, value in wanted.items() if value]
    if len(chosen) > 1:
        raise OptionError(f"choose one of --{' and --'.join(chosen)}")
    if not images and not (filters or templates or (unit and patches)):
        raise OptionError("name the images: hubel explain MODEL IMAGE...")
    if patches and not unit:
        raise OptionError("--patches needs a unit, such as --unit stage3:17")
    predictor = load_explained(model, device=device)
    *shown, searched = with_root([*images, patches or ""], root)
    labels = [class_] if class_ else []
    style = output.FigureStyle(form=form, language=lang)
    others = [load_explained(beside, device=device)] if beside else []
    actions = {
        "compare": lambda: output.write_comparison(predictor, shown, out, label=class_, layer=layer, style=style),
        "maps": lambda: output.write_activation_maps(predictor, shown, out, layer=layer, style=style),
        "unit": lambda: output.write_unit(predictor, shown, unit or "", out, patches=searched or None, style=style),
        "filters": lambda: output.write_filters(predictor, out, layer=layer, style=style),
        "templates": lambda: output.write_templates([predictor, *others], labels, out, style=style),
        "": lambda: output.write_explanations(
            predictor, shown, out, method=method, label=class_, layer=layer, style=style
        ),
    }
    return print_figures(actions["".join(chosen)]())
