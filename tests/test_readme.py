"""README.md says what is so, and README.ko.md says the same in Korean."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hubel.cli.verbs import VERBS
from hubel.models.catalogue import find

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
KOREAN = (ROOT / "README.ko.md").read_text(encoding="utf-8")
BOTH = pytest.mark.parametrize("text", [README, KOREAN], ids=["en", "ko"])


def blocks(language: str, text: str = README) -> list[str]:
    return [block.strip() for block in re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)]


def commands(text: str) -> list[str]:
    """Return the commands of the console blocks without the words beside them."""
    lines = [line for block in blocks("console", text) for line in block.splitlines()]
    return [re.split(r" {2,}", line)[0] for line in lines]


@BOTH
def test_two_commands_set_up_everything(text: str) -> None:
    demo, tests = blocks("bash", text)[:2]
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


@BOTH
def test_commands_exist(text: str) -> None:
    used = set(re.findall(r"(?:`|\$ |/|\\)hubel (\w+)", text))
    assert {"train", "predict", "evaluate", "demo", "models", "verify"} <= used
    assert used - {"VERB"} <= {verb.name for verb in VERBS}


@pytest.mark.parametrize(
    "name", re.findall(r"`(\w+)`", README[README.index("### Networks") : README.index("## Python")])
)
def test_networks_exist(name: str) -> None:
    assert f"`{name}`" in README
    assert f"`{name}`" in KOREAN
    assert find(name)


@BOTH
def test_links_lead_somewhere(text: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert (ROOT / target).exists(), target


def test_both_languages_have_the_same_commands_sections_and_links() -> None:
    """A command or a section that one README gains is missed in the other."""
    for language in ("bash", "powershell", "python"):
        assert blocks(language) == blocks(language, KOREAN)
    assert commands(README) == commands(KOREAN)
    for pattern in (r"^(#+) ", r"^(\| `.*?) \|", r"\]\(([^)#]+\.md)\)"):
        english, korean = (re.findall(pattern, text, re.MULTILINE) for text in (README, KOREAN))
        other = {"README.md", "README.ko.md"}
        assert sorted(set(english) - other) == sorted(set(korean) - other)
        if pattern == r"^(#+) ":
            assert english == korean


def test_the_korean_is_korean() -> None:
    """Prose is Korean throughout and ends as a textbook's does, never in the colloquial polite form."""
    prose = re.sub(r"```.*?```|`[^`]*`|\[[^\]]*\]\([^)]*\)", "", KOREAN, flags=re.DOTALL)
    assert not re.search(r"(?:요|[습입합됩]니다)[.)\n]", prose)
    for paragraph in re.split(r"\n{2,}", prose):
        if len(words := re.findall(r"[A-Za-z가-힣]+", paragraph)) > 4:
            assert sum(bool(re.search("[가-힣]", word)) for word in words) > len(words) / 2, paragraph
