"""What is done in one place only: calls that no other file may make."""

from __future__ import annotations

import ast
from collections import defaultdict

from source_trees import source_trees

# Names that are called, and the folder or file that may call them; whoever else needs one asks it.
OWNERS = {
    "open_source": "data",  # `open_dataset` opens and indexes
    "scan": "data",
    "expanduser": "core/files.py",  # `user_path`
}


def calls() -> dict[str, set[str]]:
    """The files in which each name is called, as a function or as a method."""
    found = defaultdict(set)
    for path, tree in source_trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                found[name].add(path.as_posix())
    return found


def test_only_its_owner_calls_it() -> None:
    callers = calls()
    for name, owner in OWNERS.items():
        assert callers[name], f"nobody calls {name}, so it needs no owner"
        assert {path for path in callers[name] if not f"{path}/".startswith(f"{owner}/")} == set(), name
