"""Table of verbs, in the order of the help: a verb is its file and its line here.

The file of `hubel data check` is `data_check.py`: the function `check`, whose docstring is the help, and `EXAMPLES`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

__all__ = ["VERBS", "Verb"]


class Verb(NamedTuple):
    """A subcommand.

    Attributes:
        name: the word, or the two words, of the command line.
        heading: heading in `hubel --help`.
    """

    name: str
    heading: str

    @property
    def module(self) -> str:
        """The name of the verb's file."""
        return self.name.replace(" ", "_").replace("-", "_")

    def function(self) -> Callable[..., int]:
        """Import the verb's file and return its function."""
        function: Callable[..., int] = getattr(import_module(f"hubel.cli.{self.module}"), self._function_name)
        return function

    def examples(self) -> tuple[str, ...]:
        """Import the verb's file and return its examples, one command line each."""
        examples: tuple[str, ...] = import_module(f"hubel.cli.{self.module}").EXAMPLES
        return examples

    def summary(self) -> str:
        """Return the first line of the function's docstring.

        The source text is read: importing the files of all verbs takes 50 ms, reading them 2 ms.
        """
        text = Path(__file__).with_name(f"{self.module}.py").read_text(encoding="utf-8")
        _, _, definition = text.partition(f"\ndef {self._function_name}(")
        return definition.split('"""', 2)[1].partition("\n")[0]

    @property
    def _function_name(self) -> str:
        return self.name.rpartition(" ")[2].replace("-", "_")


VERBS = (
    Verb("data", "Data"),
    Verb("data check", "Data"),
    Verb("data preview", "Data"),
    Verb("data bench", "Data"),
    Verb("search", "Data"),
    Verb("similar", "Data"),
    Verb("embed", "Data"),
    Verb("train", "Train"),
    Verb("tune", "Train"),
    Verb("evaluate", "Train"),
    Verb("predict", "Train"),
    Verb("generate", "Train"),
    Verb("lr-find", "Train"),
    Verb("runs", "Train"),
    Verb("recipes", "Train"),
    Verb("models", "Understand"),
    Verb("summary", "Understand"),
    Verb("draw", "Understand"),
    Verb("compare", "Understand"),
    Verb("explain", "Understand"),
    Verb("robust", "Understand"),
    Verb("drift", "Understand"),
    Verb("conv", "Understand"),
    Verb("walkthrough", "Understand"),
    Verb("learn", "Understand"),
    Verb("verify", "Understand"),
    Verb("export", "Ship"),
    Verb("bench", "Ship"),
    Verb("serve", "Ship"),
    Verb("ensemble", "Ship"),
    Verb("weights convert", "Ship"),
    Verb("demo", "Project"),
    Verb("cache", "Project"),
    Verb("info", "Project"),
    Verb("completion", "Project"),
)
