"""The folders of the cache: ready to be written to, wherever the cache is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hubel.core import cache as module
from hubel.core.cache import cache_folder, cache_limit
from hubel.core.files import cache_root, folder_bytes, unfinished


def test_a_folder_is_made_and_swept_of_what_killed_processes_left(own_cache: Path) -> None:
    left = own_cache / "activations" / "key" / ".part-1.0123456789abcdef.tmp"
    left.mkdir(parents=True)
    (left / "values.npy").write_bytes(b"half")
    left.with_suffix(".lock").touch()
    (own_cache / "activations" / "key" / ".part-2.fedcba9876543210.lock").touch()
    with unfinished(own_cache / "activations" / "key" / "part-3") as living:
        living.mkdir()
        assert cache_folder("activations") == own_cache / "activations"
        assert not left.exists()
        assert sorted(path.name for path in living.parent.iterdir()) == [living.with_suffix(".lock").name, living.name]
    assert not list(living.parent.iterdir())


@pytest.mark.parametrize("place", ["file/cache", "read-only/cache", "read-only"])
def test_a_cache_that_cannot_be_written(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "read-only").mkdir(mode=0o555)
    if place.startswith("read-only") and os.access(tmp_path / "read-only", os.W_OK):
        pytest.skip("this user may write everywhere")
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / place))
    folders = [cache_folder(kind) for kind in ("index", "activations", "index")]
    assert folders[0] == folders[2] != folders[1]
    for folder in folders:
        folder.mkdir(exist_ok=True)
        (folder / "x").write_text("x")
        assert not folder.is_relative_to(tmp_path / place)
    assert cache_limit("decoded") > 0
    assert capsys.readouterr().err.count("cannot be written") == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows always has a folder of the user")
def test_a_user_without_a_home(tmp_path: Path) -> None:
    """Such as the random user of a container: no $HOME, and no account that names a folder."""
    code = (
        "import os, pathlib; pathlib.os.path.expanduser = lambda path: path\n"
        "from hubel.core.cache import cache_folder; folder = cache_folder('index'); folder.mkdir(exist_ok=True)\n"
        "print(folder)"
    )
    hidden = ("HOME", "HUBEL_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA")
    environment = {name: value for name, value in os.environ.items() if name not in hidden} | {"TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1
    assert not Path(done.stdout.strip()).exists(), "it is removed at the end"
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_vanishes_has_no_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    monkeypatch.setattr(module.Path, "is_file", lambda path: True)
    monkeypatch.setattr(module.Path, "rglob", lambda path, pattern: [path / "a", path / "gone"])
    assert folder_bytes(tmp_path) == 3
    assert cache_root() != tmp_path
