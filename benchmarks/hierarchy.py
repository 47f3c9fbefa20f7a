"""Answers at the deepest level of which a model is sure, beside answers with a class or none.

Claims, for a model of clothes (EfficientNet-Lite0, head only) whose ten classes lie in three levels: of the answers
that are to be right in 9 of 10 cases at least 9 of 10 are, and many more photos get one than where only a class counts.
There are 293 test photos; "out of fold" are all 1,293, each predicted by one of 20 heads that has not seen it, at the
temperature of the model. Three rules are compared: the deepest node whose sum of probabilities is at least the
threshold (kept); the first such node above the most probable class (Goren et al. 2024, "climbing"); the class alone.

Run: python benchmarks/hierarchy.py [--data SHARED] [--out FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hubel
from hubel.data import open_dataset
from hubel.evaluation import evaluate_file
from hubel.evaluation.folds import assign_folds
from hubel.features import fit_probe
from hubel.features.logits import last_layer_features
from hubel.inference.scores import softmax
from hubel.metrics import wilson
from hubel.metrics.hierarchy import measure_hierarchy
from hubel.weights import load_model
from hubel.weights.class_tree import ClassTree

SHARED = Path(__file__).parents[2] / "shared" / "data"
PARENTS = {
    **dict.fromkeys(("longsleeve", "shirt", "t-shirt"), "tops"),
    **dict.fromkeys(("tops", "outwear"), "upper body"),
    **dict.fromkeys(("pants", "shorts", "skirt"), "bottoms"),
}
FOLDS = 20
Array = NDArray[np.float64]


def trained(shared: Path, out: Path) -> Path:
    """Return the run of a model of clothes with this hierarchy; train it if it is not there."""
    run, file = out / "run", out / "parents.csv"
    if not (run / "metrics.json").exists():
        out.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{name},{parent}\n" for name, parent in PARENTS.items()))
        hubel.train(str(shared / "clothing"), hubel.Recipe(freeze="all", parents=file), out=run, quiet=True)
    return run


def climbing(tree: ClassTree, p: Array, sure: float) -> NDArray[np.int64]:
    """Return the first node from the most probable class upwards whose score is at least `sure`; -1 for none."""
    scores, found = tree.node_scores(p), np.full(len(p), -1)
    for level in range(1, tree.levels + 1):
        nodes = tree.at_level(level)[p.argmax(1)]
        found = np.where(scores[np.arange(len(p)), nodes] >= sure, nodes, found)
    return found


def describe(name: str, tree: ClassTree, answers: NDArray[np.int64], labels: NDArray[Any]) -> None:
    given = answers >= 0
    leaf = np.isin(np.array([*tree.nodes, ""])[answers], tree.classes)
    hits = int(tree.members[answers[given], labels[given]].sum())
    low, high = wilson(hits, int(given.sum()))
    print(
        f"  {name:24} {given.mean():6.1%} answered, {leaf.mean():6.1%} with a class; "
        f"right {hits / max(given.sum(), 1):6.1%} ({low:.1%} to {high:.1%})"
    )


def compare(what: str, tree: ClassTree, p: Array, labels: NDArray[Any]) -> None:
    found = measure_hierarchy(tree, labels, p.argmax(1), p)
    levels = ", ".join(f"{one.accuracy:.1%} of {one.names}" for one in found.levels)
    sums = []
    for level in range(1, tree.levels):
        nodes = tree.at_level(level)
        known = np.unique(nodes)
        sums.append((known[tree.node_scores(p)[:, known].argmax(1)] == nodes[labels]).mean())
    print(f"{what}, {len(labels):,} photos: accuracy by level {levels}")
    print(f"  by the largest sum of each level instead of the class: {', '.join(f'{one:.1%}' for one in sums)}")
    for sure in (0.8, 0.9, 0.95):
        print(f" at least {sure:g}")
        describe("deepest node (kept)", tree, tree.answers(p, sure)[0], labels)
        describe("climbing", tree, climbing(tree, p, sure), labels)
        leaves = np.array([tree.nodes.index(name) for name in tree.classes])
        describe("a class or none", tree, np.where(p.max(1) >= sure, leaves[p.argmax(1)], -1), labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--out", type=Path, default=Path("runs/hierarchy"))
    options = parser.parse_args()
    run = trained(options.data, options.out)
    evaluation = evaluate_file(run, str(options.data / "clothing"), split="test").evaluation
    network, card = load_model(run / "model.safetensors")
    tree = card.class_tree()
    compare("test", tree, evaluation.probabilities, evaluation.targets)
    data = open_dataset(options.data / "clothing")
    images, labels = data.images(card.preprocess), data.targets(card.classes)
    features = last_layer_features(network, images, card=card)
    fold, p = assign_folds(images.digests, labels, FOLDS), np.zeros((len(labels), len(card.classes)))
    strength = fit_probe(features, labels, len(card.classes)).strength
    for number in range(1, FOLDS + 1):
        held = fold == number
        head = fit_probe(features[~held], labels[~held], len(card.classes), strength=strength)
        p[held] = softmax(features[held] @ head.weight.T + head.bias, card.temperature)
    compare("out of fold", tree, p, labels)


if __name__ == "__main__":
    main()
