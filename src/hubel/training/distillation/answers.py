"""Answers of teachers for the views of images: computed once and stored, or in the loop."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hubel.core.cache import make_room
from hubel.core.progress import bar, counted
from hubel.core.window import in_order
from hubel.data.augment import Policy
from hubel.data.loading import Images
from hubel.data.samples import Batch
from hubel.data.shares import Share, share_of
from hubel.features.store import PARTS, FeatureStore, StoredFeatures
from hubel.inference.engines.engine import Precision
from hubel.inference.engines.registry import EngineChoice
from hubel.training.distillation.teacher import EXPORTED, Answers, OpenedTeacher, Teacher, mean_answers

__all__ = [
    "TEACHERS",
    "VIEW_SEED",
    "OnlineAnswers",
    "StoredAnswers",
    "ViewSettings",
    "pack_answers",
    "store_answers",
    "unpack_answers",
]

#: The folder of stored answers within hubel's cache.
TEACHERS = "teachers"
#: Seed of the views: they are the same for every run and every student, whatever the seed of the run.
VIEW_SEED = 0
_VERSION = 1  # of the meaning of stored values
_DENSE = 128  # classes, up to which all log-probabilities are stored
_TOP = 32  # of more classes, only the most probable ones are
_MOST_IDS = 2**16
_PART = 2**15  # images that are computed before their answers are written
_LEAST = 1e-12
# The engine that adds to what is stored in a precision.
_ENGINE = {str(precision): EngineChoice("torch", precision) for precision in (Precision.FLOAT32, Precision.BFLOAT16)}


def pack_answers(answers: Answers) -> NDArray[Any]:
    """Return log-probabilities `(n, c)` as they are stored: in 16 bits, of many classes the 32 most probable alone.

    Returns:
        float16 `(n, c)` for up to 128 classes; else uint16 `(n, 64)`: the bits of 32 such numbers, and the classes.
    """
    classes = answers.shape[1]
    if classes <= _DENSE or classes > _MOST_IDS:
        return answers.astype(np.float16)
    top = np.argpartition(-answers, _TOP - 1, 1)[:, :_TOP]
    values = np.take_along_axis(answers, top, 1).astype(np.float16)
    return np.concatenate([values.view(np.uint16), top.astype(np.uint16)], 1)


def unpack_answers(stored: NDArray[Any], classes: int) -> Answers:
    """Return the log-probabilities float32 `(n, classes)` of stored ones; the rest's mass is spread evenly."""
    if stored.dtype == np.float16:
        return stored.astype(np.float32)
    values = np.ascontiguousarray(stored[:, :_TOP]).view(np.float16).astype(np.float32)
    rest = np.maximum(1 - np.exp(values.astype(np.float64)).sum(1, keepdims=True), _LEAST) / (classes - _TOP)
    out = np.repeat(np.log(rest).astype(np.float32), classes, 1)
    np.put_along_axis(out, stored[:, _TOP:].astype(np.int64), values, 1)
    return out


@dataclass(frozen=True, eq=False, kw_only=True)
class ViewSettings:
    """The views of images: each is a function of the image, its row and the number of the view.

    With mixup or CutMix, a view is that of a whole epoch: its order and its batches are part of it, so that the teacher
    is asked for the very mixtures that the student sees.

    Attributes:
        images: at the student's size.
        policy: that draws the views.
        batch_size: images a step.
        views: number of views; epoch e shows view e mod views.
        shards: of each batch, which are mixed each by itself; None for whole batches.
    """

    images: Images
    policy: Policy
    batch_size: int
    views: int
    shards: int | None = None

    @property
    def mixes(self) -> bool:
        """Images of a batch are mixed with each other."""
        return bool(self.policy.mixup or self.policy.cutmix)

    def seen_by(self, teacher: Teacher) -> Images:
        """Return the images at the teacher's size; the student's own, with their cache, where both have the same."""
        wanted, own = teacher.preprocess(self.images.preprocess), self.images.preprocess
        shape = ("height", "width", "channels", "resize", "crop", "interpolation")
        if all(getattr(wanted, name) == getattr(own, name) for name in shape):
            return self.images
        return self.images.at(wanted)

    def epoch(
        self,
        images: Images,
        view: int,
        *,
        start: int = 0,
        order: NDArray[np.int64] | None = None,
        share: Share | None = None,
    ) -> Iterator[Batch]:
        """Yield the batches of one view of images, in an order, which a view of mixtures has itself."""
        order = None if self.mixes else order
        if self.mixes and self.shards and share is None:
            share = share_of(0, 1, self.shards)
        return images.epoch(VIEW_SEED, view, self.batch_size, self.policy, start=start, order=order, share=share)


