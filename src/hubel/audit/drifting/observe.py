"""Measure images for a comparison: their traits, and what a network says of them. Exported files need no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.audit.drifting.appearance import APPEARANCE, appearance
from hubel.audit.drifting.reference import FILE_TRAITS, MOST_IMAGES, WIDEST, MeasuredImages, Reference
from hubel.core.errors import DecodeError
from hubel.core.random import bits, permutation
from hubel.core.resources import usable_cores
from hubel.core.window import in_order
from hubel.data.decode import Decoded
from hubel.data.inputs import Input
from hubel.data.loading import Images
from hubel.data.preprocess import Preprocess
from hubel.inference.classifier import Classifier
from hubel.inference.stream import batch_size
from hubel.weights.card import ModelCard

__all__ = ["Answers", "Photo", "confidence", "dataset_photos", "input_photo", "observe", "observe_reference"]

_LEAST_SCORE = 1e-6  # the logarithms of smaller ones are noise
_LARGEST = float(np.finfo(np.float16).max)

#: Decodes an image; returns it with the size of its file in bytes, 0 where it is no file. May raise DecodeError.
Photo = Callable[[], tuple[Decoded, int]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Answers:
    """Scores and features of images, as a model computed them.

    Attributes:
        scores: `(n, classes)`.
        features: inputs of the last linear layer `(n, d)`; `(n, 0)` where there is none.
    """

    scores: NDArray[np.float64]
    features: NDArray[np.float32]

    def at(self, positions: NDArray[Any]) -> Answers:
        """Return those of some images."""
        return Answers(scores=self.scores[positions], features=self.features[positions])


def observe(
    photos: Iterable[Photo], preprocess: Preprocess, model: Classifier | None, known: Answers | None = None
) -> tuple[MeasuredImages, list[DecodeError]]:
    """Measure images, each decoded once; return their numbers, and the errors of those that cannot be read.

    Args:
        photos: the images.
        preprocess: size of the network's input.
        model: whose answers are taken, too; None for the traits alone.
        known: the model's answers, as far as they are known: then it does not run.
    """
    traits: list[tuple[NDArray[np.float32], tuple[float, ...], str]] = []
    scores: list[NDArray[np.float64]] = []
    errors: list[DecodeError] = []
    readable: list[bool] = []

    def measure(photo: Photo) -> Any:
        try:
            decoded, size = photo()
        except DecodeError as error:
            return error
        pixels = preprocess.apply(decoded.pixels)
        return pixels, (appearance(pixels), _file_traits(decoded, size), decoded.format)

    size, threads = batch_size(preprocess), usable_cores()
    with ThreadPoolExecutor(threads) as pool, _features(model) as features:
        measured = in_order(pool, measure, photos, ahead=size + threads)
        while group := list(islice(measured, size)):
            errors += [one for one in group if isinstance(one, DecodeError)]
            good = [one for one in group if not isinstance(one, DecodeError)]
            traits += [row for _, row in good]
            readable += [not isinstance(one, DecodeError) for one in group]
            if model is not None and good and known is None:
                scores.append(model.scores(np.stack([pixels for pixels, _ in good])))
    if known is not None:
        kept = known.at(np.array(readable, bool))
        scores, features = [kept.scores], [kept.features]
    return MeasuredImages(
        appearance=_halves([one[0] for one in traits], len(APPEARANCE)),
        files=_halves([one[1] for one in traits], len(FILE_TRAITS)),
        formats=tuple(one[2] for one in traits),
        **_answers(scores, features, model),
    ), errors


def observe_reference(
    model: Classifier | None,
    preprocess: Preprocess,
    *,
    shown: Images,
    held_out: Images | None,
    known: Answers | None = None,
    name: str = "validation",
) -> Reference:
    """Measure the images that new ones are to be compared with: at most 256, held-out ones first.

    Args:
        model: the trained model; None for a network without classes.
        preprocess: size of the network's input.
        shown: images that taught the model.
        held_out: images that did not; None or none at all for a reference without answers of the model.
        known: the model's answers to the held-out images, if they are known.
        name: description of the held-out images.
    """
    answered = held_out if held_out is not None and model is not None else shown.subset(np.arange(0))
    kept = np.sort(permutation(len(answered), 0)[:MOST_IMAGES])
    outputs, _ = observe(
        dataset_photos(answered, kept), preprocess, model, known.at(kept) if known and len(answered) else None
    )
    others = permutation(len(shown), 0)[: MOST_IMAGES - len(outputs.appearance)]
    traits, _ = observe(dataset_photos(shown, np.sort(others)), preprocess, None)
    sample = replace(
        outputs,
        appearance=np.concatenate([outputs.appearance, traits.appearance]),
        files=np.concatenate([outputs.files, traits.files]),
        formats=outputs.formats + traits.formats,
    )
    return Reference(sample=sample, held_out=name)


def dataset_photos(images: Images, positions: NDArray[np.int64]) -> Iterator[Photo]:
    """Yield images of a dataset."""
    least = images.preprocess.min_size
    for position in positions.tolist():
        size = int(images.index.size[images.rows[position]])
        yield lambda at=position, size=size: (images.decoded_images.decoded(at, least), size)  # type: ignore[misc]


def input_photo(item: Input, preprocess: Preprocess) -> Photo:
    """Return an image that a user names."""

    def photo() -> tuple[Decoded, int]:
        decoded = item.decode(preprocess.min_size)
        return decoded, len(item.data) if item.data is not None else Path(item.name).stat().st_size

    return photo


def confidence(scores: NDArray[np.float64], card: ModelCard) -> NDArray[np.float64]:
    """Return the log odds of each image's highest score `(n,)`; of a regression, its first number."""
    if card.scores == "identity":
        return scores[:, 0]
    best = np.clip(scores.max(1), _LEAST_SCORE, 1 - _LEAST_SCORE)
    return np.asarray(np.log(best / (1 - best)))


