"""A dataset: a source of images with its index. Every part of hubel that reads labelled images starts here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError, UnknownNameError
from hubel.core.progress import counted
from hubel.core.ranges import check_range
from hubel.data.decode_cache import CacheMode
from hubel.data.index import Index, scan
from hubel.data.loading import Images
from hubel.data.preprocess import Preprocess
from hubel.data.sources import Source, open_source
from hubel.data.sources.builtin import XO
from hubel.data.sources.hub import Address, is_address
from hubel.data.sources.listing import SPLITS, label_parts, natural_key, passed_over
from hubel.data.splits import EvaluationRows, Splits, choose_rows, split

__all__ = ["ClassCounts", "Dataset", "open_dataset"]

Rows = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ClassCounts:
    """Numbers of usable images.

    Attributes:
        splits: those that the data itself has; "" for images that it puts into none.
        of_class: per class, naturally sorted, one number a split; "" for images whose list of classes is empty.
        images: one number a split. With several classes an image they are less than the sum over the classes.
    """

    splits: tuple[str, ...]
    of_class: dict[str, tuple[int, ...]]
    images: tuple[int, ...]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Dataset:
    """A source with its index.

    Attributes:
        source: reads the images.
        index: facts of every image, by row.
        multi_label: one label text may name several classes, separated by "|".
        repository: OWNER/NAME of data from the Hub; "" for other data.
    """

    source: Source
    index: Index
    multi_label: bool = False
    repository: str = ""

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, {counted(len(self.rows()), 'image')})"

    @property
    def name(self) -> str:
        """Return the name for run folders and reports."""
        return self.index.name

    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes that have a usable image, naturally sorted.

        Raises:
            DataError: fewer than two.
        """
        return self.index.classes(multi_label=self.multi_label)

    def rows(self, split: str | None = None) -> Rows:
        """Return the rows that can be read and have a label: all, or those that the data itself puts into a split.

        Args:
            split: "train", "val" or "test".

        Raises:
            DataError: the data has no such split.
            UnknownNameError: it is none of the three.
        """
        usable = self.index.usable()
        if split is None:
            return usable
        if split not in SPLITS:
            raise UnknownNameError("split", str(split), SPLITS[1:])
        rows: Rows = usable[self.index.split[usable] == SPLITS.index(split)]
        if not len(rows):
            raise DataError(f"{self.name} has no split {split}; use --split all to measure on every image")
        return rows

    def images(
        self,
        preprocess: Preprocess,
        rows: Rows | None = None,
        *,
        threads: int | None = None,
        cache: CacheMode = "off",
        annotations: str = "",
    ) -> Images:
        """Return images at the network's size.

        Args:
            preprocess: size and normalisation.
            rows: which, in this order; all usable ones if None.
            threads: of decoding; None uses every core, 0 decodes in the calling thread.
            cache: where decoded images are cached between epochs; see `hubel.data.decode_cache.plan_cache`.
            annotations: the kind of annotations that batches have, see `hubel.data.annotation`; "" for none.
        """
        chosen = self.rows() if rows is None else rows
        return Images(
            self.source, self.index, chosen, preprocess, threads=threads, cache=cache, annotations=annotations
        )

    def targets(self, classes: tuple[str, ...], rows: Rows | None = None) -> NDArray[Any]:
        """Return class numbers int64 `(n,)`; 0 and 1 float32 `(n, classes)` for several labels an image, or no class.

        Raises:
            DataError: a label is none of the classes.
        """
        return self.index.targets(self.rows() if rows is None else rows, classes, multi_label=self.multi_label)

    def labels(self, rows: Rows | None = None) -> list[str]:
        """Return the label text of each image, "" without one."""
        return self.index.label_texts(self.rows() if rows is None else rows)

    def class_counts(self) -> ClassCounts:
        """Count the usable images of each class in each split that the data itself has."""
        rows, index = self.rows(), self.index
        present = [code for code in range(len(SPLITS)) if (index.split[rows] == code).any()]
        of_label = np.zeros((len(index.labels), len(present)), np.int64)
        np.add.at(of_label, (index.label[rows], np.searchsorted(present, index.split[rows])), 1)
        of_class: dict[str, NDArray[np.int64]] = {}
        for label, counts in zip(index.labels, of_label, strict=True):
            for name in label_parts(label, multi_label=self.multi_label) or [""]:
                of_class[name] = of_class.get(name, 0) + counts
        return ClassCounts(
            splits=tuple(SPLITS[code] for code in present),
            of_class={name: tuple(of_class[name].tolist()) for name in sorted(of_class, key=natural_key)},
            images=tuple(of_label.sum(0).tolist()),
        )

    def split_codes(self, rows: Rows | None = None) -> NDArray[np.int8]:
        """Return the split that the data itself puts each image into, a position in `SPLITS`, `(n,)`."""
        return self.index.split[self.rows() if rows is None else rows]

    def split(self, *, seed: int = 0, val: float = 0.1, test: float = 0.2) -> Splits:
        """Return the rows for training, validation and testing; see `hubel.data.splits.split`."""
        return split(self.index, seed=seed, val=val, test=test, multi_label=self.multi_label)

    def evaluation_rows(self, provenance: Mapping[str, Any], wanted: str = "auto") -> EvaluationRows:
        """Return the rows to measure a model on, and their name in a report; see `hubel.data.splits.choose_rows`."""
        return choose_rows(self.index, provenance, wanted)

    def notes(self) -> list[str]:
        """Return one line for each kind of file or image that was left out, and why."""
        return self.index.notes()

    def is_training_data_of(self, provenance: Mapping[str, Any]) -> bool:
        """Return whether a model of this provenance was trained on exactly this data."""
        return provenance.get("fingerprint") == self.index.fingerprint()

    def digests(self, rows: Rows | None = None) -> NDArray[np.void]:
        """Return the BLAKE2b digests of the encoded images, 16 bytes each, `(n,)`."""
        return self.index.digest[self.rows() if rows is None else rows]


def open_dataset(
    data: Any,
    *,
    multi_label: bool = False,
    labelled: bool = True,
    needed: bool = True,
    xo: XO | None = None,
    root: str | Path | None = None,
    void: int | None = None,
    threads: int | None = None,
    parents: str | Mapping[str, str] | None = None,
) -> Dataset:
    """Open images and index them; only files that an earlier scan has not seen are decoded.

    Args:
        data: a folder, a table, archives, the name of a built-in dataset, or a pair of arrays; see `open_source`.
        multi_label: one label text may name several classes, separated by "|".
        labelled: images without a label are left out.
        needed: a label is needed; False accepts data in which no image has one, to describe it.
        xo: settings of the built-in dataset "xo".
        root: the folder that the relative paths of a table start at; the table's own if None.
        void: the value of a mask's pixels that belong to no class, beside 255.
        threads: of decoding; None uses every core.
        parents: of the classes, where folders lie in folders; see `open_source`.

    Raises:
        DataError: nothing is there, nothing in it is a labelled image, or none can be read.
    """
    if void is not None:
        check_range("void", void, 0, 255, whole=True)
    source = open_source(data, multi_label=multi_label, labelled=labelled, xo=xo, root=root, void=void, parents=parents)
    index = scan(source, threads=threads)
    if labelled and needed and not len(index.usable()):
        passed = "".join(f"; {note}" for note in passed_over(index.skipped)[:3])
        readable = counted(len(index) - len(index.reasons), "readable image")
        raise DataError(f"{source.name}: none of the {readable} has a label{passed}")
    repository = Address.parse(str(data)).repository if is_address(data) else ""
    return Dataset(source=source, index=index, multi_label=multi_label, repository=repository)
