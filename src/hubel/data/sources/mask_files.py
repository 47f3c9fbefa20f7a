"""Masks as image files: the class of each pixel as its value, the index of its colour in a palette, or its colour.

One scan reads every mask once and counts its values; the counts are stored in hubel's cache folder by the stamps of the
files. Values become classes by one `MaskCoding` for all masks of a dataset.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.cache import cache_folder
from hubel.core.errors import DataError, DecodeError
from hubel.core.files import is_whole, publish_folder
from hubel.core.progress import bar
from hubel.core.resources import usable_cores
from hubel.core.window import in_order
from hubel.data.annotation import IGNORED
from hubel.data.containers import CONTAINERS, format_of
from hubel.data.reading import DEFAULT_LIMITS, RefusalError, one_line, read_regular
from hubel.data.sources.listing import natural_key
from hubel.data.sources.objects import Flaws, frame_of

__all__ = [
    "COLOUR",
    "MASK_SUFFIXES",
    "CheckedMasks",
    "MaskCoding",
    "MaskFiles",
    "coding_of",
    "colour_value",
    "mask_values",
]

#: Endings of files that may be masks: formats that lose nothing, and JPEG, of which only black and white are left.
MASK_SUFFIXES = frozenset({".png", ".bmp", ".gif", ".tif", ".tiff", ".jpg", ".jpeg"})
#: A colour's value is this and its red, green and blue bytes; smaller values are grey levels or indices.
COLOUR = 1 << 24
_MOST_VALUES = 256  # in one mask; a photo has thousands of colours
_WHITE = 255
_ENOUGH_MASKS, _KINDS_OF_COUNTS = 8, 3  # before numbers without gaps are taken for those of objects
_MANIFEST, _VERSION = "manifest.json", 1
_CHUNK = 16

_Values = NDArray[np.uint32]


def colour_value(red: int, green: int, blue: int) -> int:
    """Return the value of a colour."""
    return COLOUR | red << 16 | green << 8 | blue


def mask_values(data: bytes, name: str) -> _Values:
    """Return the values of a mask `(h, w)`: grey levels, indices of a palette, or colours as `colour_value` has them.

    A colour whose red, green and blue are equal throughout the mask is a grey level. A JPEG, whose values are blurred,
    is black (0) or white (255).

    Raises:
        DecodeError: it is no image, or damaged, or of a kind that no mask has.
    """
    kind = format_of(data)
    try:
        if kind is None:
            raise RefusalError("no image in a format that hubel reads")
        picture, _ = CONTAINERS[kind].reduce(data)
        image = CONTAINERS[kind].plugin(BytesIO(picture))
        if image.width * image.height > DEFAULT_LIMITS.max_pixels:
            raise RefusalError(f"{image.width}x{image.height} pixels are more than the limit")
        image.load()
    except Exception as error:  # plugins raise errors of any type on malformed bytes
        raise DecodeError(name, f"no mask that can be read ({one_line(error) or type(error).__name__})") from None
    if kind == "JPEG":
        return np.where(np.asarray(image.convert("L")) >= 128, _WHITE, 0).astype(np.uint32)
    if image.mode in ("1", "L", "P"):
        return np.asarray(image).astype(np.uint32)
    if image.mode in ("LA", "PA"):
        return np.asarray(image)[..., 0].astype(np.uint32)
    if image.mode in ("RGB", "RGBA"):
        red, green, blue = (np.asarray(image)[..., i].astype(np.uint32) for i in range(3))
        if (red == green).all() and (red == blue).all():
            return red
        return np.asarray(COLOUR | red << 16 | green << 8 | blue, np.uint32)
    levels = np.asarray(image)
    if image.mode.startswith("I") and levels.min() >= 0 and levels.max() < COLOUR:
        return levels.astype(np.uint32)
    raise DecodeError(name, f"pixels of mode {image.mode} are no classes")


@dataclass(frozen=True, eq=False, kw_only=True)
class MaskCoding:
    """The class of each value of a mask.

    Attributes:
        names: of the classes.
        classes: the class of each known value, or `IGNORED`.
        others: the class of every other value; None where these are unknown, and ignored.
        notes: remarks for the user.
    """

    names: tuple[str, ...]
    classes: Mapping[int, int]
    others: int | None = None
    notes: tuple[str, ...] = ()

    def of(self, values: _Values) -> NDArray[np.uint8]:
        """Return the classes of values of any shape, uint8; `IGNORED` for unknown ones."""
        default = IGNORED if self.others is None else self.others
        known = np.array(sorted(self.classes), np.uint32)
        if not len(known):
            return np.full(values.shape, default, np.uint8)
        of_known = np.array([self.classes[int(value)] for value in known], np.uint8)
        if int(values.max(initial=0)) < 65_536:
            table = np.full(65_536, default, np.uint8)
            table[known[known < 65_536]] = of_known[known < 65_536]
            return table[values]
        place = np.minimum(np.searchsorted(known, values), len(known) - 1)
        return np.where(known[place] == values, of_known[place], default).astype(np.uint8)

    def knows(self, value: int) -> bool:
        """Return whether a value is one of a class, or one that is ignored on purpose."""
        return self.others is not None or value in self.classes


@dataclass(kw_only=True)
class _Facts:
    """The facts of one mask: its size, the values in it and how often each is, its digest, or why it is none."""

    width: int = 0
    height: int = 0
    values: _Values = field(default_factory=lambda: np.zeros(0, np.uint32))
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    digest: bytes = bytes(16)
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class CheckedMasks:
    """The masks of a dataset beside its images.

    Attributes:
        presence: the pixels of each class on each image, `(n, classes)`; -1 in a row without a mask.
        notes: for the user.
        digest: of all masks.
        files: path and reason of those that are left out.
    """

    presence: NDArray[np.int64]
    notes: list[str]
    digest: bytes
    files: list[tuple[str, str]]

    def labels(self, names: Sequence[str]) -> list[str | None]:
        """Return the label text of each image, its classes; None for an image without a mask."""
        found: list[str | None] = []
        for row in self.presence:
            present = sorted({names[i] for i in np.flatnonzero(row > 0).tolist()}, key=natural_key)
            found.append(None if (row < 0).any() else "|".join(present))
        return found


class MaskFiles:
    """The masks of a dataset, one file an image.

    Args:
        root: the folder that the paths start at.
        paths: of the masks, "" for an image that has none.
        stamps: of the files.
        location: of the dataset, for the cache.
        within: the folder that links must not leave.
        needed: an image without a mask is left out; otherwise all of it is ignored.
    """

    def __init__(
        self,
        root: Path,
        paths: Sequence[str],
        stamps: Sequence[int],
        *,
        location: str,
        within: Path | None = None,
        needed: bool = True,
    ) -> None:
        self._root, self._paths, self._stamps = root, list(paths), list(stamps)
        self._within, self._location, self._needed = within, location, needed
        self._facts: list[_Facts] = []
        self._orientations: NDArray[np.uint8] = np.ones(len(self._paths), np.uint8)
        self.coding = MaskCoding(names=(), classes={})

    def scan(self) -> list[int]:
        """Read every mask that an earlier scan has not seen, and return the values that occur, sorted."""
        known = self._load()
        self._facts = [known.get(stamp, _Facts()) if stamp else _Facts() for stamp in self._stamps]
        todo = [i for i, path in enumerate(self._paths) if path and not self._facts[i].width]
        chunks = [todo[i : i + _CHUNK] for i in range(0, len(todo), _CHUNK)]
        workers = usable_cores()
        with ThreadPoolExecutor(workers) as pool, bar("scanning masks", len(todo)) as progress:
            for rows, facts in in_order(
                pool, lambda rows: (rows, [self._look(row) for row in rows]), chunks, ahead=2 * workers
            ):
                for row, one in zip(rows, facts, strict=True):
                    self._facts[row] = one
                progress.step(len(rows))
        if any(not self._facts[i].reason for i in todo):
            self._save()
        found = {value for facts in self._facts for value in facts.values.tolist()}
        return sorted(found)

    def most_objects(self) -> int:
        """Return the highest number of an object where the masks number the objects of each image; 0 where not.

        Then the values of each mask run from 0 to their number without a gap, and images have different numbers of
        them, some of them several. Classes leave gaps: an image with the class 3 need not have 1 and 2.
        """
        masks = [one.values.tolist() for one in self._facts if one.width and not one.reason]
        counts = {len(values) - 1 for values in masks}
        alike = all(values == list(range(len(values))) for values in masks)
        several = len(masks) >= _ENOUGH_MASKS and len(counts) >= _KINDS_OF_COUNTS and max(counts) >= _KINDS_OF_COUNTS
        return max(counts) if alike and several else 0

    def checked(self, sizes: Sequence[tuple[int, int]], orientations: NDArray[np.uint8]) -> CheckedMasks:
        """Compare the masks with the sizes of their images, width and height, and count the classes."""
        flaws, digest = Flaws(), hashlib.blake2b(digest_size=16)
        self._orientations = orientations
        presence = np.full((len(self._paths), len(self.coding.names)), -1, np.int64)
        digest.update(repr((self.coding.names, sorted(self.coding.classes.items()))).encode("utf-8", "replace"))
        lack = "are left out" if self._needed else "teach no class of a pixel"
        for row, (path, facts, size) in enumerate(zip(self._paths, self._facts, sizes, strict=True)):
            digest.update(facts.digest)
            if not size[0]:
                continue
            if not path or facts.reason:
                if path:
                    flaws(f"masks that cannot be read, whose images {lack}", f"{path}: {facts.reason}", path=path)
                continue
            frame, flaw = frame_of((facts.width, facts.height), size, int(orientations[row]))
            if flaw and (frame.width, frame.height) != (facts.width, facts.height):
                flaws(f"masks of another shape than their image, which {lack}", path)
                facts.reason = "a mask of another shape than its image"
                continue
            if flaw:
                flaws("masks of another size than their image, which are fitted to it", path)
            of = np.zeros(len(self.coding.names), np.int64)
            for value, n in zip(facts.values.tolist(), facts.counts.tolist(), strict=True):
                if not self.coding.knows(value):
                    flaws(f"masks with pixels of an unknown class ({_shown(value)}), which are ignored", path)
                    continue
                number = self.coding.classes.get(value, self.coding.others)
                if number is not None and number != IGNORED:
                    of[number] += n
            presence[row] = of
        return CheckedMasks(
            presence=presence, notes=[*self.coding.notes, *flaws.notes()], digest=digest.digest(), files=flaws.files
        )

    def read(self, row: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return the mask of an image of this width and height; all of it is `IGNORED` where there is none.

        Raises:
            DecodeError: it can no longer be read.
        """
        path = self._paths[row]
        if not path or self._facts[row].reason:
            return np.full((size[1], size[0]), IGNORED, np.uint8)
        classes = self.coding.of(mask_values(read_regular(self._root / path, root=self._within), path))
        frame, _ = frame_of((classes.shape[1], classes.shape[0]), size, int(self._orientations[row]))
        return np.ascontiguousarray(frame.moved_mask(classes, size))

    def _look(self, row: int) -> _Facts:
        path = self._paths[row]
        try:
            data = read_regular(self._root / path, root=self._within)
            values = mask_values(data, path)
        except DecodeError as error:
            return _Facts(reason=error.reason)
        found, counts = _counted(values)
        if len(found) > _MOST_VALUES:
            return _Facts(reason=f"{len(found):,} colours; a mask has one for each class")
        digest = hashlib.blake2b(data, digest_size=16).digest()
        height, width = values.shape
        return _Facts(width=width, height=height, values=found, counts=counts, digest=digest)

    def _folder(self) -> Path:
        key = hashlib.sha256(f"masks {self._location}".encode("utf-8", "surrogateescape")).hexdigest()[:24]
        return cache_folder("index") / f"masks{_VERSION}-{key}"

    def _load(self) -> dict[int, _Facts]:
        """Return the facts of an earlier scan by stamp."""
        folder = self._folder()
        if not is_whole(folder, manifest=_MANIFEST):
            return {}
        with contextlib.suppress(OSError, ValueError, KeyError):  # another process may be replacing the folder
            names = ("stamps", "sizes", "digests", "ends", "values", "counts")
            stamps, sizes, digests, ends, values, counts = (np.load(folder / f"{name}.npy") for name in names)
            known, start = {}, 0
            for i, end in enumerate(ends.tolist()):
                width, height = sizes[i].tolist()
                known[int(stamps[i])] = _Facts(
                    width=width, height=height, digest=digests[i].tobytes(), values=values[start:end],
                    counts=counts[start:end],
                )  # fmt: skip
                start = end
            return known
        return {}

    def _save(self) -> None:
        kept = [(stamp, facts) for stamp, facts in zip(self._stamps, self._facts, strict=True) if facts.width and stamp]
        columns: dict[str, NDArray[Any]] = {
            "stamps": np.array([stamp for stamp, _ in kept], np.uint64),
            "sizes": np.array([(facts.width, facts.height) for _, facts in kept], np.int32).reshape(-1, 2),
            "digests": np.frombuffer(b"".join(facts.digest for _, facts in kept), np.uint8).reshape(-1, 16),
            "ends": np.cumsum([len(facts.values) for _, facts in kept], dtype=np.int64),
            "values": np.concatenate([np.zeros(0, np.uint32), *(facts.values for _, facts in kept)]),
            "counts": np.concatenate([np.zeros(0, np.int64), *(facts.counts for _, facts in kept)]),
        }
        with contextlib.suppress(OSError):  # a full disk costs the next run a scan, nothing else
            files = ((f"{name}.npy", values) for name, values in columns.items())
            publish_folder(self._folder(), files, manifest=_MANIFEST)


