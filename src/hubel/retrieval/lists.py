"""Inverted lists: an index of many vectors that looks at the few that are near a query (Sivic and Zisserman 2003).

The vectors are divided by spherical k-means into lists, and kept list by list as codes: whole numbers of 8 bits. A
query is compared with each list, then with the codes of the best lists, and the best of these are compared again by
whoever holds the vectors themselves.

- A list promises the mean of its members' inner products with the query, and three standard deviations more (their
  components taken as independent). The mean alone finds images by images, but words ask for a few classes, and twelve
  hats among a million photos move no mean.
- Features of a network have weight on all their components, and codes are of their 128 principal ones, without which
  the hundreds of candidates lack less than one neighbour in a hundred. Vectors with weight on few components, such as
  the classes that an image may show, stay as they are: principal ones would lose what few images have.

All is NumPy: a block of codes that the processor's cache holds becomes float32 and is multiplied, at the speed of one
product over float32 that lies in memory as a whole, of which it is a quarter. `benchmarks/million.py` has the figures,
beside other libraries.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hubel.core.random import permutation
from hubel.core.vectors import to_float32, unit

__all__ = ["BoundLists", "Lists", "make_lists", "with_new"]

_LISTS = 4  # times the root of the number of vectors
_SAMPLE = 20  # vectors for each list that k-means learns from
_SAMPLE_PRINCIPAL = 20_000  # vectors that the principal components are of
_ROUNDS = 5  # of k-means
_BLOCK = 2048  # vectors that are assigned at a time
_CACHED = 1 << 16  # numbers of 8 bits that become float32 at a time: they stay in the processor's cache
_BUDGET = 1 << 24  # numbers that a query looks at: about 5 ms of one core
_BUDGET_PRINCIPAL = 1 << 23  # likewise, of principal components, of which fewer are needed
_DEVIATIONS = 3.0  # above the mean that a list promises
_LEAST_WEIGHT = 0.01  # of the largest: smaller components of a query do not choose lists
_NARROW = 0.25  # of the components: a vector whose weight is on fewer has few
_PRINCIPAL = 128  # components of the codes of other vectors
_SPARE = 64  # candidates beyond those asked for: 8 bits change products by 1e-3
_SPARE_PRINCIPAL = 512  # likewise, and more is left out
_MOST_NEW = 0.02  # of the vectors: as many may stand behind the lists, before these are written anew
_MOST_GROWN = 2.0  # times the vectors that k-means has seen: then it is done again
_MOST = 100  # vectors that the best lists are looked through for
_LEVELS = 127
_NO_STAMP = 0  # of an image that changed while it was read

Vectors = NDArray[np.float16]
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False, kw_only=True)
class Lists:
    """Vectors `(n, d)` in k lists.

    Attributes:
        basis: columns that vectors are multiplied with, `(d, m)`; `(d, 0)` where they stay as they are, and m is d.
        stamps: of the images, list by list, `(n,)`.
        starts: where each list starts, and the end, `(k + 1,)`.
        centres: unit vectors `(k, m)`.
        means: of the members of each list, `(m, k)`.
        variances: likewise, `(m, k)`.
        codes: the vectors, list by list, as whole numbers from -127 to 127, `(n, m)`.
        scales: what 1 stands for in each, `(n,)`.
        learnt: number of vectors that were there when the centres were learnt, `(1,)`.
    """

    basis: NDArray[np.float32]
    stamps: NDArray[np.uint64]
    starts: NDArray[np.int64]
    centres: NDArray[np.float32]
    means: NDArray[np.float32]
    variances: NDArray[np.float32]
    codes: NDArray[np.int8]
    scales: NDArray[np.float32]
    learnt: NDArray[np.int64]

    def fit(self, dimension: int) -> bool:
        """Return whether the arrays fit each other and vectors of a length: files may come from elsewhere."""
        n, k = len(self.stamps), len(self.starts) - 1
        width = dimension if self.basis.size == 0 else self.basis.shape[-1]
        shapes = {
            "basis": (np.float32, (dimension, self.basis.shape[-1])),
            "stamps": (np.uint64, (n,)),
            "starts": (np.int64, (k + 1,)),
            "centres": (np.float32, (k, width)),
            "means": (np.float32, (width, k)),
            "variances": (np.float32, (width, k)),
            "codes": (np.int8, (n, width)),
            "scales": (np.float32, (n,)),
            "learnt": (np.int64, (1,)),
        }
        arrays = [(getattr(self, name), *wanted) for name, wanted in shapes.items()]
        if k < 1 or any(array.dtype != dtype or array.shape != shape for array, dtype, shape in arrays):
            return False
        return bool(self.starts[0] == 0 and self.starts[-1] == n and (np.diff(self.starts) >= 0).all())


@dataclass(frozen=True, eq=False, kw_only=True)
class BoundLists:
    """Lists beside the index that they are of.

    Attributes:
        lists: the vectors of an earlier or the present state of the index.
        rows: of the index, for each vector of the lists, `(n,)`; -1 for images that are gone.
        new: rows of the index that are in no list.
        codes: of the new ones.
        scales: of the new ones.
    """

    lists: Lists
    rows: NDArray[np.int64]
    new: NDArray[np.int64]
    codes: NDArray[np.int8]
    scales: NDArray[np.float32]

    @classmethod
    def of(cls, lists: Lists, stamps: NDArray[np.uint64], vectors: Vectors) -> BoundLists:
        """Return lists beside an index of stamps `(n,)` and vectors `(n, d)`."""
        order = np.argsort(stamps, kind="stable")
        place = np.searchsorted(stamps[order], lists.stamps)
        rows = order[np.minimum(place, len(order) - 1)]
        rows = np.where((stamps[rows] == lists.stamps) & (lists.stamps != _NO_STAMP), rows, -1)
        new = np.setdiff1d(np.arange(len(stamps)), rows)
        codes, scales = _coded(_projected(to_float32(vectors[new]), lists.basis))
        return cls(lists=lists, rows=rows, new=new, codes=codes, scales=scales)

    def candidates(self, query: NDArray[np.float32], top_k: int) -> NDArray[np.int64]:
        """Return the rows among which the `top_k` vectors with the highest inner products are, in any order.

        Nearly always all of them; more than a hundred are looked for in all lists.

        Args:
            query: `(d,)`.
            top_k: of rows.
        """
        projected = self.lists.basis.size > 0
        count = top_k + (_SPARE_PRINCIPAL if projected else _SPARE)
        asked = query @ self.lists.basis if projected else query
        least = (_BUDGET_PRINCIPAL if projected else _BUDGET) // len(asked)
        budget = least if top_k <= _MOST else int(self.lists.starts[-1])
        starts, stops = self._probed(asked, budget)
        sizes = stops - starts
        ends = np.cumsum(sizes)
        positions = np.arange(sizes.sum()) + np.repeat(starts - (ends - sizes), sizes)
        products = np.empty(len(positions), np.float32)
        for start, stop, end in zip(starts.tolist(), stops.tolist(), ends.tolist(), strict=True):
            _multiply(self.lists.codes[start:stop], asked, products[end - (stop - start) : end])
        products *= self.lists.scales[positions]
        if self.some_gone:
            products[self.rows[positions] < 0] = -np.inf
        new = np.empty(len(self.new), np.float32)
        _multiply(self.codes, asked, new)
        scores, rows = np.concatenate([new * self.scales, products]), np.concatenate([self.new, self.rows[positions]])
        best = np.argpartition(-scores, count - 1)[:count] if len(scores) > count else np.arange(len(scores))
        return rows[best[scores[best] > -np.inf]]

    @cached_property
    def some_gone(self) -> bool:
        """Images of the lists are gone from the index."""
        return bool((self.rows < 0).any())

    def _probed(self, asked: NDArray[np.float32], budget: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return start and stop of the lists to look at: of those that promise most, up to so many vectors."""
        starts = self.lists.starts
        if budget >= starts[-1]:
            return starts[:1], starts[-1:]
        some = np.flatnonzero(np.abs(asked) >= _LEAST_WEIGHT * np.abs(asked).max())
        weights = asked[some]
        variances = np.square(weights) @ self.lists.variances[some]
        promised = weights @ self.lists.means[some] + np.float32(_DEVIATIONS) * np.sqrt(variances)
        order = np.argsort(-promised)
        count = 1 + int(np.searchsorted(np.cumsum(np.diff(starts)[order]), budget))
        probed = np.sort(order[:count])  # as they lie in the file
        return starts[probed], starts[probed + 1]


