"""Datasets of the Hugging Face hub: `hf://datasets/OWNER/NAME[@REVISION][/PATH]`, as other libraries write them, too.

The files are downloaded once, into the cache of `huggingface_hub` (`$HF_HOME`), and read like any local folder. Only
images, tables, archives and their descriptions are downloaded, none of a repository's programs. Nothing else in hubel
downloads data, and no other address is followed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

from hubel.core.errors import DataError
from hubel.core.quiet import quiet_logger
from hubel.data.containers import EXTENSIONS
from hubel.data.reading import one_line
from hubel.data.sources.kind import SourceKind, SourceRequest

__all__ = ["KIND", "Address", "Fetched", "fetch_dataset", "is_address"]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/|hf:")
_WORD = r"[A-Za-z0-9][A-Za-z0-9._-]*"
# Not "//": a `Path` of an address has lost one of the two.
_ADDRESS = re.compile(
    rf"hf:/{{1,2}}datasets/(?P<repository>{_WORD}/{_WORD})"
    r"(?:@(?P<revision>refs/(?:convert|pr)/[^/]+|[^/]+))?(?:/(?P<inside>.*))?"
)
_PAGE = re.compile(rf"https?:/{{1,2}}huggingface\.co/datasets/({_WORD}/{_WORD})(?:/tree/([^/]+))?/?")
_EXPECTED = "expected hf://datasets/OWNER/NAME, with @REVISION and /PATH if you like"

_TABLES = (".csv", ".tsv")
_FILES = (".parquet", ".tar", *_TABLES)
_DESCRIPTIONS = ("README.md", "dataset_dict.json", "state.json", "dataset_info.json", "*.txt")
_IMAGE_PATTERNS = tuple(f"*{form(ending)}" for ending in sorted(EXTENSIONS) for form in (str.lower, str.upper))
_WANTED = (*_IMAGE_PATTERNS, *(f"*{ending}" for ending in (*_FILES, ".arrow")))


def is_address(data: object) -> bool:
    """Return whether this is an address, such as `https://...`, or a `Path` made of one.

    >>> is_address("hf://datasets/a/b"), is_address("C:/photos"), is_address("photos/a:b")
    (True, False, False)
    """
    return isinstance(data, str | Path) and bool(_SCHEME.match(str(data).replace("\\", "/")))


@dataclass(frozen=True)
class Address:
    """The address of a dataset of the hub.

    Attributes:
        repository: owner and name.
        revision: a branch, tag or commit; None for the newest.
        inside: a folder, file or pattern in it; empty for the whole dataset.
    """

    repository: str
    revision: str | None = None
    inside: str = ""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Split an address into its parts.

        Raises:
            DataError: it leads elsewhere, or is incomplete.

        >>> Address.parse("hf://datasets/uoft-cs/cifar10@refs/convert/parquet/plain_text")
        Address(repository='uoft-cs/cifar10', revision='refs/convert/parquet', inside='plain_text')
        """
        text = text.replace("\\", "/")
        if match := _PAGE.fullmatch(text):
            revision = f"@{match[2]}" if match[2] else ""
            raise DataError(f"{text} is a web page; write hf://datasets/{match[1]}{revision}")
        if not text.startswith("hf:"):
            raise DataError(
                f"{text}: hubel downloads datasets of the Hugging Face hub only (hf://datasets/OWNER/NAME); "
                "download and unpack this one yourself, look at it, and give its folder"
            )
        match = _ADDRESS.fullmatch(text)
        inside = (match["inside"] or "").strip("/") if match else ""
        if match is None or {"..", "."} & set(inside.split("/")):
            raise DataError(f"{text} is no address of a dataset; {_EXPECTED}")
        return cls(match["repository"], unquote(match["revision"]) if match["revision"] else None, inside)

    def patterns(self) -> list[str]:
        """Return patterns for the files of the repository that are downloaded."""
        inside = re.sub(r"\{[^{}]*\}", "*", self.inside)  # the hub knows no braces
        if inside.lower().endswith(_FILES):
            folder = inside.rpartition("/")[0]
            beside = (*_DESCRIPTIONS, *(_IMAGE_PATTERNS if inside.lower().endswith(_TABLES) else ()))
            return [inside, *(f"{folder}/{pattern}" if folder else pattern for pattern in beside)]
        # "*" stands for any characters, "/" among them, so that a description needs its own pattern in any folder.
        every = [*_WANTED, *_DESCRIPTIONS, *(f"*/{name}" for name in _DESCRIPTIONS)]
        return [f"{inside}/{pattern}" for pattern in every] if inside else every


@dataclass(frozen=True)
class Fetched:
    """A local copy of a dataset.

    Attributes:
        path: the folder or file that the address means.
        within: the folder that the files are really in: the hub's cache links each file to its stored bytes.
        name: of the dataset.
    """

    path: Path
    within: Path
    name: str


def fetch_dataset(text: str) -> Fetched:
    """Download a dataset if it is not in the cache, and return its local copy.

    Raises:
        DataError: the address is wrong, or the dataset cannot be downloaded or has nothing at this path.
    """
    address = Address.parse(text)
    folder = _downloaded(text.replace("hf:/datasets", "hf://datasets"), address)
    within = folder.parents[1] if folder.parent.name == "snapshots" else folder
    path = folder / address.inside
    if not path.exists() and not set(address.inside) & set("*?[{"):
        raise DataError(f"hf://datasets/{address.repository} has no {address.inside or 'file'} that hubel reads")
    return Fetched(path, within, address.repository.partition("/")[2])


def _downloaded(text: str, address: Address) -> Path:
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    download = huggingface_hub.snapshot_download  # loads the module, which sets up the logger that is made quiet below
    offline = constants.HF_HUB_OFFLINE
    page = f"https://huggingface.co/datasets/{address.repository}"
    plain = (
        (GatedRepoError, f"its owner asks for your consent first: {page}; then log in by: hf auth login"),
        (RepositoryNotFoundError, "the hub has no such dataset, or shows it to its members only (hf auth login)"),
        (RevisionNotFoundError, f"the dataset has no revision {address.revision}"),
    )
    try:
        with quiet_logger("huggingface_hub"):
            return Path(
                download(
                    address.repository,
                    repo_type="dataset",
                    revision=address.revision,
                    allow_patterns=address.patterns(),
                    local_files_only=offline,
                )
            )
    except Exception as error:  # its HTTP client, its cache and its hub have errors with no base in common
        for kind, why in plain:
            if isinstance(error, kind):
                raise DataError(f"{text}: {why}") from None
        if offline:
            raise DataError(
                f"{text} is not, or not wholly, in the cache {constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE is set; "
                "unset it, or give the folder of a copy"
            ) from None
        reason = one_line(error.__cause__ or error)
        raise DataError(
            f"{text} cannot be downloaded ({reason}); try again later, or give the folder of a copy"
        ) from error


def _fetched_request(request: SourceRequest) -> SourceRequest:
    """Return the request for the local copy of a dataset, which is downloaded if it is not in the cache."""
    fetched = fetch_dataset(str(request.data))
    return replace(request, data=fetched.path, within=fetched.within, name=fetched.name)


KIND = SourceKind(
    name="the address of a dataset on the Hugging Face hub (hf://datasets/OWNER/NAME)",
    recognises=lambda request: is_address(request.data),
    open=_fetched_request,
    multi_label=True,  # checked again by the kind that opens the local copy
)
