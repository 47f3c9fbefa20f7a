"""The sources of the package as syntax trees, parsed once for all tests that read them."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import hubel

SOURCE = Path(hubel.__file__).parent


@cache
def source_trees() -> dict[Path, ast.Module]:
    """Return the tree of each file, by its path below the package."""
    files = sorted(SOURCE.rglob("*.py"))
    return {path.relative_to(SOURCE): ast.parse(path.read_text(encoding="utf-8")) for path in files}
