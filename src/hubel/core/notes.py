"""Notes and warnings for the user. Advice, which says what to do next, is a third kind and stands last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any, Self

from hubel.core.language import Sentence

__all__ = ["Caution", "cautions", "marked", "note_from_json", "note_to_json", "warnings_last"]


class Caution(Sentence):
    """A note that a result may be wrong, or that data of the user's is left out.

    It is shown as a warning, after the notes, and again at the end of a command that takes long.

    Args:
        text: the note; of a sentence, its other languages are kept.
    """

    def __new__(cls, text: str) -> Self:
        """Return the note as a warning."""
        key, values = (text.key, text.values) if isinstance(text, Sentence) else ("", {"text": text})
        return super().__new__(cls, text, key, values)


def note_to_json(note: Any) -> Any:
    """Return a note, or a value of one, as a plain JSON value that keeps its kind and its languages."""
    if isinstance(note, Sentence):
        values = {name: note_to_json(value) for name, value in note.values.items()}
        return {"text": str.__str__(note), "key": note.key, "values": values, "caution": isinstance(note, Caution)}
    return note if isinstance(note, str) else int(note) if isinstance(note, Integral) else float(note)


def note_from_json(found: Any) -> Any:
    """Return the note, or the value, that `note_to_json` has written."""
    if not isinstance(found, Mapping):
        return found
    values = {name: note_from_json(value) for name, value in found["values"].items()}
    note = Sentence(found["text"], found["key"], values)
    return Caution(note) if found["caution"] else note


def marked(note: str, between: str = ": ") -> str:
    """Return a note with the word for its kind; what is indented belongs to the one above.

    >>> marked("4 files passed over"), marked(Caution("1 file left out because unreadable"))
    ('note: 4 files passed over', 'warning: 1 file left out because unreadable')
    """
    if note.startswith(" "):
        return note
    return f"{'warning' if isinstance(note, Caution) else 'note'}{between}{note}"


def warnings_last(notes: Iterable[str]) -> list[str]:
    """Return notes first and warnings after them, each followed by what is indented below it."""
    groups: list[list[str]] = []
    for note in notes:
        if note.startswith(" ") and groups:
            groups[-1].append(note)
        else:
            groups.append([note])
    return [note for group in sorted(groups, key=lambda group: isinstance(group[0], Caution)) for note in group]


def cautions(notes: Iterable[str]) -> list[str]:
    """Return the warnings among some notes, each in one line.

    >>> cautions(["3 epochs", Caution("1 file left out because unreadable:"), "  a.png: empty"])
    ['1 file left out because unreadable']
    """
    return [Caution(note.removesuffix(":")) for note in notes if isinstance(note, Caution)]
