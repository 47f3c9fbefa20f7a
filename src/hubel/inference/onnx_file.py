"""The exported file: one ONNX file with the weights, and a card as in a model file, in the metadata that ONNX has.

Each field of the card is an entry "hubel.FIELD" with JSON as its text, and so is what was measured when the file was
made. The entries stand at the end, behind a SHA-256 of everything before them, so that a damaged file is noticed.
Neither reading nor writing them needs the onnx package: a message of protocol buffers is a sequence of fields, and
two sequences one after another are their union (https://protobuf.dev/programming-guides/encoding/).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubel.core.errors import HubelError, ModelFileError
from hubel.weights.card import ModelCard

__all__ = ["INPUT", "OUTPUTS", "OnnxFile", "described", "is_exported", "read_onnx"]

# Images uint8 `(n, height, width, channels)`; scores from 0 to 1 and the logits that they come from, `(n, classes)`.
INPUT, OUTPUTS = "images", ("scores", "logits")

_FORMAT = 1
_METADATA, _KEY, _VALUE = 14, 1, 2  # numbers of fields in onnx.proto: ModelProto, and its StringStringEntryProto
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5  # kinds of fields
_PREFIX = "hubel."


@dataclass(frozen=True)
class OnnxFile:
    """An exported file.

    Attributes:
        model: the file's bytes.
        card: classes, preprocessing, kind of scores, provenance.
        facts: what was measured when it was made; plain JSON values.
        digest: SHA-256 of its network, in hexadecimal.
    """

    model: bytes
    card: ModelCard
    facts: Mapping[str, Any]
    digest: str


def is_exported(model: str | Path) -> bool:
    """Return whether a model is named by the ending of exported files."""
    return Path(model).suffix.lower() == ".onnx"


def described(network: bytes, card: ModelCard, facts: Mapping[str, Any]) -> bytes:
    """Return a serialised ONNX network with its card and facts. Equal arguments give equal bytes."""
    digest = hashlib.sha256(network).hexdigest()
    entries = {"format": _FORMAT, "sha256": digest, **dataclasses.asdict(card), "facts": dict(facts)}
    written = [network]
    for name, value in entries.items():
        text = json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False)
        entry = _field(_KEY, (_PREFIX + name).encode()) + _field(_VALUE, text.encode())
        written.append(_field(_METADATA, entry))
    return b"".join(written)


def read_onnx(path: Path) -> OnnxFile:
    """Read an exported file and check that it is as it was written.

    Raises:
        ModelFileError: the file is missing, damaged, or was not written by hubel.
    """
    if not path.is_file():
        raise ModelFileError(
            f"{path}: {'this is a folder' if path.exists() else 'no such file'}; expected a .onnx file"
        )
    data = path.read_bytes()
    entries, start = _entries(path, data)
    if f"{_PREFIX}sha256" not in entries:
        raise ModelFileError(
            f"{path} was not made by hubel export: it says neither its classes nor how it wants its images"
        )
    try:
        fields = {name.removeprefix(_PREFIX): json.loads(text) for name, text in entries.items()}
        if (written := fields.pop("format")) != _FORMAT:
            raise ModelFileError(f"{path} has format {written!r} of hubel's exports; this version reads {_FORMAT}")
        digest, facts = fields.pop("sha256"), fields.pop("facts")
        card = ModelCard.from_json(fields)
    except ModelFileError:
        raise
    except (HubelError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ModelFileError(f"{path} is damaged: its description cannot be read ({error})") from None
    if hashlib.sha256(memoryview(data)[:start]).hexdigest() != digest:
        raise ModelFileError(f"{path} is damaged: its content does not match the checksum in it")
    return OnnxFile(data, card, facts, digest)


def _entries(path: Path, data: bytes) -> tuple[dict[str, str], int]:
    """Return hubel's entries in the metadata, and the offset of the first of them."""
    entries, start = {}, len(data)
    try:
        for number, value, place in _fields(memoryview(data)):
            if number == _METADATA:
                parts = {number: bytes(part).decode() for number, part, _ in _fields(value)}
                if parts[_KEY].startswith(_PREFIX):
                    entries[parts[_KEY]] = parts[_VALUE]
                    start = min(start, place)
    except (LookupError, ValueError, TypeError):
        raise ModelFileError(f"{path} is damaged, cut short, or no ONNX file") from None
    return entries, start


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview, int]]:
    """Yield number, content and offset of each field of a message; nothing is copied.

    Raises:
        LookupError, ValueError: this is no message.
    """
    place = 0
    while place < len(message):
        start = place
        tag, place = _varint(message, place)
        kind, begin = tag & 7, place
        if kind == _VARINT:
            _, place = _varint(message, place)
        elif kind == _BYTES:
            length, begin = _varint(message, place)
            place = begin + length
        elif kind in (_EIGHT, _FOUR):
            place += 8 if kind == _EIGHT else 4
        else:
            raise ValueError("an unknown kind of field")
        if place > len(message):
            raise ValueError("cut short")
        yield tag >> 3, message[begin:place], start


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """Return a number in groups of 7 bits, the lowest first, and the offset behind it."""
    value = shift = 0
    while True:
        byte = message[place]
        value, shift, place = value | (byte & 127) << shift, shift + 7, place + 1
        if byte < 128:
            return value, place
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def _field(number: int, content: bytes) -> bytes:
    """Return a field of bytes."""
    return _number(number << 3 | _BYTES) + _number(len(content)) + content


def _number(value: int) -> bytes:
    groups = []
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])
