"""The index: one scan decodes every image fully once and records its facts as flat arrays.

It is stored in hubel's cache folder as `.npy` files, verified when they are read, and reused as long as the images do
not change. Stamps (size and times of a file) say which images to decode again; they cannot prove that the others are
the same, so whoever decodes an image later compares its bytes with the digest (`decode_indexed`). A file that cannot be
read is named with its reason, left out, and counted.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.cache import cache_folder
from hubel.core.errors import DataError, DecodeError
from hubel.core.files import is_whole, publish_folder
from hubel.core.group import Group, current_group
from hubel.core.language import plural, sentence
from hubel.core.notes import Caution
from hubel.core.progress import bar
from hubel.core.resources import usable_cores
from hubel.core.window import in_order
from hubel.data.annotation import AnnotatedSource, ImageFacts
from hubel.data.decode import Decoded, decode, of_pixels
from hubel.data.shares import share_of
from hubel.data.sources.listing import Listing, Source, TextColumn, class_names, label_parts, passed_over

__all__ = ["OK", "UNREADABLE", "Index", "decode_indexed", "decode_row", "scan"]

OK, UNREADABLE = 0, 1
_VERSION = 3
_MANIFEST = "manifest.json"
_CHUNK = 256  # rows that one task decodes
_THUMBNAIL = (64, 64)  # a JPEG's whole data stream is read at any scale; a small one costs the least arithmetic

# With the listing's four numbers, one row costs 56 bytes beside its path.
_COLUMNS: dict[str, Any] = {
    "size": np.int64,
    "digest": "V16",
    "width": np.int32,
    "height": np.int32,
    "channels": np.uint8,
    "orientation": np.uint8,
    "status": np.uint8,
}


@dataclass(frozen=True, kw_only=True)
class Index:
    """Facts of every image of a source.

    Attributes:
        name: of the source.
        paths: per row, the name of the image for the user and the source.
        label: per row, a position in `labels`; -1 without a label.
        split: per row, a position in `SPLITS`.
        stamp: per row, 64 bits that change when the file does.
        size: per row, bytes of the encoded image, or of the pixels.
        digest: per row, BLAKE2b of these bytes, 16 bytes.
        width: per row, pixels, upright.
        height: likewise.
        channels: per row, 1 grey, 3 RGB.
        orientation: per row, of EXIF, 1 to 8.
        status: per row, `OK` or `UNREADABLE`.
        labels: label texts.
        skipped: numbers of files passed over, by reason.
        reasons: the reason for each unreadable row.
        reused: number of rows that were taken from an earlier scan.
        remarks: of the source, for the user, a line each.
        passed: path and reason of each file that was passed over, of the first 100,000.
        annotations: a digest of all that is marked on the images; empty where labels say all.
        parents: the parent of a class, or of another parent, where the source has a hierarchy.
        parts: the ends of files, or parts of files, that are best read one after the other; see `Listing`.
    """

    name: str
    paths: TextColumn
    label: NDArray[np.int32]
    split: NDArray[np.int8]
    stamp: NDArray[np.uint64]
    size: NDArray[np.int64]
    digest: NDArray[np.void]
    width: NDArray[np.int32]
    height: NDArray[np.int32]
    channels: NDArray[np.uint8]
    orientation: NDArray[np.uint8]
    status: NDArray[np.uint8]
    labels: tuple[str, ...]
    skipped: dict[str, int]
    reasons: dict[int, str]
    reused: int = 0
    remarks: tuple[str, ...] = ()
    passed: tuple[tuple[str, str], ...] = ()
    annotations: bytes = b""
    parents: Mapping[str, str] = field(default_factory=dict)
    parts: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.label)

    def usable(self) -> NDArray[np.int64]:
        """Return the rows that can be read and have a label."""
        return np.flatnonzero((self.status == OK) & (self.label >= 0))

    def readable(self) -> NDArray[np.int64]:
        """Return the rows that can be read."""
        return np.flatnonzero(self.status == OK)

    def unreadable(self) -> list[tuple[str, str]]:
        """Return path and reason of each file that cannot be read, in order."""
        return [(self.paths[row], reason) for row, reason in sorted(self.reasons.items())]

    def classes(self, *, multi_label: bool = False) -> tuple[str, ...]:
        """Return the names of the classes with a usable image in any split, naturally sorted.

        Raises:
            DataError: fewer than two.
        """
        used = np.unique(self.label[self.usable()])
        return class_names((self.labels[code] for code in used), multi_label=multi_label)

    def targets(self, rows: NDArray[np.int64], classes: tuple[str, ...], *, multi_label: bool = False) -> NDArray[Any]:
        """Return class numbers int64 `(n,)`; with several labels an image, or no class, 0 and 1 float32 `(n, classes)`.

        Raises:
            DataError: a label is none of the classes.
        """
        if not classes:
            return np.empty((len(rows), 0), np.float32)
        number = {name: i for i, name in enumerate(classes)}
        codes, inverse = np.unique(self.label[rows], return_inverse=True)
        table: NDArray[Any]
        try:
            if multi_label:
                table = np.zeros((len(codes), len(classes)), np.float32)
                for values, code in zip(table, codes, strict=True):
                    values[[number[part] for part in label_parts(self.labels[code], multi_label=True)]] = 1
            else:
                table = np.array([number[self.labels[code]] for code in codes], np.int64)
            return table[inverse]
        except KeyError as error:
            known = ", ".join(classes[:10]) + (", ..." if len(classes) > 10 else "")
            raise DataError(
                f"the data has a class {error.args[0]!r} that the model does not know; it knows {known}"
            ) from None

    def label_texts(self, rows: NDArray[np.int64]) -> list[str]:
        """Return the label text of each row, "" without one."""
        return [self.labels[code] if code >= 0 else "" for code in self.label[rows].tolist()]

    def fingerprint(self) -> str:
        """Return a short hash of all images, labels, annotations and splits, independent of their paths."""
        digest = hashlib.sha256()
        for values in (self.digest, self.label, self.split):
            digest.update(np.ascontiguousarray(values).tobytes())
        digest.update("\0".join(self.labels).encode("utf-8", "surrogateescape"))
        digest.update(self.annotations)
        return digest.hexdigest()[:16]

    def notes(self) -> list[str]:
        """Return the remarks of the source, and one line for each kind of file or image that the scan left out."""
        notes = [*self.remarks, *passed_over(self.skipped)]
        if any(", ...)" in why for why in self.skipped):
            notes.append(sentence("note.names_each"))
        if bad := self.unreadable():
            notes.append(Caution(plural("note.unreadable", len(bad))))
            notes += [f"  {path}: {reason}" for path, reason in bad]
        if unlabelled := int(((self.label < 0) & (self.status == OK)).sum()):
            notes.append(Caution(plural("note.unlabelled", unlabelled)))
        if len(rows := self.contradicting()):
            one, other = rows[0], next(row for row in rows[1:] if self.label[row] != self.label[rows[0]])
            label, another = self.label_texts(np.array([one, other]))
            names = {"first": self.paths[one], "second": self.paths[other], "label": label, "other": another}
            notes.append(Caution(sentence("note.contradicting", n=len(rows), **names)))
        return notes

    def contradicting(self) -> NDArray[np.int64]:
        """Return the rows of images that have the same bytes and several labels; those of one image together."""
        rows = self.usable()
        first = np.ascontiguousarray(self.digest[rows]).view("<u8").reshape(-1, 2)[:, 0]
        order = np.argsort(first)  # one key: a tenth of the time of sorting all by three
        twin = np.diff(first[order]) == 0
        rows = rows[order[np.append(twin, False) | np.append(False, twin)]] if len(rows) else rows
        first, second = np.ascontiguousarray(self.digest[rows]).view("<u8").reshape(-1, 2).T
        order = np.lexsort((self.label[rows], second, first))
        same = (np.diff(first[order]) == 0) & (np.diff(second[order]) == 0)
        image = np.cumsum(np.append(0, ~same))[: len(rows)]  # the number of the image that a row shows
        several = np.unique(image[1:][same & (np.diff(self.label[rows][order]) != 0)])
        return rows[order[np.isin(image, several)]]


def decode_row(source: Source, row: int, path: str, min_size: tuple[int, int] | None = None) -> tuple[Decoded, bytes]:
    """Decode one image of a source; also return the bytes that it was decoded from.

    Raises:
        DecodeError: it cannot be read, or is damaged.
    """
    data = source.read(row, path)
    if isinstance(data, bytes):
        image = decode(data, name=path, min_size=min_size)
        if image.damage:
            raise DecodeError(path, image.damage)
        return image, data
    return of_pixels(data), data.tobytes()


def decode_indexed(source: Source, index: Index, row: int, min_size: tuple[int, int]) -> Decoded:
    """Decode one image of an index, from the very bytes that were indexed.

    Raises:
        DecodeError: it can no longer be read, or has changed since; the stored index is removed then.
    """
    path = index.paths[row]
    image, data = decode_row(source, row, path, min_size)
    if _digest(data) != index.digest[row].tobytes():
        if folder := _folder(source):
            shutil.rmtree(folder, ignore_errors=True)  # its stamps have not noticed the change
        raise DecodeError(path, "it has changed since the images were indexed; run the command again")
    return image


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def scan(source: Source, *, threads: int | None = None) -> Index:
    """Index a source, decoding only the images that an earlier scan has not seen.

    Raises:
        DataError: there is no image at all, or none that can be read.
    """
    listing = source.listing()
    if not len(listing):
        raise DataError(f"{source.name}: there is no image")
    folder = _folder(source)
    known = _load(folder) if folder else {}
    columns = {name: np.zeros(len(listing), kind) for name, kind in _COLUMNS.items()}
    reasons: dict[int, str] = {}
    todo = np.arange(len(listing))
    if known:
        todo = _reuse(listing, known, columns)
    group = current_group()
    shared = _check_same_files(source.name, listing, todo, group)
    own = share_of(group.rank, group.world, len(todo))  # rows that follow each other lie in few files
    mine = todo[own.first : own.stop] if shared else todo
    chunks = [mine[i : i + _CHUNK] for i in range(0, len(mine), _CHUNK)]
    workers = threads if threads is not None else usable_cores() // group.local_world
    with ThreadPoolExecutor(max(1, workers)) as pool, bar("scanning images", len(mine)) as progress:
        for rows, found, problems in in_order(
            pool, lambda rows: _decode_rows(source, listing, rows), chunks, ahead=2 * workers
        ):
            for name, values in found.items():
                columns[name][rows] = values
            reasons |= problems
            progress.step(len(rows))
    if shared:
        reasons = _share_rows(mine, columns, reasons, group)
    if isinstance(source, AnnotatedSource):
        facts = ImageFacts(**{name: columns[name] for name in ("width", "height", "orientation")})
        listing = source.checked(listing, facts)
    index = Index(
        name=source.name,
        paths=listing.paths,
        label=listing.label,
        split=listing.split,
        stamp=listing.stamp,
        labels=listing.labels,
        skipped=dict(listing.skipped),
        reasons=reasons,
        reused=len(listing) - len(todo),
        remarks=listing.notes,
        passed=listing.passed,
        annotations=listing.annotations,
        parents=listing.parents,
        parts=listing.parts,
        **columns,
    )
    if (columns["status"] != OK).all():
        path, reason = index.unreadable()[0]
        raise DataError(f"none of the {len(index)} images of {source.name} can be read; the first, {path}: {reason}")
    del known  # Windows replaces no file that is still mapped
    if folder and (group.first or not shared) and (columns["status"][todo] == OK).any():
        _save(folder, index)
    return index


def _check_same_files(name: str, listing: Listing, todo: NDArray[np.int64], group: Group) -> bool:
    """Return whether several ranks have the same images to decode, so that each may decode a part of them.

    Raises:
        DataError: they do not see the same files.
    """
    if group.world == 1:
        return False
    paths = hashlib.blake2b(listing.paths.ends.tobytes(), digest_size=16)
    paths.update(listing.paths.block.tobytes())
    left = hashlib.blake2b(np.ascontiguousarray(todo).tobytes(), digest_size=16).hexdigest()
    seen = [json.loads(one) for one in group.gather(json.dumps([paths.hexdigest(), len(listing), left]).encode())]
    for rank, (digest, number, _) in enumerate(seen):
        if digest != seen[0][0]:
            what = f"{number:,} images" if number != seen[0][1] else "images with other names"
            raise DataError(f"{name}: rank {rank} sees {what}, rank 0 {seen[0][1]:,}: all ranks need the same files")
    return len({one[2] for one in seen}) == 1


def _share_rows(
    own: NDArray[np.int64], columns: dict[str, NDArray[Any]], reasons: dict[int, str], group: Group
) -> dict[int, str]:
    """Fill in the rows that the other ranks have decoded; return the reasons of all."""
    arrays = {"rows": own, **{name: values[own] for name, values in columns.items()}}
    merged: dict[int, str] = {}
    for found, told in group.share_arrays(arrays, sorted(reasons.items())):
        merged |= dict(told)
        for name, values in columns.items():
            values[found["rows"]] = found[name]
    return dict(sorted(merged.items()))


def _decode_rows(
    source: Source, listing: Listing, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], dict[str, list[Any]], dict[int, str]]:
    """Return the facts of some rows, and the reasons for those that cannot be read."""
    facts: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    reasons = {}
    for row in rows.tolist():
        path = listing.paths[row]
        try:
            image, data = decode_row(source, row, path, _THUMBNAIL)
        except DecodeError as error:
            reasons[row] = error.reason
            found: tuple[Any, ...] = (0, b"\0" * 16, 0, 0, 0, 0, UNREADABLE)
        else:
            channels = 1 if image.pixels.ndim == 2 else 3
            found = (len(data), _digest(data), image.width, image.height, channels, image.orientation, OK)
        for name, value in zip(_COLUMNS, found, strict=True):
            facts[name].append(np.void(value) if isinstance(value, bytes) else value)
    return rows, facts, reasons


def _folder(source: Source) -> Path | None:
    if not source.location:
        return None
    key = hashlib.sha256(source.location.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    return cache_folder("index") / f"v{_VERSION}-{key}"


def _load(folder: Path) -> dict[str, Any]:
    """Return the stamps and columns of an earlier scan, memory-mapped; nothing where there is no complete one."""
    if is_whole(folder, manifest=_MANIFEST):
        with contextlib.suppress(OSError, ValueError):  # another process may be replacing the folder
            return {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("stamp", *_COLUMNS)}
    return {}


def _reuse(listing: Listing, known: dict[str, Any], columns: dict[str, NDArray[Any]]) -> NDArray[np.int64]:
    """Fill in the rows whose stamps belong to readable rows of an earlier scan, and return the rows that remain.

    A stamp stands for the path, size and time of a file, so that the order of rows may differ from the earlier scan.
    Unreadable rows are read again: their cause, such as permissions, may have changed without changing the stamp.
    """
    order = np.argsort(known["stamp"], kind="stable")
    position = np.minimum(np.searchsorted(known["stamp"], listing.stamp, sorter=order), len(order) - 1)
    old = order[position]
    same = (known["stamp"][old] == listing.stamp) & (listing.stamp != 0) & (known["status"][old] == OK)
    for name in _COLUMNS:
        columns[name][same] = known[name][old[same]]
    return np.flatnonzero(~same)


def _save(folder: Path, index: Index) -> None:
    columns = ((f"{name}.npy", getattr(index, name)) for name in ("stamp", *_COLUMNS))
    with contextlib.suppress(OSError):  # a full disk costs the next run a scan, nothing else
        publish_folder(folder, columns, manifest=_MANIFEST)
