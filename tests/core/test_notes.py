"""Notes and warnings: two kinds, with a word for each."""

from __future__ import annotations

import json

from hubel.core.language import in_language, plural, sentence
from hubel.core.notes import Caution, cautions, marked, note_from_json, note_to_json, warnings_last

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


def test_notes_go_to_another_process_with_their_kind_and_their_languages() -> None:
    images = plural("note.training_images", 1200)
    for note in (Caution(sentence("note.some_train", n=7, images=images)), images, "plain"):
        found = note_from_json(json.loads(json.dumps(note_to_json(note))))
        assert found == note
        assert type(found) is type(note)
        assert in_language(found, "ko") == in_language(note, "ko")
