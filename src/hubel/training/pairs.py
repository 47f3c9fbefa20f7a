"""Train on pairs of images and captions: two linear maps into one space, above frozen features of both.

Radford et al. 2021, arXiv:2103.00020, Figure 3, with both towers frozen below their projections. Images are described
by the means of a pretrained network's maps (`hubel.nn.pooled`), captions by a pretrained text encoder. Both are
computed once; what is trained are two matrices, which takes seconds.

This is no task of `hubel.tasks`: those train networks of the catalogue, one image at a time, with a loss for each. Here
a loss needs a batch, nothing is augmented, and a run is over before it could be resumed.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from hubel.core.errors import DataError, DecodeError, OptionError
from hubel.core.files import MODEL_FILE, user_path, write_json
from hubel.core.outputs import make_folder, output_folder
from hubel.core.progress import bar, counted
from hubel.core.random import permutation, scalar
from hubel.core.ranges import check_range
from hubel.core.version import __version__
from hubel.data.inputs import Input
from hubel.data.reading import read_regular
from hubel.data.sources.pair_table import ImagePair, read_pairs
from hubel.features.store import FeatureStore
from hubel.inference.forward import forward
from hubel.inference.stream import stream
from hubel.metrics.retrieval import Retrieval, measure_retrieval
from hubel.nn.contrastive import LearntScale, info_nce
from hubel.retrieval.minilm import DIGEST, load_minilm
from hubel.retrieval.paired import mapped, paired_network
from hubel.training.eager import eager
from hubel.training.recipe import Recipe
from hubel.weights.card import ModelCard
from hubel.weights.create import load_pretrained, means_a_file
from hubel.weights.model_file import load_model, model_path
from hubel.weights.paired_file import PairedModel, save_paired

__all__ = ["DEFAULT_MODEL", "PairSettings", "PairsResult", "fit_maps", "train_pairs", "train_recipe_on_pairs"]

#: Network whose features describe images, where none is named.
DEFAULT_MODEL = "efficientnet_lite0"
_STORE_VERSION = 1  # of the meaning of the stored features
_HELD_OUT, _MOST_HELD_OUT = 0.1, 1000  # share of the images, and the most, that measure where no split is named
_PART = 256  # images whose features are stored at once
_LEAST = 20  # pairs; what fewer improve is too little to measure
_TRAIN = (0, 1)  # codes of splits


@dataclass(frozen=True, kw_only=True)
class PairSettings:
    """Settings of the training.

    Attributes:
        dimension: length of the vectors.
        epochs: passes over the pairs.
        batch_size: pairs of which each is compared with all others.
        lr: largest learning rate of Adam; it falls along half a cosine.
        weight_decay: decoupled, of the matrices.
        noise: standard deviation of noise on the standardised features while training: few pairs are learnt by heart.
        seed: of the initial matrices, the order and the noise.

    Raises:
        OptionError: a value is out of range.
    """

    dimension: int = 256
    epochs: int = 40
    batch_size: int = 512
    lr: float = 1e-3
    weight_decay: float = 0.1
    noise: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (("dimension", 2, 4096), ("epochs", 1, 10_000), ("batch_size", 2, 65_536)):
            check_range(name, getattr(self, name), low, high, whole=True)
        for name, largest in (("lr", 1.0), ("weight_decay", 10.0), ("noise", 10.0)):
            check_range(name, getattr(self, name), 0.0, largest)


def train_recipe_on_pairs(table: str | Path, recipe: Recipe | None, *, out: str | Path | None = None) -> PairsResult:
    """Train on pairs by the settings of a recipe that mean something there; see `train_pairs`.

    Raises:
        OptionError: another setting is given.
    """
    wanted, usual = (recipe or Recipe()).settings(), Recipe().settings()
    given = {name: value for name, value in wanted.items() if value != usual[name]}
    known = {one.name for one in fields(PairSettings)}
    if other := sorted(given.keys() - known - {"model", "root"}):
        raise OptionError(
            f"--{other[0].replace('_', '-')} means nothing for pairs of images and captions; their settings are "
            f"--model, --root, {', '.join(f'--{n}'.replace('_', '-') for n in sorted(known & usual.keys()))}"
        )
    settings = PairSettings(**{name: value for name, value in given.items() if name in known})
    model = str(given.get("model", DEFAULT_MODEL))
    return train_pairs(table, model=model, settings=settings, root=given.get("root"), out=out)


@dataclass(frozen=True, kw_only=True)
class PairsResult:
    """Result of a training on pairs.

    Attributes:
        folder: of the run.
        model: the model file, which `hubel search --encoder` takes.
        pairs: number of pairs that were trained on.
        held_out: number of pairs that were measured.
        texts: scenes found by their captions: images as answers.
        images: captions found by their images.
        seconds: of the training, without the features.
        notes: remarks, in sentences.
    """

    folder: Path
    model: Path
    pairs: int
    held_out: int
    texts: Retrieval
    images: Retrieval
    seconds: float
    notes: Sequence[str] = ()


def train_pairs(
    table: str | Path,
    *,
    model: str | Path = DEFAULT_MODEL,
    settings: PairSettings | None = None,
    root: str | Path | None = None,
    out: str | Path | None = None,
) -> PairsResult:
    """Train an encoder of images and texts on the pairs of a table, measure it on others, and write its file.

    Args:
        table: CSV, TSV or Parquet file with image_path and caption, and perhaps split; without a split a tenth of the
            images is held out.
        model: network whose features describe images: a model file, or the name of one with pretrained weights.
        settings: of the training.
        root: folder that the paths of the table start at; the table's own if None.
        out: folder of the run; a new one below `runs/` if not given.

    Raises:
        DataError: the table has too few pairs that can be used.
        OptionError: a setting is out of range, or the network has no stages.
        WeightsError: the text encoder is not installed.
    """
    path, chosen = user_path(table), settings or PairSettings()
    target = output_folder(out, verb="train", inputs=(path,))
    found = read_pairs(path, None if root is None else user_path(root))
    network, card = load_model(model_path(Path(model))) if means_a_file(model) else load_pretrained(str(model))
    files = sorted({pair.path for pair in found.pairs})
    known, problems = _image_features(network, card, files)
    pairs = [pair for pair in found.pairs if pair.path in known]
    train, held_out = _split(pairs, chosen.seed)
    if min(len(train), len(held_out)) < 2 or len(pairs) < _LEAST:
        raise DataError(f"{path} has {len(pairs):,} pairs that can be used; at least {_LEAST} are needed")
    captions = sorted({pair.caption for pair in pairs})
    texts = dict(zip(captions, load_minilm().encode(captions), strict=True))

    def arrays(some: Sequence[ImagePair]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
        return np.stack([known[p.path] for p in some]), np.stack([texts[p.caption] for p in some]), _same(some)

    started = time.monotonic()
    image_map, text_map, scale = fit_maps(*arrays(train)[:2], train, chosen)
    seconds = time.monotonic() - started
    images, words, same = arrays(held_out)
    similar = mapped(words, text_map) @ mapped(images, image_map).T
    by_text, by_image = measure_retrieval(similar, same), measure_retrieval(similar.T, same.T)
    folder = make_folder(target, verb="train", name=f"{path.stem}-pairs")
    provenance = {
        "scale": round(scale, 3),
        "data": path.name,
        "pairs": len(train),
        "held_out": len(held_out),
        "settings": asdict(chosen),
        "caption_to_image": asdict(by_text),
        "image_to_caption": asdict(by_image),
        "hubel": __version__,
    }
    save_paired(
        folder / MODEL_FILE,
        PairedModel(
            network=network,
            card=card,
            text=DIGEST,
            image_map=torch.from_numpy(image_map),
            text_map=torch.from_numpy(text_map),
            provenance=provenance,
        ),
    )
    write_json(folder / "pairs.json", provenance)
    bad = [*found.problems, *map(str, problems)]
    notes = [*found.notes, *([f"{counted(len(bad), 'row')} left out; the first: {bad[0]}"] if bad else [])]
    return PairsResult(
        folder=folder,
        model=folder / MODEL_FILE,
        pairs=len(train),
        held_out=len(held_out),
        texts=by_text,
        images=by_image,
        seconds=seconds,
        notes=tuple(notes),
    )


class _Standard(nn.Module):
    """Scales features to mean 0 and deviation 1, in front of a linear layer."""

    def __init__(self, features: NDArray[np.float32], dimension: int) -> None:
        super().__init__()
        self.mean = torch.from_numpy(features.mean(0))
        self.deviation = torch.from_numpy(np.maximum(features.std(0), 1e-6))
        self.linear = nn.Linear(features.shape[1], dimension, bias=False)
        self.x = (torch.from_numpy(features) - self.mean) / self.deviation

    def affine(self) -> NDArray[np.float32]:
        """Return the map of features as they are, `(d, features + 1)`."""
        matrix = self.linear.weight.detach() / self.deviation
        return torch.cat([matrix, -(matrix @ self.mean)[:, None]], 1).numpy()


def fit_maps(
    images: NDArray[np.float32], texts: NDArray[np.float32], pairs: Sequence[ImagePair], settings: PairSettings
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Fit both maps by the symmetric contrastive loss, with a learnt temperature.

    Pairs with the same caption, or of the same image, are right for each other.

    Args:
        images: features `(n, a)`.
        texts: features `(n, b)`.
        pairs: `(n,)`.
        settings: of the training.

    Returns:
        the maps `(d, a + 1)` and `(d, b + 1)`, the last column of each being added, and the factor of the cosines.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(scalar(settings.seed))
        sides = (_Standard(images, settings.dimension), _Standard(texts, settings.dimension))
        scale = LearntScale()
        noise = torch.Generator().manual_seed(scalar(settings.seed, 1))
    groups: list[dict[str, Any]] = [
        {"params": [side.linear.weight for side in sides], "weight_decay": settings.weight_decay},
        {"params": [scale.log], "weight_decay": 0.0},
    ]
    optimizer = eager(torch.optim.AdamW)(groups, settings.lr)
    same_image, same_caption = _numbers([pair.path for pair in pairs]), _numbers([pair.caption for pair in pairs])
    size = min(settings.batch_size, len(pairs))
    per_epoch = len(pairs) // size
    with bar("training on pairs", settings.epochs) as progress:
        for epoch in range(settings.epochs):
            order = torch.from_numpy(permutation(len(pairs), settings.seed, epoch))
            for step, rows in enumerate(torch.tensor_split(order, per_epoch)):
                done = (epoch * per_epoch + step + 0.5) / (settings.epochs * per_epoch)
                for group in optimizer.param_groups:
                    group["lr"] = settings.lr * (1 + math.cos(math.pi * done)) / 2
                vectors = []
                for side in sides:
                    x = side.x[rows]
                    drawn = settings.noise * torch.randn(x.shape, generator=noise)
                    vectors.append(F.normalize(side.linear(x + drawn), dim=1))
                same = _equal(same_image[rows]) | _equal(same_caption[rows])
                loss = info_nce(vectors[0], vectors[1], scale(), same)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            progress.step(note=f"loss {float(loss.detach()):.2f}")
    return sides[0].affine(), sides[1].affine(), float(scale().detach())


def _image_features(
    network: nn.Module, card: ModelCard, files: Sequence[str]
) -> tuple[dict[str, NDArray[np.float32]], list[DecodeError]]:
    """Return the features of images by path, from the cache as far as possible, and why some cannot be read."""
    store = FeatureStore(_store_key(network, card))
    hashes: dict[str, bytes] = {}
    problems = []
    for file in files:
        try:
            hashes[file] = hashlib.blake2b(read_regular(Path(file)), digest_size=16).digest()
        except DecodeError as error:
            problems.append(error)
    paths = list(hashes)
    keys = np.array([hashes[path] for path in paths], "V16")
    stored = store.find(keys)
    there = np.flatnonzero(stored.part >= 0)
    features = dict(zip((paths[i] for i in there.tolist()), stored.take(there), strict=True)) if len(there) else {}
    missing = [paths[i] for i in stored.missing.tolist()]
    quick = paired_network(network)
    with bar("features of images", len(missing)) as progress:

        def compute(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            return forward(quick, pixels, card.preprocess)

        rows = stream((Input(path) for path in missing), card.preprocess, compute)
        while block := list(itertools.islice(rows, _PART)):  # each is kept, whatever comes after it
            fresh = {item.name: row for item, row in block if not isinstance(row, DecodeError)}
            problems += [row for _, row in block if isinstance(row, DecodeError)]
            if fresh:
                store.add(np.array([hashes[path] for path in fresh], "V16"), np.stack(list(fresh.values())))
            features |= fresh
            progress.step(len(block))
    return features, problems


def _store_key(network: nn.Module, card: ModelCard) -> str:
    digest = hashlib.sha256(f"pooled {_STORE_VERSION} {card.model} {card.preprocess.to_json()}".encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:24]


def _split(pairs: Sequence[ImagePair], seed: int) -> tuple[list[ImagePair], list[ImagePair]]:
    """Return the pairs to learn from and those to measure; all captions of an image are on one side."""
    if any(pair.split not in _TRAIN for pair in pairs):
        return [p for p in pairs if p.split in _TRAIN], [p for p in pairs if p.split not in _TRAIN]
    paths = sorted({pair.path for pair in pairs})
    number = min(_MOST_HELD_OUT, max(2, round(_HELD_OUT * len(paths))))
    held_out = {paths[i] for i in permutation(len(paths), seed, 2)[:number].tolist()}
    return [p for p in pairs if p.path not in held_out], [p for p in pairs if p.path in held_out]


def _numbers(names: Sequence[str]) -> Tensor:
    known: dict[str, int] = {}
    return torch.tensor([known.setdefault(name, len(known)) for name in names])


def _equal(numbers: Tensor) -> Tensor:
    return numbers[:, None] == numbers[None]


def _same(pairs: Sequence[ImagePair]) -> NDArray[np.bool_]:
    """Return which text (row) fits which image (column): the same caption, or another one of the same image."""
    captions, paths = _numbers([p.caption for p in pairs]), _numbers([p.path for p in pairs])
    return np.asarray(_equal(captions) | _equal(paths))