class AnswerSource(Protocol):
    """Adds the answers of teachers to batches."""

    def answered(
        self, batches: Iterator[Batch], again: Callable[[Images], Iterator[Batch]], view: int
    ) -> Iterator[Batch]:
        """Yield batches with their answers.

        Args:
            batches: of one view, at the student's size.
            again: returns the same batches of images at another size.
            view: its number.
        """


class OnlineAnswers:
    """Answers that are computed for each batch, by teachers on their engines."""

    def __init__(self, settings: ViewSettings, teachers: Sequence[tuple[Teacher, OpenedTeacher]]) -> None:
        self._settings, self._teachers = settings, teachers

    def answered(
        self, batches: Iterator[Batch], again: Callable[[Images], Iterator[Batch]], view: int
    ) -> Iterator[Batch]:
        """Yield batches with their answers; see `AnswerSource`."""
        own = self._settings.images
        seen = [self._settings.seen_by(teacher) for teacher, _ in self._teachers]
        others = [None if images is own else again(images) for images in seen]
        for batch in batches:
            shown = [batch if other is None else next(other) for other in others]
            found = [opened.answer(one.pixels) for one, (_, opened) in zip(shown, self._teachers, strict=True)]
            yield replace(batch, answers=mean_answers(found))


class StoredAnswers:
    """Answers that were stored, for each teacher and view.

    Args:
        found: by teacher and view, of all images.
        classes: number of classes.
    """

    def __init__(self, found: Sequence[Sequence[StoredFeatures]], classes: int) -> None:
        self._found, self._classes = found, classes

    def take(self, view: int, positions: NDArray[np.int64]) -> Answers:
        """Return the answers float32 `(n, classes)` for images in one view."""
        return mean_answers([unpack_answers(views[view].take(positions), self._classes) for views in self._found])

    def answered(
        self, batches: Iterator[Batch], again: Callable[[Images], Iterator[Batch]], view: int
    ) -> Iterator[Batch]:
        """Yield batches with their answers; see `AnswerSource`."""
        for batch in batches:
            yield replace(batch, answers=self.take(view, batch.positions))


def store_answers(
    settings: ViewSettings,
    teacher: Teacher,
    *,
    open_on: Callable[[Images, int, EngineChoice | None], OpenedTeacher],
    choice: EngineChoice | None,
    tell: Callable[[str], None],
) -> list[StoredFeatures] | None:
    """Return a teacher's answers for all views of all images: those that are not in the cache are computed first.

    What is stored of an image depends on the teacher, the bytes of the image and its row, the view and the policy, and
    so serves every student whose images are shaped alike, and every run.

    Args:
        settings: images and views.
        teacher: the teacher.
        open_on: opens it, given images, how many there are, and the engine that is wanted.
        choice: the engine that is wanted; None for the fastest.
        tell: takes what a person should know.

    Returns:
        One entry a view; None where the cache has no room.
    """
    images, hashes = settings.images, _row_hashes(settings.images)
    seen = settings.seen_by(teacher)
    precision, found = _find(settings, teacher, hashes, choice)
    missing = [stored.missing for stored in found]
    count = sum(map(len, missing))
    if not count:
        tell(f"{teacher.name}: answers for {_amount(settings)} are in the cache")
        return found
    width = len(pack_answers(np.zeros((1, len(teacher.columns)), np.float32))[0])
    size = 2 * width * count
    if not make_room(TEACHERS, PARTS, size, {folder for stored in found for folder in stored.folders}):
        return None
    opened = open_on(seen, count, choice if precision is None else _ENGINE.get(precision))
    stores = _stores(settings, teacher, opened.precision)
    if precision != opened.precision:
        found = [store.find(hashes) for store in stores]
        missing = [stored.missing for stored in found]
    tell(
        f"{teacher.name} answers for {_amount(settings)} ({counted(sum(map(len, missing)), 'answer')}, "
        f"{_size(2 * width * sum(map(len, missing)))} in the cache; `hubel cache` clears it) by {opened.note}"
    )
    with bar("teacher", sum(map(len, missing))) as progress:
        for view, (store, rows) in enumerate(zip(stores, missing, strict=True)):
            for batches in _parts(settings, seen, images, view, rows):
                positions, values = _computed(opened, batches, progress.step)
                if len(positions):
                    store.add(hashes[positions], pack_answers(values))
    return [store.find(hashes) for store in stores]


