"""Predict very many images into a file that a stopped or killed process can resume.

Rows go to FILE.partial as they are found: a line that describes the job, then one JSON line for each image behind a
checksum of all lines so far. When all are there, FILE is written from them and appears at once. So one mechanism serves
all formats (Parquet cannot be appended to, and half a CSV file looks like a whole one), no reader ever meets a FILE
with a part of the rows, and FILE holds nothing but rows. The price is space for the rows twice at the end.

A resumed job finds the images by their position in the list, and checks by their names that the list is the same.
That is cheaper than a set of names, knows an image that is named twice, and keeps FILE in the order of the list. From
the first row on that does not agree with its checksum, the rows are computed again.
"""

from __future__ import annotations

import contextlib
import filecmp
import hashlib
import json
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from hubel.core.errors import BusyError, OptionError
from hubel.core.files import atomic_file, naming_the_file, remove_leftovers
from hubel.core.lock import FileLock
from hubel.core.outputs import output_file
from hubel.core.progress import bar
from hubel.core.stopping import listening
from hubel.data.inputs import Input
from hubel.inference.bulk_job import BulkJob, local_rows
from hubel.inference.row_files import Layout, Row, as_line, writer_for
from hubel.inference.stream import MANY, batch_size

if TYPE_CHECKING:
    from hubel.inference.classifier import Classifier
    from hubel.inference.dense import DenseModel
    from hubel.inference.reconstructor import Reconstructor

__all__ = ["BulkJob", "BulkResult", "is_finished", "partial_of", "predicted_rows", "with_progress", "write"]

_FEW = 20  # images are done before a progress bar is worth its start
_HEAD = "hubel predict"


@dataclass(frozen=True)
class BulkResult:
    """Counts of a bulk prediction.

    Attributes:
        images: rows so far, those of earlier processes included.
        unreadable: those among them without a prediction.
        images_per_second: of this process.
        stopped_by: the number of the signal that stopped it; 0 when the file is finished.
    """

    images: int
    unreadable: int
    images_per_second: float
    stopped_by: int = 0


def predicted_rows(
    job: BulkJob, classifier: Classifier | DenseModel | Reconstructor, inputs: Sequence[Input]
) -> Generator[Row, None, None]:
    """Yield the row of each input, in order, as they are predicted."""
    if job.engine == "ray":
        from hubel.inference.ray_predict import ray_rows

        yield from ray_rows(job, inputs, batch_size(classifier.card.preprocess))
    else:
        yield from local_rows(job, classifier, inputs)


def with_progress(rows: Iterable[Row], total: int, *, done: int = 0) -> Iterator[Row]:
    """Yield the rows, with a progress bar where there are many."""
    if total - done < _FEW:
        yield from rows
        return
    started = time.monotonic()
    with bar("predicting", total, done=done) as shown:
        for number, row in enumerate(rows, start=1):
            yield row
            shown.step(note=f"{number / max(time.monotonic() - started, 1e-9):,.1f} images/s")


def partial_of(output: Path) -> Path:
    """Return the file that holds the rows until `output` is finished."""
    return output.with_name(output.name + ".partial")


def is_finished(output: Path, *, resume: bool) -> bool:
    """Return whether nothing is left to do.

    Raises:
        OptionError: the name has no known format; or without `resume`, something is there that must not be lost.
    """
    writer_for(output)
    partial = partial_of(output)
    if partial.exists() and not partial.is_file():
        raise OptionError(f"{partial} is no file; remove it")
    if not resume and partial.exists():
        raise OptionError(f"{partial} is there already: a prediction that was stopped; go on by --resume, or remove it")
    if not resume and output.exists():
        raise OptionError(f"{output} is there already; name another file or remove it (--resume takes it for finished)")
    if not output.is_file():
        output_file(output, ours=None, flag="--output")
    return output.exists() and not partial.exists()


