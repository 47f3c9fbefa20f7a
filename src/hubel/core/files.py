"""Atomic files and folders, and the location of the cache.

The order of operations survives a crash at any instant: write beside the target, fsync the file, rename over the
target, fsync the folder. Whatever hubel must not lose is written here, so that one test of the order holds for all.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from hubel.core.errors import BusyError, OptionError
from hubel.core.lock import FileLock
from hubel.core.text import alike

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "MODEL_FILE",
    "atomic_file",
    "cache_root",
    "folder_bytes",
    "fsync_folder",
    "glob_existing",
    "is_stream",
    "is_whole",
    "model_in",
    "names_beside",
    "naming_the_file",
    "no_such",
    "numbered_folder",
    "publish_folder",
    "remove_leftovers",
    "sha256_of",
    "short_name",
    "unfinished",
    "user_path",
    "write_atomic",
    "write_json",
]

MODEL_FILE = "model.safetensors"  # in the folder of a run
_SUFFIX_BYTES = 8  # random bytes in the name of an unfinished file or folder
_MOST_NAME_BYTES = 200  # of the name that it is made from: systems allow 255 in all
_MOST_BESIDE = 2000  # names in a folder that are compared with one that is not there
_UNFINISHED, _LOCK = ".tmp", ".lock"
_OPEN_FILES = ("/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/")  # names of files that are open already


def cache_root() -> Path:
    """Return the cache folder: `$HUBEL_CACHE`, or one in the system's folder for caches.

    It may be missing, or not writable: see `hubel.core.cache.cache_folder`.
    """
    if folder := os.environ.get("HUBEL_CACHE"):
        return Path(folder)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or _home() / "AppData" / "Local") / "hubel"
    if sys.platform == "darwin":
        return _home() / "Library" / "Caches" / "hubel"
    return Path(os.environ.get("XDG_CACHE_HOME") or _home() / ".cache") / "hubel"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # a user without $HOME and without an account, as in containers
        return Path(os.devnull)  # below which nothing can be written


def user_path(path: str | os.PathLike[str]) -> Path:
    """Return a path that a user gave, with "~" expanded; as it is where a file has this very name, or no user has.

    Raises:
        OptionError: it is empty, as a shell's variable that is not set, which pathlib takes for the current folder; or
            has a zero character, as no path has.
    """
    if isinstance(path, str) and not path:
        raise OptionError("a path is empty; the folder that you are in is .")
    if not isinstance(path, str | os.PathLike) or "\0" in os.fspath(path):
        raise OptionError(f"{' '.join(repr(path).split()):.80} is no path of a file or folder")
    given = Path(path)
    if not os.path.lexists(given):
        with contextlib.suppress(RuntimeError):  # no such user, or no home
            return given.expanduser()
    return given


def model_in(path: Path) -> Path:
    """Return the model file of a folder, such as that of a run, whether it is there or not; any other path as it is."""
    return path / MODEL_FILE if path.is_dir() else path


def names_beside(path: Path) -> list[str]:
    """Return the names in the folder of a path, without hidden ones; none where it cannot be read."""
    try:
        with os.scandir(path.parent) as entries:
            return [entry.name for entry in islice(entries, _MOST_BESIDE) if not entry.name.startswith(".")]
    except (OSError, ValueError):
        return []


def no_such(path: str | os.PathLike[str], kind: str = "file or folder", expected: str = "") -> str:
    """Return the message that nothing is at a path; it offers the names that are like the first part that is missing.

    Args:
        path: as the user gave it.
        kind: what it should be.
        expected: more on this.
    """
    missing = Path(path)
    while missing != missing.parent and not os.path.exists(missing.parent):  # noqa: PTH110 - never raises
        missing = missing.parent
    folder = "" if missing.parent == Path() else str(missing.parent)
    hint = alike(missing.name, names_beside(missing), folder)
    return "; ".join(filter(None, (f"{path}: no such {kind}", expected and f"expected {expected}", hint)))


def numbered_folder(parent: Path, name: str) -> Path:
    """Create and return the first of `parent/name-1`, `parent/name-2`, ... that does not exist."""
    parent.mkdir(parents=True, exist_ok=True)
    number, name = 1, short_name(name)
    while True:
        path = parent / f"{name}-{number}"
        try:
            path.mkdir()
            return path
        except FileExistsError:
            number += 1


def fsync_folder(folder: Path) -> None:
    """Make the entries of `folder` durable. Windows cannot open a folder, and needs no such call."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_stream(path: Path) -> bool:
    """Tell whether a path is a device, a pipe or a name of an open file: it is written to as it is, never replaced."""
    try:
        kind = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)) or path.absolute().as_posix().startswith(_OPEN_FILES)


