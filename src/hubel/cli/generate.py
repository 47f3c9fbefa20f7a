"""`hubel generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hubel.cli.printing import print_line

EXAMPLES = (
    "hubel generate runs/fashion-mnist-cvae-1",
    "hubel generate runs/fashion-mnist-cvae-1 --class sneaker --count 16 --out sneakers.png",
    "hubel generate runs/fashion-mnist-cvae-1 --between coat.png dress.png --count 8",
    "hubel generate runs/fashion-mnist-cgan-1 --count 1000 --images made/",
)


def generate(
    model: str,
    /,
    *,
    class_: Annotated[list[str] | None, Parameter(name="--class", negative="")] = None,
    count: int = 16,
    between: tuple[str, str] | None = None,
    seed: int = 0,
    out: Path | None = None,
    images: Path | None = None,
    device: str = "auto",
) -> int:
    """Make images with a generative model: of random codes, of a class, or from one image to another.

    Args:
        model: a model file, or the folder of a run, that hubel train --task generate has made.
        class_: class of the images; several take turns. Every class in turn if not given; no class with --between.
        count: number of images.
        between: two image files: the images lead from the first to the second, through the codes between theirs.
        seed: of the random codes: the same seed makes the same images.
        out: PNG file for a sheet of the images; generated.png if not given.
        images: folder for the single images, each a PNG file.
        device: cpu, cuda, mps or auto.
    """
    from hubel.inference.generator import generate as make
    from hubel.inference.made_files import image_folder, sheet_file, write_images, write_sheet

    inputs = (model, *(between or ()))
    sheet = sheet_file(out, inputs)
    folder = image_folder(images, inputs)
    made = make(model, label=class_, count=count, between=between, seed=seed, device=device)
    write_sheet(made, sheet)
    print_line(f"sheet   {sheet}")
    if folder is not None:
        write_images(made, folder)
        print_line(f"images  {folder}")
    return 0
