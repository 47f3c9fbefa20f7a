"""Parts of benchmarks/transfer.py that run in processes of their own, so that no side inherits another's settings.

`plain_loop` and `plain_probe` are peers; the others prepare data or measure hubel. Needs what they import.
Run: python benchmarks/peers/transfer_parts.py NAME '{"argument": value, ...}'; prints last one line of JSON
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import sys
import time
from typing import Any

import numpy as np

FOLD_SEEDS = (0, 1, 2)


def main() -> None:
    name, given = sys.argv[1:]
    print(json.dumps(PARTS[name](**json.loads(given))))


def rows_of(photos: str, card: Any = None) -> tuple:
    """Training and test photos as hubel sees them for EfficientNet-Lite0, and their labels; as trained if a card."""
    from hubel.data.dataset import open_dataset
    from hubel.models.catalogue import find
    from hubel.training.initial_weights import find_initial_weights
    from hubel.training.recipe import TransferSettings

    dataset = open_dataset(photos)
    name, variant = find("efficientnet_lite0")
    preprocess = card.preprocess if card else find_initial_weights(TransferSettings(), name, variant).preprocess
    images = [dataset.images(preprocess, dataset.rows(split)) for split in ("train", "test")]
    return tuple((some, some.label_codes.astype(np.int64)) for some in images)


def resnet50_weights(photos: str, to: str) -> None:
    """Random weights under torchvision's names, with batch norms that have seen 32 of the photos."""
    import torch
    from plain_transfer import import_torchvision
    from safetensors.torch import save_file

    import_torchvision()
    from torchvision.models import resnet50

    torch.manual_seed(0)
    network = resnet50()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    (images, _), _ = rows_of(photos)
    some = np.linspace(0, len(images) - 1, 32).astype(np.int64)
    with torch.no_grad():
        network.train()(images.network_input(images.pixels(some)))
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, to)


def plain_probe(photos: str) -> float:
    """The share of test photos that scikit-learn's logistic regression is right for, all its settings as they are."""
    from sklearn.linear_model import LogisticRegression

    import hubel
    from hubel.features.logits import last_layer_features
    from hubel.inference.engines.registry import EngineChoice

    model = hubel.load("efficientnet_lite0")
    (train, labels), (test, truth) = rows_of(photos, model.card)
    torch = EngineChoice("torch")
    x, held = (last_layer_features(model.network, images, card=model.card, engine=torch) for images in (train, test))
    head = LogisticRegression(max_iter=2000).fit(x, labels)
    return float((head.predict(held) == truth).mean())


def int8_heads(photos: str, threads: int) -> dict[str, Any]:
    """Heads on float and on int8 features of EfficientNet-Lite0: accuracies, and how often they say the same."""
    import torch

    import hubel
    from hubel.core.resources import usable_cores
    from hubel.features.extractor import ExtractorSettings, FeatureExtractor
    from hubel.features.probe import fit_probe
    from hubel.inference.engines.registry import EngineChoice
    from hubel.nn.freezing import ALL

    torch.set_num_threads(threads or usable_cores())
    model = hubel.load("efficientnet_lite0")
    (train, labels), (test, truth) = rows_of(photos)
    card = dataclasses.replace(model.card, preprocess=train.preprocess)
    told, sets = [], {}
    for engine in ("torch", "openvino int8"):
        settings = ExtractorSettings(engine=EngineChoice.parse(engine), threads=threads)
        frozen = FeatureExtractor(model.network, card, ALL, settings=settings, tell=told.append)
        maps = [frozen.maps(images) for images in (train, test)]
        sets[engine] = [some.take(np.arange(len(some))).astype(np.float32) for some in maps]
    (x, held), (x8, held8) = sets.values()
    scores: dict[str, list[float]] = {"float": [], "int8": [], "shipped": [], "agreement": []}
    for seed in FOLD_SEEDS:
        exact, rounded = (fit_probe(some, labels, int(labels.max()) + 1, seed=seed) for some in (x, x8))
        said = {
            "float": (held @ exact.weight.T + exact.bias).argmax(1),
            "int8": (held8 @ rounded.weight.T + rounded.bias).argmax(1),
            "shipped": (held @ rounded.weight.T + rounded.bias).argmax(1),
        }
        for name, classes in said.items():
            scores[name].append(float((classes == truth).mean()))
        scores["agreement"].append(float((said["float"] == said["int8"]).mean()))
    means = {name: statistics.mean(values) for name, values in scores.items()}
    return {**means, "precision": maps[0].precision, "engine": told[-1]}


