"""Training small images: hubel against the loop that a PyTorch user writes by hand.

Claim: on the same network and images hubel trains at least 2 times as many images a second as a plain loop (contiguous
memory, Python transforms of each image, a DataLoader with 2 workers, the default allocator), and its bare step of
ResNet-20 at batch 128 is at least 1.4 times as fast as the eager one with the default SGD.

Each measurement is a process of its own, so that neither side inherits the other's settings; the sides take turns, and
the medians are compared. Run: python benchmarks/train_small.py [--rounds 3] [--data FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

FASHION = Path(__file__).parents[2] / "shared" / "data" / "fashion-mnist"
BATCH = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=12_800)
    parser.add_argument("--data", default=str(FASHION) if FASHION.exists() else "digits")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        kind, model, precision = options.worker.split(",")
        work = {"plain": plain_epoch, "hubel": hubel_epoch, "eager-step": eager_step, "hubel-step": hubel_step}[kind]
        print(json.dumps(work(model, precision, options)))
        return
    print(
        f"{options.data}, {options.images:,} images, batch {BATCH}, {os.cpu_count()} cores, {options.rounds} rounds\n"
    )
    print(f"{'images/s (median)':<34} {'peer':>9} {'hubel':>9} {'ratio':>7}   pairs")
    compare("lenet5_modern, whole epoch", "plain,lenet5_modern,-", "hubel,lenet5_modern,auto", options)
    compare("convnet, whole epoch", "plain,convnet,-", "hubel,convnet,auto", options)
    compare("resnet20, whole epoch", "plain,resnet20,-", "hubel,resnet20,auto", options)
    compare("resnet20, whole epoch, float32", "plain,resnet20,-", "hubel,resnet20,float32", options)
    compare("resnet20, bare step", "eager-step,resnet20,-", "hubel-step,resnet20,auto", options)
    compare("resnet20, bare step, float32", "eager-step,resnet20,-", "hubel-step,resnet20,float32", options)


def compare(title: str, peer: str, ours: str, options: argparse.Namespace) -> None:
    pairs = [(measure(peer, options), measure(ours, options)) for _ in range(options.rounds)]
    theirs, mine = (statistics.median(side) for side in zip(*pairs, strict=True))
    each = " ".join(f"{b / a:.2f}" for a, b in pairs)
    print(f"{title:<34} {theirs:>9,.0f} {mine:>9,.0f} {mine / theirs:>6.2f}x   {each}", flush=True)


def measure(worker: str, options: argparse.Namespace) -> float:
    arguments = ["--worker", worker, "--images", str(options.images), "--data", options.data]
    done = subprocess.run([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def images_of(options: argparse.Namespace) -> tuple:
    """Training images uint8 `(n, h, w)` and labels, as many as asked for."""
    import numpy as np

    from hubel.data.dataset import open_dataset

    dataset = open_dataset(options.data)
    index = dataset.index
    rows = np.resize(np.flatnonzero(index.split <= 1), options.images)
    pixels = np.stack([dataset.source.read(int(row), index.paths[int(row)]) for row in rows])
    return pixels, index.label[rows].astype(np.int64)


def network(model: str) -> object:
    import torch

    from hubel import create_model

    torch.manual_seed(0)
    side = 32 if model == "lenet5_modern" else 28
    return create_model(model, num_classes=10, in_channels=1, input_size=(side, side)), side


def plain_epoch(model: str, _: str, options: argparse.Namespace) -> float:
    """What many tutorials do: each image goes through Python on its own, in two workers."""
    import torch
    from torch.utils.data import DataLoader

    pixels, labels = images_of(options)
    net, side = network(model)
    loader = DataLoader(PlainDataset(pixels, labels, side), BATCH, shuffle=True, num_workers=2, persistent_workers=True)
    optimizer = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
    for _epoch in range(2):  # the first warms up
        started, seen = time.perf_counter(), 0
        for images, targets in loader:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(images), targets).backward()
            optimizer.step()
            seen += len(targets)
        rate = seen / (time.perf_counter() - started)
    return rate


class PlainDataset:
    """Pad, crop at random, turn into a tensor, normalise: with Pillow and torch, image by image."""

    def __init__(self, pixels, labels, side: int) -> None:
        self.pixels, self.labels, self.side = pixels, labels, side

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, place: int) -> tuple:
        import numpy as np
        import torch
        from PIL import Image, ImageOps

        image = Image.fromarray(self.pixels[place])
        # 4 pixels, and what images much smaller than the input, such as digits, lack.
        image = ImageOps.expand(image, border=4 + max(0, -(-(self.side - 8 - image.width) // 2)))
        left, top = (int(torch.randint(0, extent - self.side + 1, ())) for extent in image.size)
        image = image.crop((left, top, left + self.side, top + self.side))
        tensor = torch.from_numpy(np.array(image)).unsqueeze(0).float().div(255)
        return tensor.sub(0.286).div(0.353), int(self.labels[place])


def hubel_loop(model: str, precision: str, options: argparse.Namespace, epochs: int) -> tuple:
    """The loop of hubel, as `hubel train` sets it up."""
    from hubel.core.process import tune_process

    tune_process()
    import numpy as np
    import torch

    from hubel.core.resources import usable_cores
    from hubel.data.augment import POLICIES
    from hubel.data.dataset import open_dataset
    from hubel.data.preprocess import Preprocess
    from hubel.data.samples import Labelled
    from hubel.inference.device import pick_precision
    from hubel.tasks.classify import ClassificationObjective
    from hubel.tasks.losses import LossSettings
    from hubel.training.loop import EpochSelection, Loop
    from hubel.training.plan import LoopSettings, OptimizerSettings
    from hubel.training.trainer import Trainer

    pixels, labels = images_of(options)
    net, side = network(model)
    preprocess = Preprocess(side, side, 1, "pad", mean=(0.286,), std=(0.353,))
    images = open_dataset((pixels, labels)).images(preprocess)
    val = images.subset(np.arange(BATCH))
    cpu = torch.device("cpu")
    objective = ClassificationObjective.of(LossSettings(name="cross_entropy"), labels, cpu)
    optimizer = OptimizerSettings(name="sgd", lr=0.05)
    trainer = Trainer(net, objective, optimizer, pick_precision(precision, cpu))
    settings = LoopSettings(epochs=epochs, batch_size=BATCH, policy=POLICIES["shift"])
    torch.set_num_threads(usable_cores())
    return Loop(trainer, Labelled(images, labels), settings, EpochSelection(val=Labelled(val, labels[:BATCH])))


def hubel_epoch(model: str, precision: str, options: argparse.Namespace) -> float:
    from hubel.core.stopping import Stop

    loop = hubel_loop(model, precision, options, epochs=2)
    loop.run(Stop())
    return loop.progress.history[-1]["images_per_second"]


def median_rate(step) -> float:
    """Images a second of the median of 30 steps, after 10 to warm up."""
    times = []
    for _ in range(40):
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    return BATCH / statistics.median(times[10:])


def eager_step(model: str, _: str, options: argparse.Namespace) -> float:
    import torch

    from hubel import create_model

    torch.manual_seed(0)
    net = create_model(model)
    images, targets = torch.randn(BATCH, 3, 32, 32), torch.randint(0, 10, (BATCH,))
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(images), targets).backward()
        optimizer.step()

    return median_rate(step)


def hubel_step(model: str, precision: str, options: argparse.Namespace) -> float:
    """The same, with what a step adds: the batch from bytes and the learning rate."""
    from hubel.core.process import tune_process

    tune_process()
    import numpy as np
    import torch

    from hubel import create_model
    from hubel.data.dataset import open_dataset
    from hubel.data.preprocess import Preprocess
    from hubel.data.samples import Batch, Labelled
    from hubel.inference.device import pick_precision
    from hubel.tasks.classify import ClassificationObjective
    from hubel.tasks.losses import LossSettings
    from hubel.training.plan import OptimizerSettings
    from hubel.training.trainer import Trainer

    torch.manual_seed(0)
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(BATCH) % 10
    images = open_dataset((pixels, labels)).images(Preprocess(32, 32))
    labelled = Labelled(images, labels)
    cpu = torch.device("cpu")
    objective = ClassificationObjective.of(LossSettings(name="cross_entropy"), labels, cpu)
    settings = OptimizerSettings(name="sgd", lr=0.1)
    trainer = Trainer(create_model(model), objective, settings, pick_precision(precision, cpu))
    batch = Batch(np.arange(BATCH), images.pixels(np.arange(BATCH)))
    return median_rate(lambda: trainer.step(labelled, batch, 0.1, 0))


if __name__ == "__main__":
    main()
