"""The samples of one WebDataset archive: members grouped by key, and the label of each image."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

from hubel.data.containers import EXTENSIONS
from hubel.data.reading import one_line
from hubel.data.sources.labels import LABEL_COLUMNS, LabelReader
from hubel.data.sources.tar import Member, tar_members

__all__ = ["Sample", "archive_samples"]

_LABEL_BYTES = {"cls": 4096, "json": 2**20, "txt": 4096}  # the first one that a sample has is used
# As the webdataset library has it: all before the first dot of the file's own name, which must not begin with one.
_KEY = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]*)", re.DOTALL)

Skip = Callable[[str, str], None]


class Sample(NamedTuple):
    """An image in an archive.

    Attributes:
        name: path in the archive.
        offset: position of its first byte.
        size: number of its bytes.
        label: name of its class; None without a label.
    """

    name: str
    offset: int
    size: int
    label: str | None


def archive_samples(file: BinaryIO, archive: str, called: str, labels: LabelReader, skip: Skip) -> Iterator[Sample]:
    """Yield the images of an archive, in order.

    Args:
        file: the archive; callers may seek in it between two samples.
        archive: its path, for errors.
        called: prefix of the names of members, for `skip`.
        labels: reads the labels.
        skip: called with the name and the reason of each member that is passed over; with the ending of a kind of files
            that is merely not used.

    Raises:
        DataError: the archive is damaged, or a label is none; see `LabelReader.read`.
    """
    for key, group in itertools.groupby(_usable(file, archive, called, skip), key=lambda item: item[0]):
        parts: dict[str, Member] = {}
        for _, kind, member in group:
            if kind in parts:
                skip(f"{called}/{member.name}", "a sample has another file of this kind")
            else:
                parts[kind] = member
        image = parts.get("image")
        if image is None:
            skip(f"{called}/{key}", "a label without an image next to it")
            continue
        try:
            value = _label(file, parts)
        except _NoLabelError as error:
            skip(f"{called}/{key}", str(error))
        else:
            label = labels.read(value, f"sample {one_line(key)}")
            yield Sample(image.name.removeprefix("./"), image.offset, image.size, label)


class _NoLabelError(ValueError):
    """The file of a label holds no label; the text is the reason."""


def _usable(file: BinaryIO, archive: str, called: str, skip: Skip) -> Iterator[tuple[str, str, Member]]:
    """Yield key, kind (`image`, or the ending of a label) and member of each file that can be used."""
    for member in tar_members(file, archive):
        match = _KEY.fullmatch(member.name.removeprefix("./"))
        ending = match[2].lower() if match else ""
        if member.refused:
            skip(f"{called}/{member.name}", member.refused)
        elif match and f".{ending}" in EXTENSIONS:
            yield match[1], "image", member
        elif match and ending in _LABEL_BYTES:
            yield match[1], ending, member
        elif f".{ending.rpartition('.')[2]}" in EXTENSIONS:
            skip(f"{called}/{member.name}", "the name has a second dot, which ends the key at the first")
        else:
            skip(ending or member.name, "neither images nor labels")


def _label(file: BinaryIO, parts: dict[str, Member]) -> Any:
    """Return the label of a sample as it is written: "" where its files hold none, None without any.

    Raises:
        _NoLabelError: the file of the label cannot be read as one.
    """
    found = None
    for kind, most in _LABEL_BYTES.items():
        if (member := parts.get(kind)) is None:
            continue
        if member.size > most:
            raise _NoLabelError(f".{kind} is too long for a label")
        file.seek(member.offset)
        try:
            text = file.read(member.size).decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            raise _NoLabelError(f".{kind} is no UTF-8 text") from None
        found = _in_json(text) if kind == "json" else _whole(text) if kind == "cls" else text
        if found != "":
            break
    return found


def _in_json(text: str) -> Any:
    try:
        value = json.loads(text, parse_int=_whole)
    except (ValueError, RecursionError):
        raise _NoLabelError(".json is no JSON") from None
    if isinstance(value, dict):
        value = next((value[name] for name in LABEL_COLUMNS if name in value), None)
    if isinstance(value, dict):
        raise _NoLabelError(".json has a label that is neither text nor a number")
    return "" if value is None else value


def _whole(text: str) -> int | str:
    """Return a whole number without its leading zeros; other text, and one of too many digits, as it is."""
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text