def make_lists(stamps: NDArray[np.uint64], vectors: Vectors, *, seed: int = 0) -> Lists:
    """Divide vectors `(n, d)` of unit length into lists.

    Args:
        stamps: of the images, `(n,)`.
        vectors: to divide.
        seed: of the vectors that the centres start from.
    """
    n = len(vectors)
    count = max(1, min(n, round(_LISTS * math.sqrt(n))))
    sample = to_float32(vectors[np.sort(permutation(n, seed)[: _SAMPLE * count])])
    basis = _principal(sample[permutation(len(sample), seed + 1)[:_SAMPLE_PRINCIPAL]])
    sample = unit(_projected(sample, basis))
    centres = sample[permutation(len(sample), seed + 1)[:count]]
    for turn in range(_ROUNDS):
        owners = np.concatenate([_nearest(sample[at : at + _BLOCK], centres) for at in range(0, len(sample), _BLOCK)])
        centres = _means(sample, owners, count, turn)
    return _arranged(stamps, _assigned(vectors, basis, centres), (basis, centres), n)


def with_new(bound: BoundLists, stamps: NDArray[np.uint64], vectors: Vectors) -> Lists | None:
    """Return lists that are to replace older ones; None where these still serve.

    A few new images stand behind the lists, and a few that are gone in them, so that a change costs what it changes.

    Args:
        bound: the older lists beside the index.
        stamps: of the index, `(n,)`.
        vectors: of the index, `(n, d)`.
    """
    n, lists = len(stamps), bound.lists
    gone = int((bound.rows < 0).sum())
    if max(len(bound.new), gone) <= _MOST_NEW * n:
        return None
    learnt = int(lists.learnt[0])
    if not 1 / _MOST_GROWN <= n / learnt <= _MOST_GROWN:
        return make_lists(stamps, vectors)
    members = _Members.empty(n, lists.centres.shape[1])
    stays = bound.rows >= 0
    numbers = np.repeat(np.arange(len(lists.centres)), np.diff(lists.starts))
    members.put(bound.rows[stays], _Members(numbers[stays], lists.codes[stays], lists.scales[stays]))
    members.put(bound.new, _assigned(vectors[bound.new], lists.basis, lists.centres))
    return _arranged(stamps, members, (lists.basis, lists.centres), learnt)


