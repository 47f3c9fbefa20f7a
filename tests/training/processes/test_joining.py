"""Mistakes of ranks, and what they exchange, without starting any."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hubel.core.errors import DataError, OptionError
from hubel.core.group import Group, alone, current_group, working_as
from hubel.data.dataset import open_dataset
from hubel.training.loop import gather_batches
from hubel.training.processes import join, settings, worker
from hubel.training.processes.join import joining_ranks
from hubel.training.processes.ranks import Ranks
from hubel.training.recipe import MachineSettings, Recipe


class Answered(Group):
    """Rank 0 of two; the other answers with what it is given."""

    world, local_world = 2, 2

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.said: list[bytes] = []

    def gather(self, content: bytes) -> list[bytes]:
        self.said.append(content)
        return [content, self.answers.pop(0)]


@pytest.mark.parametrize(("value", "kept"), [(4, "4"), ("4", "4"), (4.0, "4"), ("auto", "auto"), ("none", "none")])
def test_processes(value: Any, kept: str) -> None:
    assert Recipe(processes=value).machine.processes == kept


@pytest.mark.parametrize("value", ["four", "-1", 0, 2.5, "1e3"])
def test_processes_are_counted(value: Any) -> None:
    with pytest.raises(OptionError, match="processes"):
        Recipe(processes=value)


def test_more_ranks_than_shards() -> None:
    with working_as(Ranks(world=3)), pytest.raises(OptionError, match="use 2 processes at most, --shards 3"):
        settings.choose_sharding(MachineSettings(), 8)


def test_shards_are_decided_by_the_batch_alone() -> None:
    assert settings.choose_sharding(MachineSettings(), 256) is None  # nobody has asked for it
    with working_as(Ranks()):
        found = [settings.choose_sharding(MachineSettings(), size) for size in (256, 255, 16, 15, 8, 7)]
    assert [one.shards for one in found if one] == [8, 4, 4, 2, 2, 1]
    with working_as(Ranks(world=2)):
        assert settings.choose_sharding(MachineSettings(), 31) == found[2]


def test_a_missing_port(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MASTER_PORT", raising=False)
    with pytest.raises(OptionError, match="MASTER_PORT is not set"), joining_ranks(MachineSettings()):
        pass


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    place = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(join, "_connect", lambda held, timeout: (_ for _ in ()).throw(RuntimeError("refused")))
    with (
        pytest.raises(OptionError, match=r"localhost:1 .*: nobody has answered for 60 s"),
        joining_ranks(MachineSettings()),
    ):
        pass


def test_other_versions() -> None:
    other = json.dumps({"host": "node7", "hubel": "0.0.1", "torch": "2"}).encode()
    with pytest.raises(OptionError, match=r"rank 1 \(on node7\) has hubel 0.0.1"):
        join._check_versions(Answered(other))  # type: ignore[arg-type]


def test_ranks_with_other_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("L", (8, 8)).save(tmp_path / name / "one.png")
    other = json.dumps(["another digest", 17, ""]).encode()
    with working_as(Answered(other)), pytest.raises(DataError, match="rank 1 sees 17 images, rank 0"):
        open_dataset(tmp_path)


def test_what_rank_0_finds_it_finds_alone() -> None:
    group = Answered(b"")

    def find() -> list[int]:
        assert current_group().world == 1
        return [1, 2]

    with working_as(group):
        assert current_group().agree(find) == [1, 2]
        with alone():
            assert current_group().now() > 0
    assert group.said == [b"[1, 2]"]


def test_validation_in_the_order_of_the_images() -> None:
    """Batches 0, 2 of rank 0 and batch 1 of rank 1."""
    batches = [np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([[3.0, 4.0], [1.0, 0.0]]), np.array([[5.0], [1.0]])]
    recorded: list[bytes] = []

    class Record(Group):
        def gather(self, content: bytes) -> list[bytes]:
            recorded.append(content)
            return [content]

    gather_batches(batches[1:2], 0, Record())
    found = gather_batches([batches[0], batches[2]], 0, Answered(recorded[0]))
    assert not isinstance(found, int)
    assert found[0].tolist() == [1, 2, 3, 4, 5]
    assert found[1].tolist() == [0, 1, 1, 0, 1]


def test_one_rank_is_asked_to_stop_while_all_validate() -> None:
    asked = np.array([15, 0], np.int64).tobytes()
    assert gather_batches([np.ones((2, 3))], 0, Answered(asked)) == 15


def test_a_process_whose_launcher_has_ended_ends_quietly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(join.JOB, str(tmp_path))
    assert worker.main() == 130


@pytest.mark.parametrize(("wanted", "most"), [({}, 8), ({"shards": 3}, 3)])
def test_more_processes_than_shards_are_refused_before_any_is_started(wanted: dict[str, int], most: int) -> None:
    settings.check_processes(MachineSettings(**wanted), most)
    settings.check_processes(MachineSettings(launcher="ray", fast_reduce=True, **wanted), 9999)  # on many machines
    with pytest.raises(OptionError, match=f"use {most} processes at most, or --shards 9999"):
        settings.check_processes(MachineSettings(launcher="ray", **wanted), 9999)


@pytest.mark.parametrize("wanted", [{"shards": 9999}, {"fast_reduce": True}])
def test_more_processes_than_memory_are_refused_before_any_is_started(
    wanted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "available_memory", lambda: 10 * 2**30)
    settings.check_processes(MachineSettings(**wanted), 40)
    with pytest.raises(OptionError, match="this machine holds 40 at most"):
        settings.check_processes(MachineSettings(**wanted), 41)
