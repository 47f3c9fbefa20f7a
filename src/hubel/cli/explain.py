"""`hubel explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

EXAMPLES = (
    "hubel explain runs/PHOTOS-efficientnet_lite0-1 photo.jpg",
    "hubel explain efficientnet_lite0 photo.jpg --class goldfish --method layercam",
    "hubel explain efficientnet_lite0 holiday/ --compare",
    "hubel explain model.safetensors photo.jpg --maps",
    "hubel explain model.safetensors photo.jpg --maps --layer stage2.block1",
    "hubel explain model.safetensors photo.jpg --unit stage3:17 --patches PHOTOS",
    "hubel explain model.safetensors --filters",
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
    out: Path | None = None,
    device: str = "auto",
) -> int:
    """Explain predictions and units: class-activation maps, feature maps, filters, patches, class templates.

    Exit code: 0 all well, 3 some files unreadable, 2 wrong use.

    Args:
        model: a model file, or the folder of a run; or a network with ImageNet weights, as in hubel predict.
        images: images, folders, patterns.
        method: gradcam, gradcam++, layercam, eigencam, cam, occlusion, integrated_gradients or smoothgrad.
        class_: the class to explain; for each image the one with the highest score if not given.
        layer: where to look, such as stage3 or stage3.block2; found by itself if not given.
        compare: all methods, with how faithful each one is (insertion, deletion), beside a random map.
        maps: the maps of every stage, or of the layer.
        unit: how much of the image a unit sees, such as stage3:17.
        patches: images of which to show the patches that excite the unit most.
        filters: the first layer's weights, and images that excite units of every stage, or of the layer.
        templates: a template of each class: weights of a linear model, or images that maximise the class's output.
        beside: another model of the same classes, whose templates to show too.
        out: folder for pictures (PNG) and arrays (.npy); runs/explain-MODEL-1, -2, ... if not given.
        device: cpu, cuda, mps or auto.
    """
    from hubel.cli.results import print_pictures
    from hubel.core.errors import OptionError
    from hubel.explain import output
    from hubel.inference.predictor import load_predictor

    wanted = {"compare": compare, "maps": maps, "unit": unit, "filters": filters, "templates": templates}
    chosen = [name for name, value in wanted.items() if value]
    if len(chosen) > 1:
        raise OptionError(f"choose one of --{' and --'.join(chosen)}")
    if not images and not (filters or templates or (unit and patches)):
        raise OptionError("name the images: hubel explain MODEL IMAGE...")
    if patches and not unit:
        raise OptionError("--patches needs a unit to excite, such as --unit stage3:17")
    predictor = load_predictor(model, device=device)
    labels = [class_] if class_ else []
    others = [load_predictor(beside, device=device)] if beside else []
    verbs = {
        "compare": lambda: output.write_comparison(predictor, images, out, label=class_, layer=layer),
        "maps": lambda: output.write_activation_maps(predictor, images, out, layer=layer),
        "unit": lambda: output.write_unit(predictor, images, unit or "", out, patches=patches),
        "filters": lambda: output.write_filters(predictor, out, layer=layer),
        "templates": lambda: output.write_templates([predictor, *others], labels, out),
        "": lambda: output.write_explanations(predictor, images, out, method=method, label=class_, layer=layer),
    }
    return print_pictures(verbs["".join(chosen)]())
