"""Notes and warnings: two kinds, with a word for each."""

from __future__ import annotations

import json

from hubel.core.notes import Caution, cautions, marked, warnings_last

NOTES = ["4 epochs", Caution("2 files left out because unreadable:"), "  a.png: empty", "  b.png: cut", "no download"]


def test_warnings_come_last_with_what_belongs_to_them() -> None:
    assert [marked(note) for note in warnings_last(NOTES)] == [
        "note: 4 epochs",
        "note: no download",
        "warning: 2 files left out because unreadable:",
        "  a.png: empty",
        "  b.png: cut",
    ]
    assert marked("  indented") == "  indented"
    assert warnings_last([]) == []


def test_the_summary_repeats_warnings_alone() -> None:
    (only,) = cautions(NOTES)
    assert marked(only) == "warning: 2 files left out because unreadable"


def test_a_warning_is_a_text_like_others() -> None:
    assert json.loads(json.dumps(NOTES)) == [str(note) for note in NOTES]
