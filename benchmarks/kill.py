"""Kill training runs at random moments, and compare what they come to with a run that nobody disturbed.

A campaign's file states its claim; here they are started. POSIX only.
Run: python benchmarks/kill.py {resume,transfer} [--kills N] [--seed 0] ...
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

import kill_resume
import kill_transfer

# Of each campaign: its module, whose function `campaign` returns the numbers and whether the claim holds; its own
# numbers, with what they are if not given.
CAMPAIGNS = {
    "resume": (kill_resume, {"kills": 200, "in-save": 50}),
    "transfer": (kill_transfer, {"kills": 100, "pairs": 20}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="campaign", required=True)
    for name, (module, numbers) in CAMPAIGNS.items():
        verb = verbs.add_parser(name, help=(module.__doc__ or "").splitlines()[0])
        for flag, usual in {**numbers, "seed": 0}.items():
            verb.add_argument(f"--{flag}", type=int, default=usual)
    options = vars(parser.parse_args())
    if os.name != "posix":
        print("skipped: this needs os.fork, which Windows does not have")
        return
    module, luck = CAMPAIGNS[options.pop("campaign")][0], random.Random(options.pop("seed"))
    with tempfile.TemporaryDirectory(prefix="hubel-kill-") as folder:
        table, good = module.campaign(Path(folder), luck, **options)
    print("\n".join(f"{name:<32}{number:>6}" for name, number in table.items()))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
