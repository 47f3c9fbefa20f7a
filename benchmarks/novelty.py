"""Images of none of the classes, told by the score that hubel keeps and by those that it was compared with.

Claims, for a model of clothes (EfficientNet-Lite0, head only) and images that it has never seen the like of: the mean
area under the ROC curve (AUROC) is at least 0.95, and 5 points above that of maximum softmax; at most 5 +- 2 % of the
test photos of clothes are called unknown; training takes less than 3 s more. That answers are equal everywhere is
`benchmarks/alike.py`.

Unknown are: ImageNet photos without people in clothes in the foreground (86 of imagenet-100, chosen by looking before
anything was measured), CIFAR-10 and Fashion-MNIST enlarged, noise of single pixels and of 14x14 fields. The last column
leaves out one class of clothes after the other: the others are learned, and its test photos are the unknown ones.

Features are computed once and stored. Run: python benchmarks/novelty.py [--data SHARED] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import gzip
import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pyarrow import parquet
from scipy.special import logsumexp, softmax
from sklearn.covariance import EmpiricalCovariance
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

import hubel
from hubel.data import open_dataset
from hubel.features import fit_novelty, fit_probe
from hubel.inference.forward import outputs
from hubel.metrics.novelty import area_under_roc, measure_novelty
from hubel.nn.freezing import last_linear, with_features
from hubel.weights import load_model

SHARED = Path(__file__).parents[2] / "shared" / "data"
ENLARGED, NOISE = 300, 100  # images of each set
# ImageNet photos that show clothes: people in the foreground, a bib, caps.
CLOTHES = """
    02088466 02093859 02098286 02108422 02807133 02834397 03141823 03255030 03924679 04209133 04417672 04486054 04584207
    10565667
""".split()  # noqa: SIM905

Array = NDArray[np.float64]
Score = Callable[[Array, Array], Array]  # from features `(n, d)` and logits `(n, classes)`
Fit = Callable[[Array, Array, NDArray[np.int64], Array, Array], Score]  # features, logits, classes; weight, bias


def unit(x: Array) -> Array:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def maximum_softmax(*_: Array) -> Score:
    """Hendrycks & Gimpel 2017, arXiv:1610.02136, Section 2."""
    return lambda x, z: -softmax(z, 1).max(1)


def maximum_logit(*_: Array) -> Score:
    """Hendrycks et al. 2022, arXiv:1911.11132, Section 4."""
    return lambda x, z: -z.max(1)


def energy(*_: Array) -> Score:
    """Liu et al. 2020, arXiv:2010.03759, Equation 4, at temperature 1."""
    return lambda x, z: -(np.log(np.exp(z - z.max(1, keepdims=True)).sum(1)) + z.max(1))


def mahalanobis(share: float, *, relative: bool = False, normalised: bool = False) -> Fit:
    """Lee et al. 2018, arXiv:1807.03888, Equation 2; relative: Ren et al. 2021, arXiv:2106.09022, Equation 3.

    The covariance is shrunk towards a multiple of the identity by a share: there are fewer images than features.
    """

    def fit(x: Array, z: Array, y: NDArray[np.int64], weight: Array, bias: Array) -> Score:
        g = unit(x) if normalised else x
        means = np.stack([g[y == c].mean(0) for c in np.unique(y)])
        within = whitening(g - means[np.unique(y, return_inverse=True)[1]], share)
        around, mean = whitening(g - g.mean(0), share), g.mean(0)

        def score(x: Array, z: Array) -> Array:
            f = unit(x) if normalised else x
            distances = np.square((f @ within)[:, None] - means @ within).sum(2).min(1)
            return distances - np.square((f - mean) @ around).sum(1) if relative else distances

        return score

    return fit


def whitening(centred: Array, share: float) -> Array:
    """Return W with W W' the inverse of the shrunk covariance."""
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    return vectors / np.sqrt((1 - share) * np.maximum(values, 0) + share * values.mean())


def nearest(k: int) -> Fit:
    """Sun et al. 2022, arXiv:2204.06507, Section 3: the distance to the k-th neighbour among features of length 1."""

    def fit(x: Array, z: Array, y: NDArray[np.int64], weight: Array, bias: Array) -> Score:
        bank = unit(x)
        return lambda x, z: np.sqrt(np.maximum(2 - 2 * np.partition(unit(x) @ bank.T, -k, 1)[:, -k], 0))

    return fit


def virtual_logit(rank: int) -> Fit:
    """Wang et al. 2022, arXiv:2203.10807, Equations 4 to 6, with the origin where all logits are 0."""

    def fit(x: Array, z: Array, y: NDArray[np.int64], weight: Array, bias: Array) -> Score:
        origin = -np.linalg.pinv(weight) @ bias
        main = np.linalg.eigh((x - origin).T @ (x - origin))[1][:, -rank:]

        def left_over(x: Array) -> Array:
            c = x - origin
            return np.sqrt(np.maximum(np.square(c).sum(1) - np.square(c @ main).sum(1), 0))

        alpha = z.max(1).mean() / left_over(x).mean()
        return lambda x, z: alpha * left_over(x) - logsumexp(z, 1)

    return fit


