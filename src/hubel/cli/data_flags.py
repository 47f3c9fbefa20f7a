"""Flags that say which images are meant, for all verbs that take images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from hubel.core.errors import OptionError

if TYPE_CHECKING:
    from hubel.data.sources.builtin import XO
    from hubel.data.sources.kind import Rooted

__all__ = ["Root", "named_data", "rooted"]

#: The flag `--root` of every verb that takes images.
Root = Annotated[
    Path | None,
    Parameter(name="--root", help="folder that the relative paths of a table start at; the table's own if not given."),
]


def rooted(data: str, root: Path | None) -> str | Rooted:
    """Return the data of a command line, with the folder that its paths start at if one is named."""
    if root is None:
        return data
    from hubel.data.sources.kind import Rooted

    return Rooted(data, root)


def named_data(verb: str, data: str, config: Path | None, xo: Mapping[str, float]) -> tuple[str, XO | None]:
    """Return the data of a command line, or of the run whose config.json it names, and the settings of X and O images.

    Raises:
        OptionError: neither names any.
    """
    if config is not None and not data:
        from hubel.training.recipe_file import read_data

        data, recorded = read_data(config)
        xo = xo or recorded
    if not data:
        raise OptionError(f"name the images: hubel {verb} PHOTOS, or hubel {verb} digits")
    if not xo:
        return data, None
    from hubel.data.sources.builtin import XO

    return data, XO.from_numbers(xo)
