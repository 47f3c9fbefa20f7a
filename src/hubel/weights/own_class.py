"""Networks of a user's own class: what a model file says of the class, and a file together with its module.

A model file never names code to import. It says which class it needs, and whoever loads it brings a module of that
class. Importing this does not import torch.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hubel.core.errors import OptionError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["OwnClass", "OwnModel"]

_MOST_LETTERS = 300  # of a name, in a file that anyone may have written
_MOST_NUMBERS = 16


@dataclass(frozen=True, kw_only=True)
class OwnClass:
    """The class of a network that is not of the catalogue.

    Attributes:
        module: name of the Python module that defines it, such as "my_networks"; never imported.
        name: qualified name of the class in there.
        answer: the network's first outputs for one image of random pixels, by which another network with weights of the
            same names and shapes is told from it; empty where they are not the same every time.

    Raises:
        OptionError: the values are no such description.
    """

    module: str
    name: str
    answer: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for word in (self.module, self.name):
            if not isinstance(word, str) or not 0 < len(word) <= _MOST_LETTERS or not word.isprintable():
                raise OptionError(f"own: the class is named by a text, not {word!r:.80}")
        numbers = len(self.answer) <= _MOST_NUMBERS and all(
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            for value in self.answer
        )
        if not numbers:
            raise OptionError("own: the answer is a list of a few finite numbers")

    @classmethod
    def of(cls, module: nn.Module) -> OwnClass:
        """Return the description of a module's class, without its answer."""
        kind = type(module)
        return cls(module=kind.__module__[:_MOST_LETTERS], name=kind.__qualname__[-_MOST_LETTERS:])

    @classmethod
    def from_json(cls, values: Any) -> OwnClass:
        """Create a description from the JSON form of its fields.

        Raises:
            OptionError: they are not those of a class.
        """
        if not isinstance(values, Mapping) or sorted(values) != ["answer", "module", "name"]:
            raise OptionError(f"own is a table of module, name and answer, not {values!r:.80}")
        if not isinstance(values["answer"], list | tuple):
            raise OptionError("own: the answer is a list of a few finite numbers")
        return cls(module=values["module"], name=values["name"], answer=tuple(values["answer"]))

    @property
    def short(self) -> str:
        """The name of the class without what it is defined in, such as "MyNet"."""
        return self.name.rpartition(".")[2]

    @property
    def place(self) -> str:
        """Module and name of the class, such as "my_networks:MyNet"."""
        return f"{self.module}:{self.name}"


@dataclass(frozen=True, eq=False)
class OwnModel(os.PathLike[str]):
    """A model file of a network of one's own, with the module that computes it. It stands where a model file does.

    >>> from hubel.export import export
    >>> export(OwnModel("runs/digits-MyNet-1", MyNet()))  # doctest: +SKIP

    Attributes:
        path: of the model file, or of the folder of its run.
        module: of the class that was trained, with any weights; it is copied, and left as it is.
    """

    path: str | os.PathLike[str]
    module: nn.Module

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def __str__(self) -> str:
        return str(self.path)
