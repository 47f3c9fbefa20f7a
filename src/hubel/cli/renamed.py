"""Flags and values with other names: the previous release's are accepted until 0.3, with a hint."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["with_new_names"]

_GONE_IN = "0.3"

# A line for each: the old flag, and the new one.
_FLAGS = {
    "--fit": "--resize",
    "--lr-decay": "--layer-decay",
    "--gradual": "--gradual-unfreeze",
}
# A line for each: an old flag without a value, and the words that stand for it.
_SWITCHES = {
    "--multi-label": ["--task", "multi_label"],
    "--class-weights": ["--balance", "inverse"],
    "--no-class-weights": ["--balance", "none"],
}
# A line for each: a flag (by its new name) with its old value, and the new one.
_VALUES = {
    ("--loss", "softmax"): "cross_entropy",
    ("--loss", "sigmoid"): "bce",
}


def with_new_names(tokens: Sequence[str]) -> tuple[list[str], list[str]]:
    """Replace the names of the previous release, in `--flag value` and in `--flag=value`.

    Args:
        tokens: words of the command line. Those after "--" are not flags and stay unchanged.

    Returns:
        The words with the new names, and a sentence for each replacement.
    """
    end = tokens.index("--") if "--" in tokens else len(tokens)
    result: list[str] = []
    hints: list[str] = []
    flag = ""  # the flag before, whose value this word may be
    for token in tokens[:end]:
        if not token.startswith("--"):
            result.append(_value(flag, token, hints))
            flag = ""
            continue
        if token in _SWITCHES:
            hints.append(f"{token} is {' '.join(_SWITCHES[token])} now; the old name goes away in {_GONE_IN}")
            result += _SWITCHES[token]
            flag = ""
            continue
        old, joined, value = token.partition("=")
        flag = _FLAGS.get(old, old)
        if flag != old:
            hints.append(f"{old} is {flag} now; the old name goes away in {_GONE_IN}")
        result.append(f"{flag}={_value(flag, value, hints)}" if joined else flag)
        if joined:
            flag = ""
    return [*result, *tokens[end:]], hints


def _value(flag: str, value: str, hints: list[str]) -> str:
    """Return the new name of a value, and add the hint."""
    new = _VALUES.get((flag, value), value)
    if new != value:
        hints.append(f"{flag} {value} is {flag} {new} now; the old name goes away in {_GONE_IN}")
    return new