def kept(x: Array, z: Array, *_: Array) -> Score:
    """The score that hubel keeps; see `hubel.nn.novelty`."""
    fitted = fit_novelty(x.astype(np.float32), z.astype(np.float32), reject=0.05)
    assert fitted is not None
    module = fitted.module()
    return lambda x, z: module(torch.from_numpy(x).float(), torch.from_numpy(z).float()).numpy()


SCORES: dict[str, Fit] = {
    "maximum softmax": maximum_softmax,
    "maximum logit": maximum_logit,
    "energy": energy,
    "Mahalanobis, 10 % shrunk": mahalanobis(0.1),
    "relative Mahalanobis, 30 % shrunk": mahalanobis(0.3, relative=True),
    "Mahalanobis, features of length 1": mahalanobis(0.1, normalised=True),
    "relative, features of length 1": mahalanobis(0.3, relative=True, normalised=True),
    "nearest neighbour": nearest(1),
    "10th neighbour": nearest(10),
    "ViM, 64 directions": virtual_logit(64),
    "ViM, 256 directions": virtual_logit(256),
    "kept: half of ViM, length 1": kept,
}


def check_formulas() -> None:
    """Compare the formulas with scikit-learn's and SciPy's."""
    random = np.random.default_rng(0)
    x, new, z = random.normal(1, 1, (300, 12)), random.normal(1, 1, (40, 12)), random.normal(0, 2, (40, 3))
    y, weight, bias = np.arange(300) % 3, random.normal(size=(3, 12)), random.normal(size=3)
    logits = x @ weight.T + bias
    np.testing.assert_allclose(energy()(new, z), -logsumexp(z, 1))
    np.testing.assert_allclose(maximum_softmax()(new, z), -np.exp(z.max(1) - logsumexp(z, 1)))
    means = np.stack([x[y == c].mean(0) for c in range(3)])
    shared = EmpiricalCovariance(assume_centered=True).fit(x - means[y])
    expected = np.min([shared.mahalanobis(new - mean) for mean in means], 0)
    np.testing.assert_allclose(mahalanobis(0.0)(x, logits, y, weight, bias)(new, z), expected)
    background = EmpiricalCovariance().fit(x).mahalanobis(new)
    relative = mahalanobis(0.0, relative=True)(x, logits, y, weight, bias)
    np.testing.assert_allclose(relative(new, z), expected - background)
    near = NearestNeighbors(n_neighbors=10).fit(unit(x)).kneighbors(unit(new))[0][:, 9]
    np.testing.assert_allclose(nearest(10)(x, logits, y, weight, bias)(new, z), near)
    origin = -np.linalg.pinv(weight) @ bias
    mirrored = np.concatenate([x - origin, origin - x])  # whose mean is the origin
    main = PCA(4).fit(mirrored)
    left = [np.linalg.norm(a - origin - main.inverse_transform(main.transform(a - origin)), axis=1) for a in (x, new)]
    expected = logits.max(1).mean() / left[0].mean() * left[1] - logsumexp(z, 1)
    np.testing.assert_allclose(virtual_logit(4)(x, logits, y, weight, bias)(new, z), expected)
    print("formulas agree with scikit-learn's and SciPy's")


