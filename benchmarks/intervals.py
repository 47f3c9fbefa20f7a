"""Intervals: do they cover the truth, and what do they cost?

Claims: over 2,000 simulations each, the 95 % intervals of an accuracy (Wilson; mean over the shares), of the difference
of two models on the same images, of macro recall and of the differences of other metrics contain the truth in 94 to
96 %; intervals of 10,000 images of 10 classes cost well under a second, of 50,000 images of 1,500 classes under two.

The coverage of Wilson's interval at a single share and number of images leaves the band, because the number of correct
images is whole: it is stated exactly (a sum over the binomial distribution) beside the simulation. The intervals that
most programs print, p +- 1.96 sqrt(p (1 - p) / n), stand in the last column.
Run: python benchmarks/intervals.py [--simulations 2000] [--only accuracy,paired,macro,others,cost]
"""

from __future__ import annotations

import argparse
import math
import time
from functools import partial

import numpy as np
from scipy import stats

from hubel.metrics.classification import measure_classification
from hubel.metrics.classification_intervals import classification_intervals, weighted_macro_metrics
from hubel.metrics.intervals import bootstrap, compare_paired, percentile_interval, wilson

SHARES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98)


def share(ends: list[tuple[float, float]], truth: float) -> float:
    low, high = np.array(ends).T
    return float(((low <= truth) & (truth <= high)).mean())


def accuracy(simulations: int, rng: np.random.Generator) -> None:
    print("| accuracy, n | " + " | ".join(f"p = {p:g}" for p in SHARES) + " | mean | exact mean | p +- 1.96 s |")
    for n in (20, 50, 100, 293, 2000):
        table = np.array([wilson(hits, n) for hits in range(n + 1)])
        hits, exact, wald = np.arange(n + 1), [], []
        half = 1.96 * np.sqrt(hits / n * (1 - hits / n) / n)
        for p in SHARES:
            chance = stats.binom.pmf(hits, n, p)
            exact.append(chance[(table[:, 0] <= p) & (p <= table[:, 1])].sum())
            wald.append(chance[np.abs(hits / n - p) <= half].sum())
        found = [share(table[rng.binomial(n, p, simulations)].tolist(), p) for p in SHARES]
        cells = " | ".join(f"{x:.1%} ({e:.1%})" for x, e in zip(found, exact, strict=True))
        print(f"| {n} | {cells} | {np.mean(found):.1%} | {np.mean(exact):.1%} | {np.mean(wald):.1%} |")


def paired(simulations: int, rng: np.random.Generator) -> None:
    print("\n| difference of two models, n | only one right, only the other | coverage |")
    for n, a, b in ((50, 0.1, 0.04), (100, 0.1, 0.05), (293, 0.06, 0.03), (293, 0.03, 0.03), (2000, 0.05, 0.03)):
        ends = []
        for x, y, _ in rng.multinomial(n, [a, b, 1 - a - b], simulations).tolist():
            first, second = np.zeros(n, bool), np.zeros(n, bool)
            first[:x] = second[x : x + y] = True
            ends.append(compare_paired(first, second).interval)
        print(f"| {n} | {a:g}, {b:g} | {share(ends, a - b):.1%} |")


def macro(simulations: int, rng: np.random.Generator) -> None:
    print("\n| macro metrics, images of each class | recall | macro recall | macro precision | macro F1 |")
    cases = (
        ("30 x 10", [30] * 10, np.linspace(0.7, 0.98, 10)),
        ("12 x 10", [12] * 10, np.full(10, 0.85)),
        ("5 to 100, 10", np.geomspace(5, 100, 10).astype(int), np.linspace(0.6, 0.95, 10)),
        ("4 x 50", [4] * 50, np.full(50, 0.8)),
    )
    for name, support, recall in cases:
        c, labels = len(support), np.repeat(np.arange(len(support)), support)
        # Of endless images in these proportions: precision and F1 follow from the recall and the next class's errors.
        weights, errors = np.asarray(support, float), np.asarray(support) * (1 - recall)
        positives = weights * recall + np.roll(errors, 1)
        truth = {
            "macro_recall": recall.mean(),
            "macro_precision": (weights * recall / positives).mean(),
            "macro_f1": (2 * weights * recall / (positives + weights)).mean(),
        }
        ends: dict[str, list[tuple[float, float]]] = {key: [] for key in truth}
        for _ in range(simulations):
            predicted = np.where(rng.random(len(labels)) < recall[labels], labels, (labels + 1) % c)
            metrics = measure_classification(np.eye(c)[predicted], labels, [str(i) for i in range(c)])
            found = classification_intervals(metrics, labels, predicted)
            for key in truth:
                ends[key].append(found[key])
        cells = " | ".join(f"{share(ends[key], value):.1%}" for key, value in truth.items())
        print(f"| {name} | {recall.min():.2g} to {recall.max():.2g} | {cells} |")


def f1_difference(weights: np.ndarray, *, labels: np.ndarray, one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return (weighted_macro_metrics(weights, labels, one) - weighted_macro_metrics(weights, labels, two))[:, 2]


def others(simulations: int, rng: np.random.Generator) -> None:
    print("\n| bootstrap, n | mean error of two models, difference | macro F1 of two models, difference |")
    for n in (100, 300):
        labels, means, macros = np.repeat(np.arange(5), n // 5), [], []
        for _ in range(simulations // 4):
            common = rng.gamma(2, 1, n)
            means.append(compare_paired(common + rng.normal(0.1, 0.5, n), common).interval)
            hard = rng.random(n)
            one, two = (np.where(hard * 0.6 + rng.random(n) * 0.4 < 0.7, labels, (labels + 1) % 5) for _ in range(2))

            measure = partial(f1_difference, labels=labels, one=one, two=two)
            macros.append(percentile_interval(bootstrap(measure, np.ones(n, int), strata=labels, replicates=500)))
        print(f"| {n} | {share(means, 0.1):.1%} | {share(macros, 0.0):.1%} |")


def cost(_: int, rng: np.random.Generator) -> None:
    print("\n| images, classes | seconds of one core |")
    for n, c in ((10_000, 10), (50_000, 1_500), (1_000_000, 10)):
        labels = rng.integers(0, c, n)
        predicted = np.where(rng.random(n) < 0.8, labels, rng.integers(0, c, n))
        metrics = measure_classification(np.eye(c)[predicted[:2000]], labels[:2000], [str(i) for i in range(c)])
        start = time.process_time()
        classification_intervals(metrics, labels, predicted)
        print(f"| {n:,}, {c:,} | {time.process_time() - start:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=2_000)
    parser.add_argument("--only", default="accuracy,paired,macro,others,cost")
    chosen = parser.parse_args()
    simulations, rng = chosen.simulations, np.random.default_rng(0)
    print(f"Coverage of 95 % intervals over {simulations:,} simulations; one has an error of "
          f"{math.sqrt(0.95 * 0.05 / simulations):.1%}.\n")  # fmt: skip
    for part in (accuracy, paired, macro, others, cost):
        if part.__name__ in chosen.only.split(","):
            part(simulations, rng)


if __name__ == "__main__":
    main()
