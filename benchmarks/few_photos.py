"""A head that starts from the names of its classes, beside the plain one, with 0 to 10 photos a class.

    python benchmarks/few_photos.py --data ../shared/data [--draws 5]

Clothing, accuracy on the 293 test photos, means and standard deviations over draws of the training photos.
EfficientNet-Lite0 as it comes; only the linear head is fitted, as `hubel train` does it first. The names are the
folders' ("outwear", "longsleeve"). The columns are the head by names alone with no photo, then both heads. The weight
of the names was chosen on CIFAR-10.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hubel.data.inputs import Input
from hubel.features.named_head import fit_from_names, head_of_names
from hubel.features.probe import fit_probe
from hubel.inference.forward import forward
from hubel.inference.predictor import load_predictor
from hubel.inference.stream import stream
from hubel.nn.freezing import last_linear
from hubel.weights.imagenet import imagenet_classes

MOST = 10


def main(data: Path, draws: int) -> None:
    folders = sorted(path for path in (data / "clothing" / "train").iterdir() if path.is_dir())
    names = [folder.name for folder in folders]
    predictor = load_predictor("efficientnet_lite0")
    head = last_linear(predictor.network)
    assert head is not None
    weight, bias = head.weight.detach().numpy().copy(), head.bias.detach().numpy().copy()
    network = predictor.network
    (place,) = [name for name, layer in network.named_modules() if layer is head]
    network.set_submodule(place, nn.Identity())
    preprocess = predictor.card.preprocess

    def features(paths: list[Path]) -> NDArray[np.float32]:
        rows = stream(map(Input, map(str, paths)), preprocess, lambda pixels: forward(network, pixels, preprocess))
        return np.stack([np.asarray(row) for _, row in rows])

    generator = np.random.default_rng(0)
    pools = [generator.permutation(sorted(folder.iterdir()))[: 2 * MOST] for folder in folders]
    train = features([path for pool in pools for path in pool])
    starts = np.cumsum([0, *map(len, pools)])
    tests = [(path, number) for number, name in enumerate(names) for path in (data / "clothing/test" / name).iterdir()]
    x, y = features([path for path, _ in tests]), np.array([number for _, number in tests])
    named = head_of_names(names, imagenet_classes(), weight, bias)
    assert named is not None
    print(f"{len(y)} test photos; no photo of a class: {(named.logits(x).argmax(1) == y).mean():.1%}")
    print("photos a class      from names           plain    draws won")
    for count in (1, 2, 5, MOST):
        scores = []
        for draw in range(draws):
            chosen = np.random.default_rng((count, draw))
            rows = np.concatenate(
                [start + chosen.permutation(len(p))[:count] for start, p in zip(starts, pools, strict=False)]
            )
            targets = np.repeat(np.arange(len(names)), count)
            heads = (fit_from_names(train[rows], targets, named), fit_probe(train[rows], targets, len(names)))
            scores.append([float(((x @ one.weight.T + one.bias).argmax(1) == y).mean()) for one in heads])
        means, spread = np.mean(scores, 0), np.std(scores, 0)
        won = sum(ours > plain for ours, plain in scores)
        cells = [f"{mean:.1%} +- {deviation:.1%}" for mean, deviation in zip(means, spread, strict=True)]
        print(f"{count:14}{cells[0]:>16}{cells[1]:>16}{won:>9} of {draws}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=5)
    given = parser.parse_args()
    main(given.data, given.draws)
