"""Files that a stranger might send, through every function that takes one: refused with a sentence, or harmless."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hostile_models import hostile_models, whole_models
from hubel.analysis.summary import summary
from hubel.core.errors import HubelError, MismatchError, WeightsError
from hubel.inference.load import load
from hubel.inference.predictor import load_network
from hubel.weights.convert import convert_file
from hubel.weights.create import create_model
from hubel.weights.model_file import read_card
from hubel.weights.weight_file import read_weights

OPTIONS = {"filters": [4, 8], "repeat": [1]}
IMAGE = np.zeros((1, 12, 10, 3), np.uint8)

# What the verbs call: predict, serve, embed, explain, similar; export, evaluate, bench; info; train; weights convert.
ENTRIES: dict[str, Callable[[Path], Any]] = {
    "load": lambda path: load(path).predict_proba(IMAGE),
    "load_network": load_network,
    "read_card": read_card,
    "summary": summary,
    "create_model": lambda path: create_model("convnet", weights=path, num_classes=3, options=OPTIONS),
    "convert_file": lambda path: convert_file(path, "convnet", options=OPTIONS, out=path.with_suffix(".out")),
}


def attack(folder: Path, chosen: Callable[[str], bool]) -> list[str]:
    """Give files to each entry; return what went wrong."""
    canary, problems, names = folder / "canary", [], set()
    for name, content in hostile_models(canary):
        names.add(name)
        if not chosen(name):
            continue
        (path := folder / name).write_bytes(content)
        for entry, call in ENTRIES.items():
            started = time.process_time()
            try:
                call(path)
            except HubelError as error:
                if "\n" in str(error) and not isinstance(error, MismatchError):
                    problems.append(f"{name} {entry}: several lines: {error}")
            except BaseException as error:
                problems.append(f"{name} {entry}: {type(error).__name__}: {error!s:.200}")
            if (seconds := time.process_time() - started) > 10:
                problems.append(f"{name} {entry}: {seconds:.0f} s")
            if canary.exists():
                problems.append(f"{name} {entry}: ran code")
                canary.unlink()
        path.unlink()
    return problems if len(names) == 300 else [*problems, f"{len(names)} files"]


@pytest.mark.filterwarnings("ignore")  # of torch, for kinds of tensors that it will remove
def test_a_sample_of_hostile_files(tmp_path: Path) -> None:
    numbers = {f"{number:03}" for number in random.Random(0).sample(range(1, 301), 20)}
    assert attack(tmp_path, lambda name: name[:3] in numbers) == []


@pytest.mark.slow
def test_300_hostile_files_within_2_gb(tmp_path: Path) -> None:
    """In a process of its own, whose largest memory tells."""
    program = (
        "import resource, sys, warnings; warnings.simplefilter('ignore'); sys.path[:0] = sys.argv[2:]\n"
        "from pathlib import Path; from test_hostile_models import attack\n"
        "print(*attack(Path(sys.argv[1]), lambda name: True), sep='\\n')\n"
        "print('KiB', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path, here, here.parent], capture_output=True, text=True, timeout=3000
    )
    *problems, memory = done.stdout.strip().splitlines()
    print(memory)
    assert (done.returncode, [line for line in problems if line]) == (0, []), done.stderr[-2000:]
    assert int(memory.split()[1]) < 2 * 10**6


@pytest.mark.parametrize("n", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_flipped_bits_are_not_learnt_from(n: int, tmp_path: Path) -> None:
    """A model file given to `train --weights` or `weights convert` is compared with its checksum, header and all."""
    whole, path = whole_models()["safetensors"], tmp_path / "m.safetensors"
    path.write_bytes(whole)
    assert read_weights(path)
    length = int.from_bytes(whole[:8], "little")
    for number, bit in enumerate(np.random.default_rng(0).integers(0, 8 * len(whole), n).tolist()):
        bit %= 8 * (length + 8) if number % 2 else 8 * len(whole)  # every second in the header
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(WeightsError):
            read_weights(path)
