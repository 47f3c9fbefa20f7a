"""`hubel data preview`."""

from __future__ import annotations

from pathlib import Path

EXAMPLES = (
    "hubel data preview PHOTOS",
    "hubel data preview PHOTOS --policy strong --out strong.png",
    "hubel data preview PHOTOS --policy my.toml --size 128",
)


def preview(source: str, /, *, policy: str = "auto", out: Path | None = None, size: int = 0, seed: int = 0) -> int:
    """Draw augmented variants of some images before training, and each operation by itself.

    Args:
        source: images, as for hubel train; they need no labels.
        policy: as --augment of hubel train: none, shift, light, standard, strong, trivialaugment, randaugment, auto, or
            a file of settings that ends in .toml.
        out: the file of the first sheet, FILE.png; the second one is FILE-operations.png.
            runs/preview-DATA-1/augmentation.png, -2, ... if not given.
        size: height and width of the network's input in pixels; 0 is 224 for photos, and their own for small images.
        seed: another seed gives other variants.
    """
    from hubel.data.augment.preview import preview_policy

    result = preview_policy(source, policy, out, size=size, seed=seed)
    for name, value in result.policy.to_json().items():
        print(f"{name:12}{value}")
    print(f"variants    {result.variants}")
    if result.operations is not None:
        print(f"alone       {result.operations}")
    return 0