def write(
    job: BulkJob,
    classifier: Classifier | DenseModel | Reconstructor,
    inputs: Sequence[Input],
    output: Path,
    *,
    resume: bool = False,
) -> BulkResult:
    """Write the rows of all inputs into a file; the first Ctrl-C, SIGTERM or SIGHUP stops it in good order.

    Args:
        job: what is asked.
        classifier: of the job.
        inputs: all of the job's share, those included that have a row already.
        output: FILE.jsonl, FILE.csv or FILE.parquet; it appears when it is whole.
        resume: go on with FILE.partial if there is one.

    Raises:
        OptionError: see `is_finished`; or the file was begun for another job or other images.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_of(output)
    with _lock(partial):
        if is_finished(output, resume=resume):
            raise OptionError(f"{output} is finished already")
        remove_leftovers(output.parent, output.name)
        with naming_the_file(partial), partial.open("a+b" if resume else "x+b") as file:
            before, unreadable, seal = _whole_rows(file, job.identity(), inputs, batch_size(classifier.card.preprocess))
            done, started, stopped_by = before, time.monotonic(), 0
            rows = predicted_rows(job, classifier, inputs[before:])
            try:
                with listening() as stop, contextlib.closing(rows):
                    for row in with_progress(rows, len(inputs), done=before):
                        line = as_line(row)
                        seal = _seal(seal, line)
                        file.write(seal + line)
                        file.flush()  # of each row: next to what an image takes, it costs nothing
                        done, unreadable = done + 1, unreadable + (row["error"] is not None)
                        if stop.asked and done < len(inputs):
                            stopped_by = stop.asked
                            break
            finally:
                if done == 0 < len(inputs):  # a start that failed is nothing to go on with
                    with contextlib.suppress(PermissionError):  # Windows removes no open file
                        partial.unlink()
            rate = (done - before) / max(time.monotonic() - started, 1e-9)
            if not stopped_by:
                _publish(file, output, len(inputs), job.layout(classifier))
        if not stopped_by:
            partial.unlink()
    return BulkResult(done, unreadable, rate, stopped_by)


def _lock(partial: Path) -> FileLock:
    """Keep a second process from resuming a file that the first is still writing."""
    try:
        return FileLock(partial.with_name(f".{partial.name}.lock"))
    except BusyError:
        raise OptionError(f"{partial}: another process is writing it") from None


def _seal(before: bytes, line: bytes) -> bytes:
    """Return the checksum that precedes a line: of the line, and of all before it by their own checksum."""
    return hashlib.blake2b(before + line, digest_size=8).hexdigest().encode() + b" "


def _whole_rows(file: BinaryIO, asked: dict[str, Any], inputs: Sequence[Input], batch: int) -> tuple[int, int, bytes]:
    """Return the number of whole rows in the file, of unreadable images among them, and the seal of the last.

    The rest is cut off.

    Kept are whole rows of whole batches: the last digits of a score depend on the size of its batch, and FILE is to be
    the same to the byte as if nothing had stopped. For this, too, enough are left to be computed by the same engine.
    """
    head, path = as_line({_HEAD: asked}), Path(file.name)
    file.seek(0)
    first = file.readline()
    if head.startswith(first) and first != head:  # a new file, or one that was torn before its first row
        file.truncate(0)
        file.write(head)
        return 0, 0, head
    _compare(first, asked, path)
    most = len(inputs) if len(inputs) < MANY else len(inputs) - MANY
    done = unreadable = 0
    kept, kept_end, end = (0, 0, first), len(first), len(first)
    for row, seal, size in _rows(file, first):
        if done == len(inputs) or row["path"] != inputs[done].name:
            found = "no more" if done == len(inputs) else inputs[done].name
            raise OptionError(f"{path}: the images have changed: number {done + 1} was {row['path']}, now {found}")
        done, unreadable, end = done + 1, unreadable + (row["error"] is not None), end + size
        if done == len(inputs) or (done % batch == 0 and done <= most):
            kept, kept_end = (done, unreadable, seal), end
    file.truncate(kept_end)
    return kept


def _compare(first: bytes, asked: dict[str, Any], path: Path) -> None:
    """Check that a file was begun for the same job."""
    try:
        begun = dict(json.loads(first)[_HEAD])
    except (ValueError, LookupError, TypeError, RecursionError):
        raise OptionError(f"{path} was not begun by hubel predict") from None
    for name, value in asked.items():
        if begun.get(name) != value:
            was, now = ("another one", "this") if name == "model" else (begun.get(name), value)
            raise OptionError(f"{path} was begun with {name}: {was}, not {now}; go on as it was begun, or remove it")


def _rows(file: BinaryIO, head: bytes) -> Iterator[tuple[Row, bytes, int]]:
    """Yield the rows after the head with their seals and sizes in bytes, up to the first that is not as written."""
    seal = head
    for sealed in file:
        line = sealed[len(_seal(b"", b"")) :]
        seal = _seal(seal, line)
        if sealed != seal + line or not line.endswith(b"\n"):
            return
        yield json.loads(line), seal, len(sealed)


def _publish(file: BinaryIO, output: Path, images: int, layout: Layout) -> None:
    """Write `output` from the rows of the whole partial file; it appears at once."""
    written = 0

    def rows() -> Iterator[Row]:
        nonlocal written
        for written, (row, *_) in enumerate(_rows(file, head), start=1):  # noqa: B007
            yield row

    file.seek(0)
    head = file.readline()
    with atomic_file(output) as made:
        writer_for(output)(rows(), made, layout)
        made.flush()
        if written != images:
            raise OptionError(f"{file.name} has changed while it was written; go on by --resume")
        # It may be there if a process was killed right after this; then it is the same.
        if output.exists() and not filecmp.cmp(made.name, output, shallow=False):
            raise OptionError(f"{output} has appeared meanwhile; move it away and go on by --resume")
