"""Street scenes of CamVid, a class for each pixel, after one command, beside another library's U-Net.

Claim: trained on the 367 images of `train` for at most 40 minutes on 2 cores, the mean IoU of the 11 classes on the
101 of `val` is at least 0.62, and at least that of `segmentation_models_pytorch.Unet` on the same encoder with the
same pretrained weights, trained for the same minutes.

The peer is trained as its own CamVid example does: its default decoder, Dice loss, Adam at 2e-4 with a cosine to zero,
mirrored and rescaled crops; batches of 8, and as many epochs as the time allows, found from the first one. Run each by
itself (`--only`), as both use all threads.
Needs segmentation-models-pytorch and timm, both with --no-deps.
Run: python benchmarks/camvid.py --data camvid [--minutes 40] [--threads 2] [--only hubel|peer] [--size 352x480]
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hubel import train
from hubel.metrics.segmentation import measure_segmentation, pixel_confusion
from hubel.weights.pretrained import fetch_weights, find_weights
from hubel.weights.weight_file import read_weights

CLASSES = ["sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "cyclist"]
VOID, BATCH, LR = 11, 8, 2e-4


def ours(data: Path, minutes: float, threads: int, size: str) -> tuple[float, list[float]]:
    """Train by one call, and return mean IoU and the IoU of each class."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = {"void": VOID, "max_minutes": minutes, "threads": threads, **({"size": size} if size else {})}
        metrics = train(str(data), recipe, out=Path(folder) / "run").evaluation.to_json()
    return metrics["mean_iou"], [row["iou"] for row in metrics["per_class"]]


def peer(data: Path, minutes: float, size: tuple[int, int]) -> tuple[float, list[float]]:
    """Train the peer's network, and return mean IoU and the IoU of each class."""
    started = time.monotonic()
    network, loss = peer_network()
    images, masks = read(data / "train")
    optimizer = torch.optim.Adam(network.parameters(), LR)
    rng = np.random.default_rng(0)
    epochs, epoch, steps = 1, 0, len(images) // BATCH
    while epoch < epochs:
        network.train()
        order = rng.permutation(len(images))[: steps * BATCH].reshape(steps, BATCH)
        for step, rows in enumerate(order):
            drawn = [augmented(images[i], masks[i], size, rng) for i in rows]
            x, y = pixels([image for image, _ in drawn]), torch.from_numpy(np.stack([mask for _, mask in drawn]))
            done = (epoch + step / steps) / max(2, epochs)
            optimizer.param_groups[0]["lr"] = LR * (1 + math.cos(math.pi * done)) / 2
            optimizer.zero_grad()
            loss(network(x), y.long()).backward()
            optimizer.step()
        epoch += 1
        if epoch == 1:
            epochs = max(1, int(minutes * 60 / (time.monotonic() - started)) - 1)  # one less, for the measurement
        print(f"peer: epoch {epoch} of {epochs}, {(time.monotonic() - started) / 60:.1f} minutes", flush=True)
    return measured(network.eval(), data / "val", size)


def peer_network() -> tuple[nn.Module, Any]:
    """Return the peer's U-Net with the encoder's ImageNet weights, and the loss of its example."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    import peers

    peers.timm()  # torchvision's compiled part, which it asks for, loads beside its own build of torch only
    import segmentation_models_pytorch as smp

    network: nn.Module = smp.Unet("tu-tf_efficientnet_lite0", encoder_weights=None, classes=len(CLASSES))
    # The encoder and the file of weights name the same layers differently, and list them in the same order.
    encoder = {name: value for name, value in network.encoder.state_dict().items() if "num_batches" not in name}
    file = read_weights(fetch_weights(find_weights("efficientnet_lite0", "default")))
    values = [value for name, value in file.items() if "num_batches" not in name][: len(encoder)]
    assert [value.shape for value in values] == [value.shape for value in encoder.values()]
    network.encoder.load_state_dict(dict(zip(encoder, values, strict=True)), strict=False)
    return network.to(memory_format=torch.channels_last), smp.losses.DiceLoss("multiclass", ignore_index=VOID)


def read(folder: Path) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    paths = sorted((folder / "images").glob("*.jpg"))
    images = [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in paths]
    masks = [cv2.imread(str(folder / "masks" / f"{path.stem}.png"), cv2.IMREAD_UNCHANGED) for path in paths]
    return images, masks


def augmented(image: Any, mask: Any, size: tuple[int, int], rng: np.random.Generator) -> tuple[Any, Any]:
    """Return a crop of 0.5 to 1 of each side, mirrored or not, at the input's size `(height, width)`."""
    height, width = mask.shape
    share = rng.uniform(0.5, 1)
    h, w = int(height * share), int(width * share)
    top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
    image, mask = image[top : top + h, left : left + w], mask[top : top + h, left : left + w]
    if rng.random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    to = size[::-1]
    return cv2.resize(image, to), cv2.resize(np.ascontiguousarray(mask), to, interpolation=cv2.INTER_NEAREST)


def pixels(images: list[Any]) -> torch.Tensor:
    x = (torch.from_numpy(np.stack(images)).float() - 127) / 128  # as the encoder was trained
    return x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def measured(network: nn.Module, folder: Path, size: tuple[int, int]) -> tuple[float, list[float]]:
    confusions = []
    with torch.inference_mode():
        for image, mask in zip(*read(folder), strict=True):
            logits = network(pixels([cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)]))
            scores = nn.functional.interpolate(logits, mask.shape, mode="bilinear")
            truth = np.where(mask == VOID, 255, mask).astype(np.uint8)
            confusions.append(pixel_confusion(scores.argmax(1)[0].numpy().astype(np.uint8), truth, len(CLASSES)))
    found = measure_segmentation(np.stack(confusions), CLASSES)
    return found.mean_iou, found.iou.tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=("hubel", "peer"))
    parser.add_argument("--size", default="")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    height, width = (int(side) for side in (given.size or "352x480").split("x"))
    for name in ("hubel", "peer"):
        if given.only in (None, name):
            started = time.monotonic()
            mean, of_class = (
                ours(given.data, given.minutes, given.threads, given.size)
                if name == "hubel"
                else peer(given.data, given.minutes, (height, width))
            )
            each = ", ".join(f"{c} {iou:.2f}" for c, iou in zip(CLASSES, of_class, strict=True))
            print(f"{name}: mean IoU {mean:.3f} after {(time.monotonic() - started) / 60:.1f} minutes; {each}")


if __name__ == "__main__":
    main()