def _parts(
    settings: ViewSettings, seen: Images, images: Images, view: int, rows: NDArray[np.int64]
) -> Iterator[Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]]:
    """Yield batches, positions and pixels, of the images that lack answers in one view, a part at a time."""
    if settings.mixes and len(rows):
        yield ((batch.positions, batch.pixels) for batch in settings.epoch(seen, view))
        return
    whole = len(rows) == len(images)
    for start in range(0, len(rows), _PART):
        part = rows[start : start + _PART]
        some = seen if whole and len(part) == len(rows) else seen.subset(part)
        order = np.arange(len(some))
        batches = some.epoch(VIEW_SEED, view, settings.batch_size, settings.policy, order=order)
        yield ((part[batch.positions], batch.pixels) for batch in batches)


def _computed(
    opened: OpenedTeacher,
    batches: Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]],
    step: Callable[[int], None],
) -> tuple[NDArray[np.int64], Answers]:
    """Return the positions of batches and the answers for them."""

    def answer(batch: tuple[NDArray[np.int64], NDArray[np.uint8]]) -> tuple[NDArray[np.int64], Answers]:
        positions, pixels = batch
        return positions, opened.answer(pixels)

    done = []
    with ThreadPoolExecutor(opened.lanes) as pool:
        answered = (
            map(answer, batches) if opened.lanes == 1 else in_order(pool, answer, batches, ahead=opened.lanes + 1)
        )
        for positions, values in answered:
            done.append((positions, values))
            step(len(positions))
    return np.concatenate([at for at, _ in done]), np.concatenate([found for _, found in done])


def _find(
    settings: ViewSettings, teacher: Teacher, hashes: NDArray[np.void], choice: EngineChoice | None
) -> tuple[str | None, list[StoredFeatures]]:
    """Return the answers in the precision that has most of them; None where none has any. Two are never mixed."""
    precisions = tuple(_ENGINE) if choice is None else (str(choice.precision),)
    if teacher.exported:
        precisions = (EXPORTED,)
    all_found = {name: [s.find(hashes) for s in _stores(settings, teacher, name)] for name in precisions}
    lacking = {name: sum(len(stored.missing) for stored in found) for name, found in all_found.items()}
    best = min(lacking, key=lambda name: lacking[name])
    return best if lacking[best] < len(hashes) * settings.views else None, all_found[best]


def _stores(settings: ViewSettings, teacher: Teacher, precision: str) -> list[FeatureStore]:
    """Return the store of each view, named by all that answers depend on beside the image and its row."""
    preprocess = teacher.preprocess(settings.images.preprocess)
    described = [
        _VERSION,
        teacher.digest,
        teacher.columns.tolist(),
        precision,
        settings.policy.to_text(),
        preprocess.to_json(),
    ]
    digest = hashlib.blake2b(json.dumps(described, sort_keys=True).encode(), digest_size=16)
    if settings.mixes:
        digest.update(settings.batch_size.to_bytes(8, "little"))
        digest.update(_row_hashes(settings.images).tobytes())  # whose order the batches are drawn from
        if settings.shards:
            digest.update(f"{settings.shards} shards".encode())
    key = digest.hexdigest()
    return [FeatureStore(f"{key}-view{view}", TEACHERS) for view in range(settings.views)]


def _row_hashes(images: Images) -> NDArray[np.void]:
    """Return a digest of the bytes of each image and of its row, which its views are drawn by, `(n,)`."""
    pairs = zip(images.digests, images.rows.tolist(), strict=True)
    found = b"".join(
        hashlib.blake2b(digest.tobytes() + row.to_bytes(8, "little"), digest_size=16).digest() for digest, row in pairs
    )
    return np.frombuffer(found, "V16")


def _amount(settings: ViewSettings) -> str:
    return f"{counted(settings.views, 'view')} of {counted(len(settings.images), 'image')}"


def _size(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
