"""The errors that hubel raises on purpose.

```
HubelError
├── OptionError(ValueError)         a setting has a wrong value
├── DataError(ValueError)           the images or labels cannot be used as they are
├── UnknownNameError(LookupError)   no such model, option, class or policy: offers those that are alike
├── DecodeError(OSError)            one image file cannot be read: says which and why
├── ModelFileError(OSError)         a model file is damaged, or is not ours
├── WeightsError(OSError)           pretrained weights cannot be fetched: says what to do instead
│   └── MismatchError               weights do not fit a network: names the keys, a line each
├── CheckpointError(OSError)        a run cannot be resumed
├── BusyError(OSError)              another process is at work on the same files
├── MissingPackageError(ImportError) a package is not installed: says how to install it
└── DivergedError(ValueError)       the loss became NaN or infinite
```

Each message is one line (but for a mismatch of many weights) that says what was got and what was expected. The command
line prints it and exits with status 2; a user never sees a traceback from a mistake of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hubel.core.text import alike

__all__ = [
    "BusyError",
    "CheckpointError",
    "DataError",
    "DecodeError",
    "DivergedError",
    "HubelError",
    "MismatchError",
    "MissingPackageError",
    "ModelFileError",
    "OptionError",
    "UnknownNameError",
    "WeightsError",
]


_MOST_LINES = 20  # lines of weights that do not match
_MOST_NAMES = 20  # known names that are listed, all of them; of more, only those that are alike
# Of kinds with many names: the command that lists them.
_LISTED_BY = {
    "model": "hubel models",
    "model file, run or network": "hubel models",
    "model with pretrained weights": "hubel models",
    "layer": "hubel summary MODEL --depth 0",
    "setting": "hubel train --help",
}


class HubelError(Exception):
    """Base class of all errors that hubel raises on purpose."""


class OptionError(HubelError, ValueError):
    """A setting has a value that cannot work."""


class DataError(HubelError, ValueError):
    """The images or labels cannot be used as they are."""


class UnknownNameError(HubelError, LookupError):
    """A name that is not in a table; the message offers those that are alike, or says how all are listed.

    Args:
        kind: kind of the name, such as "model".
        name: name that was not found.
        known: valid names.
        beside: other valid names, which are offered where they are alike, and never listed.

    >>> print(UnknownNameError("model", "resnet21", ["resnet20", "lenet5"]))
    no model is called 'resnet21'; did you mean resnet20?
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], beside: Iterable[str] = ()) -> None:
        known, beside = sorted(known), sorted(beside)
        hint = alike(name, [*known, *beside]) or _known_ones(kind, known)
        super().__init__(f"no {kind} is called {name!r}; {hint}")
        self._made_from = (kind, name, known, beside)

    def __reduce__(self) -> tuple[type[UnknownNameError], tuple[str, str, list[str], list[str]]]:
        return type(self), self._made_from


def _known_ones(kind: str, known: Sequence[str]) -> str:
    """Return the valid names in words; of many, how to list them."""
    if len(known) <= _MOST_NAMES:
        return f"the known ones are: {', '.join(known)}"
    lister = f"; {_LISTED_BY[kind]} lists them" if kind in _LISTED_BY else ""
    return f"none of the {len(known)} known ones is like it{lister}"


class DecodeError(HubelError, OSError):
    """One image cannot be read.

    Attributes:
        name: name of the file.
        reason: reason, without the name.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason

    def __reduce__(self) -> tuple[type[DecodeError], tuple[str, str]]:
        return type(self), (self.name, self.reason)


class ModelFileError(HubelError, OSError):
    """A model file is missing, damaged, or was not written by hubel."""


class WeightsError(HubelError, OSError):
    """Pretrained weights cannot be fetched, or are damaged."""


class MismatchError(WeightsError):
    """Weights do not fit a network.

    Attributes:
        summary: one line with the counts.
        lines: a line for each weight that is missing, unexpected or of another shape, sorted, at most 20.

    >>> print(MismatchError(3, ["missing: head.linear.bias (10,)"]))
    3 weights fit the network, 1 does not
      missing: head.linear.bias (10,)
    """

    def __init__(self, fitting: int, wrong: Sequence[str]) -> None:
        verb = "does" if len(wrong) == 1 else "do"
        self.summary = f"{fitting:,} weights fit the network, {len(wrong):,} {verb} not"
        self.lines = list(wrong[:_MOST_LINES])
        if len(wrong) > _MOST_LINES:
            self.lines[-1] = f"... and {len(wrong) - _MOST_LINES + 1:,} more"
        super().__init__("\n  ".join([self.summary, *self.lines]))
        self._made_from = (fitting, list(wrong))

    def __reduce__(self) -> tuple[type[MismatchError], tuple[int, list[str]]]:
        return type(self), self._made_from


class CheckpointError(HubelError, OSError):
    """A run cannot be resumed from the content of its folder."""


class BusyError(HubelError, OSError):
    """Another process is at work on the same files."""


class MissingPackageError(HubelError, ImportError):
    """A package is not installed that hubel works without until it is needed."""


class DivergedError(HubelError, ValueError):
    """Training stopped because the loss is no longer a finite number."""
