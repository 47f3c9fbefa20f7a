"""A disk that fails at its n-th operation, or a machine that stops there and forgets what was not made durable.

Counted are the writes, fsyncs and renames below one folder, whoever makes them: `open` and the functions of `os` are
replaced. A kill can show half-written files; only this model shows a missing fsync, for a kill loses nothing of what
the system has taken.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


class Stopped(BaseException):
    """The power is gone: nothing is done any more, tidying up included."""


class Disk:
    """What happens below a folder.

    Args:
        folder: of which the operations are counted.
        breaks_at: the number of the operation, from 1, at which it breaks; 0 for none.
        stops: the machine stops there; otherwise this operation alone fails.
        syncs: fsync does what it promises.
    """

    def __init__(self, folder: Path, breaks_at: int = 0, *, stops: bool = False, syncs: bool = True) -> None:
        self.folder, self.breaks_at, self.stops, self.syncs = folder, breaks_at, stops, syncs
        self.operations = 0
        self._stopped = False
        self._durable: dict[int, bytes] = {}  # by node: content of files that were written and not made durable since
        self._created: dict[int, int] = {}  # by node: the folder that does not know it durably
        self._renamed: list[tuple[int, Path, Path, bytes | None]] = []  # folder, from, to, content that was there

    @contextmanager
    def working(self) -> Iterator[None]:
        """Do the operations of the block on this disk."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(io, "open", self._opener(io.open))
            patch.setattr(builtins, "open", io.open)
            patch.setattr(os, "fsync", self._fsync(os.fsync))
            for name in ("rename", "replace"):
                patch.setattr(os, name, self._rename(getattr(os, name)))
            for name in ("unlink", "rmdir", "mkdir"):
                patch.setattr(os, name, self._unless_stopped(getattr(os, name)))
            yield

    def _count(self) -> bool:
        """Count an operation; return whether it breaks."""
        if self._stopped:
            raise Stopped
        self.operations += 1
        if self.operations != self.breaks_at:
            return False
        self._stopped = self.stops
        return True

    def _break(self) -> BaseException:
        return Stopped() if self.stops else OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _unless_stopped(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(path: Any, *given: Any, **named: Any) -> Any:
            if self._stopped:
                raise Stopped
            if work.__name__ == "unlink":
                self._forget(os.stat(path, dir_fd=named.get("dir_fd"), follow_symlinks=False).st_ino)
            return work(path, *given, **named)

        return wrapped

    def _forget(self, node: int) -> None:
        """A file that is removed: its number may soon be another one's."""
        self._durable.pop(node, None)
        self._created.pop(node, None)

    def _opener(self, original: Callable[..., Any]) -> Callable[..., Any]:
        disk = self

        class Raw(io.FileIO):
            def write(self, data: Any) -> int:
                data = bytes(data)
                if disk._count():
                    super().write(data[: len(data) // 2])
                    raise disk._break()
                return super().write(data)

        def opened(file: Any, mode: str = "r", *given: Any, **named: Any) -> Any:
            if not isinstance(file, str | Path) or not set(mode) & set("wxa+") or "b" not in mode:
                return original(file, mode, *given, **named)
            path = Path(file)
            if not path.is_relative_to(self.folder):
                return original(file, mode, *given, **named)
            if self._stopped:
                raise Stopped
            new = not path.exists()
            before = b"" if new else path.read_bytes()
            raw = Raw(path, mode.replace("b", ""))
            node = os.fstat(raw.fileno()).st_ino
            self._durable.setdefault(node, before)
            if new:
                self._created[node] = path.parent.stat().st_ino
            return io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)

        return opened

    def _fsync(self, original: Callable[[int], None]) -> Callable[[int], None]:
        def synced(descriptor: int) -> None:
            if self._count():
                raise self._break()
            if self.syncs:
                node = os.fstat(descriptor).st_ino
                self._durable.pop(node, None)
                self._created = {one: folder for one, folder in self._created.items() if folder != node}
                self._renamed = [one for one in self._renamed if one[0] != node]

        return synced

    def _rename(self, original: Callable[..., None]) -> Callable[..., None]:
        def renamed(source: Any, target: Any) -> None:
            if self._count():
                raise self._break()
            source, target = Path(source), Path(target)
            before = None
            if target.is_file():
                before = target.read_bytes()
                self._forget(target.stat().st_ino)
            original(source, target)
            self._renamed.append((target.parent.stat().st_ino, source, target, before))

        return renamed

    def crash(self, *, forgets_names: bool) -> None:
        """Leave on the disk what a power cut leaves there.

        Files that were not made durable are as they were when they last were; and either all names are as the process
        left them, or as they were when their folder was last made durable.
        """
        if forgets_names:
            for _, source, target, before in reversed(self._renamed):
                if target.exists():  # and was not removed since
                    target.rename(source)
                if before is not None:
                    target.write_bytes(before)
        for path in [path for path in self.folder.rglob("*") if path.is_file()]:
            node = path.stat().st_ino
            if forgets_names and node in self._created:
                path.unlink()
            elif node in self._durable:
                path.write_bytes(self._durable[node])