def _counted(values: _Values) -> tuple[_Values, NDArray[np.int64]]:
    """Return the values that occur, and how often each does."""
    if int(values.max(initial=0)) < 65_536:
        histogram = np.bincount(values.ravel())
        found = np.flatnonzero(histogram)
        return found.astype(np.uint32), histogram[found].astype(np.int64)
    unique, counts = np.unique(values, return_counts=True)
    return unique, counts.astype(np.int64)


def _shown(value: int) -> str:
    return f"#{value & 0xFFFFFF:06x}" if value >= COLOUR else str(value)


_VOID_NAMES = frozenset({"void", "ignore", "ignored", "unlabeled", "unlabelled", "unknown", "dontcare", "don't care"})


def coding_of(
    found: Sequence[int],
    *,
    names: Sequence[str] = (),
    colours: Mapping[int, str] | None = None,
    void: int | None = None,
    where: object = "",
) -> MaskCoding:
    """Return the classes of the values that occur in the masks of a dataset.

    Args:
        found: the values, sorted.
        names: of the classes by number; empty where nothing names them.
        colours: the name of each colour, where a file says them.
        void: a value whose pixels belong to no class; 255 does not in any case, where there are more than two values.
        where: the dataset, for errors.

    Raises:
        DataError: there are more than 255 classes.
    """
    colourful = [value for value in found if value >= COLOUR]
    levels = [value for value in found if value < COLOUR]
    if colourful:
        # A mask whose pixels happen to be black or white only is read as grey.
        return _by_colour(sorted({*colourful, *(colour_value(v, v, v) for v in levels)}), colours, void, where)
    ignored = {value for value in (void, IGNORED) if value is not None}
    if not names and void is None and levels in ([0, _WHITE], [_WHITE]):
        note = "masks of black (background) and white (foreground)"
        return MaskCoding(names=("background", "foreground"), classes={0: 0, _WHITE: 1}, notes=(note,))
    if names:
        numbers, texts = list(range(len(names))), list(names)
    else:
        numbers = [value for value in levels if value not in ignored]
        texts = ["background", "foreground"] if numbers == [0, 1] else [str(value) for value in numbers]
    voids = [n for n, text in zip(numbers, texts, strict=True) if n in ignored or text.lower() in _VOID_NAMES]
    kept = [(n, text) for n, text in zip(numbers, texts, strict=True) if n not in voids]
    _check_number(len(kept) and len(texts), where)
    classes = {n: i for i, (n, _) in enumerate(kept)} | dict.fromkeys([*ignored, *voids], IGNORED)
    notes = tuple(
        f"pixels of the class {text} are ignored" for n, text in zip(numbers, texts, strict=True) if n in voids
    )
    return MaskCoding(names=tuple(text for _, text in kept), classes=classes, notes=notes)


