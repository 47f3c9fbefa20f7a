"""Find the images of a folder that are most similar to another one, by the cosine of a network's features.

The features of an image are what the last linear layer of the network sees, scaled to unit length. Those of a folder
are kept in hubel's cache as two `.npy` files, so that a second search embeds only what is new. Every search compares
the query with all images: that is exact, and at 100,000 images takes hundredths of a second (`benchmarks/similar.py`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hubel.core.cache import cache_folder
from hubel.core.errors import DataError, DecodeError, OptionError
from hubel.core.files import is_whole, publish_folder, user_path
from hubel.core.progress import bar
from hubel.core.ranges import check_range
from hubel.data.inputs import Input, files_of_table
from hubel.data.preprocess import Preprocess
from hubel.data.sources.folder import file_stamp
from hubel.data.sources.kind import Rooted
from hubel.data.sources.listing import PassedOver, passed_over
from hubel.data.sources.table import is_path_table
from hubel.data.sources.walk import image_files
from hubel.inference.forward import forward
from hubel.inference.predictor import Predictor
from hubel.inference.stream import stream

__all__ = ["FolderIndex", "Neighbour", "embed_images", "index_folder", "nearest", "similar_images"]

_VERSION = 1
_MANIFEST = "manifest.json"
_NO_STAMP = 0  # which no file has
_BLOCK = 256  # rows that become float32 at a time: they stay in the processor's cache
_SPARE = 64  # candidates beyond those asked for: rounding to float16 also changes lengths, by 1e-5 at 1,280 features


@dataclass(frozen=True)
class Neighbour:
    """An image and its similarity to the query.

    Attributes:
        path: the image.
        similarity: cosine of the angle between the features, -1 to 1; 1 for the same image. Features behind a ReLU are
            never negative, and so are their similarities.
    """

    path: str
    similarity: float


@dataclass(frozen=True, eq=False)
class FolderIndex:
    """The features of all images of a folder.

    Attributes:
        paths: of the images that can be read, in the natural order of their names.
        vectors: their features, float16 `(n, d)` of unit length, memory-mapped where they come from the cache.
        embedded: how many images were embedded now; the others were known.
        problems: why some files could not be read.
        notes: a line for each reason why files were passed over.
    """

    paths: Sequence[str]
    vectors: NDArray[np.float16]
    embedded: int
    problems: tuple[DecodeError, ...]
    notes: tuple[str, ...] = ()

    def search(self, vector: NDArray[np.float32], *, top_k: int = 10) -> list[Neighbour]:
        """Return the `top_k` images most similar to features `vector` `(d,)`, the most similar first."""
        rows, similarities = nearest(self.vectors, vector, top_k)
        return [Neighbour(self.paths[row], float(one)) for row, one in zip(rows, similarities, strict=True)]


def similar_images(
    predictor: Predictor, folder: str | Path | Rooted, query: str | Path, *, top_k: int = 10
) -> tuple[list[Neighbour], FolderIndex]:
    """Return the `top_k` images of a folder, or of a table, that are most similar to the image `query`, and the index.

    A query that lies in the folder finds itself first.

    Raises:
        OptionError: `top_k` is below 1.
        DecodeError: the query cannot be read.
        DataError: there is no such folder, or no image in it that can be read.
    """
    check_range("--top", top_k, 1, 1_000_000, whole=True)
    preprocess = predictor.card.preprocess
    pixels = preprocess.apply(Input(str(query)).decode(preprocess.min_size).pixels)  # first: nobody waits for an error
    index = index_folder(predictor, folder)
    (vector,) = embed_images(predictor.network, pixels[None], preprocess)
    return index.search(vector, top_k=top_k), index


def index_folder(predictor: Predictor, folder: str | Path | Rooted) -> FolderIndex:
    """Return the index of all images below a folder, or of those that a table names, from the cache as far as possible.

    What has been embedded is kept even when this is interrupted. Files that cannot be read are tried again each time.

    Args:
        predictor: a trained model.
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
        raise DataError(f"{folder}: no such folder or table; expected one with images in it, at any depth")
    if not found:
        raise DataError("; ".join([f"{folder}: there is no image in this folder", *passed_over(skip.counts())]))
    place = _place(predictor, asked)
    known, old = _load(place)
    rows = dict(zip(known.tolist(), range(len(known)), strict=True))
    marks = {str(root / path): mark for mark, path in found.items() if mark not in rows}
    fresh: dict[int, NDArray[np.float16]] = {}
    try:
        with bar("embedding", len(marks)) as shown:
            inputs = (Input(name) for name in marks)
            for item, row in stream(inputs, predictor.card.preprocess, _embedder(predictor)):
                if isinstance(row, DecodeError):
                    problems.append(row)
                else:
                    fresh[marks[item.name]] = row
                shown.step()
    finally:
        kept = [mark for mark in found if mark in rows or mark in fresh]
        if kept and kept != known.tolist():
            joined = np.stack([fresh[mark] if mark in fresh else old[rows[mark]] for mark in kept])
            old = joined  # Windows replaces no file that is still mapped
            # The features of a file that changed while it was read serve this search alone.
            stamps = [mark if mark in rows or _stamp(root, found[mark]) == mark else _NO_STAMP for mark in kept]
            _save(place, np.array(stamps, np.uint64), joined)
    if not kept:
        raise DataError(f"none of the {len(found)} images of {folder} can be read; the first, {problems[0]}")
    paths, notes = [str(root / found[mark]) for mark in kept], passed_over(skip.counts())
    return FolderIndex(paths, old, len(fresh), tuple(problems), tuple(notes))


