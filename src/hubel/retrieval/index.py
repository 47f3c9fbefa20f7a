"""The index of a folder's images: their vectors by an encoder or a network, kept on the disk and searched.

One index serves both verbs, `hubel similar` and `hubel search`: what differs is who embeds. The vectors are kept in
hubel's cache as two `.npy` files that are mapped, so that a second search embeds only what is new or has changed, and
forgets what is gone. Among few images every one is compared with the query; many are divided into lists, of which a
query sees the best (`hubel.retrieval.lists`). What is found is compared again with the vectors as they are, so that
similarities are exact. Importing this imports no torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.cache import cache_folder
from hubel.core.errors import DataError, DecodeError, OptionError
from hubel.core.files import is_whole, no_such, publish_folder, user_path
from hubel.core.progress import bar, status
from hubel.core.vectors import to_float32
from hubel.data.inputs import Input, files_of_table
from hubel.data.preprocess import Preprocess
from hubel.data.sources.folder import file_stamp
from hubel.data.sources.kind import Rooted
from hubel.data.sources.listing import PassedOver, passed_over
from hubel.data.sources.table import is_path_table
from hubel.data.sources.walk import image_files
from hubel.inference.stream import stream
from hubel.retrieval.lists import BoundLists, Lists, make_lists, with_new

__all__ = ["Embedder", "FolderIndex", "Neighbour", "index_images"]

_VERSION = 2
_MANIFEST = "manifest.json"
_NO_STAMP = 0  # which no file has
_LISTED = 20_000  # images from which on they are in lists; fewer are at most 100 MB of float32 at 1,280 features
_SPARE = 64  # candidates beyond those asked for: rounding to float16 also changes lengths, by 1e-5 at 1,280 features


@dataclass(frozen=True)
class Neighbour:
    """An image and its similarity to the query.

    Attributes:
        path: the image.
        similarity: cosine of the angle between the vectors, -1 to 1; 1 for the same image. Features behind a ReLU are
            never negative, and so are their similarities.
    """

    path: str
    similarity: float


@dataclass(frozen=True, eq=False)
class FolderIndex:
    """The vectors of all images of a folder.

    Attributes:
        paths: of the images that can be read, in the natural order of their names.
        vectors: of the images, float16 `(n, d)` of unit length, memory-mapped where they come from the cache.
        embedded: how many images were embedded now; the others were known.
        problems: why some files could not be read.
        notes: a line for each reason why files were passed over.
        lists: of many vectors; None where all are compared.
    """

    paths: Sequence[str]
    vectors: NDArray[np.float16]
    embedded: int
    problems: tuple[DecodeError, ...]
    notes: tuple[str, ...] = ()
    lists: BoundLists | None = None

    def search(self, vector: NDArray[np.float32], *, top_k: int = 10) -> list[Neighbour]:
        """Return the `top_k` images most similar to a vector `(d,)`, the most similar first."""
        if self.lists is None:
            wanted = min(top_k + _SPARE, len(self.paths))
            rows = np.argpartition(-(self._floats @ vector), wanted - 1)[:wanted]
        else:
            rows = self.lists.candidates(vector, top_k)
        candidates = to_float32(self.vectors[rows])
        lengths = np.maximum(np.linalg.norm(candidates, axis=1), np.finfo(np.float32).tiny)
        cosines = candidates @ vector / lengths
        best = np.lexsort((rows, -cosines))[:top_k]
        return [Neighbour(self.paths[rows[one]], float(cosines[one])) for one in best]

    def some_vectors(self, most: int) -> NDArray[np.float32]:
        """Return at most so many vectors `(m, d)`, evenly chosen."""
        step = -(-len(self.paths) // most)
        return self._floats if step == 1 and self.lists is None else to_float32(self.vectors[::step])

    @cached_property
    def _floats(self) -> NDArray[np.float32]:
        """The vectors in float32."""
        return to_float32(self.vectors)


@dataclass(frozen=True, kw_only=True)
class Embedder:
    """Maker of the vectors of an index.

    Attributes:
        digest: text of all that the vectors depend on.
        preprocess: of the images.
        prepare: takes the number of images to come; returns the function from resized images uint8 `(n, h, w, c)` to
            vectors `(n, d)` of unit length, and the threads that may call it at once. Called only if there are any.
    """

    digest: str
    preprocess: Preprocess
    prepare: Callable[[int], tuple[Callable[[NDArray[np.uint8]], NDArray[np.float32]], int]]


def index_images(embedder: Embedder, folder: str | Path | Rooted) -> FolderIndex:
    """Return the index of all images below a folder, or of those that a table names, from the cache as far as possible.

    What has been embedded is kept even when this is interrupted. Files that cannot be read are tried again each time.

    Args:
        embedder: of the images.
        folder: a folder with images at any depth, or a table of paths; `Rooted` for paths that start at another folder
            than the table's own.

    Raises:
        DataError: there is no such folder, or no image in it that can be read.
    """
    asked, skip, problems = user_path(folder), PassedOver(), list[DecodeError]()
    if is_path_table(asked):
        root = Path()
        found = _of_table(files_of_table(asked, folder.root if isinstance(folder, Rooted) else None), problems)
    elif asked.is_dir() and not isinstance(folder, Rooted):
        root = asked
        found = {file_stamp(path, status): path for path, status in image_files(root, skip)}
    elif isinstance(folder, Rooted):
        raise OptionError(f"--root is the folder that the paths of a table start at; {folder} is no table")
    else:
        raise DataError(no_such(asked, "folder or table", "one with images in it, at any depth"))
    if not found:
        raise DataError("; ".join([f"{folder}: there is no image in this folder", *passed_over(skip.counts())]))
    place = _place(embedder.digest, asked)
    known, old = _load(place)
    rows = dict(zip(known.tolist(), range(len(known)), strict=True))
    marks = {str(root / path): mark for mark, path in found.items() if mark not in rows}
    fresh: dict[int, NDArray[np.float16]] = {}
    try:
        for item, row in _embedded(embedder, marks):
            if isinstance(row, DecodeError):
                problems.append(row)
            else:
                fresh[marks[item.name]] = row
    finally:
        kept = [mark for mark in found if mark in rows or mark in fresh]
        if kept and kept != known.tolist():
            old = _joined(kept, rows, old, fresh)  # in memory: Windows replaces no file that is still mapped
            # The vectors of a file that changed while it was read serve this search alone.
            stamps = [mark if mark in rows or _stamp(root, found[mark]) == mark else _NO_STAMP for mark in kept]
            known = np.array(stamps, np.uint64)
            _save(place, {"stamps": known, "vectors": old})
    if not kept:
        raise DataError(f"none of the {len(found)} images of {folder} can be read; the first, {problems[0]}")
    paths, notes = [str(root / found[mark]) for mark in kept], passed_over(skip.counts())
    lists = _listed(place.with_name(f"{place.name}-lists"), known, old) if len(paths) >= _LISTED else None
    return FolderIndex(paths, old, len(fresh), tuple(problems), tuple(notes), lists)


def _joined(
    marks: Sequence[int],
    rows: Mapping[int, int],
    old: NDArray[np.float16],
    fresh: Mapping[int, NDArray[np.float16]],
) -> NDArray[np.float16]:
    """Return the vectors of marks, `(n, d)`: the fresh ones, and of the others those that are known."""
    dimension = len(next(iter(fresh.values()))) if fresh else old.shape[1]
    out = np.empty((len(marks), dimension), np.float16)
    is_fresh = np.array([mark in fresh for mark in marks])
    if not is_fresh.all():
        out[~is_fresh] = old[[rows[mark] for mark in marks if mark not in fresh]]
    for at in np.flatnonzero(is_fresh).tolist():
        out[at] = fresh[marks[at]]
    return out


def _embedded(embedder: Embedder, names: Collection[str]) -> Iterator[tuple[Input, NDArray[np.float16] | DecodeError]]:
    """Yield each file with its vector, float16 `(d,)`, or with the error of reading it."""
    if not names:
        return
    compute, lanes = embedder.prepare(len(names))

    def rows(pixels: NDArray[np.uint8]) -> NDArray[np.float16]:
        return compute(pixels).astype(np.float16)

    with bar("embedding", len(names)) as shown:
        for pair in stream((Input(name) for name in names), embedder.preprocess, rows, lanes=lanes):
            yield pair
            shown.step()


def _of_table(paths: Sequence[str], problems: list[DecodeError]) -> dict[int, str]:
    """Return the files that exist by their stamps; append an error for each of the others."""
    found = {}
    for path in paths:
        try:
            found[file_stamp(path, os.stat(path))] = path  # noqa: PTH116 - a third of the time
        except OSError:
            problems.append(DecodeError(path, "there is no such file"))
    return found


def _listed(place: Path, stamps: NDArray[np.uint64], vectors: NDArray[np.float16]) -> BoundLists:
    """Return the lists of an index, from the cache as far as they are there; those of another one serve as well."""
    lists = _load_lists(place, vectors.shape[1])
    if lists is None:
        with status(f"dividing {len(stamps):,} vectors into lists, once"):
            fresh: Lists | None = make_lists(stamps, vectors)
    else:
        bound = BoundLists.of(lists, stamps, vectors)
        fresh = with_new(bound, stamps, vectors)
        if fresh is None:
            return bound
        del bound, lists  # Windows replaces no file that is still mapped
    assert fresh is not None, "made, or renewed"
    _save(place, {entry.name: getattr(fresh, entry.name) for entry in fields(fresh)})
    return BoundLists.of(fresh, stamps, vectors)


def _load_lists(place: Path, dimension: int) -> Lists | None:
    """Return the lists of an earlier index; None where there are none that are whole and of such vectors."""
    if is_whole(place, manifest=_MANIFEST):
        with contextlib.suppress(OSError, ValueError):
            files = {entry.name: np.load(place / f"{entry.name}.npy", mmap_mode="r") for entry in fields(Lists)}
            lists = Lists(**{name: np.asarray(array) for name, array in files.items()})  # slices of memmap are slow
            return lists if lists.fit(dimension) else None
    return None


def _place(digest: str, root: Path) -> Path:
    """Return the path of an index: a function of the embedder, and of the folder or table."""
    described = f"{digest} {root.resolve()}".encode("utf-8", "surrogateescape")
    return cache_folder("similar") / f"v{_VERSION}-{hashlib.sha256(described).hexdigest()[:24]}"


def _stamp(root: Path, path: str) -> int:
    try:
        return file_stamp(path, (root / path).stat())
    except OSError:
        return _NO_STAMP


def _load(place: Path) -> tuple[NDArray[np.uint64], NDArray[np.float16]]:
    """Return stamps `(n,)` and vectors `(n, d)` of an earlier index; empty where there is none that is whole."""
    if is_whole(place, manifest=_MANIFEST):
        with contextlib.suppress(OSError, ValueError):  # another process may be replacing the folder
            stamps, vectors = np.load(place / "stamps.npy"), np.load(place / "vectors.npy", mmap_mode="r")
            if stamps.shape == vectors.shape[:1] and vectors.ndim == 2 and vectors.dtype == np.float16:
                return stamps, vectors
    return np.empty(0, np.uint64), np.empty((0, 0), np.float16)


def _save(place: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an index. A full disk costs the next search the same work again, nothing else."""
    with contextlib.suppress(OSError):
        publish_folder(place, [(f"{name}.npy", array) for name, array in arrays.items()], manifest=_MANIFEST)
