"""Sentences for users by language: flat JSON tables `strings/LANGUAGE.json` of a package."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING

from hubel.core.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LANGUAGES", "sentences"]

#: Languages of the tables: English, Korean.
LANGUAGES = ("en", "ko")


@cache
def sentences(package: str, language: str) -> Mapping[str, str]:
    """Return the sentences of a package in a language, by key; `{name}` in them is a place for a value.

    Raises:
        UnknownNameError: there is no such language.
    """
    if language not in LANGUAGES:
        raise UnknownNameError("language", language, LANGUAGES)
    text = (files(package) / "strings" / f"{language}.json").read_text(encoding="utf-8")
    return MappingProxyType(json.loads(text))
