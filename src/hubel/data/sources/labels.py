"""Labels of every source: the value that a table, an archive or an array gives an image becomes the name of a class.

Values mean the same wherever they stand: blanks around a text do not count, texts are compared in Unicode's NFC form,
1, 1.0 and "1.0" (which tables make of whole numbers beside empty cells) are the class "1". None, NaN, "<NA>" (which
pandas writes) and empty text are no label. A list is several labels, also as Python, NumPy or JSON write one:
"['cat', 'dog']", "['cat' 'dog']", '["cat", "dog"]'.
"""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Any

from hubel.core.errors import DataError
from hubel.data.reading import one_line
from hubel.data.sources.listing import natural_key

__all__ = ["LABEL_COLUMNS", "LabelReader", "checked_names"]

#: Usual names of a column of labels, the first choice first.
LABEL_COLUMNS = (
    *("label", "labels", "class", "fine_label", "category", "cls", "target"),
    *("class_name", "label_name", "category_name"),
)

_MOST_CHARACTERS = 1000  # of a class name
_INVISIBLE = "\ufeff\u200b\0"  # which `str.strip` leaves at the ends of a text
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_WHOLE_FLOAT = re.compile(r"(-?[0-9]+)\.0+")
_NO_TEXT = ("nan", "<na>")
_QUOTED = r"""b?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_MISSING = dict.fromkeys(("None", "nan", "null"))
_ITEM = re.compile(rf"{_QUOTED}|[-+]?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|True|False|{'|'.join(_MISSING)}")
_BYTES = re.compile(rf"(?=b){_QUOTED}")
_BETWEEN = r"(?:\s*,\s*|\s+|(?=[\])}]))"
# Numbers in other brackets than a list's are more likely a name: (2020).
_LIST = re.compile(
    rf"\[\s*(?:(?:{_ITEM.pattern}){_BETWEEN})*\]|\(\s*(?:{_QUOTED}{_BETWEEN})+\)|\{{\s*(?:{_QUOTED}{_BETWEEN})+\}}"
)
_SCALAR = re.compile(rf"\bnp\.\w+\(({_QUOTED}|[^()'\"]*)\)")  # as NumPy 2 writes its numbers and texts in a list
_EXACT = 2**63  # whole floats from here on are written in powers of ten
_MOST_KNOWN = 4096
_SHOWN, _MOST_SHOWN = 3, 40


class _LabelError(ValueError):
    """A value is no label; the text is the reason."""


@dataclass(frozen=True, kw_only=True)
class LabelReader:
    """Read the labels of one source.

    Attributes:
        where: the source, for errors.
        names: the classes by number; None where numbers are the names.
        multi_label: a label names any number of classes: a list of them, or a text with "|" between them.
        labelled: an image without a label has the label None; otherwise "".
    """

    where: object
    names: Sequence[str] | None = None
    multi_label: bool = False
    labelled: bool = True
    _known: dict[str | int, str | None] = field(default_factory=dict, init=False, repr=False)  # most values repeat

    def read(self, value: Any, place: str) -> str | None:
        """Return the label text of one image; the classes of a multi-label text are sorted, with "|" between them.

        With `multi_label`, an empty text or list is the label "": the image has none of the classes.

        Args:
            value: None, text, UTF-8 bytes, a number, a boolean, an enum member, a scalar of NumPy or torch, or a list
                of these. With `names`, whole numbers are looked up there; negative ones are no label.
            place: where the value stands, such as "line 3", for errors.

        Raises:
            DataError: several labels where one is expected, a number without a name, or a value that is no label.

        >>> LabelReader(where="t.csv").read(" cat ", "line 2")
        'cat'
        >>> LabelReader(where="t.csv", multi_label=True).read("dog | cat", "line 2")
        'cat|dog'
        """
        repeats = type(value) in (str, int)
        if repeats and value in self._known:
            return self._known[value]
        try:
            plain = _plain(_unwritten(value))
            text = self._several(plain) if self.multi_label else self._one(plain)
        except _LabelError as error:
            raise DataError(f"{self.where}, {place}: {error}") from None
        text = "" if text is None and not self.labelled else text
        if repeats and len(self._known) < _MOST_KNOWN:
            self._known[value] = text
        return text

    def _one(self, value: Any) -> str | None:
        if isinstance(value, list):
            if len(value) > 1:
                raise _LabelError(f"{_shown(value)} are several labels; expected one, or --task multi_label")
            value = _plain(value[0]) if value else None
        return self._class(value) or None

    def _several(self, value: Any) -> str | None:
        if isinstance(value, str):
            value = [_plain(part) for part in value.split("|")]
        elif isinstance(value, list):
            value = [_plain(part) for part in value]
            numbers = [part for part in value if isinstance(part, int | float)]
            if len({*numbers}) < len(numbers):
                raise _LabelError(
                    f"{_shown(value)} repeats a number; expected the classes of the image, not a 0 or 1 each"
                )
        else:
            return self._class(value)
        classes = {text for part in value if (text := self._class(part))}
        if divided := next((text for text in classes if "|" in text), None):
            raise _LabelError(f'the class {one_line(divided)!r} has a "|" in its name, which divides classes')
        return "|".join(sorted(classes, key=natural_key))

    def _class(self, value: Any) -> str | None:
        """Return the class that a plain value names; None for no label."""
        if value is None:
            return None
        if isinstance(value, list):
            raise _LabelError(f"{_shown(value)} is a list in a list; expected text or a number")
        if self.names is not None and (isinstance(value, int) or (isinstance(value, str) and _WHOLE.fullmatch(value))):
            number = int(value)
            if number >= len(self.names):
                raise _LabelError(f"no class has the number {_text(number)}; {len(self.names)} classes are named")
            return self.names[number] if number >= 0 else None  # the Hugging Face hub gives -1 to unlabelled images
        text = _text(value)
        if len(text) > _MOST_CHARACTERS:
            raise _LabelError(f"a label of {len(text):,} characters; a class name has at most {_MOST_CHARACTERS:,}")
        return text


def checked_names(names: Any, where: object) -> list[str] | None:
    """Return the names of classes in the order of their numbers, or None where there are none.

    Raises:
        DataError: two classes have the same name, so that they could not be told apart.
    """
    if not isinstance(names, list):
        return None
    try:
        texts = [_clean(str(name)) for name in names]
    except _LabelError as error:
        raise DataError(f"{where}: a class is named by {error}") from None
    if len(set(texts)) < len(texts):
        twice = next(text for place, text in enumerate(texts) if text in texts[:place])
        raise DataError(f"{where} calls two classes {one_line(twice)!r}; expected a name of its own for each")
    return texts


def _unwritten(value: Any) -> Any:
    """Return the list, or the bytes, whose spelling in Python or JSON a text is; other values as they are.

    >>> _unwritten("['cat', 'dog']"), _unwritten("[3 4]"), _unwritten("b'cat'"), _unwritten("[sic]")
    (['cat', 'dog'], [3, 4], b'cat', '[sic]')
    """
    if not isinstance(value, str) or not value.strip().endswith(("]", ")", "}", "'", '"')):
        return value
    text = _SCALAR.sub(r"\1", value.strip())
    if not (_BYTES.fullmatch(text) or _LIST.fullmatch(text)):
        return value
    try:
        items = [_MISSING.get(item, item) for item in _ITEM.findall(text)]
        values = [None if item is None else ast.literal_eval(item) for item in items]
    except (SyntaxError, ValueError):  # such as 007, which is no number in Python
        return value
    return values if text[0] in "[({" else values[0]


def _plain(value: Any) -> Any:
    """Return None, text, a list, or a value that is written as a number or as itself."""
    if isinstance(value, Enum):
        value = value.value
    if hasattr(value, "tolist") and not isinstance(value, str | bytes | memoryview):  # of NumPy, torch, pandas
        value = (value.detach().cpu() if hasattr(value, "detach") else value).tolist()
    if isinstance(value, bytes | bytearray | memoryview):
        try:
            value = bytes(value).decode("utf-8")
        except UnicodeDecodeError:
            raise _LabelError("bytes that are no UTF-8 text") from None
    if isinstance(value, str):
        return _clean(value) if value.strip().lower() not in _NO_TEXT else None
    if isinstance(value, list | tuple | Set):
        return list(value)
    if value is None or _is_missing(value):
        return None
    if isinstance(value, float | Decimal) and -_EXACT < value < _EXACT and value == int(value):
        return int(value)
    kind: Any = type(value)
    if isinstance(value, dict) or (kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__):
        raise _LabelError(f"a label is text, a number or a list of them, not {kind.__name__}")
    return value


def _is_missing(value: Any) -> bool:
    """Return whether this is NaN, or a missing value of pandas."""
    if isinstance(value, Decimal):
        return value.is_nan()
    return type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)


def _clean(text: str) -> str:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise _LabelError("half a character, which is no text") from None
    text = unicodedata.normalize("NFC", text.strip().strip(_INVISIBLE).strip())
    if "\0" in text:
        raise _LabelError(f"{one_line(text)[:_MOST_SHOWN]!r} holds a zero byte, which no text has")
    match = _WHOLE_FLOAT.fullmatch(text)
    return match[1] if match else text


def _text(value: Any) -> str:
    try:
        return format(value.normalize(), "f") if isinstance(value, Decimal) else str(value)
    except ValueError:  # Python writes no number of more than 4,300 digits
        raise _LabelError("a number of thousands of digits; expected the name or number of a class") from None


def _shown(values: list[Any]) -> str:
    texts = [one_line(_text(plain)) for value in values[:_SHOWN] if not isinstance(plain := _plain(value), list)]
    return ", ".join([*texts, *(["..."] if len(values) > len(texts) else [])])
