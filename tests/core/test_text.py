"""Names from others cannot control a terminal."""

from __future__ import annotations

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from hubel.core.text import printable


@given(st.text())
def test_one_line_without_control_characters_that_json_reads_back(text: str) -> None:
    shown = printable(text)
    assert not any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in shown)
    assert json.loads(printable(json.dumps(text, ensure_ascii=False))) == text


def test_other_letters_stay() -> None:
    for name in ("Hündin.png", "고양이", "👩‍🔬", "a b"):
        assert printable(name) == name
    assert printable("\x1b[2J\x9b\u202egpj.exe\x7f") == r"\u001b[2J\u009b\u202egpj.exe\u007f"
