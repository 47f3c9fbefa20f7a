"""Claim: four processes read ImageNet-shaped archives once, each its own, in memory that stays the same.

    python benchmarks/processes_scale.py make FOLDER                 # 1,281,167 tiny images, 1,000 classes, archives
    python benchmarks/processes_scale.py run FOLDER --ranks 4        # index and one epoch, through torchrun
    python benchmarks/processes_scale.py make FOLDER --kind parquet  # the same in Parquet files

Images are PNG of 16 x 16 pixels, no two alike, so that bytes tell rows. `run` indexes the data anew in a cache of its
own and goes through one epoch of batches as training does, without a network. It prints, of each rank: the archives
whose members it has listed, the images that it has decoded for the index, the seconds to the first batch (of the cold
start, and with the index there), the memory without mapped files (RssAnon) after a twentieth of the epoch and at its
end, and a digest of the rows that it has read. The digests are sums, modulo 2**64, of a hash of each image's bytes:
those of the ranks add up to that of the whole index, and their rows to the number of images, with no row twice.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

IMAGES, CLASSES, FILES, SIDE = 1_281_167, 1000, 128, 16
BATCH = 1024


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Return a grey PNG, not compressed."""
    lines = np.concatenate([np.zeros((SIDE, 1), np.uint8), pixels], 1).tobytes()

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = SIDE.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines, 0)) + chunk(b"IEND", b"")


