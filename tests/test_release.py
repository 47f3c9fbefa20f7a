"""What a release needs: a section of the changelog, written as Keep a Changelog asks."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from hubel.core.version import __version__

ROOT = Path(__file__).parents[1]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
RELEASE = runpy.run_path(str(ROOT / "scripts" / "release.py"))


def test_version_is_read_from_the_package() -> None:
    assert RELEASE["version"]() == __version__


def test_changelog_has_a_section_for_the_version() -> None:
    date, text = RELEASE["section"](__version__, CHANGELOG)
    assert date == "unreleased" or re.fullmatch(r"\d{4}-\d\d-\d\d", date)
    assert "- " in text


def test_changelog_has_the_headings_of_keep_a_changelog() -> None:
    versions = re.findall(r"^## \[(\d+)\.(\d+)\.(\d+)\] - ", CHANGELOG, re.MULTILINE)
    assert len(versions) == len(re.findall(r"^## ", CHANGELOG, re.MULTILINE))
    assert versions == sorted(versions, key=lambda version: [int(part) for part in version], reverse=True)
    kinds = set(re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert "Added" in kinds


@pytest.mark.parametrize("text", ["", "## [1.0.0] - 2026-01-01\n", "## 1.0.0\n- x\n", "## [1.0.0] - soon\n- x\n"])
def test_missing_and_empty_sections_are_refused(text: str) -> None:
    with pytest.raises(SystemExit, match=r"no section \"## \[1.0.0\] - DATE\""):
        RELEASE["section"]("1.0.0", text)
