"""Augmentation against torchvision v2 and albumentations: images a second, and what interpolating once is worth.

Claims (224x224, 2 threads for everybody, medians of interleaved rounds):
1. Crop, mirror image, rotation, shear, brightness, contrast, saturation, hue and PCA colour, the policy "standard", are
   at least 3 times as fast as torchvision v2 on Pillow images (without PCA colour), 1.3 times as albumentations.
2. Local warping is at least 50 times as fast as torchvision v2's, and 5 times as albumentations'.
3. PCA colour is at least 50 times as fast as albumentations'.
4. Crop, rotation and shear: the mean absolute error against the mean of 64 places of each pixel, in float64, is lower
   than that of torchvision v2, and of OpenCV's resize and warp, which are albumentations', one after the other.
5. Mirror images and moves of 32x32x3, whole batches: at least 50,000 images a second.

All start from decoded photos in memory; the parameters of a batch are drawn together, as in training. albumentations
and OpenCV compute each image with one thread, as beside a DataLoader; the allocator is set up as by the hubel command.
--figure draws docs/figures/one-interpolation.png.
Run: python benchmarks/augmentation.py [--only 1,2] [--rounds 7] [--photos 24] [--peers FOLDER] [--figure FILE]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from claims import Claims, chosen
from hubel.core.process import tune_process
from hubel.data.augment import POLICIES, Augmentation, Policy, augment_batch, draw_augmentations, transform_image
from hubel.data.augment.geometry import (
    MIRROR,
    PERSPECTIVE,
    ROTATE,
    SCALE,
    SHEAR,
    SHIFT,
    resize_matrix,
    transform_matrix,
)
from hubel.data.augment.operation import GeometricStep
from hubel.data.augment.sampling import sample_image
from hubel.data.preprocess import Preprocess

TESTS = Path(__file__).parents[1] / "tests"
PHOTOS = Path(__file__).parents[2] / "shared" / "data" / "imagenet-100"
SIDE, THREADS = 224, 2
BATCH = 16
SECONDS = 0.6  # of a round of each way
WANTED = Preprocess(SIDE, SIDE)
Pixels = NDArray[np.uint8]
Way = Callable[[list[Pixels], int, ThreadPoolExecutor], None]


class Bench:
    """The photos, the threads, and what was found."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.claims, self.rounds, self.policy = Claims(), options.rounds, POLICIES["standard"]
        files = sorted(PHOTOS.glob("*.JPEG"))[: options.photos]
        self.photos = [np.asarray(Image.open(file).convert("RGB")) for file in files]
        self.small = [WANTED.apply(photo) for photo in self.photos]
        self.pool = ThreadPoolExecutor(THREADS)

    def rates(self, ways: dict[str, Way], images: list[Pixels]) -> dict[str, float]:
        """Images a second of each way, the median of rounds that take turns; each round takes about as long."""
        found: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(self.rounds + 1):
            for name, way in ways.items():
                # The first round warms up, and says how many images the others take.
                n = max(8, round(found[name][0] * SECONDS)) if turn else 8
                some = [images[i % len(images)] for i in range(n)]
                way(some[:4], turn, self.pool)
                started = time.perf_counter()
                way(some, turn, self.pool)
                found[name].append(n / (time.perf_counter() - started))
        rates = {name: statistics.median(values[1:]) for name, values in found.items()}
        print("    " + ", ".join(f"{name} {rate:,.0f}/s" for name, rate in rates.items()), flush=True)
        return rates

    def faster(self, words: str, rates: dict[str, float], peer: str, times: float) -> None:
        """A claim on two of the rates."""
        if peer in rates:
            ratio = rates["hubel"] / rates[peer]
            self.claims.add(f"{words}: at least {times:g} times {peer}", f"{ratio:.1f}x", ratio >= times)


def in_batches(make: Callable[[list[Pixels], int, int], Any]) -> Way:
    """A batch is one task of a thread, as in training: from its photos, the round and the number of its first photo."""

    def way(photos: list[Pixels], turn: int, pool: ThreadPoolExecutor) -> None:
        def task(start: int) -> None:  # keeps no result: memory for all of them would be what is measured
            make(photos[start : start + BATCH], turn, start)

        list(pool.map(task, range(0, len(photos), BATCH)))

    return way


