"""Tables for people."""

import pytest

from hubel.cli.tables import print_table


def test_a_line_break_in_a_cell_is_escaped_unless_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name"], [["one\ntwo"]])
    (shown,) = [line for line in capsys.readouterr().out.splitlines() if "one" in line]
    assert "two" in shown
    print_table(["name"], [["one\ntwo"]], multiline=True)
    (shown,) = [line for line in capsys.readouterr().out.splitlines() if "one" in line]
    assert "two" not in shown
