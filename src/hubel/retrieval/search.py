"""Search the photos of a folder by a sentence; "nothing fits" is an answer.

The threshold comes from the folder itself: 200 nouns of English are searched for in it, and most of them are in no
photo. What the best photo of such a noun reaches is what chance reaches among these photos, so that a photo is said to
fit from the median of these best scores on plus twice their spread (the median absolute deviation, scaled to be the
standard deviation of normal numbers). Nouns that are in some photos move neither much.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import MissingPackageError, OptionError, WeightsError
from hubel.core.ranges import check_range
from hubel.data.sources.kind import Rooted
from hubel.retrieval.concepts import ConceptsEncoder, cached_vectors
from hubel.retrieval.encoder import Encoder
from hubel.retrieval.index import Embedder, FolderIndex, Neighbour, index_images
from hubel.retrieval.korean import to_english
from hubel.retrieval.minilm import load_minilm
from hubel.retrieval.nouns import corrected, nouns

__all__ = [
    "MOST_LETTERS",
    "Answer",
    "PhotoSearch",
    "background",
    "chance_threshold",
    "in_words",
    "index_photos",
    "search_photos",
    "understood",
]

#: Letters of a query; the rest of a longer one is left out.
MOST_LETTERS = 1000

_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
_BACKGROUND = 200  # nouns
_SPREADS = 2.0  # above the median; chosen on the training photos of clothing, with other queries than the benchmark's
_TO_SIGMA = 1.4826  # from the median absolute deviation to the standard deviation of normal numbers
_MOST_PHOTOS = 20_000  # that the threshold is taken from
_BLOCK = 4096


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer to a query.

    Attributes:
        query: as it was asked.
        searched: the English words that were searched for: translated, slips corrected.
        threshold: a photo fits from this score on.
        found: the photos that fit, the best first, at most as many as were asked for; empty if nothing fits.
        nearest: the photos with the highest scores, whether they fit or not.
        images: how many were searched.
    """

    query: str
    searched: str
    threshold: float
    found: tuple[Neighbour, ...]
    nearest: tuple[Neighbour, ...]
    images: int


@dataclass(frozen=True, eq=False)
class PhotoSearch:
    """An indexed folder that answers queries.

    Attributes:
        encoder: of images and texts.
        index: of the photos.
        threshold: a photo fits from this score on.
    """

    encoder: Encoder
    index: FolderIndex
    threshold: float

    def ask(self, query: str, *, top_k: int = 10) -> Answer:
        """Return the photos that fit a query, at most `top_k` of them.

        Args:
            query: in English or Korean.
            top_k: at least 1.

        Raises:
            OptionError: the query is empty, or `top_k` is below 1.
        """
        check_range("--top", top_k, 1, 1_000_000, whole=True)
        searched = understood(query)
        vector = self.encoder.encode_texts([searched])[0] if searched else np.zeros(0, np.float32)
        nearest = tuple(self.index.search(vector, top_k=top_k)) if vector.any() else ()
        found = tuple(one for one in nearest if one.similarity >= self.threshold)
        return Answer(
            query=query,
            searched=searched,
            threshold=self.threshold,
            found=found,
            nearest=nearest,
            images=len(self.index.paths),
        )


def search_photos(
    folder: str | Path | Rooted, query: str, *, encoder: Encoder | None = None, top_k: int = 10
) -> tuple[Answer, FolderIndex]:
    """Search the photos of a folder, or of a table, by a sentence; return the answer and the index.

    Args:
        folder: see `index_photos`.
        query: in English or Korean.
        encoder: of images and texts; None for `ConceptsEncoder`.
        top_k: the most photos to return.

    Raises:
        OptionError: the query is empty, or `top_k` is below 1.
        DataError: there is no such folder, or no image in it that can be read.
        MissingPackageError: tokenizers is not installed.
        WeightsError: the weights of the classifier or of the text encoder cannot be had.
    """
    check_range("--top", top_k, 1, 1_000_000, whole=True)
    understood(query)  # first: nobody waits for an error
    search = index_photos(folder, encoder=encoder)
    return search.ask(query, top_k=top_k), search.index


