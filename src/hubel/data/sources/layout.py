"""The files of a dataset in a folder and their splits, from the header of a README or from their names."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any

from hubel.core.errors import DataError
from hubel.data.reading import one_line
from hubel.data.sources.listing import natural_key, split_code
from hubel.data.sources.walk import is_folder, visible_entries

__all__ = ["holds_files", "split_files", "split_in_name"]

_README_BYTES = 16 * 2**20


def split_in_name(path: PurePath) -> int:
    """Return the code of the split that a file's name, or a folder it is in, states; 0 where none does.

    >>> [split_in_name(PurePath(name)) for name in ("cifar-train-0001.tar", "val/0.tar", "a.tar")]
    [1, 2, 0]
    """
    words = [*re.split(r"[-_.]", path.stem), *path.parts[:-1]]
    return next((code for word in words if (code := split_code(word))), 0)


def holds_files(folder: Path, suffix: str) -> bool:
    """Return whether a folder has files with this ending, at most one folder down or where its README says."""
    if _files_near(folder, suffix):
        return True
    with contextlib.suppress(DataError):  # a folder of images may have a README of any kind
        return any(path.name.lower().endswith(suffix) for path, _ in _declared(folder))
    return False


def _files_near(folder: Path, suffix: str) -> list[Path]:
    """Return the files with this ending in a folder and its subfolders, without hidden ones, in natural order."""
    found = []
    for entry in visible_entries(folder):
        if is_folder(entry):
            found += [Path(inside.path) for inside in visible_entries(Path(entry.path)) if _ends(inside, suffix)]
        elif _ends(entry, suffix):
            found.append(Path(entry.path))
    return sorted(found, key=lambda path: natural_key(path.as_posix()))


def _ends(entry: os.DirEntry[str], suffix: str) -> bool:
    return entry.name.lower().endswith(suffix) and os.path.isfile(entry.path)  # noqa: PTH113 - raises nothing


def split_files(folder: Path, suffix: str) -> list[tuple[Path, int]]:
    """Return the files of a dataset with this ending, each with the code of its split.

    They come from the `configs` in the YAML header of a README.md, as on the Hugging Face hub; where these name no such
    file, from the names of files and folders.

    Raises:
        DataError: the header cannot be read, describes several datasets, or names files outside of the folder.
    """
    declared = [(path, code) for path, code in _declared(folder) if path.name.lower().endswith(suffix)]
    return declared or [(path, split_in_name(path.relative_to(folder))) for path in _files_near(folder, suffix)]


def _declared(folder: Path) -> list[tuple[Path, int]]:
    readme = folder / "README.md"
    config = _config(readme) if readme.is_file() else {}
    files: dict[Path, int] = {}
    for split, patterns in _patterns(config.get("data_files")):
        for pattern in patterns:
            for path in _matches(folder, _text(config.get("data_dir")), pattern, readme):
                files.setdefault(path, split_code(split) or 0)
    return sorted(files.items(), key=lambda item: natural_key(item[0].as_posix()))


def _config(readme: Path) -> Mapping[str, Any]:
    """Return the default configuration; empty where none is described."""
    from huggingface_hub import metadata_load

    if (size := readme.stat().st_size) > _README_BYTES:
        raise DataError(f"{readme} has {size:,} bytes; a description has at most {_README_BYTES:,}")
    try:
        if "<<" in readme.read_text(encoding="utf-8-sig").partition("\n---")[0]:
            raise ValueError("it merges keys (<<), which may take more memory than there is")
        header = metadata_load(readme) or {}
    except Exception as error:  # those of the YAML reader have no base in common with the others
        raise DataError(f"the YAML header of {readme} cannot be read: {one_line(error)}") from None
    configs = header.get("configs")
    configs = [c for c in configs if isinstance(c, dict) and "data_files" in c] if isinstance(configs, list) else []
    chosen = [c for c in configs if c.get("default") is True] or [
        c for c in configs if len(configs) == 1 or c.get("config_name") == "default"
    ]
    if configs and len(chosen) != 1:
        names = one_line(", ".join(_text(c.get("config_name")) for c in configs))
        raise DataError(f"{readme} describes {len(configs)} datasets ({names}); give the folder or the files of one")
    return chosen[0] if chosen else {}


def _patterns(value: Any) -> Iterator[tuple[str, list[str]]]:
    """Yield each split with its patterns, from any of the forms that the hub takes."""
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        pairs = [(item.get("split"), item.get("path")) for item in value]
    else:
        pairs = list(value.items()) if isinstance(value, dict) else [("train", value)]
    for split, patterns in pairs:
        texts = map(_text, patterns if isinstance(patterns, list) else [patterns])
        yield _text(split), [text for text in texts if text]


def _text(value: Any) -> str:
    # Lists in YAML can hold each other a thousand times over, so that none may be printed.
    return value if isinstance(value, str) else ""


def _matches(folder: Path, inside: str, pattern: str, readme: Path) -> Iterator[Path]:
    path = PurePosixPath(inside) / pattern
    if "://" in pattern or PureWindowsPath(path).anchor or ".." in PureWindowsPath(path).parts:
        raise DataError(f"{readme} names {one_line(pattern)!r}; expected files inside its own folder")
    if path.name == "**":  # on the hub it means the files at any depth, too
        path /= "*"
    try:
        yield from (file for file in folder.glob(str(path)) if file.is_file())
    except (IndexError, ValueError, NotImplementedError) as error:  # raised by `glob` for bad patterns
        raise DataError(f"{readme} names {one_line(pattern)!r}, which is no pattern: {one_line(error)}") from None
