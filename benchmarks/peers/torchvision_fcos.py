"""torchvision's own detector in its reference loop, as a peer of hubel: FCOS on the same EfficientNet-Lite0.

torchvision.models.detection.FCOS as it is (256 channels, heads of four convolutions, levels P3 to P7) on a
BackboneWithFPN of the trunk and the ImageNet weights that hubel starts from. The loop of torchvision's
references/detection: SGD with momentum 0.9 and weight decay 1e-4, a rate of 0.01 for 16 images a step scaled to the
batch, a linear warm-up, a tenth after 16/26 and after 22/26 of the run, mirror images, frozen batch norms, and the
lower two fifths of the trunk frozen (`trainable_layers=3`). Three things are better than in the reference: images are
decoded once, the run fills its minutes exactly, and the evaluation afterwards is not counted.

Needs torchvision (--no-deps); hubel's suppression of boxes, with its threshold, stands for its compiled one.
Run: python benchmarks/peers/torchvision_fcos.py FOLDER --size 320x384 --minutes 20 [--threads 1] [--batch 8]
FOLDER has train.json and test.json beside images/. Prints last one line of JSON: ap, ap50, epochs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from plain_transfer import import_torchvision
from torch import nn

from hubel.data import Annotation
from hubel.inference import Detections
from hubel.inference.suppression import suppress
from hubel.metrics import measure_detections
from hubel.weights.create import create_model

_TAPS = {"stage3": "0", "stage5": "1", "stage7": "2"}  # strides 8, 16 and 32
_FROZEN = ("stem", "stage1", "stage2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", default="320x384")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--batch", type=int, default=8)
    given = parser.parse_args()
    started = time.monotonic()
    if given.threads:
        torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    height, width = map(int, given.size.split("x"))
    network = detector(height, width)
    photos = read_split(given.folder, "train")
    epochs = train(network, photos, started + 60 * given.minutes, given.batch, started)
    print(f"{epochs:.1f} epochs in {(time.monotonic() - started) / 60:.1f} minutes", flush=True)
    measured = evaluate(network, read_split(given.folder, "test"))
    print(json.dumps({"ap": measured.ap, "ap50": measured.ap50, "epochs": epochs}))


def detector(height: int, width: int) -> nn.Module:
    """Torchvision's FCOS for one class, labelled 0."""
    import_torchvision()
    from torchvision.models.detection import FCOS
    from torchvision.models.detection import fcos as module
    from torchvision.models.detection.backbone_utils import BackboneWithFPN
    from torchvision.ops.feature_pyramid_network import LastLevelP6P7

    module.box_ops.batched_nms = batched_nms
    whole = create_model("efficientnet_lite0", weights="default")
    stages = OrderedDict([("stem", whole.stem)] + [(f"stage{i + 1}", stage) for i, stage in enumerate(whole.stages)])
    for name, stage in stages.items():
        stage.requires_grad_(name not in _FROZEN)
    trunk = nn.Sequential(stages)
    channels = []
    with torch.no_grad():
        x = torch.zeros(1, 3, 64, 64)
        for name, stage in stages.items():
            x = stage.eval()(x)
            channels += [x.shape[1]] if name in _TAPS else []
    for layer in trunk.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.requires_grad_(False)
            layer.train = lambda mode=True, layer=layer: layer  # frozen: its statistics stay those of ImageNet
    pyramid = BackboneWithFPN(trunk, _TAPS, channels, 256, extra_blocks=LastLevelP6P7(256, 256))
    return FCOS(pyramid, 1, fixed_size=(width, height))


def batched_nms(boxes: torch.Tensor, scores: torch.Tensor, classes: torch.Tensor, overlap: float) -> torch.Tensor:
    """Torchvision's suppression, whose compiled part loads beside its own build of torch only."""
    kept = suppress(boxes.double().numpy(), scores.double().numpy(), classes.numpy(), overlap=overlap, most=len(boxes))
    return torch.from_numpy(kept)


def read_split(folder: Path, split: str) -> list[tuple[torch.Tensor, dict[str, torch.Tensor]]]:
    """Images (3, h, w) from 0 to 1, each with its boxes and labels."""
    table = json.loads((folder / f"{split}.json").read_text())
    found = []
    for image in table["images"]:
        path = folder / "images" / Path(image["file_name"]).name
        pixels = torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1) / 255
        marked = [one["bbox"] for one in table["annotations"] if one["image_id"] == image["id"]]
        boxes = torch.tensor(marked, dtype=torch.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        found.append((pixels, {"boxes": boxes, "labels": torch.zeros(len(boxes), dtype=torch.int64)}))
    return found


def train(network: nn.Module, photos: list, until: float, batch: int, started: float) -> float:
    """The reference loop, whose schedule runs over the time; returns the epochs."""
    learning = [p for p in network.parameters() if p.requires_grad]
    rate = 0.01 * batch / 16
    optimizer = torch.optim.SGD(learning, rate, momentum=0.9, weight_decay=1e-4)
    warmup, step, epoch = min(1000, len(photos) // batch - 1), 0, 0
    network.train()
    while True:
        order = torch.randperm(len(photos)).tolist()
        for at in range(0, len(order) - batch + 1, batch):
            done = (time.monotonic() - started) / (until - started)
            if done >= 1:
                return epoch + at / len(order)
            factor = 0.1 ** ((done > 16 / 26) + (done > 22 / 26))
            for group in optimizer.param_groups:
                group["lr"] = rate * factor * min(1.0, 0.001 + step / warmup)
            images, targets = zip(*(mirrored(*photos[i]) for i in order[at : at + batch]), strict=True)
            loss = sum(network(list(images), list(targets)).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
        epoch += 1
        print(f"epoch {epoch}, loss {loss.item():.3f}, {(time.monotonic() - started) / 60:.1f} minutes", flush=True)


def mirrored(image: torch.Tensor, target: dict) -> tuple[torch.Tensor, dict]:
    """Half of the images in a mirror."""
    if torch.rand(()) < 0.5:
        return image, target
    boxes = target["boxes"].clone()
    boxes[:, [0, 2]] = image.shape[2] - boxes[:, [2, 0]]
    return image.flip(2), target | {"boxes": boxes}


@torch.no_grad()
def evaluate(network: nn.Module, photos: list):
    network.eval()
    network.score_thresh = 0.05
    found, truth = [], []
    for image, target in photos:
        (answer,) = network([image])
        found.append(
            Detections(
                scores=answer["scores"].numpy(),
                classes=answer["labels"].numpy(),
                boxes=answer["boxes"].double().numpy(),
            )
        )
        boxes = target["boxes"].double().numpy()
        truth.append(
            Annotation(classes=np.zeros(len(boxes), np.int64), boxes=boxes, crowd=np.zeros(len(boxes), np.bool_))
        )
    return measure_detections(found, truth, ["object"])


if __name__ == "__main__":
    main()
