"""What a user of timm writes to name the classes on a folder of photos: eager, a DataLoader with 2 workers, batch 32.

Run: python plain_predict.py NETWORK FOLDER OUT.csv [--workers 2] [--batch 32]; prints nothing. Weights are random:
they cost no more and no less time than others.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

OPERATORS = torch.library.Library("torchvision", "DEF")  # which torchvision's compiled part would declare
for name in ("nms", "qnms"):
    OPERATORS.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
import timm  # noqa: E402


class Folder(Dataset):
    """Photos and their numbers."""

    def __init__(self, folder, transform):
        self.paths, self.transform = sorted(Path(folder).rglob("*.jp*g")), transform

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, i):
        with Image.open(self.paths[i]) as image:
            return self.transform(image.convert("RGB")), i


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("network")
    parser.add_argument("folder")
    parser.add_argument("out")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    options = parser.parse_args()
    network = timm.create_model(options.network).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network), is_training=False)
    images = Folder(options.folder, transform)
    with Path(options.out).open("w", newline="") as file, torch.inference_mode():
        rows = csv.writer(file)
        for batch, places in DataLoader(images, options.batch, num_workers=options.workers):
            best, classes = network(batch).softmax(1).topk(5)
            for place, score, number in zip(places.tolist(), best.tolist(), classes.tolist(), strict=True):
                rows.writerow([images.paths[place], *number, *score])


if __name__ == "__main__":
    main()