@contextlib.contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` for a file or folder in the making; remove at the end what was not renamed.

    Its lock tells `remove_leftovers` that its maker lives. `tempfile` is not used, because only the owner may read its
    files and folders.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    making = path.with_name(f".{short_name(path.name)}.{secrets.token_hex(_SUFFIX_BYTES)}{_UNFINISHED}")
    with FileLock(making.with_suffix(_LOCK)):
        try:
            yield making
        finally:
            _remove(making)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Yield an open file that takes the place of `path` at the end of the block, unless that is left by an error.

    A reader sees the old file or the whole new one, never a part. A device or a pipe gets the content as it is.
    """
    if is_stream(path):
        with naming_the_file(path), path.open("wb") as file:
            yield file
        return
    with unfinished(path) as making:
        with naming_the_file(path), making.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        making.replace(path)
    fsync_folder(path.parent)


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write `content` to `path` atomically: a reader sees the old file or the new one, never a part."""
    with atomic_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def naming_the_file(path: Path) -> Iterator[None]:
    """Give the name of the file to errors within the block that have none, as those of a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN is refused, as it is not JSON."""
    write_atomic(path, _json(value))


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def publish_folder(target: Path, files: Iterable[tuple[str, bytes | NDArray[Any]]], *, manifest: str) -> None:
    """Create folder `target` atomically: files are written into a new folder, which is then renamed to `target`.

    The manifest (file sizes and SHA-256) is written last, so that a folder without a matching manifest is known to be
    incomplete. An existing `target` is replaced, unless it is whole and the same, or has just appeared: of two
    processes that publish at the same time, the second takes the entry of the first.

    Args:
        target: the folder.
        files: name and content of each file; an array becomes a `.npy` file. They are taken one by one.
        manifest: name of the file that lists the others.
    """
    with unfinished(target) as making:
        making.mkdir()
        listed = {name: _write(making / name, content) for name, content in files}
        _write(making / manifest, _json(dict(sorted(listed.items()))))
        fsync_folder(making)
        _put_in_place(making, target, manifest)
    fsync_folder(target.parent)


def _write(path: Path, content: bytes | NDArray[Any]) -> dict[str, Any]:
    """Write a file and make its content durable; return its size and SHA-256, taken from memory."""
    with path.open("xb") as file:
        seen = _Seen(file)
        if isinstance(content, bytes):
            seen.write(content)
        else:
            import numpy as np  # which not everybody who writes a file needs

            np.save(seen, content, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    return {"size": seen.size, "sha256": seen.sha256.hexdigest()}


class _Seen:
    """A file opened for writing that knows the size and the SHA-256 of what was written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.size, self.sha256 = file, 0, hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write bytes."""
        self.sha256.update(data)
        self.size += len(data)
        return self._file.write(data)


def _put_in_place(making: Path, target: Path, manifest: str) -> None:
    with unfinished(target) as old:
        if target.exists():
            if _same_file(making / manifest, target / manifest) and is_whole(target, manifest=manifest):
                return
            with contextlib.suppress(FileNotFoundError):  # another process has just moved it away, for the same reason
                target.rename(old)
        try:
            making.rename(target)
        except OSError:
            if target.exists():
                return
            if old.exists():
                old.rename(target)
            raise


def _same_file(one: Path, other: Path) -> bool:
    with contextlib.suppress(OSError):
        return one.read_bytes() == other.read_bytes()
    return False


def glob_existing(folder: Path, pattern: str) -> list[Path]:
    """Return the paths in a folder that match a pattern, while other processes write and remove there.

    A folder that disappears ends a search of pathlib's with an error, up to Python 3.12: it is begun anew.
    """
    while True:
        with contextlib.suppress(FileNotFoundError):
            return list(folder.glob(pattern))


def remove_leftovers(folder: Path, name: str = "") -> None:
    """Remove unfinished files and folders of killed processes; those of living ones stay.

    Args:
        folder: where to look, at any depth.
        name: what they were to become, in the folder itself; "" for anything.
    """
    start = f".{glob.escape(short_name(name))}." if name else "**/.*."
    for suffix in (_UNFINISHED, _LOCK):
        for found in glob_existing(folder, f"{start}{'[0-9a-f]' * 2 * _SUFFIX_BYTES}{suffix}"):
            with contextlib.suppress(BusyError, OSError), FileLock(found.with_suffix(_LOCK)) as lock:
                if lock.certain:
                    _remove(found)


def _remove(path: Path) -> None:
    """Remove a file or folder, if it is there and the system lets us: Windows keeps what is open or mapped."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def folder_bytes(folder: Path) -> int:
    """Return the total size of all files in a folder, in bytes; 0 if there is no such folder."""
    size = 0
    for file in glob_existing(folder, "**/*"):
        with contextlib.suppress(OSError):  # another process may remove it at any time
            size += file.stat().st_size if file.is_file() else 0
    return size


def is_whole(folder: Path, *, manifest: str) -> bool:
    """Check that every file in the folder's manifest exists with its size and SHA-256.

    That finds what a disk, a crash or a careless hand has changed, not what somebody has who wrote the manifest anew.
    """
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        listed = json.loads((folder / manifest).read_text(encoding="utf-8"))
        return bool(listed) and all(_matches(folder / name, facts) for name, facts in listed.items())
    return False


def _matches(path: Path, facts: dict[str, Any]) -> bool:
    return bool(path.stat().st_size == facts["size"] and sha256_of(path) == facts["sha256"])


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def short_name(name: str) -> str:
    """Return a file's name cut so that a suffix can be added to it: after at most 200 bytes, at the end of a letter.

    >>> short_name("photo"), len(short_name("ö" * 150).encode())
    ('photo', 200)
    """
    raw = os.fsencode(name)
    if len(raw) <= _MOST_NAME_BYTES:
        return name
    return raw[:_MOST_NAME_BYTES].decode("utf-8", "ignore")
