"""Make `src/hubel/retrieval/wordnet_nouns.txt.gz` from the files of WordNet 3.0.

    python benchmarks/wordnet_nouns.py /usr/share/wordnet

The folder is that of Debian's package wordnet-base. Kept are the synsets below "physical entity" that are no single
things ("Eiffel Tower"), and those above a class of ImageNet. A line: number of the synset, those it is a kind of, and
its lemmas, each with the rank of this meaning where it is not the first.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

from hubel.weights.imagenet import imagenet_synsets

TARGET = Path(__file__).parents[1] / "src" / "hubel" / "retrieval" / "wordnet_nouns.txt.gz"
HEAD = "# Nouns of WordNet 3.0, Copyright 2006 by Princeton University. All rights reserved. See WORDNET_LICENCE.\n"


def main(folder: Path) -> None:
    words: dict[str, list[str]] = {}
    above: dict[str, list[str]] = {}
    single = set()
    for line in (folder / "data.noun").read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            continue
        part = line.partition(" | ")[0].split()
        count = int(part[3], 16)
        words[part[0]] = [part[4 + 2 * i] for i in range(count)]
        start = 4 + 2 * count
        pointers = [(part[start + 1 + 4 * i], part[start + 2 + 4 * i]) for i in range(int(part[start]))]
        above[part[0]] = [target for symbol, target in pointers if symbol in ("@", "@i")]
        if any(symbol == "@i" for symbol, _ in pointers):
            single.add(part[0])
    ranks: dict[tuple[str, str], int] = {}
    for line in (folder / "index.noun").read_text(encoding="utf-8").splitlines():
        if not line.startswith("  "):
            part = line.split()
            ranks |= {(part[0], synset): rank for rank, synset in enumerate(part[-int(part[2]) :])}
    below: dict[str, list[str]] = {}
    for synset, upper in above.items():
        for one in upper:
            below.setdefault(one, []).append(synset)
    (physical,) = (synset for synset, lemmas in words.items() if lemmas == ["physical_entity"])
    kept = reached([physical], below) - single
    kept |= reached([name[1:] for name in imagenet_synsets()], above)
    lines = []
    for synset in sorted(kept):
        lemmas = [(w.lower(), ranks[w.lower(), synset]) for w in words[synset]]
        named = ",".join(f"{lemma.replace('_', ' ')}{f'#{rank}' if rank else ''}" for lemma, rank in lemmas)
        upper = " ".join(one.lstrip("0") for one in above[synset] if one in kept)
        lines.append(f"{synset.lstrip('0')}\t{upper}\t{named}\n")
    TARGET.write_bytes(gzip.compress((HEAD + "".join(lines)).encode(), 9, mtime=0))
    print(f"{len(lines):,} synsets, {TARGET.stat().st_size:,} bytes")


def reached(start: list[str], edges: dict[str, list[str]]) -> set[str]:
    seen: set[str] = set()
    while start:
        one = start.pop()
        if one not in seen:
            seen.add(one)
            start += edges.get(one, [])
    return seen


if __name__ == "__main__":
    main(Path(sys.argv[1]))
