"""The loaders that people write, as peers of hubel's: each prints images a second, measured from its second batch on.

JPEG files to normalised float32 batches `(32, 3, 224, 224)`: a crop of 8 to 100 % of the area in a shape of 3:4 to 4:3,
mirrored for half of the images, scaled by mean and deviation. A DataLoader with two workers, or hubel's two threads.
Run: python benchmarks/peers/feeding_peers.py NAME FOLDER SECONDS   (FOLDER has CLASS/*.jpg)
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from plain_transfer import import_torchvision

SIDE, BATCH, WORKERS = 224, 32, 2
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
AREA, SHAPE = (0.08, 1.0), (3 / 4, 4 / 3)


def loader(data: Any) -> Callable[[], Iterable[Any]]:
    from torch.utils.data import DataLoader

    made = DataLoader(data, BATCH, shuffle=True, num_workers=WORKERS, drop_last=True, persistent_workers=True)
    return lambda: made


def torchvision(folder: str) -> Callable[[], Iterable[Any]]:
    import torch

    import_torchvision()
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    change = v2.Compose([
        v2.RandomResizedCrop(SIDE, scale=AREA, ratio=SHAPE), v2.RandomHorizontalFlip(), v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD),
    ])  # fmt: skip
    return loader(ImageFolder(folder, change))


def albumentations(folder: str) -> Callable[[], Iterable[Any]]:
    return loader(WithOpenCV(folder))


class WithOpenCV:
    """Files read by OpenCV and changed by albumentations. A class, since workers may be started by pickling."""

    def __init__(self, folder: str) -> None:
        import albumentations as a
        from albumentations.pytorch import ToTensorV2

        self.files = sorted(map(str, Path(folder).glob("*/*.jpg")))
        self.change = a.Compose([
            a.RandomResizedCrop((SIDE, SIDE), scale=AREA, ratio=SHAPE), a.HorizontalFlip(),
            a.Normalize(MEAN, STD), ToTensorV2(),
        ])  # fmt: skip

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> Any:
        import cv2

        cv2.setNumThreads(0)
        picture = cv2.cvtColor(cv2.imread(self.files[i]), cv2.COLOR_BGR2RGB)
        return self.change(image=picture)["image"], 0


def timm(folder: str) -> Callable[[], Iterable[Any]]:
    import_torchvision()
    from timm.data import create_dataset, create_loader

    made = create_loader(
        create_dataset("", root=folder), (3, SIDE, SIDE), BATCH, is_training=True, use_prefetcher=False, hflip=0.5,
        color_jitter=0, auto_augment=None, interpolation="bilinear", mean=MEAN, std=STD, num_workers=WORKERS,
        scale=AREA, ratio=SHAPE,
    )  # fmt: skip
    return lambda: made


def hubel(folder: str, name: str = "", keep: str = "off") -> Callable[[], Iterable[Any]]:
    from hubel.core.process import tune_process

    tune_process()  # as the command does
    import numpy as np

    from hubel.data.augment import POLICIES, Policy
    from hubel.data.dataset import open_dataset
    from hubel.data.preprocess import Preprocess

    preprocess = Preprocess(SIDE, SIDE, mean=MEAN, std=STD)
    images = open_dataset(folder).images(preprocess, threads=WORKERS, cache=keep)
    what = POLICIES[name] if name else Policy(mirror=True, crop=AREA[0], aspect=SHAPE[1])
    numbers = iter(range(10**9))

    def epoch() -> Iterator[Any]:
        for batch in images.epoch(0, next(numbers), BATCH, what):
            yield images.network_input(np.asarray(batch.pixels)), batch.positions

    if keep != "off":
        list(epoch())  # the epoch that decodes
    return epoch


WAYS: dict[str, Callable[[str], Callable[[], Iterable[Any]]]] = {
    "torchvision": torchvision,
    "albumentations": albumentations,
    "timm": timm,
    "hubel": hubel,
    "hubel kept standard": lambda folder: hubel(folder, "standard", "ram"),
    "hubel kept": lambda folder: hubel(folder, "", "ram"),
}


def main() -> None:
    import torch

    name, folder, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    torch.set_num_threads(1 if name == "hubel" else torch.get_num_threads())
    epoch = WAYS[name](folder)
    done, started = 0, 0.0
    while not started or time.perf_counter() - started < seconds:
        for images, _ in epoch():
            if started:
                done += len(images)
                if time.perf_counter() - started >= seconds:
                    break
            else:
                assert tuple(images.shape) == (len(images), 3, SIDE, SIDE)
                assert images.dtype == torch.float32
                started = time.perf_counter()
    print(json.dumps(done / (time.perf_counter() - started)))


if __name__ == "__main__":
    main()