def _by_colour(found: Sequence[int], colours: Mapping[int, str] | None, void: int | None, where: object) -> MaskCoding:
    notes: tuple[str, ...] = ()
    if not colours:
        note = f"classes are the {len(found)} colours of the masks; a file label_colors.txt beside them can name these"
        colours, notes = {value: _shown(value) for value in found}, (note,)
    names = [name for name in dict.fromkeys(colours.values()) if name.lower() not in _VOID_NAMES]
    _check_number(len(names), where)
    number = {name: i for i, name in enumerate(names)}
    classes = {value: number.get(name, IGNORED) for value, name in colours.items()}
    if void is not None:
        classes[void] = classes[colour_value(void, void, void)] = IGNORED
    # Grey masks among colourful ones: black is black.
    classes |= {
        value & 0xFF: n for value, n in classes.items() if value & 0xFF == value >> 8 & 0xFF == value >> 16 & 0xFF
    }
    return MaskCoding(names=tuple(names), classes=classes, notes=notes)


def _check_number(n: int, where: object) -> None:
    if n > IGNORED:
        raise DataError(f"{where}: {n:,} classes of pixels are more than the {IGNORED} that a mask has room for")
    if not n:
        raise DataError(f"{where}: every pixel of the masks is of no class; expected class numbers or colours")
