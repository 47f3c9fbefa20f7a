"""One name for one thing, and docstrings that say what a function does, with a verb first."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from source_trees import source_trees

QUESTIONS = {"how", "what", "when", "where", "whether", "which", "who", "whose", "why"}
# First words of a noun phrase, where an imperative is expected.
NO_VERBS = {
    *("a", "all", "an", "another", "any", "as", "at", "both", "by", "each", "either", "every", "for", "from", "if"),
    *("in", "its", "like", "more", "most", "no", "none", "of", "on", "one", "only", "other", "our", "some", "that"),
    *("the", "their", "these", "they", "this", "those", "to", "with"),
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def room(path: Path) -> str:
    return path.parts[0]


def first_word(documented: ast.Module | ast.ClassDef | Function) -> str:
    words = (ast.get_docstring(documented) or "").split(maxsplit=1)
    return words[0].strip("\"'`:,.").lower() if words else ""


def documented() -> Iterator[tuple[str, ast.ClassDef | Function | ast.Module, bool]]:
    """Yield the location of every definition, the definition, and whether its docstring describes an action."""
    for path, tree in source_trees().items():
        yield f"{path}:1", tree, False
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                yield f"{path}:{node.lineno}", node, False
            elif isinstance(node, Function):
                yield f"{path}:{node.lineno}", node, not is_attribute(node)


def is_attribute(function: Function) -> bool:
    """Tell whether a function is a property, whose docstring is a noun phrase as that of an attribute."""
    return any("property" in ast.unparse(decorator) for decorator in function.decorator_list)


def test_no_docstring_is_a_question() -> None:
    found = [f"{location}: {first_word(node)}" for location, node, _ in documented() if first_word(node) in QUESTIONS]
    assert not found, "docstrings state what something does or is:\n" + "\n".join(found)


def test_functions_are_described_by_a_verb() -> None:
    found = [
        f"{location}: {first_word(node)}"
        for location, node, acts in documented()
        if acts and first_word(node) in NO_VERBS
    ]
    assert not found, "docstrings of functions start with a verb in the imperative:\n" + "\n".join(found)


@pytest.mark.parametrize("kind", [ast.ClassDef, Function], ids=["classes", "functions"])
def test_no_public_name_has_two_meanings(kind: type) -> None:
    """Only `build` in models/, and a verb in cli/ named like the function it calls, may share a name."""
    definitions: dict[str, list[str]] = defaultdict(list)
    for path, tree in source_trees().items():
        for node in tree.body:
            if isinstance(node, kind) and not node.name.startswith("_"):  # type: ignore[attr-defined]
                name, line = node.name, node.lineno  # type: ignore[attr-defined]
                is_verb = room(path) == "cli" or (room(path) == "models" and name == "build")
                if not (is_verb and kind is not ast.ClassDef):
                    definitions[name].append(f"{path}:{line}")
    found = [f"{name}: {', '.join(locations)}" for name, locations in sorted(definitions.items()) if len(locations) > 1]
    assert not found, "public names defined more than once:\n" + "\n".join(found)
