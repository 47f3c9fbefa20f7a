"""`hubel data preview`."""

from __future__ import annotations

from pathlib import Path

from hubel.cli.data_flags import Root, rooted
from hubel.cli.printing import print_line

EXAMPLES = (
    "hubel data preview PHOTOS",
    "hubel data preview PHOTOS --policy strong --out strong.png",
    "hubel data preview PHOTOS --policy my.toml --size 128",
)


def preview(
    source: str,
    /,
    *,
    policy: str = "auto",
    root: Root = None,
    out: Path | None = None,
    size: int = 0,
    seed: int = 0,
) -> int:
    """Draw augmented variants of a few images, with their boxes, masks and key points, and each operation by itself.

    Args:
        source: images, as for hubel train; labels are not needed.
        policy: augmentation policy, as for hubel train --augment: none, shift, light, standard, strong, scene,
            pose, trivialaugment, randaugment, auto, or a file of settings that ends in .toml.
        root: folder that the paths of a table start at.
        out: PNG file for the variants, FILE.png; the operations are drawn to FILE-operations.png.
            runs/preview-DATA-1/augmentation.png, -2, ... if not given.
        size: height and width of the network's input in pixels; 0 is 224 for photos, and the images' own
            size if they are small.
        seed: seed of the random variants.
    """
    from hubel.data.augment.preview import preview_policy

    sheets = preview_policy(rooted(source, root), policy, out, size=size, seed=seed)
    for name, value in sheets.policy.to_json().items():
        print_line(f"{name:12}{value}")
    print_line(f"variants    {sheets.variants}")
    if sheets.operations is not None:
        print_line(f"operations  {sheets.operations}")
    return 0
