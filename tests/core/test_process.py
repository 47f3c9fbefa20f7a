"""The process itself, and its progress bar."""

from __future__ import annotations

import os
import sys

import pytest

from hubel.core.process import tune_process
from hubel.core.progress import bar, say


def test_tune_respects_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")  # the allocator of this process stays as it is
    monkeypatch.setenv("GOMP_SPINCOUNT", "5")
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "")
    tune_process()
    assert os.environ["GOMP_SPINCOUNT"] == "5"


def test_variables_of_other_programs_end_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("MPLBACKEND", "nope")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "x")
    tune_process()
    assert not {"MPLBACKEND", "SOURCE_DATE_EPOCH"} & os.environ.keys()


def test_no_bar_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with bar("working", 3) as progress:
        progress.step()
        progress.step(2, "almost")
    say("done")
    assert capsys.readouterr() == ("", "done\n")
