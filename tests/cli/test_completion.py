"""Each shell takes the script that `hubel completion` prints; bash completes verbs and flags with it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from hubel.cli.completion import completion

Call = Callable[..., Any]

# Sets the words of a command line as bash does, calls the function that is registered for hubel, prints its answers.
_COMPLETE = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
compopt() { :; }
function=$(complete -p hubel | sed 's/.*-F \\([^ ]*\\).*/\\1/')
"$function" hubel "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one for bash, printed once."""
    path = tmp_path_factory.mktemp("completion") / "script"
    with path.open("w") as file, redirect_stdout(file):
        assert completion("bash") == 0
    return path


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", {"train", "predict", "data", "lr-find", "completion"}),
        ("tr", {"train"}),
        ("data ", {"check", "preview", "bench"}),
        ("train --lay", {"--layer-decay"}),
        ("data check --mo", {"--model"}),
        ("export --format on", {"onnx"}),
        ("completion ", {"bash", "zsh", "fish"}),
    ],
)
def test_bash_completes(script: Path, typed: str, expected: set[str]) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not here")
    words = ["hubel", *typed.split(" ")]
    done = subprocess.run(
        [bash, "--norc", "-c", _COMPLETE, "bash", str(script), *words],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    found = set(done.stdout.split())
    assert expected <= found
    assert all(word.startswith(words[-1]) for word in found)


@pytest.mark.parametrize(("shell", "mark"), [("zsh", "#compdef hubel"), ("fish", "complete -c hubel")])
def test_other_shells(hubel: Call, tmp_path: Path, shell: str, mark: str) -> None:
    answer = hubel("completion", shell)
    assert (answer.code, answer.err) == (0, "")
    assert mark in answer.out
    assert "layer-decay" in answer.out
    if program := shutil.which(shell):
        (tmp_path / "script").write_text(answer.out)
        assert subprocess.run([program, "-n", str(tmp_path / "script")], check=False, timeout=60).returncode == 0


def test_an_unknown_shell(hubel: Call) -> None:
    answer = hubel("completion", "tcsh")
    assert (answer.code, answer.out) == (2, "")
    assert "bash, zsh, fish, not 'tcsh'" in answer.err
