"""Export names from a package without importing the modules that define them until a name is used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, NoReturn

from hubel.core.packages import missing_package

__all__ = ["lazy_exports"]


class _Face(ModuleType):
    """A package whose exported names win over its modules of the same name, in whatever order they are imported."""

    _homes: dict[str, str]

    def __setattr__(self, name: str, value: Any) -> None:
        # The import system binds a module in its package once it is loaded: `hubel.data.decode` would turn from the
        # function into the module.
        if not (isinstance(value, ModuleType) and name in self._homes):
            super().__setattr__(name, value)

    def __call__(self, *_arguments: object, **_named: object) -> NoReturn:
        own = self.__name__.rpartition(".")[2]
        inside = f"; call {self.__name__}.{own}(...)" if own in self._homes else f" of {', '.join(sorted(self._homes))}"
        raise TypeError(f"{self.__name__} is a module{inside}")


def lazy_exports(
    package: str, modules: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` for a package (PEP 562).

    Args:
        package: the package's `__name__`.
        modules: for each module that defines exported names, in full, these names.

    A name whose module needs a package that is not installed raises MissingPackageError.
    """
    homes = {name: module for module, names in modules.items() for name in names}
    face = sys.modules[package]
    face.__dict__["_homes"] = homes
    face.__class__ = _Face

    def resolve(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=face)
        try:
            value = getattr(import_module(homes[name]), name)
        except ModuleNotFoundError as error:
            raise missing_package(error) from error
        face.__dict__[name] = value
        return value

    return resolve, lambda: list(names), (names := sorted(homes))
