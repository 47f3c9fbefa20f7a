"""Images until the drift alarm of `hubel serve --watch` rings, for each change of `hubel robust`, and false alarms.

Claim: of the 26 corruptions and changes at severity 3 the alarm tells at least 20 within 200 images, and of 10,000
unchanged images at most one raises it.

The model is a run of `hubel train DATA`; its reference is that in the model file, made from its training and validation
images. Streams are drawn with replacement from images that neither trained nor validated: a few hundred photos have no
stream of 10,000 different ones. Each corrupted stream is another draw of images, corrupted at the network's resolution
as in `hubel robust`; the median over the streams counts. False alarms: so many streams of 1,000 images that the number
stated is reached; with CIFAR-10 or Fashion-MNIST its 10,000 test images each come once.

"seconds an image" is the time that the alarm takes beside the network: traits and evidence.
Run: python benchmarks/drift.py RUN DATA [--images 200] [--streams 5] [--unchanged 100000] [--only shift,blur]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hubel.audit.drifting.alarm import DriftAlarm, Ring
from hubel.audit.drifting.appearance import appearance
from hubel.audit.drifting.observe import confidence
from hubel.audit.drifting.reference import read_reference
from hubel.audit.robustness.corruptions import corrupt, find_corruptions
from hubel.core.random import permutation, uniform
from hubel.data.dataset import open_dataset
from hubel.inference.predictor import Predictor, load_predictor

WITHIN = 200
Told = list[tuple[NDArray[np.float32], float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("data")
    parser.add_argument("--images", type=int, default=200, help="different images that are corrupted")
    parser.add_argument("--streams", type=int, default=5)
    parser.add_argument("--unchanged", type=int, default=100_000, help="0: do not look for false alarms")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    model = load_predictor(options.run)
    dataset = open_dataset(options.data)
    rows = dataset.evaluation_rows(model.card.provenance, "test").rows
    images = dataset.images(model.card.preprocess, rows)
    chosen = np.sort(permutation(len(rows), 0)[: options.images])
    pixels = images.pixels(chosen)
    if options.unchanged:
        unchanged(model, images.pixels(np.sort(permutation(len(rows), 1)[:10_000])), options.unchanged)
    caught, asked = 0, find_corruptions([name for name in options.only.split(",") if name])
    print(f"{'':20}{'strength':>9}{'images to the alarm':>21}  told by")
    for change in asked:
        strength = change.strengths[2]
        changed = [corrupt(one, change.name, strength, image=at) for at, one in enumerate(pixels)]
        told = tell(model, changed)
        rings = [first(model, told, stream) for stream in range(options.streams)]
        count = statistics.median(ring.images if ring else np.inf for ring in rings)
        caught += count <= WITHIN
        said = Counter(f"{ring.statistic} {ring.direction}" for ring in rings if ring).most_common(1)
        shown = f"{count:.0f}" if count <= WITHIN else f"over {WITHIN}"
        print(f"{change.name:20}{strength:>9.3g}{shown:>21}  {said[0][0] if said else ''}", flush=True)
    print(f"{caught} of {len(asked)} within {WITHIN} images")


def tell(model: Predictor, pixels: Sequence[NDArray[np.uint8]]) -> Told:
    """Return what the alarm sees of each image."""
    scores = [model.scores(np.stack(pixels[at : at + 16])) for at in range(0, len(pixels), 16)]
    return list(zip(map(appearance, pixels), confidence(np.concatenate(scores), model.card).tolist(), strict=True))


def fresh(model: Predictor) -> DriftAlarm:
    return DriftAlarm(read_reference(model.card.reference, len(model.classes)))


def first(model: Predictor, told: Told, stream: int) -> Ring | None:
    """Return the first alarm of a stream of 200 images; None without one."""
    alarm = fresh(model)
    drawn = (uniform(1, stream, np.arange(WITHIN)) * len(told)).astype(int).tolist()
    return next((ring for at in drawn if (ring := alarm.add(*told[at]))), None)


def unchanged(model: Predictor, pixels: NDArray[np.uint8], least: int) -> None:
    """Print the false alarms, and the time that the alarm takes."""
    told, rings, seen = tell(model, list(pixels)), list[Ring](), 0
    once = len(told) >= 10_000
    while seen < (len(told) if once else least):
        alarm, n = fresh(model), len(told) if once else 1000
        drawn = permutation(n, 2) if once else (uniform(2, seen, np.arange(n)) * len(told)).astype(int)
        rings += [ring for at in drawn.tolist() if (ring := alarm.add(*told[at]))]
        seen += n
    how = "each once" if once else f"drawn from {len(told):,} unseen ones in streams of 1,000"
    print(
        f"unchanged images: {len(rings)} alarms in {seen:,}, {how}: {10_000 * len(rings) / seen:.2f} in 10,000",
        rings[:3],
    )
    alarm, times = fresh(model), []
    for image, (_, answer) in list(zip(pixels, told, strict=True))[:200]:
        started = time.perf_counter()
        alarm.add(appearance(image), answer)
        times.append(time.perf_counter() - started)
    size = f"{pixels.shape[1]}x{pixels.shape[2]}"
    print(f"the alarm takes {1e3 * statistics.median(times):.2f} ms an image of {size} pixels")


if __name__ == "__main__":
    main()
