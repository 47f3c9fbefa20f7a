"""The exported file: one ONNX file with the weights, and a card as in a model file, in the metadata that ONNX has.

Each field of the card is an entry "hubel.FIELD" with JSON as its text, and so is what was measured when the file was
made. The entries stand at the end, and the last of them is a SHA-256 of everything before it, so that a damaged file is
noticed. In format 1, of hubel 0.1, the checksum covered the network alone; such files are still read, but nobody can
tell whether their card is as it was written. Neither reading nor writing the entries needs the onnx package.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubel.core.errors import HubelError, ModelFileError
from hubel.core.files import no_such
from hubel.data.reading import one_line
from hubel.inference.onnx_check import ANSWERS, INPUT, NOVELTY, OUTPUTS, check_graph
from hubel.inference.protobuf import bytes_field, fields
from hubel.weights.bounded_json import parse_json
from hubel.weights.card import ModelCard

__all__ = ["INPUT", "NOVELTY", "OUTPUTS", "OnnxFile", "described", "is_exported", "read_onnx"]

_FORMAT, _CARD_UNPROTECTED = 2, 1
_METADATA, _KEY, _VALUE = 14, 1, 2  # numbers of fields in onnx.proto: ModelProto, and its StringStringEntryProto
_PREFIX = "hubel."
_MAX_FILE = 2**31  # bytes, of a message of protocol buffers
_MAX_FIELDS = 2**16


@dataclass(frozen=True)
class OnnxFile:
    """An exported file.

    Attributes:
        model: the file's bytes.
        card: classes, preprocessing, kind of scores, provenance.
        facts: what was measured when it was made; plain JSON values.
        digest: SHA-256 of all before it, in hexadecimal.
        answers: its outputs are answers rather than scores of everything; see `hubel.inference.answers`.
    """

    model: bytes
    card: ModelCard
    facts: Mapping[str, Any]
    digest: str
    answers: bool = False


def is_exported(model: str | os.PathLike[str]) -> bool:
    """Return whether a model is named by the ending of exported files."""
    return Path(model).suffix.lower() == ".onnx"


def described(network: bytes, card: ModelCard, facts: Mapping[str, Any]) -> bytes:
    """Return a serialised ONNX network with its card and facts. Equal arguments give equal bytes."""
    entries = {"format": _FORMAT, **card.to_json(), "facts": dict(facts)}
    whole = network + b"".join(_entry(name, value) for name, value in entries.items())
    return whole + _entry("sha256", hashlib.sha256(whole).hexdigest())


def _entry(name: str, value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False)
    entry = bytes_field(_KEY, (_PREFIX + name).encode()) + bytes_field(_VALUE, text.encode())
    return bytes_field(_METADATA, entry)


def read_onnx(path: Path) -> OnnxFile:
    """Read an exported file and check that it is as it was written, and what hubel writes.

    Raises:
        ModelFileError: the file is missing, damaged, was not written by hubel, or has another graph than its card says.
    """
    if not path.is_file():
        raise ModelFileError(f"{path}: a folder, not a .onnx file" if path.exists() else no_such(path, "file"))
    if (size := path.stat().st_size) > _MAX_FILE:
        raise ModelFileError(f"{path} has {size:,} bytes; an ONNX file has {_MAX_FILE:,} at most")
    data = path.read_bytes()
    entries, offsets = _entries(path, data)
    if "sha256" not in entries:
        raise ModelFileError(
            f"{path} was not made by hubel export: it says neither its classes nor how it wants its images"
        )
    try:
        said = {name: parse_json(text.encode()) for name, text in entries.items()}
        if (written := said.pop("format")) not in (_FORMAT, _CARD_UNPROTECTED):
            raise ModelFileError(f"{path} has format {written!r} of hubel's exports; this version reads {_FORMAT}")
        digest, facts = said.pop("sha256"), said.pop("facts")
        card = ModelCard.from_json(said)
    except ModelFileError:
        raise
    except (HubelError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ModelFileError(f"{path} is damaged: its description cannot be read ({error})") from None
    end = min(offsets.values()) if written == _CARD_UNPROTECTED else offsets["sha256"]
    # Hashing takes 0.75 ms a MB, and runs beside Python: of a small network, as long as the check of its graph.
    with ThreadPoolExecutor(1) as pool:
        content = pool.submit(hashlib.sha256, memoryview(data)[:end])
        outputs, other_graph = _outputs(data, card)
    if content.result().hexdigest() != digest:
        raise ModelFileError(f"{path} is damaged: its content does not match the checksum in it")
    if written == _FORMAT and len(data) != end + len(_entry("sha256", digest)):
        raise ModelFileError(f"{path} is damaged: something follows its checksum")
    if other_graph:
        raise ModelFileError(f"{path} is no graph that hubel exports: {other_graph}")
    return OnnxFile(data, card, facts, digest, answers=set(outputs) == set(ANSWERS.get(card.dense, ())))


def _outputs(data: bytes, card: ModelCard) -> tuple[tuple[str, ...], str]:
    """Return the outputs of a graph, and why it is none that hubel exports for this card; "" if it is one."""
    try:
        return check_graph(memoryview(data), card), ""
    except (LookupError, ValueError, TypeError) as error:
        return (), one_line(error) or type(error).__name__


def _entries(path: Path, data: bytes) -> tuple[dict[str, str], dict[str, int]]:
    """Return hubel's entries in the metadata, and their offsets."""
    entries, offsets = {}, {}
    try:
        for count, (number, value, place) in enumerate(fields(memoryview(data))):
            if count > _MAX_FIELDS:
                raise ValueError("too many fields")
            if number == _METADATA:
                parts = {number: bytes(part).decode() for number, part, _ in fields(value)}
                if parts[_KEY].startswith(_PREFIX):
                    name = parts[_KEY].removeprefix(_PREFIX)
                    entries[name], offsets[name] = parts[_VALUE], place
    except (LookupError, ValueError, TypeError):
        raise ModelFileError(f"{path} is damaged, cut short, or no ONNX file") from None
    return entries, offsets
