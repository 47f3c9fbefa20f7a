"""Checkpoints that are whole or absent."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

import hubel
from hubel.core.errors import CheckpointError
from hubel.core.files import remove_leftovers
from hubel.training import checkpoint as module
from hubel.training.checkpoint import Checkpoint, load_newest, save


def made(value: float) -> Checkpoint:
    weight = torch.full((2, 3, 4, 5), value).to(memory_format=torch.channels_last)
    return Checkpoint(
        {"network": {"a.weight": weight, "steps": torch.tensor(3)}, "optimizer": {"0.momentum_buffer": weight * 2}},
        {"epoch": 1, "best": [0.1, -1 / 3], "history": [{"epoch": 1, "loss": value}]},
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def which(folder: Path) -> float:
    found = load_newest(folder)
    assert found is not None
    return float(found.progress["history"][0]["loss"])


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A folder with the checkpoints 5 and 9."""
    save(tmp_path, 5, made(5))
    save(tmp_path, 9, made(9))
    return tmp_path


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_comes_back_as_it_was(tmp_path: Path) -> None:
    save(tmp_path, 7, made(0.1))
    found = load_newest(tmp_path)
    assert found is not None
    assert found.progress == made(0.1).progress
    assert {group: set(named) for group, named in found.tensors.items()} == {
        "network": {"a.weight", "steps"},
        "optimizer": {"0.momentum_buffer"},
    }
    for group, named in made(0.1).tensors.items():
        for name, tensor in named.items():
            assert torch.equal(found.tensors[group][name], tensor)
            assert found.tensors[group][name].dtype == tensor.dtype


def test_nothing_there(tmp_path: Path) -> None:
    assert load_newest(tmp_path) is None
    assert load_newest(tmp_path / "absent") is None


def test_the_two_newest_stay(tmp_path: Path) -> None:
    for step in (1, 2, 10, 100):
        save(tmp_path, step, made(step))
    assert names(tmp_path) == ["pointer", "step-00000010", "step-00000100"]
    assert which(tmp_path) == 100


def test_the_pointer_chooses(two: Path) -> None:
    assert (two / "pointer").read_text() == "step-00000009\n"
    (two / "pointer").write_text("step-00000005\n")
    assert which(two) == 5


@pytest.mark.parametrize("content", [None, b"", b"step-00000077", b"\xff\x00\xfe", b"../step-00000005"])
def test_a_pointer_that_is_missing_or_nonsense(two: Path, content: bytes | None) -> None:
    (two / "pointer").unlink()
    if content is not None:
        (two / "pointer").write_bytes(content)
    assert which(two) == 9


@pytest.mark.parametrize("file", ["network.safetensors", "optimizer.safetensors", "progress.json", "manifest.json"])
@pytest.mark.parametrize("how", ["change", "cut", "remove"])
def test_a_damaged_one_is_passed_over(two: Path, file: str, how: str) -> None:
    path = two / "step-00000009" / file
    if how == "change":
        damage(path)
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-1] if file != "manifest.json" else b'{"network.safetensors":')
    else:
        path.unlink()
    assert which(two) == 5


def test_all_damaged(two: Path) -> None:
    for step in ("step-00000005", "step-00000009"):
        damage(two / step / "network.safetensors")
    with pytest.raises(CheckpointError, match="every checkpoint is damaged"):
        load_newest(two)


def test_going_on_from_an_older_one_drops_the_damaged(two: Path) -> None:
    damage(two / "step-00000009" / "network.safetensors")
    save(two, 7, made(7))
    assert names(two) == ["pointer", "step-00000005", "step-00000007"]
    assert which(two) == 7


def test_the_same_step_again_replaces(two: Path) -> None:
    save(two, 9, made(9.5))
    assert which(two) == 9.5


def test_leftovers_of_a_killed_save(two: Path) -> None:
    making = two / ".step-00000010.0123456789abcdef.tmp"
    making.mkdir()
    (making / "network.safetensors").write_bytes(b"part")
    (two / ".pointer.fedcba9876543210.tmp").write_text("step")
    assert which(two) == 9
    save(two, 12, made(12))
    assert names(two) == ["pointer", "step-00000009", "step-00000012"]


def test_leftovers_at_any_depth_and_nothing_else(tmp_path: Path) -> None:
    mine = tmp_path / "figures" / ".worst.png.0123456789abcdef.tmp"
    yours = [tmp_path / "a.tmp", tmp_path / ".notes.tmp", tmp_path / "figures" / "worst.png"]
    mine.parent.mkdir()
    for path in (mine, *yours):
        path.write_text("x")
    remove_leftovers(tmp_path, "worst.png")
    remove_leftovers(tmp_path / "figures", "best.png")
    assert mine.exists()
    remove_leftovers(tmp_path / "figures", "worst.png")
    assert not mine.exists()
    mine.write_text("x")
    remove_leftovers(tmp_path)
    assert not mine.exists()
    assert all(path.exists() for path in yours)


def test_a_save_that_fails_leaves_the_last_one(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "to_bytes", full)
    with pytest.raises(OSError, match="No space"):
        save(two, 12, made(12))
    assert names(two) == ["pointer", "step-00000005", "step-00000009"]
    assert which(two) == 9


def test_files_are_as_readable_as_others(two: Path) -> None:
    (two / "other").write_text("x")
    usual = (two / "other").stat().st_mode
    assert {path.stat().st_mode for path in (two / "step-00000009").iterdir()} == {usual}


def test_no_pickle(two: Path) -> None:
    assert {path.suffix for path in two.rglob("*") if path.is_file()} == {"", ".json", ".safetensors"}
    for path in two.rglob("*"):
        assert path.is_dir() or not path.read_bytes().startswith((b"\x80", b"PK"))
    for source in Path(str(hubel.__file__)).parent.rglob("*.py"):
        text = source.read_text(encoding="utf-8")
        assert "torch.save(" not in text, source
        assert "import pickle" not in text, source
        assert "allow_pickle=True" not in text, source


def test_survives_the_loss_of_everything_but_one(two: Path) -> None:
    shutil.rmtree(two / "step-00000009")
    assert which(two) == 5
