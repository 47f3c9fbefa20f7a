"""`hubel weights convert`."""

from __future__ import annotations

from pathlib import Path

from hubel.cli.printing import print_line

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
    """Convert weights of torchvision, timm and other libraries to a model file.

    Args:
        file: a .pth, .pt, .bin or .safetensors file; code in it is never run.
        model: name of the network; hubel models lists them.
        options: options of the network, such as --options.norm_eps 0.001.
        classes: text file with one class name per line; if not given, ImageNet's names for 1,000 classes, numbers for
            any other count.
        out: model file to write; FILE with the suffix .safetensors, beside it, if not given.
    """
    from hubel.core.shell import shell_command
    from hubel.weights.convert import convert_file

    converted = convert_file(file, model, options=options, classes=classes, out=out)
    card, row = converted.card, converted.row
    print_line(f"{card.model}, {len(card.classes):,} classes, input {card.preprocess.height}x{card.preprocess.width}")
    if row:
        print_line(f"recognised as the weights {row.tag!r}, licence {row.licence}")
    else:
        print("not in the catalogue of weights: ImageNet's usual preprocessing is assumed")
    print_line(f"model   {converted.path}")
    print_line(f"use it  {shell_command('hubel', 'predict', converted.path, 'IMAGE...')}")
    return 0