def _answers(
    scores: list[NDArray[np.float64]], features: list[NDArray[np.float32]], model: Classifier | None
) -> dict[str, Any]:
    if model is None or not scores:
        empty = np.empty((0, 0), np.float16)
        return {
            "scores": empty,
            "features": empty,
            "confidence": np.empty(0, np.float16),
            "predicted": np.empty(0, np.int16),
        }
    rows = np.concatenate(scores)
    logarithms = rows if model.card.scores == "identity" else np.log(np.maximum(rows, _LEAST_SCORE))
    return {
        "scores": _projected(logarithms),
        "confidence": _half(confidence(rows, model.card)),
        "predicted": rows.argmax(1).astype(np.int16),
        "features": _projected(np.concatenate(features)) if features else np.empty((len(rows), 0), np.float16),
    }


def _file_traits(decoded: Decoded, size: int) -> tuple[float, ...]:
    if decoded.format == "array":
        return (np.nan,) * len(FILE_TRAITS)
    pixels = decoded.width * decoded.height
    return float(np.sqrt(pixels)), decoded.width / decoded.height, 8 * size / pixels


def _projected(rows: NDArray[Any]) -> NDArray[np.float16]:
    """Return at most 64 columns: more are projected by random signs, which keeps distances (Achlioptas 2003)."""
    d = rows.shape[1]
    if d <= WIDEST:
        return _half(rows)
    signs = 1 - 2.0 * (bits(d, np.arange(d)[:, None], np.arange(WIDEST)) & np.uint64(1))
    return _half(rows @ signs / np.sqrt(WIDEST))


def _halves(rows: list[Any], columns: int) -> NDArray[np.float16]:
    return _half(np.array(rows, np.float64).reshape(len(rows), columns))


def _half(values: NDArray[Any]) -> NDArray[np.float16]:
    return np.asarray(np.clip(values, -_LARGEST, _LARGEST), np.float16)


@contextmanager
def _features(model: Classifier | None) -> Iterator[list[NDArray[np.float32]]]:
    """Collect the inputs of the last linear layer while the model runs; nothing without torch or such a layer."""
    found: list[NDArray[np.float32]] = []
    network = getattr(model, "network", None)
    if network is None:
        yield found
        return
    from hubel.nn.freezing import last_linear  # imports torch, which exported files do without
    from hubel.nn.network import Network

    layer = last_linear(network) if isinstance(network, Network) else None
    if layer is None:
        yield found
        return
    hook = layer.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0].flatten(1).float().cpu().numpy()))
    try:
        yield found
    finally:
        hook.remove()
