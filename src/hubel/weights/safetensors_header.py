"""The JSON header of a safetensors file, checked against the size of the file before anything else is read."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

from hubel.core.errors import ModelFileError
from hubel.core.files import no_such
from hubel.data.reading import one_line
from hubel.weights.bounded_json import parse_json

__all__ = ["read_header"]

_MOST_TENSORS = 2**15  # the deepest network of the catalogue has 7,208


def read_header(path: Path) -> dict[str, Any]:
    """Read the header: type, shape and offsets of each tensor by its name, and the texts under "__metadata__".

    Raises:
        ModelFileError: the file is missing, no safetensors file, too short or too long for its tensors, or its header
            is larger than any network needs.
    """
    if path.is_dir():
        raise ModelFileError(f"{path} is a folder; expected a model file such as model.safetensors")
    if not path.is_file():
        raise ModelFileError(no_such(path, "file"))
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            (length,) = struct.unpack_from("<Q", data)
            if length > len(data) - 8:
                raise ModelFileError(f"{path} is truncated, or is not a safetensors file")
            header = dict(parse_json(data[8 : 8 + length]))
            if len(header) > _MOST_TENSORS:
                raise ModelFileError(f"{path} contains {len(header):,} tensors; {_MOST_TENSORS:,} are the most")
            ends = [int(t["data_offsets"][1]) for name, t in header.items() if name != "__metadata__"]
            whole = 8 + length + max(ends, default=0)
            if len(data) != whole:
                problem = "is truncated" if len(data) < whole else "has extra bytes at its end"
                raise ModelFileError(f"{path} {problem}: {len(data):,} bytes, expected {whole:,}")
    except ModelFileError:
        raise
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, struct.error, LookupError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise ModelFileError(
            f"{path} is damaged, or is not a safetensors file: its header cannot be read ({one_line(error)})"
        ) from None
    return header
