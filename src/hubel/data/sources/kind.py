"""An entry of the table of sources: the requests that a kind recognises, and the function that opens them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubel.core.files import user_path
from hubel.data.sources.listing import Source

if TYPE_CHECKING:
    from hubel.data.sources.builtin import XO

__all__ = ["NESTED", "Rooted", "SourceKind", "SourceRequest"]

#: As `SourceRequest.parents`: class folders lie in the folders of their parents.
NESTED = "folders"


@dataclass(frozen=True)
class Rooted(os.PathLike[str]):
    """A table whose relative paths start at another folder than its own: data like any other.

    Attributes:
        data: the path of the table.
        root: the folder.
    """

    data: str | Path
    root: Path

    def __fspath__(self) -> str:
        return os.fspath(self.data)

    def __str__(self) -> str:
        return str(self.data)


@dataclass(frozen=True, kw_only=True)
class SourceRequest:
    """Data that a user asks for.

    Attributes:
        data: a path, a pattern, an address, the name of a built-in dataset, or arrays.
        within: the folder that links must not leave; the source's own folder if None.
        root: the folder that the relative paths of a table start at; the table's own if None.
        name: for reports and run folders; the source's own name if empty.
        labelled: images without a label are left out.
        multi_label: one label text may name several classes, separated by "|".
        xo: settings of the built-in dataset "xo"; None for any other dataset.
        void: the value of a mask's pixels that belong to no class, beside 255.
        parents: `NESTED` where the innermost folders are the classes; or the parent of each class that has one, by
            name, such as a model has learned them: then a folder called like a parent holds class folders.
    """

    data: Any
    within: Path | None = None
    root: Path | None = None
    name: str = ""
    labelled: bool = True
    multi_label: bool = False
    xo: XO | None = None
    void: int | None = None
    parents: str | Mapping[str, str] | None = None

    @property
    def path(self) -> Path:
        """Return the data as a path, with "~" expanded."""
        return user_path(self.data)


@dataclass(frozen=True, kw_only=True)
class SourceKind:
    """A kind of source: one entry of the table `hubel.data.sources.KINDS`.

    Attributes:
        name: a noun phrase for messages.
        recognises: returns whether a request is for this kind; reads names and heads of files only.
        open: returns the source, or another request to open in its place (a download, once it is on the disk).
        multi_label: labels may name several classes.
        rooted: the images are named by paths, which may start at a folder of the user's choice.
        nested: classes are folders, which may lie in those of their parents.
    """

    name: str
    recognises: Callable[[SourceRequest], bool]
    open: Callable[[SourceRequest], Source | SourceRequest]
    multi_label: bool = False
    rooted: bool = False
    nested: bool = False
