"""Trees on aerial photos: learned from two of four photos, and measured on the other two.

The four photos with 951 boxes come with PyPI's deepforest 2.1.0 (Weinstein et al. 2019, doi:10.3390/rs11111309; NEON):
    pip download --no-deps deepforest==2.1.0 && unzip deepforest-*.whl 'deepforest/data/*'
Photos are cut into tiles of at most 320 pixels, with the trees at least half of which a tile shows. 611 trees of two
photos teach, 340 of the others measure. Three numbers beside each other: the AP50 after training, after training from
random weights (the same minutes), and of a head that has learned nothing on the pretrained trunk (a rate of 1e-30).

Claim: the first exceeds the second, and the second the third.
Run: python benchmarks/trees.py --data FOLDER [--minutes 5] [--threads 2] [--seed 0] [--size HxW]
FOLDER holds the .png and .xml files.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from hubel import train

TILE, LEAST_INSIDE = 320, 0.5
PHOTOS = {
    "train": ("2019_YELL_2_528000_4978000_image_crop2", "SOAP_061"),
    "test": ("2019_YELL_2_541000_4977000_image_crop", "OSBS_029"),
}
RUNS: dict[str, dict[str, Any]] = {
    "trained": {},
    "trained from random weights": {"weights": "none"},
    "an untrained head": {"epochs": 1, "lr": 1e-30},
}


def tiles(side: int) -> list[int]:
    """Return where tiles of a side start: evenly, the last one at the end."""
    number = math.ceil(side / TILE)
    return np.linspace(0, max(0, side - TILE), number).round().astype(int).tolist()


def cut(data: Path, folder: Path) -> Path:
    """Write the tiles of all photos, with an annotation file for each split."""
    (folder / "images").mkdir(parents=True)
    for split, names in PHOTOS.items():
        images: list[dict[str, Any]] = []
        trees: list[dict[str, Any]] = []
        for name in names:
            photo = Image.open(data / f"{name}.png").convert("RGB")
            marked = ElementTree.parse(data / f"{name}.xml").iter("bndbox")
            boxes = np.array(
                [[float(one.findtext(side) or 0) for side in ("xmin", "ymin", "xmax", "ymax")] for one in marked]
            )
            for top in tiles(photo.height):
                for left in tiles(photo.width):
                    file = f"{name}_{top}_{left}.png"
                    tile = photo.crop((left, top, min(left + TILE, photo.width), min(top + TILE, photo.height)))
                    tile.save(folder / "images" / file)
                    images.append({"id": len(images), "file_name": file, "width": tile.width, "height": tile.height})
                    inside = np.clip(boxes - (left, top, left, top), 0, (tile.width, tile.height) * 2)
                    shares = np.prod(inside[:, 2:] - inside[:, :2], 1) / np.prod(boxes[:, 2:] - boxes[:, :2], 1)
                    for x0, y0, x1, y1 in inside[shares >= LEAST_INSIDE].tolist():
                        box = [x0, y0, x1 - x0, y1 - y0]
                        tree = {"id": len(trees) + 1, "image_id": images[-1]["id"], "category_id": 1, "bbox": box}
                        trees.append(tree | {"area": box[2] * box[3], "iscrowd": 0})
        table = {"images": images, "annotations": trees, "categories": [{"id": 1, "name": "tree"}]}
        (folder / f"{split}.json").write_text(json.dumps(table))
        print(f"{split}: {len(images)} tiles, {len(trees)} boxes")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = cut(given.data, Path(folder) / "trees")
        wanted = {"threads": given.threads, "size": given.size}
        fixed = {"task": "detect", "max_minutes": given.minutes, "seed": given.seed}
        fixed |= {name: value for name, value in wanted.items() if value}
        for number, (name, changes) in enumerate(RUNS.items()):
            run = train(str(data), fixed | changes, out=Path(folder) / str(number))
            measured = run.evaluation.to_json()
            print(f"{name}: AP50 {measured['ap50']:.3f}, AP {measured['ap']:.3f}", flush=True)


if __name__ == "__main__":
    main()
