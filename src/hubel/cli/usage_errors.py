"""Explain mistakes in a command line, in one sentence each."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal, get_args, get_origin

from cyclopts import (
    CycloptsError,
    MissingArgumentError,
    Token,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)
from cyclopts.exceptions import CoercionError

__all__ = ["explain_usage_error"]

# What other programs call commands and options, for those who come from them.
_COMMANDS_ELSEWHERE = {
    "fit": "train", "finetune": "train", "val": "evaluate", "validate": "evaluate", "test": "evaluate",
    "detect": "predict", "infer": "predict", "inference": "predict", "benchmark": "bench",
    "convert": "weights convert", "deploy": "serve", "gradcam": "explain", "sweep": "tune",
    "hpo": "tune", "optimize": "tune",
}  # fmt: skip
_OPTIONS_ELSEWHERE = {
    "--imgsz": "--size", "--img-size": "--size", "--image-size": "--size", "--batch": "--batch-size",
    "--lr0": "--lr", "--learning-rate": "--lr", "--wd": "--weight-decay", "--workers": "--loading-threads",
    "--num-workers": "--loading-threads", "--arch": "--model", "--backbone": "--model", "--pretrained": "--weights",
    "--checkpoint": "--weights", "--project": "--out", "--name": "--out", "--save-dir": "--out",
    "--output-dir": "--out", "--smoothing": "--label-smoothing", "--conf": "--top", "--topk": "--top",
    "--time": "--max-minutes", "--opt": "--optimizer", "--sched": "--schedule", "--aa": "--augment",
}  # fmt: skip

_KINDS = {int: "a whole number", float: "a number", bool: "true or false"}


def explain_usage_error(error: CycloptsError) -> str:
    """Describe the mistake in a sentence: the word that was typed, the expected one, and the help to read."""
    verb = " ".join(error.command_chain or ())
    problem = _problem(error, verb)
    return f"{problem}{' See' if problem.endswith('?') else '; see'} {' '.join(filter(None, ('hubel', verb)))} --help"


def _problem(error: CycloptsError, verb: str) -> str:
    name = error.argument.name if error.argument else ""
    match error:
        case UnknownCommandError(unused_tokens=[word, *_], app=app):
            verbs = [entry for entry in app or () if not entry.startswith("-")]
            meant = _COMMANDS_ELSEWHERE.get(word.lower())
            near = f"; did you mean {meant}?" if meant else _near(word, verbs)
            return f"no command is called {word!r}{near or '; there are ' + ', '.join(verbs)}"
        case UnknownOptionError(token=token):
            word = (token.keyword or token.value).partition("=")[0]
            known = {known for argument in error.argument_collection for known in argument.names}
            meant = _OPTIONS_ELSEWHERE.get(_flag(word).replace("_", "-"))
            near = f"; did you mean {meant}?" if meant in known else _near(_flag(word), known)
            return f"{verb} has no option {_flag(word)}{_source(token)}{near}"
        case UnusedCliTokensError(unused_tokens=words):
            return f"{verb} takes no argument {' '.join(map(repr, words or ()))}"
        case MissingArgumentError(keyword=str(option)):
            return f"{option} needs a value"
        case MissingArgumentError():
            flag = error.argument is not None and not error.argument.is_positional_only()
            return f"{verb} needs {name if flag else name.lstrip('-').upper()}"
        case CoercionError(token=token, target_type=kind) if token and kind and error.msg is None:
            others = [other for other in get_args(kind) if other is not type(None)]
            if len(others) == 1 and get_origin(kind) is not Literal:  # int | None
                kind = others[0]
            if get_origin(kind) is Literal:
                expected = f"one of {', '.join(map(str, get_args(kind)))}"
            else:
                expected = _KINDS.get(kind) or f"a value of the type {getattr(kind, '__name__', kind)}"
            return f"{_flag(token.keyword or name)} is {expected}, not {token.value!r}{_source(token)}"
    return str(error).rstrip(".")


def _flag(word: str) -> str:
    """Return an option as it is typed; cyclopts calls those of a file [so][and][so]."""
    return "--" + word[1:-1].replace("][", ".") if word.startswith("[") else word


def _source(token: Token) -> str:
    return "" if token.source == "cli" else f" (from {token.source})"


def _near(word: str, known: Iterable[str]) -> str:
    """Return the names that are spelt nearly like `word`."""
    by_letters = {name.lstrip("-"): name for name in sorted(known)}
    near = difflib.get_close_matches(word.lstrip("-"), by_letters, cutoff=0.6)
    return f"; did you mean {' or '.join(by_letters[letters] for letters in near)}?" if near else ""
