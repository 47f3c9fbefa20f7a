"""The tar archives that a path names: a folder of them, one, or a pattern such as `train-{0000..0009}.tar`."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hubel.core.errors import DataError
from hubel.core.files import user_path
from hubel.data.sources.layout import holds_files, split_files, split_in_name
from hubel.data.sources.listing import natural_key

__all__ = ["Shards", "find_shards", "is_webdataset"]

_COMPRESSED = (".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2")
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})")
_MOST_NAMES = 100_000


@dataclass(frozen=True)
class Shards:
    """Archives in order.

    Attributes:
        name: for reports.
        location: what the user gave, made independent of the current folder.
        root: the folder that they are in.
        paths: the archives.
        splits: the code of the split of each.
    """

    name: str
    location: str
    root: Path
    paths: tuple[Path, ...]
    splits: tuple[int, ...]

    def __iter__(self) -> Iterator[tuple[Path, str, int]]:
        """Yield each archive, its path below the root, and the code of its split."""
        for path, split in zip(self.paths, self.splits, strict=True):
            yield path, path.relative_to(self.root).as_posix(), split


def is_webdataset(what: Path) -> bool:
    """Return whether this is a tar archive, a folder with some, or a pattern that names some."""
    if what.is_dir():
        return holds_files(what, ".tar")
    name = what.name.lower()
    return name.endswith((".tar", *_COMPRESSED)) and (what.is_file() or bool(set(str(what)) & set("*?[{")))


def find_shards(what: str | Path) -> Shards:
    """Return the archives that a path or pattern names.

    Raises:
        DataError: there is none, one of those that braces name is missing, or they are compressed.
    """
    path = user_path(what)
    if path.is_dir():
        found = split_files(path, ".tar")
        if not found:
            raise DataError(f"{what}: there is no tar archive in this folder; expected files such as train-0000.tar")
        paths, splits = zip(*found, strict=True)
        return Shards(path.resolve().name or "data", str(path.resolve()), path, paths, splits)
    if path.name.lower().endswith(_COMPRESSED):
        raise DataError(f"{what} is compressed; images are read at random from plain tar archives, so unpack it once")
    if path.exists():
        return Shards(path.stem, str(path.resolve()), path.parent, (path,), (0,))
    root = _fixed_part(path)
    named = _named_by(path)
    splits = tuple(split_in_name(file.relative_to(root)) for file in named)
    location = str(root.resolve() / path.relative_to(root))
    return Shards(root.resolve().name or "data", location, root, tuple(named), splits)


def _fixed_part(pattern: Path) -> Path:
    """Return the folder that all files of a pattern are in."""
    fixed = itertools.takewhile(lambda part: not set(part) & set("*?[{"), pattern.parts[:-1])
    return Path(*fixed)


def _named_by(pattern: Path) -> list[Path]:
    names = _expanded(str(pattern))
    found: dict[str, None] = {}
    missing = []
    for name in names:
        present = glob.glob(name, recursive=True) if set(name) & set("*?[") else [name] * os.path.lexists(name)  # noqa: PTH207
        missing += [] if present else [name]
        found.update(dict.fromkeys(present))
    if missing:
        of = f"{len(missing):,} of {len(names):,} archives are missing, the first being {missing[0]}"
        raise DataError(f"{pattern}: {'no such file' if len(names) == 1 else of}")
    return [Path(name) for name in sorted(found, key=natural_key)]


def _expanded(pattern: str) -> list[str]:
    """Return the names that braces stand for, as in a shell: `{a,b}` and `{08..11}`.

    >>> _expanded("{train,val}-{09..10}.tar")
    ['train-09.tar', 'train-10.tar', 'val-09.tar', 'val-10.tar']
    """
    parts: list[list[str]] = []
    at = 0
    for match in _BRACES.finditer(pattern):
        choices = [match[0]]  # braces with neither commas nor a range mean themselves
        if bounds := _RANGE.fullmatch(match[1]):
            first, last = int(bounds[1]), int(bounds[2])
            width = max(len(bounds[1]), len(bounds[2])) if bounds[1].startswith("0") or bounds[2].startswith("0") else 0
            if abs(last - first) < _MOST_NAMES:
                step = 1 if last >= first else -1
                choices = [f"{number:0{width}d}" for number in range(first, last + step, step)]
            else:
                choices = []
        elif "," in match[1]:
            choices = match[1].split(",")
        parts += [[pattern[at : match.start()]], choices]
        at = match.end()
    parts.append([pattern[at:]])
    number = 1
    for choices in parts:
        number *= len(choices)
    if not 0 < number <= _MOST_NAMES:
        raise DataError(f"{pattern} names too many files; expected at most {_MOST_NAMES:,}")
    return ["".join(choice) for choice in itertools.product(*parts)]