def ours(what: Policy) -> Way:
    def made(photos: list[Pixels], turn: int, start: int) -> Pixels:
        changes = draw_augmentations(what, 0, turn, np.arange(start, start + len(photos)))
        return np.stack([transform_image(photo, WANTED, change) for photo, change in zip(photos, changes, strict=True)])

    return in_batches(made)


def ours_in_place(what: Policy) -> Way:
    """Of images that have the network's size and keep it."""

    def made(photos: list[Pixels], turn: int, start: int) -> Pixels:
        return augment_batch(np.stack(photos), what, seed=0, epoch=turn, samples=np.arange(start, start + len(photos)))

    return in_batches(made)


def each(change: Callable[[Pixels], Any]) -> Way:
    return in_batches(lambda photos, turn, start: np.stack([change(photo) for photo in photos]))


def standard(bench: Bench) -> None:
    p, ways = bench.policy, {"hubel": ours(bench.policy)}
    if (v2 := torchvision_v2()) is not None:
        bilinear = v2.InterpolationMode.BILINEAR
        theirs = v2.Compose([
            v2.RandomResizedCrop(SIDE, scale=(p.crop, 1.0), ratio=(1 / p.aspect, p.aspect), interpolation=bilinear),
            v2.RandomHorizontalFlip(),
            v2.RandomAffine(p.rotate, shear=(-p.shear, p.shear, -p.shear, p.shear), interpolation=bilinear),
            v2.ColorJitter(p.brightness, p.contrast, p.saturation, p.hue / 360),
        ])  # fmt: skip
        ways["torchvision v2"] = each(lambda photo: np.asarray(theirs(Image.fromarray(photo))))
    if (a := albumentations()) is not None:
        steps = [
            a.RandomResizedCrop((SIDE, SIDE), scale=(p.crop, 1.0), ratio=(1 / p.aspect, p.aspect)),
            a.HorizontalFlip(),
            a.Affine(rotate=(-p.rotate, p.rotate), shear=(-p.shear, p.shear), p=1.0),
            a.ColorJitter((0.8, 1.2), (0.8, 1.2), (0.8, 1.2), (-p.hue / 360, p.hue / 360), p=1.0),
        ]
        without, whole = a.Compose(steps), a.Compose([*steps, a.FancyPCA(p=1.0)])
        ways["albumentations"] = each(lambda photo: whole(image=photo)["image"])
        ways["albumentations without PCA colour"] = each(lambda photo: without(image=photo)["image"])
    rates = bench.rates(ways, bench.photos)
    bench.faster("1. standard policy", rates, "torchvision v2", 3)
    bench.faster("1. standard policy", rates, "albumentations", 1.3)


def warping(bench: Bench) -> None:
    ways = {"hubel": ours(Policy(warp=0.03))}
    if (v2 := torchvision_v2()) is not None:
        elastic = v2.ElasticTransform()
        ways["torchvision v2"] = each(lambda photo: np.asarray(elastic(Image.fromarray(photo))))
    if (a := albumentations()) is not None:
        # A field as smooth as ours needs its usual sigma; that of torchvision is a tenth of it, and quicker to blur.
        smooth, rough = a.ElasticTransform(alpha=300, p=1.0), a.ElasticTransform(alpha=50, sigma=5, p=1.0)
        ways["albumentations"] = each(lambda photo: smooth(image=photo)["image"])
        ways["albumentations, sigma 5"] = each(lambda photo: rough(image=photo)["image"])
    rates = bench.rates(ways, bench.small)
    bench.faster("2. local warping", rates, "torchvision v2", 50)
    bench.faster("2. local warping", rates, "albumentations", 5)


def colours(bench: Bench) -> None:
    ways = {"hubel": ours_in_place(Policy(pca=0.1))}
    if (a := albumentations()) is not None:
        fancy = a.FancyPCA(p=1.0)
        ways["albumentations"] = each(lambda photo: fancy(image=photo)["image"])
    bench.faster("3. PCA colour", bench.rates(ways, bench.small), "albumentations", 50)
    rotation = {"hubel": ours(Policy(rotate=30))}
    if (v2 := torchvision_v2()) is not None:
        turn = v2.RandomRotation(30, interpolation=v2.InterpolationMode.BILINEAR)
        rotation["torchvision v2"] = each(lambda photo: np.asarray(turn(Image.fromarray(photo))))
    if a is not None:
        other = a.Rotate((-30, 30), p=1.0)
        rotation["albumentations"] = each(lambda photo: other(image=photo)["image"])
    print("    rotation alone, of 224x224:")
    bench.rates(rotation, bench.small)


