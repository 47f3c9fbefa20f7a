"""Decide where results may be written: never over an input, and never over a file that hubel has not made.

Whoever writes what a user names asks `output_file` or `output_folder` first, before anything is computed.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from hubel.core.errors import BusyError, OptionError
from hubel.core.files import is_stream, numbered_folder, user_path
from hubel.core.lock import FileLock
from hubel.core.progress import say

__all__ = ["RUNS", "hold_folder", "holding_folders", "make_folder", "output_file", "output_folder"]

RUNS = Path("runs")
_RECORD = ".hubel"  # in a folder of results: the verb that made it
_LOCK = ".hubel.lock"  # beside it, while a command writes there

_held: dict[Path, FileLock] | None = None  # by folder, within `holding_folders`


def output_file(
    path: str | Path, *, ours: Callable[[Path], bool] | None, inputs: Iterable[Any] = (), flag: str = "--out"
) -> Path:
    """Return the path of a file to write, if nothing is lost by writing it.

    An existing file is replaced only if it is empty or `ours` recognises it as a result of the same kind, which is said
    on standard error. A device or a pipe, such as /dev/stdout, is written to as it is.

    Args:
        path: file that was asked for.
        ours: tells whether an existing file is one of this kind that hubel has made; None never replaces one.
        inputs: what the result is made from. Values that are no paths of existing files are ignored.
        flag: option that names the file, for the messages.

    Raises:
        OptionError: the path is none, empty, a folder, an input, or a file that would be lost.
        OSError: no file can be made there.
    """
    path = _named(path, "file", flag)
    if is_stream(path):
        return path
    if path.is_dir():
        raise OptionError(f"{flag} {path} is a folder; name a file")
    if _is_one_of(path, inputs):
        raise OptionError(f"{flag} {path} is the input, which is never written to; name another file")
    if path.is_symlink() and not path.exists():
        raise OptionError(f"{flag} {path} is a link that leads nowhere; name another file")
    if path.exists():
        if path.stat().st_size and (ours is None or not ours(path)):
            made = "" if ours is None else ", and is no earlier result of this command"
            raise OptionError(f"{flag} {path} exists{made}; name another file, or remove it")
        say(f"{path} is replaced")
    _check_place(path.parent)
    return path


def output_folder(
    path: str | Path | None, *, verb: str, inputs: Iterable[Any] = (), flag: str = "--out"
) -> Path | None:
    """Return the folder of results that was asked for, if nothing is lost by writing there; None if none was named.

    It is new, empty, or holds earlier results of the same verb, which is said on standard error. See `make_folder`.

    Args:
        path: folder that was asked for.
        verb: verb that writes the results, such as "evaluate".
        inputs: see `output_file`.
        flag: option that names the folder, for the messages.

    Raises:
        OptionError: the path is none, empty, a file, an input, or a folder with other content.
        OSError: no folder can be made there.
    """
    if path is None:
        return None
    path = _named(path, "folder", flag)
    if _is_one_of(path, inputs):
        raise OptionError(f"{flag} {path} is the input, which is never written to; name another folder")
    if not path.is_dir():
        if path.exists():
            raise OptionError(f"{flag} {path} is a file; name a folder")
        _check_place(path.parent)
    elif any(not entry.name.startswith(".") for entry in path.iterdir()):
        if (maker := _maker(path)) != verb:
            content = f"the results of hubel {maker}" if maker else "other files"
            raise OptionError(f"{flag} {path} holds {content}; name a new or empty folder")
        say(f"{path} holds earlier results, which are replaced")
    return path


def _named(path: Any, kind: str, flag: str) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise OptionError(f"{flag} is the path of a {kind}, not {' '.join(repr(path).split()):.80}")
    if not os.fspath(path):
        raise OptionError(f"{flag} is empty; name a {kind}")
    return user_path(path)


def make_folder(path: Path | None, *, verb: str, name: str) -> Path:
    """Make a folder for results, and record there which verb made it.

    Args:
        path: folder, as `output_folder` returned it; None makes runs/NAME-1, -2, ...
        verb: verb that writes the results.
        name: name of the folder, without its number.

    Raises:
        BusyError: another command writes there; see `holding_folders`.
        OptionError: another verb has written there since `output_folder` looked.
    """
    folder = path or numbered_folder(RUNS, name)
    folder.mkdir(parents=True, exist_ok=True)
    hold_folder(folder)
    if (maker := _maker(folder)) not in ("", verb):
        raise OptionError(f"{folder} holds the results of hubel {maker}; name a new or empty folder")
    (folder / _RECORD).write_text(f"{verb}\n", encoding="utf-8")
    return folder


def hold_folder(folder: Path) -> None:
    """Keep other commands out of a folder to the end of this one; see `holding_folders`.

    Raises:
        BusyError: another command writes there.
    """
    if _held is not None and (place := folder.resolve()) not in _held:
        try:
            _held[place] = FileLock(place / _LOCK)
        except BusyError:
            raise BusyError(f"{folder}: another process is writing its results there") from None


@contextlib.contextmanager
def holding_folders() -> Iterator[None]:
    """Keep other commands out of the folders that the block makes, to its end: two would mix their files in one."""
    global _held
    _held = {}
    try:
        yield
    finally:
        held, _held = _held, None
        for lock in held.values():
            lock.release()


def _maker(folder: Path) -> str:
    """Return the verb whose results are in a folder; "" if they are none of hubel's."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return (folder / _RECORD).read_text(encoding="utf-8").strip()
    return ""


def _is_one_of(path: Path, inputs: Iterable[Any]) -> bool:
    """Tell whether a path leads to one of the inputs, by whatever name or link."""
    for found in inputs:
        if isinstance(found, str | os.PathLike):
            with contextlib.suppress(OSError, ValueError):
                if user_path(found).samefile(path):
                    return True
    return False


def _check_place(folder: Path) -> None:
    """Raise the error now that making a file in a folder, which may not exist yet, would raise later."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    for wrong, number in ((not folder.is_dir(), errno.ENOTDIR), (not os.access(folder, os.W_OK), errno.EACCES)):
        if wrong:
            raise OSError(number, os.strerror(number), str(folder))