def pixels(photos: str, n: int, to: str) -> None:
    """Photos at the network's size, uint8, as arrays that both loops of claim 7 read."""
    (images, labels), _ = rows_of(photos)
    some = np.resize(np.linspace(0, len(images) - 1, min(n, len(images))).astype(np.int64), n)
    np.savez(to, pixels=images.pixels(some), labels=labels[some])


def plain_loop(arrays: str, precision: str, threads: int, hold_norms: bool) -> dict[str, Any]:
    """A loop in channels-last memory, without augmentation; batch norms learn, as in any plain loop, or are held."""
    import torch

    import hubel
    from hubel.core.resources import usable_cores
    from hubel.inference.device import pick_precision

    torch.set_num_threads(threads or usable_cores())
    torch.manual_seed(0)
    with np.load(arrays) as file:
        images, labels = torch.from_numpy(file["pixels"]), torch.from_numpy(file["labels"])
    dtype = pick_precision(precision, torch.device("cpu"))
    network = hubel.create_model("efficientnet_lite0", weights="default", num_classes=10)
    network = network.to(memory_format=torch.channels_last).train()
    if hold_norms:
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()
    optimizer = torch.optim.AdamW(network.parameters(), 5e-4)
    for _ in range(2):  # the first warms up
        started = time.perf_counter()
        for some in torch.randperm(len(images)).split(32):
            x = images[some].permute(0, 3, 1, 2).float().sub_(127).div_(128)
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
                outputs = network(x)
            loss = torch.nn.functional.cross_entropy(outputs.float(), labels[some], label_smoothing=0.1)
            loss.backward()
            optimizer.step()
            loss.item()
        rate = len(images) / (time.perf_counter() - started)
    return {"rate": rate, "precision": str(dtype).removeprefix("torch.")}


def hubel_loop(arrays: str, precision: str, threads: int) -> dict[str, Any]:
    """The loop as `hubel train --freeze none --epochs 2 --augment light --batch-size 32` sets it up."""
    from hubel.core.process import tune_process

    tune_process()
    import torch

    from hubel.core.resources import usable_cores
    from hubel.core.stopping import Stop
    from hubel.data.sources import ArraySource
    from hubel.nn.freezing import NONE, Tuned
    from hubel.training.execute import build_trainer
    from hubel.training.loop import EpochSelection, Loop
    from hubel.training.recipe import Recipe
    from hubel.training.resolve import plan_training
    from hubel.weights.create import create_model

    torch.set_num_threads(threads or usable_cores())
    with np.load(arrays) as file:
        images, labels = file["pixels"], file["labels"]
    splits = np.r_[np.ones(len(labels), np.int64), np.full(32, 2)]  # train; some of them choose the epoch
    source = ArraySource(np.r_[images, images[:32]], np.r_[labels, labels[:32]], splits)
    recipe = Recipe(
        model="efficientnet_lite0", freeze=NONE, epochs=2, augment="light", batch_size=32, precision=precision,
        threads=threads or usable_cores(),
    )  # fmt: skip
    plan = plan_training(source, recipe)
    network = create_model(plan.card.model, weights=plan.transfer.weights, num_classes=len(plan.card.classes))
    tuned = Tuned(network, NONE, from_maps=False, hold_norms=True)
    loop = Loop(build_trainer(plan, tuned), plan.train, plan.loop, EpochSelection(val=plan.val))
    loop.run(Stop())
    return {"rate": loop.progress.history[-1]["images_per_second"], "precision": str(plan.precision)[6:]}


PARTS = {one.__name__: one for one in (resnet50_weights, plain_probe, int8_heads, pixels, plain_loop, hubel_loop)}


if __name__ == "__main__":
    main()