def truth(photo: Pixels, matrix: NDArray[np.float64], side: int, points: int = 8) -> NDArray[np.float64]:
    """The mean of points x points places of each pixel, bilinear between the middles of the photo's, in float64."""
    places = (np.arange(side * points) + 0.5) / points
    x, y = np.meshgrid(places, places)
    u, v, w = (matrix[i, 0] * x + matrix[i, 1] * y + matrix[i, 2] for i in range(3))
    u, v = np.clip(u / w - 0.5, 0, photo.shape[1] - 1), np.clip(v / w - 0.5, 0, photo.shape[0] - 1)
    left, upper = np.minimum(u.astype(int), photo.shape[1] - 2), np.minimum(v.astype(int), photo.shape[0] - 2)
    right, below, values = (u - left)[..., None], (v - upper)[..., None], photo.astype(np.float64)
    first = values[upper, left] * (1 - right) + values[upper, left + 1] * right
    second = values[upper + 1, left] * (1 - right) + values[upper + 1, left + 1] * right
    return (first * (1 - below) + second * below).reshape(side, points, side, points, 3).mean((1, 3))


def stepwise(photo: Pixels, box: tuple[int, int, int, int], maps: list[NDArray[np.float64]]) -> Pixels:
    """A crop, then each map from the result of the one before, as chains of transforms do it; by OpenCV."""
    left, top, width, height = box
    out = cv2.resize(photo[top : top + height, left : left + width], (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    half = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
    for one in maps:
        back, flags = half @ one @ np.linalg.inv(half), cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
        out = cv2.warpPerspective(out, back, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out)


def errors(bench: Bench) -> None:
    found: dict[str, list[float]] = {}
    generator, v2 = np.random.default_rng(0), torchvision_v2()
    for photo in bench.photos[:8]:
        height, width = (round(side * float(generator.uniform(0.6, 1))) for side in photo.shape[:2])
        top, left = (int(generator.integers(0, a - b + 1)) for a, b in zip(photo.shape, (height, width), strict=False))
        turn, slant = float(generator.uniform(-15, 15)), float(generator.uniform(-8, 8))
        canvas, results = transform_matrix([(ROTATE, (turn,)), (SHEAR, (slant, 0.0))], SIDE, SIDE), {}
        if v2 is not None:
            from torchvision.transforms.functional import _get_inverse_affine_matrix as inverse

            canvas[:2] = np.reshape(inverse([SIDE / 2, SIDE / 2], turn, [0, 0], 1.0, [slant, 0.0]), (2, 3))
            f, bilinear = v2.functional, v2.InterpolationMode.BILINEAR
            cut = f.resized_crop(Image.fromarray(photo), top, left, height, width, [SIDE, SIDE], interpolation=bilinear)
            results["torchvision v2"] = np.asarray(
                f.affine(cut, turn, [0, 0], 1.0, [slant, 0.0], interpolation=bilinear)
            )
        total = resize_matrix(WANTED, left, top, width, height) @ canvas
        results["hubel"] = sample_image(photo, total, (SIDE, SIDE), fill="edge")
        results["OpenCV"] = stepwise(photo, (left, top, width, height), [canvas])
        true = truth(photo, total, SIDE)
        y, x = np.mgrid[0:SIDE, 0:SIDE] + 0.5
        u, v = (canvas[i, 0] * x + canvas[i, 1] * y + canvas[i, 2] for i in (0, 1))
        inside = (np.minimum(u, v) > 4) & (np.maximum(u, v) < SIDE - 4)  # where nothing came in from outside
        for name, result in results.items():
            found.setdefault(name, []).append(float(np.abs(result.astype(float) - true)[inside].mean()))
    mean = {name: statistics.mean(values) for name, values in found.items()}
    for name, value in mean.items():
        if name != "hubel":
            words = f"{mean['hubel']:.2f} against {value:.2f} levels"
            bench.claims.add(f"4. error of crop, rotation and shear: below {name}", words, mean["hubel"] < value)


def small(bench: Bench) -> None:
    batch = np.random.default_rng(0).integers(0, 256, (128, 32, 32, 3)).astype(np.uint8)
    what, seconds = POLICIES["light"], []
    for turn in range(40):
        started = time.perf_counter()
        augment_batch(batch, what, seed=0, epoch=turn, samples=np.arange(128))
        seconds.append(time.perf_counter() - started)
    rate = 128 / statistics.median(seconds)
    bench.claims.add("5. 32x32x3, mirrored and moved: 50,000 images/s", f"{rate:,.0f}/s in one thread", rate >= 50_000)


CLAIMS: dict[int, Callable[[Bench], None]] = {1: standard, 2: warping, 3: colours, 4: errors, 5: small}


def torchvision_v2() -> Any:
    """`torchvision.transforms.v2`, or None where it is not installed."""
    sys.path.append(str(TESTS))
    try:
        import peers

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return peers._imported("torchvision", "torchvision.transforms.v2").transforms.v2
    except ImportError as error:
        print(f"    without torchvision: {error}")
        return None


def albumentations() -> Any:
    """albumentations, or None where it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import albumentations as found
        return found
    except ImportError as error:
        print(f"    without albumentations: {error}")
        return None


def draw_figure(file: Path) -> None:
    """The photo, then a part of it enlarged: after one sampling, after six, and the truth."""
    from hubel.plots.figure_files import save_figure
    from hubel.plots.style import INK, MUTED, canvas, finish

    (found,) = (PHOTOS.parent / "clothing").glob(f"*/*/{FIGURE_PHOTO}*.jpg")  # which may be passed on: CC0
    photo = np.asarray(Image.open(found).convert("RGB"))
    height, width = photo.shape[:2]
    steps: list[GeometricStep] = [
        (MIRROR, ()), (ROTATE, (12.0,)), (SHEAR, (5.0, -4.0)), (SCALE, (1.12,)),
        (PERSPECTIVE, (0.03, 0.0, -0.02, 0.02, 0.01, -0.03, 0.02, 0.01)), (SHIFT, (0.013, -0.021)),
    ]  # fmt: skip
    change = Augmentation(crop=(0.8, 0.8, 0.5, 0.5), transforms=tuple(steps), fill="edge")
    box = change.box(width, height)
    total = resize_matrix(WANTED, *box) @ transform_matrix(steps, SIDE, SIDE)
    maps = [transform_matrix([step], SIDE, SIDE) for step in steps]
    once, often, true = transform_image(photo, WANTED, change), stepwise(photo, box, maps), truth(photo, total, SIDE)
    errors = [np.abs(result.astype(float) - true)[20:-20, 20:-20].mean() for result in (once, often)]
    part = (slice(FIGURE_AT[0], FIGURE_AT[0] + 72), slice(FIGURE_AT[1], FIGURE_AT[1] + 72))
    true_pixels = np.clip(true.round(), 0, 255).astype(np.uint8)
    panels = [
        (once, "The whole input", "a crop and six transforms, composed into one map"),
        (true_pixels[part], "The truth", "64 places of each pixel, in float64"),
        (once[part], "Sampled once", f"mean error {errors[0]:.1f} of 255 levels"),
        (often[part], "One step after another", f"seven samplings, mean error {errors[1]:.1f} levels"),
    ]
    figure = canvas(11.4, 3.45, None)
    for place, (pixels, title, words) in enumerate(panels):
        axes = figure.add_axes((0.012 + place * 0.2465, 0.15, 0.236, 0.78))
        axes.imshow(pixels, interpolation="nearest")
        axes.axis("off")
        if place == 0:
            edge = (FIGURE_AT[1] - 0.5, FIGURE_AT[0] - 0.5)
            axes.add_patch(rectangle(edge))
        axes.text(0.0, -0.035, title, transform=axes.transAxes, va="top", size=10, weight="bold", color=INK)
        axes.text(0.0, -0.115, words, transform=axes.transAxes, va="top", size=8, color=MUTED)
    save_figure(finish(figure), file)


FIGURE_PHOTO, FIGURE_AT = "3179d873", (112, 60)  # row and column of the enlarged part


def rectangle(corner: tuple[float, float]) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(corner, 72, 72, fill=False, edgecolor="white", linewidth=1.6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="numbers of claims, such as 1,2")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument("--peers", type=Path, help="a folder with albumentations, from pip install --target")
    parser.add_argument("--figure", type=Path, help="draw the comparison into this file, and measure nothing")
    options = parser.parse_args()
    if options.peers:
        sys.path.append(str(options.peers))
    cv2.setNumThreads(1)
    tune_process()
    bench = Bench(options)
    if options.figure:
        draw_figure(options.figure)
        return
    for number in chosen(options.only, CLAIMS):
        CLAIMS[number](bench)
    bench.claims.close()


if __name__ == "__main__":
    main()
