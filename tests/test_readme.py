"""README.md says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hubel.cli.verbs import VERBS
from hubel.models.catalogue import find

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return [text.strip() for text in re.findall(rf"^```{language}\n(.*?)^```", README, re.M | re.S)]


def test_two_commands_set_up_everything() -> None:
    demo, tests = blocks("bash")[:2]
    assert len(demo.splitlines()) == len(tests.splitlines()) == 1
    assert demo.endswith("/hubel demo")
    assert tests.endswith("/pytest")
    assert tests in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example, *_) = blocks("python")
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {"__name__": "__main__"})
    assert 0.5 < float(capsys.readouterr().out.split()[-1]) <= 1
    assert not list(tmp_path.iterdir())


def test_commands_exist() -> None:
    used = set(re.findall(r"(?:`|\$ |/|\\)hubel (\w+)", README))
    assert {"train", "predict", "evaluate", "demo", "models", "verify"} <= used
    assert used - {"VERB"} <= {verb.name for verb in VERBS}


@pytest.mark.parametrize(
    "name", re.findall(r"`(\w+)`", README[README.index("### Networks") : README.index("## Python")])
)
def test_networks_exist(name: str) -> None:
    assert f"`{name}`" in README
    assert find(name)


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if "://" not in target:
            assert (ROOT / target).exists(), target
