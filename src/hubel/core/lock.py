"""Exclusive locks between processes, which end with their process however it ends."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from hubel.core.errors import BusyError

__all__ = ["FileLock"]


class FileLock:
    """An exclusive lock, held until `release` or the end of the process.

    The system drops the lock of a killed process at once, so that no process number or time of day is needed to tell
    the living from the dead. The file has no content, and is there only while the lock is held, or until the next
    process that asks for the lock of a killed one releases it.

    Args:
        path: file that stands for the lock; its folder exists.

    Attributes:
        certain: False on a file system without locks, where every process believes that it holds the lock.

    Raises:
        BusyError: another process, or another lock of this one, holds it.
        OSError: the file cannot be created.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        while True:
            self._file = path.open("ab")
            try:
                self.certain = _lock(self._file)
            except BaseException:
                self._file.close()
                raise
            with contextlib.suppress(FileNotFoundError):  # its last holder removed it before we locked it
                if os.path.samestat(os.fstat(self._file.fileno()), path.stat()):
                    return
            self._file.close()

    def release(self) -> None:
        """Give the lock up, and remove its file."""
        if sys.platform == "win32":  # which removes no open file; one that the next process has opened stays
            self._file.close()
        try:
            with contextlib.suppress(OSError):
                self._path.unlink()
        finally:
            self._file.close()

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _lock(file: BinaryIO) -> bool:
    """Lock an open file; return False where the file system has no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        raise BusyError(f"{file.name}: another process is at work") from None
    except OSError:
        return False
    return True