def _of_table(paths: Sequence[str], problems: list[DecodeError]) -> dict[int, str]:
    """Return the files that exist by their stamps; append an error for each of the others."""
    found = {}
    for path in paths:
        try:
            found[file_stamp(path, os.stat(path))] = path  # noqa: PTH116 - a third of the time
        except OSError:
            problems.append(DecodeError(path, "there is no such file"))
    return found


def embed_images(network: nn.Module, pixels: NDArray[np.uint8], preprocess: Preprocess) -> NDArray[np.float32]:
    """Return features `(n, d)` of unit length of resized images uint8 `(n, h, w, c)`.

    They are what enters the last linear layer; of a network without one, its outputs. Nothing stays on the network.
    """
    seen: list[NDArray[np.float32]] = []
    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].flatten(1).float().cpu().numpy()))
        for layer in network.modules()
        if isinstance(layer, nn.Linear)
    ]
    try:
        outputs = forward(network, pixels, preprocess)
    finally:
        for hook in hooks:
            hook.remove()
    features = seen[-1] if seen else outputs.reshape(len(outputs), -1)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(lengths, np.finfo(np.float32).tiny))


def nearest(
    vectors: NDArray[np.float16], query: NDArray[np.float32], top_k: int
) -> tuple[list[int], NDArray[np.float32]]:
    """Return the rows of `vectors` `(n, d)` at the smallest angles to `query` `(d,)`, and the cosines; all of length 1.

    usearch, where it is installed, multiplies float16 at once, which takes a third of the time; the result is the same.
    """
    wanted = min(top_k + _SPARE, len(vectors))
    rows = _by_usearch(vectors, query, wanted)
    if rows is None:
        products = _products(vectors, query)
        rows = np.argpartition(-products, wanted - 1)[:wanted]
    candidates = vectors[rows].astype(np.float32)
    lengths = np.maximum(np.linalg.norm(candidates, axis=1), np.finfo(np.float32).tiny)
    cosines = candidates @ query / lengths
    best = np.lexsort((rows, -cosines))[:top_k]
    return rows[best].tolist(), cosines[best]


def _by_usearch(vectors: NDArray[np.float16], query: NDArray[np.float32], wanted: int) -> NDArray[np.int64] | None:
    """Return candidates in any order; None without usearch. Its own file format, and so its parser, is never used."""
    try:
        from usearch.index import search
    except ImportError:
        return None
    found = search(vectors, query.astype(np.float16), wanted, "ip", exact=True)
    return np.asarray(found.keys, np.int64).ravel()


def _products(vectors: NDArray[np.float16], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `vectors @ query` in float32. Torch converts float16 by the processor's own instruction, numpy without."""
    with torch.inference_mode():
        wanted, parts = torch.from_numpy(query), torch.split(torch.from_numpy(vectors), _BLOCK)
        return torch.cat([part.float() @ wanted for part in parts]).numpy()


def _embedder(predictor: Predictor) -> Callable[[NDArray[np.uint8]], NDArray[np.float16]]:
    """Return rows of the index for resized images."""

    def embed(pixels: NDArray[np.uint8]) -> NDArray[np.float16]:
        return embed_images(predictor.network, pixels, predictor.card.preprocess).astype(np.float16)

    return embed


def _place(predictor: Predictor, root: Path) -> Path:
    """Return the path of an index: a function of the weights, the preprocessing, and the folder or table."""
    digest, card = hashlib.sha256(), predictor.card
    described = [card.model, dict(card.options), card.preprocess.to_json(), str(root.resolve())]
    digest.update(json.dumps(described, sort_keys=True, default=str).encode("utf-8", "surrogateescape"))
    for name, tensor in sorted(predictor.network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return cache_folder("similar") / f"v{_VERSION}-{digest.hexdigest()[:24]}"


def _stamp(root: Path, path: str) -> int:
    try:
        return file_stamp(path, (root / path).stat())
    except OSError:
        return _NO_STAMP


def _load(place: Path) -> tuple[NDArray[np.uint64], NDArray[np.float16]]:
    """Return stamps `(n,)` and vectors `(n, d)` of an earlier index; empty where there is none that is whole."""
    if is_whole(place, manifest=_MANIFEST):
        with contextlib.suppress(OSError, ValueError):  # another process may be replacing the folder
            # "c": torch has no read-only tensors. Nothing writes to it, and nothing would reach the file.
            return np.load(place / "stamps.npy"), np.load(place / "vectors.npy", mmap_mode="c")
    return np.empty(0, np.uint64), np.empty((0, 0), np.float16)


def _save(place: Path, stamps: NDArray[np.uint64], vectors: NDArray[np.float16]) -> None:
    """Write an index. A full disk costs the next search the embedding again, nothing else."""
    with contextlib.suppress(OSError):
        publish_folder(place, [("stamps.npy", stamps), ("vectors.npy", vectors)], manifest=_MANIFEST)