def member(name: str, data: bytes) -> bytes:
    """Return an entry of a tar archive; tarfile takes ten times as long for a million of them."""
    fields = (
        name.encode(),
        b"0000644\0",
        b"0000000\0",
        b"0000000\0",
        b"%011o\0" % len(data),
        b"00000000000\0",
        b" " * 8,
        b"0",
    )
    widths = (100, 8, 8, 8, 12, 12, 8, 1)
    raw = b"".join(value.ljust(width, b"\0") for value, width in zip(fields, widths, strict=True))
    raw = (raw + b"\0" * 100 + b"ustar\00000").ljust(512, b"\0")
    header = raw[:148] + b"%06o\0 " % sum(raw) + raw[156:]
    return header + data.ljust(-(-len(data) // 512) * 512, b"\0")


def make(folder: Path, kind: str, images: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file, numbers in enumerate(np.array_split(np.arange(images), FILES)):
        pixels = np.random.default_rng(file).integers(0, 256, (len(numbers), SIDE, SIDE), np.uint8)
        pixels[:, 0, :8] = numbers[:, None].view(np.uint8)  # no two are alike
        pictures, classes = map(png, pixels), (numbers * 7919 % CLASSES).tolist()
        if kind == "parquet":
            rows = [{"bytes": data, "path": None} for data in pictures]
            table = pa.table({"image": rows, "label": [f"class {number}" for number in classes]})
            pq.write_table(table, folder / f"part-{file:04d}.parquet", row_group_size=1000)
            continue
        with (folder / f"part-{file:04d}.tar").open("wb") as tar:
            for number, data, label in zip(numbers.tolist(), pictures, classes, strict=True):
                tar.write(member(f"{number:08d}.png", data))
                tar.write(member(f"{number:08d}.cls", str(label).encode()))
            tar.write(b"\0" * 1024)


def anonymous_mib() -> float:
    """Return the memory of this process that no file backs."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


def rank(folder: Path, started: float, most: int | None) -> None:
    """Index the data and read an epoch, or its first batches, as one rank of the group; print what was read as JSON."""
    from hubel.core.group import current_group
    from hubel.core.random import bits
    from hubel.data import index as scanning
    from hubel.data.augment import Policy
    from hubel.data.dataset import open_dataset
    from hubel.data.preprocess import Preprocess
    from hubel.data.shares import share_of
    from hubel.data.sources import columns, webdataset
    from hubel.training.processes.join import joining_ranks
    from hubel.training.recipe import MachineSettings

    listed: Counter[str] = Counter()
    walk, texts = webdataset.archive_samples, columns.ColumnSource._labels

    def walked(file: Any, path: str, *rest: Any) -> Any:
        listed[Path(path).name] += 1
        return walk(file, path, *rest)

    def read(self: Any, table: Any, file: Any, *rest: Any) -> Any:
        listed[file.name] += 1
        return texts(self, table, file, *rest)

    webdataset.archive_samples, columns.ColumnSource._labels = walked, read  # type: ignore[method-assign]
    decoded, decode = [0], scanning._decode_rows

    def counted(source: Any, listing: Any, rows: Any) -> Any:
        decoded[0] += len(rows)
        return decode(source, listing, rows)

    scanning._decode_rows = counted  # type: ignore[assignment]
    with joining_ranks(MachineSettings(processes="1", threads=1)):
        group = current_group()
        dataset = open_dataset(str(folder), threads=1)
        indexed = time.time() - started
        rows = dataset.rows()
        images = dataset.images(Preprocess(SIDE, SIDE, 1, mean=(0.5,), std=(0.5,)), rows, threads=1, cache="off")
        share = share_of(group.rank, group.world, 8)
        seen, digest, first, memory = np.zeros(len(rows), np.uint8), 0, 0.0, [0.0, 0.0]
        digests = np.ascontiguousarray(dataset.index.digest).view(np.uint64).reshape(-1, 2)[:, 0]
        epoch_began, taken, due = time.time(), 0, len(rows) // group.world // 20
        for batch in islice(images.epoch(0, 0, BATCH, Policy(), share=share), most):
            if not first:
                first = time.time() - started
            # The bytes were compared with the digest of the index when they were read.
            digest = (digest + int(bits(digests[rows[batch.positions]]).sum())) % 2**64
            seen[batch.positions] += 1
            taken += len(batch.positions)
            if taken >= due and not memory[0]:
                memory[0] = anonymous_mib()
        memory[1] = anonymous_mib()
        told = {
            "rank": group.rank,
            "listed": len(listed),
            "twice": sum(count > 1 for count in listed.values()),
            "decoded": decoded[0],
            "indexed": indexed,
            "first": first,
            "epoch": time.time() - epoch_began,
            "rows": taken,
            "again": int((seen > 1).sum()),
            "digest": digest,
            "whole": int(bits(digests[rows]).sum()) % 2**64,
            "images": len(rows),
            "memory": memory,
        }
        everything = [json.loads(one) for one in group.gather(json.dumps(told).encode())]
        if group.first:
            print(json.dumps(everything), flush=True)


def start(folder: Path, ranks: int, cache: str, *flags: str) -> list[dict[str, Any]]:
    """Start the ranks by torchrun; return what each has told."""
    launcher = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={ranks}"]
    own = [__file__, "rank", str(folder), "--started", str(time.time()), *flags]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HUBEL_CACHE": cache}
    out = subprocess.run([*launcher, *own], check=True, stdout=subprocess.PIPE, text=True, env=environment)
    told: list[dict[str, Any]] = json.loads(out.stdout.splitlines()[-1])
    return told


def run(folder: Path, ranks: int) -> bool:
    with tempfile.TemporaryDirectory() as cache:
        cold = start(folder, ranks, cache)
        warm = start(folder, ranks, cache, "--most", "1")
    images = cold[0]["images"]
    print(f"{ranks} ranks, {images:,} images")
    for one in cold:
        before, after = one["memory"]
        print(
            f"rank {one['rank']}: {one['listed']} files listed ({one['twice']} twice), {one['decoded']:,} decoded for "
            f"the index in {one['indexed']:.1f} s; first batch after {one['first']:.1f} s; epoch {one['epoch']:.0f} s; "
            f"{before:.0f} MiB after a twentieth, {after:.0f} at the end ({after / before - 1:+.1%}); {one['rows']:,} "
            f"rows, digest {one['digest']:016x}"
        )
    rows, again = sum(one["rows"] for one in cold), sum(one["again"] for one in cold)
    whole = sum(one["digest"] for one in cold) % 2**64 == cold[0]["whole"] and rows == images and not again
    once = sum(one["decoded"] for one in cold) == images and not any(one["twice"] for one in cold)
    flat = max(one["memory"][1] / one["memory"][0] - 1 for one in cold)
    reused = not any(one["decoded"] for one in warm)
    print(f"{rows:,} rows, {again} of them twice; digests add up to that of the index: {whole}")
    print(f"one pass of the index: {once}; memory grows by {flat:.1%} at most (2 %)")
    firsts = ", ".join(f"{one['first']:.1f}" for one in warm)
    print(f"with the index there: first batch after {firsts} s, nothing decoded for it: {reused}")
    return whole and once and reused and flat <= 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["make", "run", "rank"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kind", choices=["tar", "parquet"], default="tar")
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--ranks", type=int, default=4)
    parser.add_argument("--started", type=float, default=0.0)
    parser.add_argument("--most", type=int, help="batches of an epoch")
    asked = parser.parse_args()
    if asked.what == "make":
        make(asked.folder, asked.kind, asked.images)
    elif asked.what == "rank":
        rank(asked.folder, asked.started, asked.most)
    else:
        sys.exit(not run(asked.folder, asked.ranks))


if __name__ == "__main__":
    main()
