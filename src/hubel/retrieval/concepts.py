"""The encoder `concepts`: images and sentences meet in the classes that a classifier knows. It needs no network.

An image is its distribution over the classes. A sentence is a weight for each class, from two sources that correct each
other:

- WordNet: the noun that a sentence is about stands for all classes that are a kind of it ("headgear": the bathing cap,
  the cowboy hat, ...); where there is none, for those below the nearest noun above it, with half the weight a step.
- MiniLM: classes whose names, synonyms and hypernyms are near the sentence, as in ConSE (Norouzi et al. 2014), but with
  the sentence spread over classes rather than the classes of an image averaged in the space of texts. Of ImageNet's
  classes as well those whose definitions in WordNet are near it: no name of a cardigan says that it is knitted.

Their inner product is the share of the image that the sentence asks for. A linear map from features to texts that is
learnt on the class names (DeViSE, Frome et al. 2013) was measured, too, and is worse: `benchmarks/search.py`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hubel.core.cache import cache_folder
from hubel.core.errors import OptionError, UnknownNameError
from hubel.core.files import atomic_file, model_in, sha256_of
from hubel.core.vectors import unit
from hubel.data.preprocess import Preprocess
from hubel.retrieval.minilm import DIGEST, DIMENSION, load_minilm
from hubel.retrieval.nouns import Nouns, mentions, nouns
from hubel.weights.imagenet import imagenet_classes, imagenet_synsets
from hubel.weights.pretrained import fetch_weights, find_weights

if TYPE_CHECKING:
    from hubel.inference.classifier import Classifier

__all__ = ["DEFAULT_MODEL", "ConceptsEncoder"]

#: The classifier that is used when none is named; its weights come in a package.
DEFAULT_MODEL = "efficientnet_lite0"

_VERSION = 2  # of the meaning of the vectors
# Chosen on the training photos of shared/data/clothing with other queries than those of benchmarks/search.py.
_POWER = 0.7  # of probabilities: between the classifier's own certainty and all that it thinks possible
_SPREAD = 0.03  # temperature of the softmax over classes that are near a sentence
_BY_TEXT = 0.5  # weight of MiniLM beside WordNet
_OTHER_MEANING = 0.5  # weight of all meanings of a noun but the most frequent
_BESIDE_THE_USUAL = 0.3  # of the same where the most frequent one is a class, or above some
_MODIFIER = 0.3  # weight of nouns that say what the thing is like, or where it is
_MOST_STEPS, _MOST_BELOW = 3, 60  # to a noun above; one with more classes says nothing about the noun below it
_MOST_MEANINGS = 5
_LEAST_SURE = 0.05  # of a noun that is near nothing: its like are still nearer than all else


class ConceptsEncoder:
    """The encoder; see `hubel.retrieval.encoder.Encoder`.

    The vectors of images have unit length. Those of texts have the largest weight 1 where the noun is one of the
    classes or stands above some, and less the less a class is like it: the inner product is no cosine, but stays a
    share of the image, which is what the threshold of a search is about.

    Args:
        model: the classifier, as for `hubel predict`: a file, the folder of a run, or a name.
        device: cpu, cuda, mps or auto.

    Raises:
        OptionError: the model predicts no classes.
    """

    name = "concepts"

    def __init__(self, model: str | Path = DEFAULT_MODEL, *, device: str = "auto") -> None:
        self._model, self._device = str(model), device
        self.classes, self.preprocess, self._weights = _described(self._model)

    @cached_property
    def digest(self) -> str:
        """Digest of the classifier and of what is made of its scores."""
        weighting = [_POWER, _SPREAD, _BY_TEXT, _OTHER_MEANING, _BESIDE_THE_USUAL, _MODIFIER]  # that texts are kept of
        described = [_VERSION, weighting, self._weights(), self.classes, self.preprocess.to_json()]
        return hashlib.sha256(json.dumps(described).encode()).hexdigest()

    @property
    def dimension(self) -> int:
        """The number of classes."""
        return len(self.classes)

    @cached_property
    def space(self) -> ConceptSpace:
        """The classes as nouns and as texts."""
        return ConceptSpace(self.classes)

    def prepare(self, images: int) -> tuple[Callable[[NDArray[np.uint8]], NDArray[np.float32]], int]:
        """Return `encode_images` for so many images, and the threads that may call it at once."""
        compute, lanes = self._classifier.for_many(images)
        return lambda pixels: self.of_scores(compute(pixels)[:, : self.dimension]), lanes

    def encode_images(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return unit vectors float32 `(n, classes)` of resized images uint8 `(n, h, w, c)`."""
        return self.of_scores(self._classifier.scores(pixels))

    def of_scores(self, scores: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return unit vectors of the classifier's scores `(n, classes)`."""
        return unit((np.clip(scores, 0, 1) ** _POWER).astype(np.float32))

    def scores_of(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the scores, scaled to the sum 1, that unit vectors `(n, classes)` were made of."""
        powers = vectors.astype(np.float64) ** (1 / _POWER)
        return np.asarray(powers / np.maximum(powers.sum(1, keepdims=True), np.finfo(np.float64).tiny))

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return float32 `(n, classes)` of texts in English; zeros where no word is known."""
        return self.space.weights(texts)

    @cached_property
    def _classifier(self) -> Classifier:
        from hubel.inference.load import load_classifier  # which a query has no need of

        return load_classifier(self._model, device=self._device)


@dataclass(frozen=True)
class ConceptSpace:
    """Classes as nouns and as texts.

    Attributes:
        classes: their names.
    """

    classes: tuple[str, ...]

    def weights(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the weight of each class for each text, float32 `(n, classes)`."""
        encoded = load_minilm().encode(texts)
        near = np.stack([encoded @ vectors.T for vectors in self._descriptions], axis=1)
        return np.stack([self._weights(*pair) for pair in zip(texts, near, strict=True)]) if texts else near[:, 0]

    def _weights(self, text: str, near: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the weights `(classes,)` of a text of which `near` `(descriptions, classes)` are the cosines."""
        named, exact = self.named(text)
        if not named.any() and not any(letter.isalnum() for letter in text):
            return np.zeros_like(near[0])
        spread = np.exp((near - near.max(1, keepdims=True)) / _SPREAD).mean(0)
        joined = named + _BY_TEXT * spread
        sure = 1.0 if exact else max(_LEAST_SURE, float(near.max()))
        return np.asarray(joined * (sure / joined.max()), np.float32)

    def named(self, text: str) -> tuple[NDArray[np.float32], bool]:
        """Return the weights by WordNet `(classes,)`, and whether the thing is one of the classes or stands above some.

        All zeros where no noun of the text has to do with a class.
        """
        parts = {True: np.zeros(len(self.classes), np.float32), False: np.zeros(len(self.classes), np.float32)}
        exact = dict.fromkeys(parts, False)
        for mention in mentions(text, self.known):
            found = [(rank, *self._below(one)) for one, rank in islice(mention.meanings.items(), _MOST_MEANINGS)]
            usual = any(rank == 0 and steps == 0 for rank, _, steps in found)
            for rank, weights, steps in found:
                exact[mention.head] |= steps == 0
                if rank == 0 or steps == 0:  # of rare meanings only those that are classes: "jacket" of a book
                    share = 1.0 if rank == 0 else _BESIDE_THE_USUAL if usual else _OTHER_MEANING
                    parts[mention.head] = np.maximum(parts[mention.head], weights * np.float32(share))
        if parts[True].any():
            return parts[True] + np.float32(_MODIFIER) * parts[False], exact[True]
        return parts[False], exact[False]

    def _below(self, meaning: int) -> tuple[NDArray[np.float32], int]:
        """Return weights for the classes below a noun, or below the nearest one above it, and the steps up to that.

        -1 steps where there is none.
        """
        weights = np.zeros(len(self.classes), np.float32)
        for noun, steps in self.known.above(meaning).items():
            below = self._members.get(noun, ())
            if below and (steps == 0 or (steps <= _MOST_STEPS and len(below) <= _MOST_BELOW)):
                weights[list(below)] = 0.5**steps
                return weights, steps
        return weights, -1

    @cached_property
    def known(self) -> Nouns:
        """The nouns of WordNet."""
        return nouns()

    @cached_property
    def synsets(self) -> tuple[int | None, ...]:
        """The noun of each class: of ImageNet's the one it is made from, of others the most frequent of that name."""
        if self.classes == imagenet_classes():
            place = {identity: row for row, identity in enumerate(self.known.ids)}
            return tuple(place[identity] for identity in imagenet_synsets())
        return tuple(next(iter(self.known.meanings(_as_words(name))), None) for name in self.classes)

    @cached_property
    def _members(self) -> dict[int, list[int]]:
        """The classes below each noun."""
        found: dict[int, list[int]] = {}
        for number, synset in enumerate(self.synsets):
            for noun in () if synset is None else self.known.above(synset):
                found.setdefault(noun, []).append(number)
        return found

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """Unit vectors of the classes in the space of texts, `(classes, 384)`; those of ImageNet ship with hubel."""
        if self.classes == imagenet_classes():
            return _shipped("imagenet_texts")
        digest = hashlib.sha256(json.dumps([_VERSION, DIGEST, self.classes]).encode()).hexdigest()
        return cached_vectors(f"classes-{digest[:24]}", self.made_vectors, len(self.classes))

    @property
    def _descriptions(self) -> tuple[NDArray[np.float32], ...]:
        """The vectors of names, and of ImageNet's classes those of their definitions."""
        defined = (_shipped("imagenet_definitions"),) if self.classes == imagenet_classes() else ()
        return self.vectors, *defined

    def made_vectors(self) -> NDArray[np.float32]:
        """Compute `vectors`: the mean over name, prompt, synonyms and hypernym of each class."""
        texts, owners = [], []
        for number, (name, synset) in enumerate(zip(self.classes, self.synsets, strict=True)):
            plain = _as_words(name)
            of_class = [plain, f"a photo of a {plain}"]
            if synset is not None:
                of_class += [lemma for lemma in self.known.lemmas[synset] if lemma != plain.lower()]
                of_class += [
                    f"{plain}, a kind of {self.known.lemmas[above][0]}" for above in self.known.parents[synset][:1]
                ]
            texts += of_class
            owners += [number] * len(of_class)
        sums = np.zeros((len(self.classes), DIMENSION), np.float32)
        np.add.at(sums, owners, load_minilm().encode(texts))
        return unit(sums)


@cache
def _shipped(name: str) -> NDArray[np.float32]:
    """Return unit vectors that ship with hubel, `(1000, 384)`; `benchmarks/imagenet_texts.py` makes them."""
    with files("hubel.retrieval").joinpath(f"{name}.npy").open("rb") as file:
        return unit(np.load(file).astype(np.float32))


def cached_vectors(name: str, make: Callable[[], NDArray[np.float32]], rows: int) -> NDArray[np.float32]:
    """Return vectors `(rows, d)` from a file of the cache; made and written where it is missing or damaged."""
    path = cache_folder("text") / f"{name}.npy"
    try:
        found = np.load(path)
        if found.ndim == 2 and len(found) == rows and found.dtype == np.float32 and np.isfinite(found).all():
            return np.asarray(found)
    except (OSError, ValueError, EOFError):
        pass
    made = make()
    try:
        with atomic_file(path) as file:
            np.save(file, made, allow_pickle=False)
    except OSError:  # a full disk costs the next search the same again, nothing else
        pass
    return made


def _as_words(name: str) -> str:
    """Return the name of a class as text: "t_shirt" and folders named like it are words."""
    return " ".join(name.replace("_", " ").split())


def _described(model: str) -> tuple[tuple[str, ...], Preprocess, Callable[[], str]]:
    """Return classes, preprocessing, and a function for the digest of the weights; of a package's without torch."""
    name, _, tag = model.partition(".")
    if not Path(model).exists():
        try:
            row = find_weights(name, tag or "default")
        except UnknownNameError:  # an alias, a file that is missing: who loads it says so
            pass
        else:
            return imagenet_classes(), row.preprocess, lambda: sha256_of(fetch_weights(row))
    from hubel.inference.load import read_any_card

    card = read_any_card(model)
    if not card.classes or card.dense or card.scores == "identity":
        raise OptionError(
            f"{model} predicts no classes; the encoder concepts needs a classifier such as {DEFAULT_MODEL}"
        )
    return card.classes, card.preprocess, partial(sha256_of, model_in(Path(model)))
