"""Claim: two towers that start from nothing learn, in 10 minutes on one core, to find scenes by their captions.

Of 1,000 scenes of kinds that were never trained on, each is found by its caption as the very first at least nine times
in ten. A caption names everything that tells the 4,608 kinds apart, and all kinds held out differ, so that each caption
fits exactly one scene.

    python benchmarks/shape_captions.py [--minutes 10] [--language ko]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from hubel.teach.course.lessons.pairs.scenes import split_kinds
from hubel.teach.course.lessons.pairs.towers import TwoTowers
from hubel.teach.course.lessons.pairs.training import Pairs, embed_pairs, make_pairs, train_towers

HELD_OUT = 1000
STEPS_A_MINUTE = 170  # of one core; the schedule needs to know the end


def report(towers: TwoTowers, pairs: Pairs) -> str:
    images, texts = embed_pairs(towers, pairs)
    similar = (texts @ images.T).numpy()
    found = {}
    for name, table in (("caption -> scene", similar), ("scene -> caption", similar.T)):
        ranks = (table > np.diag(table)[:, None]).sum(1)
        found[name] = (
            " ".join(f"@{k} {(ranks < k).mean():.3f}" for k in (1, 5, 10)) + f" median {np.median(ranks) + 1:.0f}"
        )
    return "; ".join(f"{name}: recall {text}" for name, text in found.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--language", default="en")
    parser.add_argument("--every", type=int, default=200, help="steps between two lines")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    train, held_out = split_kinds(HELD_OUT, seed=0)
    pairs = make_pairs(held_out, seed=1_000_003, language=asked.language)
    start, spent = time.perf_counter(), time.process_time()
    last = None
    for last in train_towers(train, steps=round(asked.minutes * STEPS_A_MINUTE), language=asked.language):
        if last.step % asked.every == 0:
            seconds = time.process_time() - spent
            print(f"{last.step:6} steps, {seconds:6.1f} s of the core: {report(last.towers, pairs)}", flush=True)
    print(f"{last.step} steps in {time.perf_counter() - start:.0f} s, {time.process_time() - spent:.0f} s of one core")
    print(report(last.towers, pairs))


if __name__ == "__main__":
    main()
