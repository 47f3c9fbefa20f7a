"""Class folders in the folders of their parents: `animals/cats/1.jpg`, `animals/dogs/2.jpg`, `vehicles/cars/3.jpg`.

Most folders below a class folder are no classes (cameras, days, parts of a download), so the topmost folder is the
class unless somebody says otherwise: the user, or a model that knows the parents of its classes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from hubel.core.errors import DataError
from hubel.data.sources.kind import NESTED
from hubel.data.sources.listing import class_name

__all__ = ["HoldsClasses", "class_folders", "holds_classes", "link_parents", "nesting_note"]

#: Takes the path of a folder below the root, or below that of its split; returns whether it holds class folders.
HoldsClasses = Callable[[str], bool]

_SHOWN = 3


def holds_classes(parents: str | Mapping[str, str] | None, paths: Iterable[str], starts: Sequence[str]) -> HoldsClasses:
    """Return the function that tells the folders of parents from those of classes.

    Args:
        parents: see `SourceRequest`.
        paths: of the images, below the root; looked at only where no names tell the folders apart.
        starts: the paths below which the data is: "" or such as "train/".
    """
    if parents is None:
        return lambda folder: False
    if isinstance(parents, Mapping):
        names = set(parents.values())
        return lambda folder: class_name(folder.rpartition("/")[2]) in names
    outer = set()
    for path in paths:
        start = next((known for known in starts if path.startswith(known)), None)
        folder = "" if start is None else path.removeprefix(start).rpartition("/")[0].rpartition("/")[0]
        while folder and folder not in outer:
            outer.add(folder)
            folder = folder.rpartition("/")[0]
    return outer.__contains__


def class_folders(folder: str, holds: HoldsClasses) -> list[str]:
    """Return the names of the folders from the topmost one down to that of the class; none where there is no class.

    >>> holds = {"animals"}.__contains__
    >>> class_folders("animals/cats/day 1", holds), class_folders("animals", holds)
    (['animals', 'cats'], [])
    """
    names = folder.split("/") if folder else []
    for depth in range(1, len(names) + 1):
        if not holds("/".join(names[:depth])):
            return names[:depth]
    return []


def link_parents(found: dict[str, str], names: Iterable[str], root: Path) -> None:
    """Add the parent of each of the names of folders, from the topmost one down, to those that are found.

    Raises:
        DataError: a name has another parent already.
    """
    above = None
    for name in map(class_name, names):
        if above is not None and found.setdefault(name, above) != above:
            raise DataError(
                f"{root}: the folder {name} lies in {found[name]} and in {above}; with --parents {NESTED} the "
                "innermost folders are the classes, and each has one parent"
            )
        above = name


def nesting_note(folders: Collection[str]) -> str:
    """Return a note where the folders in class folders may be the classes; "" where they hardly are.

    They may be if a class folder holds no images itself but several folders, and no other one holds folders of the same
    names, as it would if these were days or cameras.

    Args:
        folders: that hold images, below the root or the folder of their split.
    """
    outer: dict[str, str] = {}
    direct = {folder for folder in folders if "/" not in folder}
    for folder in folders:
        top, _, below = folder.partition("/")
        if top not in direct and outer.setdefault(below.partition("/")[0], top) != top:
            return ""
    tops = dict.fromkeys(outer.values())
    if len(outer) <= len(tops):
        return ""
    shown = ", ".join(f"{top}/{name}" for name, top in list(outer.items())[:_SHOWN]) + ", ..." * (len(outer) > _SHOWN)
    names = ", ".join(list(tops)[:_SHOWN]) + ", ..." * (len(tops) > _SHOWN)
    return (
        f"the images of {names} lie in folders of {'its' if len(tops) == 1 else 'their'} own ({shown}), whose names do "
        f"not count; if they are classes: hubel train --parents {NESTED}"
    )