@dataclass(frozen=True, eq=False)
class _Members:
    """Vectors as members of lists: the number of the list, codes, and scales, of each."""

    owners: NDArray[np.int64]
    codes: NDArray[np.int8]
    scales: Floats

    @classmethod
    def empty(cls, count: int, width: int) -> _Members:
        return cls(np.empty(count, np.int64), np.empty((count, width), np.int8), np.empty(count, np.float32))

    def put(self, rows: NDArray[np.int64] | slice, some: _Members) -> None:
        self.owners[rows], self.codes[rows], self.scales[rows] = some.owners, some.codes, some.scales


def _assigned(vectors: Vectors, basis: Floats, centres: Floats) -> _Members:
    """Return vectors as members of the lists whose centres are the nearest."""
    members = _Members.empty(len(vectors), centres.shape[1])
    for at in range(0, len(vectors), _BLOCK):
        part = _projected(to_float32(vectors[at : at + _BLOCK]), basis)
        members.put(slice(at, at + _BLOCK), _Members(_nearest(part, centres), *_coded(part)))
    return members


def _arranged(stamps: NDArray[np.uint64], members: _Members, space: tuple[Floats, Floats], learnt: int) -> Lists:
    """Return lists of their members, in a space of basis and centres."""
    basis, centres = space
    order = np.argsort(members.owners, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(members.owners, minlength=len(centres)))])
    codes, scales = members.codes[order], members.scales[order]
    means, variances = np.zeros((2, *centres.T.shape), np.float32)
    for number, (start, stop) in enumerate(pairwise(starts.tolist())):
        if start < stop:
            some = codes[start:stop] * scales[start:stop, None]
            means[:, number], variances[:, number] = some.mean(0), some.var(0)
    return Lists(
        basis=basis,
        stamps=stamps[order],
        starts=starts.astype(np.int64),
        centres=centres,
        means=means,
        variances=variances,
        codes=codes,
        scales=scales,
        learnt=np.array([learnt], np.int64),
    )


def _principal(sample: Floats) -> Floats:
    """Return the directions in which vectors `(n, d)` extend the most; `(d, 0)` where these would lose too much."""
    dimension = sample.shape[1]
    totals, squares = np.abs(sample).sum(1), np.square(sample).sum(1)
    narrow = np.median(totals**2) < _NARROW * dimension * np.median(squares)
    if narrow or dimension <= _PRINCIPAL or len(sample) <= _PRINCIPAL:
        return np.empty((dimension, 0), np.float32)
    _, directions = np.linalg.eigh(sample.T @ sample)
    return np.ascontiguousarray(directions[:, -_PRINCIPAL:])


def _projected(vectors: Floats, basis: Floats) -> Floats:
    return vectors @ basis if basis.size else vectors


def _nearest(vectors: Floats, centres: Floats) -> NDArray[np.int64]:
    return np.asarray((vectors @ centres.T).argmax(1))


def _means(sample: Floats, owners: NDArray[np.int64], count: int, turn: int) -> Floats:
    """Return the directions of the lists' means; a list without a member starts anew from some vector."""
    sums = np.zeros((count, sample.shape[1]), np.float32)
    order = np.argsort(owners, kind="stable")
    present, first = np.unique(owners[order], return_index=True)
    sums[present] = np.add.reduceat(sample[order], first, axis=0)
    empty = np.setdiff1d(np.arange(count), present)
    sums[empty] = sample[permutation(len(sample), 2 + turn)[: len(empty)]]
    return unit(sums)


def _coded(floats: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Return vectors `(n, d)` as whole numbers, and what 1 stands for in each."""
    scales = np.maximum(np.abs(floats).max(1, initial=0), np.finfo(np.float32).tiny) / np.float32(_LEVELS)
    return np.rint(floats / scales[:, None]).astype(np.int8), scales


def _multiply(codes: NDArray[np.int8], query: Floats, out: Floats) -> None:
    """Write inner products with codes into `out`, without their scales."""
    rows = max(1, _CACHED // len(query))
    floats = np.empty((min(rows, len(codes)), len(query)), np.float32)
    for at in range(0, len(codes), rows):
        part = codes[at : at + rows]
        np.copyto(floats[: len(part)], part)
        np.dot(floats[: len(part)], query, out=out[at : at + rows])