def index_photos(folder: str | Path | Rooted, *, encoder: Encoder | None = None) -> PhotoSearch:
    """Index the photos of a folder, or of a table, and return what answers queries; see `index_images`.

    The first time, every photo goes through the classifier; later only new and changed ones do.
    """
    encoder = ConceptsEncoder() if encoder is None else encoder
    index = index_images(_embedder(encoder), folder)
    return PhotoSearch(encoder, index, chance_threshold(index.some_vectors(_MOST_PHOTOS), background(encoder)))


def understood(query: str) -> str:
    """Return the English words to search for: Korean is translated, words that nobody knows are corrected.

    Words in other scripts than the Latin one are left out; "" where none remains.

    Raises:
        OptionError: there is no query.
    """
    text = " ".join(query.replace("\0", " ").split())[:MOST_LETTERS]
    if not text:
        raise OptionError('the query is empty; expected words such as "a red dress on a hanger"')
    english = " ".join(word for word in to_english(text).split() if _LATIN.search(word))
    return corrected(english, nouns(), _is_word())


def in_words(answer: Answer) -> str:
    """Return in words how many photos fit, from which score on, and what was searched for if that is not the query."""
    if not answer.nearest:
        return "Nothing fits: no word of the query is known; English and Korean are."
    asked = "" if answer.searched == " ".join(answer.query.split()) else f'Searched for "{answer.searched}". '
    best = f"the best score is {answer.nearest[0].similarity:.3f}"
    if not answer.found:
        where = f"Nothing fits in {answer.images:,} photos"
        return f"{asked}{where}: {best}, and chance reaches {answer.threshold:.3f} in them."
    shown = f"{len(answer.found)} of {answer.images:,} photos shown"
    return f"{asked}{shown}: {best}, and a photo fits from {answer.threshold:.3f} on, which chance does not reach."


def chance_threshold(vectors: NDArray[np.float32], texts: NDArray[np.float32]) -> float:
    """Return the score that chance does not reach; see the head of this file.

    Args:
        vectors: of the photos, `(n, d)`.
        texts: of nouns that are in few photos, `(m, d)`.
    """
    parts = [vectors[at : at + _BLOCK] @ texts.T for at in range(0, len(vectors), _BLOCK)]
    best = np.max([part.max(0) for part in parts], axis=0)
    median = np.median(best)
    return float(median + _SPREADS * _TO_SIGMA * np.median(np.abs(best - median)))


def background(encoder: Encoder) -> NDArray[np.float32]:
    """Return the vectors of 200 nouns, `(200, d)`, from the cache where they are there."""
    words = background_words()
    digest = hashlib.sha256(" ".join([encoder.name, encoder.digest, *words]).encode()).hexdigest()
    return cached_vectors(f"background-{digest[:24]}", lambda: encoder.encode_texts(words), len(words))


def background_words() -> tuple[str, ...]:
    """Return 200 common nouns, evenly chosen from the alphabet."""
    known, is_word = nouns(), _is_word()
    common = sorted(
        word
        for word, meanings in known.senses.items()
        if len(word) > 2 and word.isalpha() and known.lemmas[meanings[0]][0] == word and is_word(word)
    )
    return tuple(common[:: max(1, len(common) // _BACKGROUND)][:_BACKGROUND])


def _is_word() -> Callable[[str], bool]:
    """Return what tells words from slips; where no text encoder is installed, every word is one."""
    try:
        return load_minilm().is_word
    except (MissingPackageError, WeightsError):
        return lambda word: True


def _embedder(encoder: Encoder) -> Embedder:
    """Return what makes the vectors of an index."""
    several = encoder.prepare if isinstance(encoder, ConceptsEncoder) else lambda images: (encoder.encode_images, 1)
    return Embedder(digest=encoder.digest, preprocess=encoder.preprocess, prepare=several)
