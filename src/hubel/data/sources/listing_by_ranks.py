"""List the rows of many files once, each file by one of the processes that work together.

To list archives is to read the header of each member of theirs: of a million images, minutes of one core. So each rank
walks through some of the files, those that follow each other, and all get the rows of all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError
from hubel.core.group import current_group
from hubel.data.sources.listing import ListingBuilder

__all__ = ["ListedFiles", "list_files"]


@dataclass(frozen=True, kw_only=True)
class ListedFiles:
    """The rows of some files, in order.

    Attributes:
        rows: without stamps, which each machine makes of its own files.
        counts: of each file, the number of its rows, int64 `(files,)`.
        columns: whatever else the source needs, by name: arrays that are put behind each other.
    """

    rows: ListingBuilder
    counts: NDArray[np.int64]
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def list_files(
    name: str, files: Sequence[tuple[str, int]], list_some: Callable[[int, int], ListedFiles]
) -> ListedFiles:
    """Return the rows of all files; called by all ranks, of which each lists a part.

    Args:
        name: of the data, for errors.
        files: name and bytes of each.
        list_some: lists the files from one number to before another; there may be none between them.

    Raises:
        DataError: the ranks have other files; or as `list_some`.
    """
    group = current_group()
    if group.world == 1 or len(files) < 2:
        return list_some(0, len(files))
    digest = hashlib.blake2b(json.dumps(files).encode(), digest_size=16).hexdigest()
    for rank, theirs in enumerate(seen := group.gather(digest.encode())):
        if theirs != seen[0]:
            raise DataError(f"{name}: rank {rank} sees other files than rank 0: all ranks need the same")
    first, stop = spans([size for _, size in files], group.world)[group.rank]
    own = list_some(first, stop)
    arrays, facts = own.rows.packed()
    columns = {f"column {key}": values for key, values in own.columns.items()}
    found = group.share_arrays({**arrays, **columns, "counts": own.counts}, facts)
    rows = ListingBuilder()
    for arrays, facts in found:
        rows.add_packed(arrays, facts)
    joined = {key: np.concatenate([arrays[f"column {key}"] for arrays, _ in found]) for key in own.columns}
    return ListedFiles(rows=rows, counts=np.concatenate([arrays["counts"] for arrays, _ in found]), columns=joined)


def spans(sizes: Sequence[int], parts: int) -> list[tuple[int, int]]:
    """Return from where to where each of some parts goes, so that parts are about equal in size.

    >>> spans([5, 1, 1, 1, 4], 3), spans([7], 2)
    ([(0, 1), (1, 4), (4, 5)], [(0, 0), (0, 1)])
    """
    ends = np.cumsum(sizes)
    middles = ends - np.array(sizes) / 2
    cuts = np.searchsorted(middles, ends[-1] * np.arange(1, parts) / parts).tolist()
    return list(zip([0, *cuts], [*cuts, len(sizes)], strict=True))
