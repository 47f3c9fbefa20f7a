"""`hubel.summary` beside torch's own counter of operations, on every network of timm.

Claim: multiply-adds are equal on every network that both can follow, and no operator is left uncounted.

Networks are built on the meta device and run once with the input of their own configuration; one of each of timm's
modules first, then the second ones, and so on. Each result is kept in the JSON lines file --out, and what stands there
is not run again, so that the run can be divided (--seconds).
Needs timm and torchvision. Run: python benchmarks/summary_timm.py --out FILE.jsonl [--seconds 200] [--only 'swin*']
"""

from __future__ import annotations

import argparse
import collections
import fnmatch
import json
import sys
import time
import warnings
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

import hubel

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import peers

EQUAL = "equal"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after these, before the next network")
    parser.add_argument("--only", default="*", help="pattern of names")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    names = fnmatch.filter(in_turns(), options.only)
    lines = options.out.read_text().splitlines() if options.out.exists() else []
    done = {found["name"]: found for found in map(json.loads, lines)}
    until = time.monotonic() + options.seconds
    with options.out.open("a") as out:
        for name in names:
            if name not in done and time.monotonic() < until:
                done[name] = {"name": name, **compare(name)}
                print(json.dumps(done[name]), file=out, flush=True)
    report(len(names), [done[name] for name in names if name in done])


def in_turns() -> list[str]:
    """All networks of timm, the first of each module before the second of any."""
    modules = [peers.timm().list_models(module=module) for module in peers.timm().list_modules()]
    found = (name for names in zip_longest(*modules) for name in names if name is not None)
    return list(dict.fromkeys(found))


def compare(name: str) -> dict[str, Any]:
    """Both counts of one network, in multiply-adds, and which of the outcomes they are."""
    try:
        with torch.device("meta"):
            network = peers.timm().create_model(name).eval().requires_grad_(False)
    except Exception as error:  # timm's own: a library that it needs and that is not here
        return {"outcome": "timm cannot build it", "why": said(error)}
    shape = network.default_cfg["input_size"]
    try:
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(1, *shape, device="meta"))
    except Exception as error:  # a network that needs values, which the meta device has not
        return {"outcome": "torch's counter cannot follow it", "why": said(error)}
    try:
        found = hubel.summary(network, shape)
    except Exception as error:
        return {"outcome": "hubel cannot follow it", "why": said(error)}
    theirs = counter.get_total_flops() // 2
    equal = found.macs == theirs and not found.not_counted
    return {
        "outcome": EQUAL if equal else "different",
        "macs": found.macs,
        "torch": theirs,
        "not_counted": {str(key): value for key, value in found.not_counted.items()},
    }


def said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def report(number: int, results: list[dict[str, Any]]) -> None:
    print(f"{len(results):,} of {number:,} networks")
    for outcome, count in collections.Counter(found["outcome"] for found in results).most_common():
        print(f"{count:>6,}  {outcome}")
    for found in results:
        if found["outcome"] != EQUAL:
            print(*found.values(), sep="  ")


if __name__ == "__main__":
    main()