def unknown_pixels(shared: Path) -> dict[str, list[NDArray[np.uint8]]]:
    random = np.random.default_rng(0)
    photos = [p for p in sorted((shared / "imagenet-100").glob("*.JPEG")) if p.name[1:9] not in CLOTHES]
    cifar = parquet.read_table(shared / "cifar10" / "test.parquet").slice(0, ENLARGED).to_pylist()
    raw = gzip.decompress(next((shared / "fashion-mnist").glob("t10k-images*")).read_bytes())
    grey = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28)[:ENLARGED]
    fields = [Image.fromarray(random.integers(0, 256, (14, 14, 3), np.uint8)).resize((224, 224)) for _ in range(NOISE)]
    return {
        "imagenet": [np.asarray(Image.open(path).convert("RGB")) for path in photos],
        "cifar-10": [np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB")) for row in cifar],
        "fashion": [np.repeat(image[..., None], 3, 2) for image in grey],
        "noise": [
            *(random.integers(0, 256, (224, 224, 3), np.uint8) for _ in range(NOISE)),
            *(np.asarray(image) for image in fields),
        ],
    }


def features_of(run: Path, shared: Path, file: Path) -> dict[str, NDArray[np.float32]]:
    """Return the features of all sets, computed in float32, and classes of clothes; from the file if it is there."""
    if not file.exists():
        network, card = load_model(run / "model.safetensors")
        layer, whole = last_linear(network), with_features(network).eval()
        found: dict[str, NDArray[np.float32]] = {}
        for split in ("train", "test"):
            data = open_dataset(str(shared / "clothing" / split))
            found[split] = outputs(whole, data.images(card.preprocess))[:, : layer.in_features]
            found[f"classes of {split}"] = data.targets(card.classes, data.rows())
        for name, images in unknown_pixels(shared).items():
            pixels = np.stack([card.preprocess.apply(image) for image in images])
            data = open_dataset((pixels, ["unknown"] * len(pixels)))
            found[name] = outputs(whole, data.images(card.preprocess))[:, : layer.in_features]
        np.savez(file, **found)
    return dict(np.load(file))


def figure_1(run: Path, f: dict[str, NDArray[np.float32]], sets: list[str]) -> None:
    """The model as hubel trains it, and its own answers on the stored features."""
    network, card = load_model(run / "model.safetensors")
    layer, rule = last_linear(network), card.novelty
    assert rule is not None
    with torch.inference_mode():
        logits = {name: layer(torch.from_numpy(f[name])).numpy() for name in ("test", *sets)}
        novelty = {n: network.novelty(torch.from_numpy(f[n]), torch.from_numpy(z)).numpy() for n, z in logits.items()}
    print(f"\nthe model of the run, threshold on {rule.images:,} held-out photos")
    areas, softmaxes = [], []
    for name in sets:
        found = measure_novelty(novelty["test"], rule.threshold, novelty[name])
        areas.append(found.auroc)
        softmaxes.append(area_under_roc(*(-softmax(logits[one], 1).max(1) for one in ("test", name))))
        print(
            f"{name:10} AUROC {found.auroc:.4f}, maximum softmax {softmaxes[-1]:.4f}; "
            f"FPR at 95 % TPR {found.fpr95:.1%}; {found.found:.1%} found"
        )
    print(
        f"mean       AUROC {np.mean(areas):.4f}, maximum softmax {np.mean(softmaxes):.4f}: "
        f"{100 * np.mean(np.subtract(areas, softmaxes)):+.1f} points"
    )
    print(f"{found.rejected:.1%} of {found.images} test photos of clothes are called unknown (at most 5 +- 2 %)")


def comparison(f: dict[str, NDArray[np.float32]], sets: list[str]) -> None:
    x, test = f["train"].astype(np.float64), f["test"].astype(np.float64)
    y, truth = f["classes of train"], f["classes of test"]
    rows: dict[str, list[float]] = {name: [] for name in SCORES}
    for left_out in (None, *range(int(y.max()) + 1)):
        some = np.ones(len(y), bool) if left_out is None else y != left_out
        classes = np.unique(y[some], return_inverse=True)[1]
        head = fit_probe(f["train"][some], classes, int(classes.max()) + 1)
        weight, bias = head.weight.astype(np.float64), head.bias.astype(np.float64)
        logits = {name: f[name] @ weight.T + bias for name in ("test", *sets)}
        for name, fit in SCORES.items():
            score = fit(x[some], x[some] @ weight.T + bias, classes, weight, bias)
            near = score(test, logits["test"])
            if left_out is None:
                areas = [area_under_roc(near, score(f[one].astype(np.float64), logits[one])) for one in sets]
                rows[name] += [*areas, float(np.mean(areas))]
            else:
                away = truth == left_out
                rows[name].append(area_under_roc(near[~away], near[away]))
    width = len(sets) + 1
    print(f"\n{'AUROC':34}{''.join(f'{name:>10}' for name in (*sets, 'mean', 'left out'))}")
    for name, values in rows.items():
        shown = [*values[:width], float(np.mean(values[width:]))]
        print(f"{name:34}{''.join(f'{value:10.4f}' for value in shown)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--out", type=Path, default=Path("runs/novelty"))
    parser.add_argument("--only", default="1,2", help="figure 1, the comparison (2)")
    options = parser.parse_args()
    check_formulas()
    run, wanted = options.out / "run", options.only.split(",")
    if not (run / "metrics.json").exists():
        result = hubel.train(str(options.data / "clothing"), hubel.Recipe(freeze="all"), out=run, quiet=True)
        print(f"accuracy {result.accuracy:.1%}; the rule of novelty took {result.seconds['novelty']:.2f} s of training")
    f = features_of(run, options.data, options.out / "features.npz")
    sets = [name for name in f if "classes" not in name and name not in ("train", "test")]
    if "1" in wanted:
        figure_1(run, f, sets)
    started = time.process_time()
    if "2" in wanted:
        with threadpool_limits(1):
            comparison(f, sets)
        print(f"{time.process_time() - started:.0f} s of one core")


if __name__ == "__main__":
    main()
