"""`hubel weights convert`."""

from __future__ import annotations

from pathlib import Path

EXAMPLES = (
    "hubel weights convert resnet50-11ad3fa6.pth --model resnet50",
    "hubel weights convert mine.pth --model resnet20 --classes names.txt --out mine.safetensors",
)


def convert(
    file: Path,
    /,
    *,
    model: str,
    options: dict[str, str] = {},  # noqa: B006
    classes: Path | None = None,
    out: Path | None = None,
) -> int:
    """Convert weights of torchvision, timm or others to a model file.

    Args:
        file: a .pth, .pt, .bin or .safetensors file; one of torch's is opened without running any code in it.
        model: the network; hubel models lists them.
        options: of the network, such as --options.norm_eps 0.001.
        classes: a text file with the name of a class in each line; ImageNet's names for 1,000 classes, numbers for
            others, if not given.
        out: the model file; FILE with the ending .safetensors, beside it, if not given.
    """
    from hubel.core.shell import shell_command
    from hubel.weights.convert import convert_file

    converted = convert_file(file, model, options=options, classes=classes, out=out)
    card, row = converted.card, converted.row
    print(f"{card.model}, {len(card.classes):,} classes, input {card.preprocess.height}x{card.preprocess.width}")
    if row:
        print(f"these are the weights {row.tag!r}, licence {row.licence}")
    else:
        print("not in the catalogue of weights: the preprocessing is assumed to be the usual one of ImageNet")
    print(f"model   {converted.path}")
    print(f"use it  {shell_command('hubel', 'predict', converted.path, 'IMAGE...')}")
    return 0
