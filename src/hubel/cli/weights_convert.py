"""`hubel weights convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from hubel.cli.data_flags import Root, rooted
from hubel.cli.printing import print_line

EXAMPLES = (
    "hubel weights convert resnet50-11ad3fa6.pth --model resnet50",
    "hubel weights convert mine.pth --model resnet20 --classes names.txt --check PHOTOS",
    "hubel weights convert mine.pth --model resnet20 --preprocess cifar10 --out mine.safetensors",
    "hubel weights convert mine.pth --model resnet18 --mean 0.5 --std 0.25 --resize crop --crop 0.95",
)


def convert(
    file: Path,
    /,
    *,
    model: str,
    options: dict[str, str] = {},  # noqa: B006
    classes: Path | None = None,
    out: Path | None = None,
    preprocess: str | None = None,
    mean: str | None = None,
    std: str | None = None,
    resize: Literal["squash", "pad", "crop"] | None = None,
    crop: float | None = None,
    interpolation: Literal["bilinear", "bicubic"] | None = None,
    check: str | None = None,
    root: Root = None,
) -> int:
    """Convert weights of torchvision, timm and other libraries to a model file.

    Args:
        file: a .pth, .pt, .bin or .safetensors file; code in it is never run.
        model: name of the network; hubel models lists them.
        options: options of the network, such as --options.norm_eps 0.001.
        classes: text file with one class name per line; if not given, ImageNet's names for 1,000 classes, numbers for
            any other count.
        out: model file to write; FILE with the suffix .safetensors, beside it, if not given.
        preprocess: mean and standard deviation by name: imagenet, cifar10, cifar10_by_image, inception or unit.
        mean: of the colours that the weights were trained with, from 0 to 1: 0.485,0.456,0.406, or one for all.
        std: standard deviation of these colours, from 0 to 1.
        resize: squash, pad or crop. If not given, networks for images of up to 64 pixels see them whole, others the
            centre of each.
        crop: share of the shorter side that crop keeps; 0.875 if not given, 1 for images of up to 64 pixels.
        interpolation: bilinear or bicubic; bilinear if not given.
        check: labelled images, 300 of which are classified with each likely preprocessing; the best is taken.
        root: folder that the paths of a table start at.
    """
    from hubel.cli.tables import print_table
    from hubel.core.shell import shell_command
    from hubel.weights.convert import convert_file
    from hubel.weights.preprocessings import PreprocessRequest

    request = PreprocessRequest(
        preset=preprocess,
        mean=_numbers("--mean", mean),
        std=_numbers("--std", std),
        resize=resize,
        crop=crop,
        interpolation=interpolation,
    )
    known = None if request == PreprocessRequest() else request
    converted = convert_file(
        file, model, options=options, classes=classes, out=out, request=known, check=check and rooted(check, root)
    )
    card, row = converted.card, converted.row
    print_line(f"{card.model}, {len(card.classes):,} classes, input {card.preprocess.height}x{card.preprocess.width}")
    if row:
        print_line(f"recognised as the weights {row.tag!r}, licence {row.licence}")
    if converted.measured:
        print_table(
            ["colours", "resize", "crop", "accuracy", "loss", ""],
            [
                [m.colours, m.preprocess.resize, f"{m.preprocess.crop:g}", f"{m.accuracy:.1%}", f"{m.loss:.3f}", mark]
                for m, mark in zip(converted.measured, ["chosen"] + [""] * len(converted.measured), strict=False)
            ],
        )
    elif known is None and row is None:
        print("assumed, as the file does not say it; --check PHOTOS measures what fits:")
    p = card.preprocess
    shown = "the whole image" if p.resize == "squash" else f"resize {p.resize}, crop {p.crop:g}"
    numbers = "; ".join(f"{name} {' '.join(f'{v:.4g}' for v in vs)}" for name, vs in (("mean", p.mean), ("std", p.std)))
    print_line(f"colours {converted.colours} ({numbers}), {shown}, {p.interpolation}")
    print_line(f"model   {converted.path}")
    print_line(f"use it  {shell_command('hubel', 'predict', converted.path, 'IMAGE...')}")
    return 0


def _numbers(flag: str, text: str | None) -> tuple[float, ...] | None:
    from hubel.core.errors import OptionError

    try:
        return tuple(map(float, text.split(","))) if text is not None else None
    except ValueError:
        raise OptionError(f"{flag} is a number, or one a channel such as 0.485,0.456,0.406, not {text!r}") from None
