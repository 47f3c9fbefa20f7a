"""Locks that end with their process."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hubel.core import lock as module
from hubel.core.errors import BusyError
from hubel.core.lock import FileLock


def test_one_holds_it_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with FileLock(path) as held:
        assert held.certain
        with pytest.raises(BusyError, match=r"x\.lock: another process is at work"):
            FileLock(path)
    assert not path.exists()
    FileLock(path).release()
    assert not path.exists()


def test_it_ends_with_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    code = f"from hubel.core.lock import FileLock; from pathlib import Path; lock = FileLock(Path({str(path)!r}))"
    command = [sys.executable, "-c", f"{code}; print('held', flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(BusyError):
            FileLock(path)
        process.kill()
    assert path.exists(), "the killed one could not tidy up"
    FileLock(path).release()
    assert not path.exists()


def test_never_two_at_once(tmp_path: Path) -> None:
    """The file comes and goes all the time: whoever locks a file that has just been removed must notice."""
    path, inside, most, taken = tmp_path / "x.lock", 0, 0, 0

    def work() -> None:
        nonlocal inside, most, taken
        for _ in range(300):
            try:
                with FileLock(path):
                    inside += 1
                    most, taken = max(most, inside), taken + 1
                    inside -= 1
            except BusyError:
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert taken > 100


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_lock", lambda file: False)
    with FileLock(tmp_path / "x.lock") as one, FileLock(tmp_path / "x.lock") as other:
        assert not one.certain
        assert not other.certain
