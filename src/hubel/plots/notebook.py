"""HTML for the cells of notebooks: tables and pictures, without style sheets and scripts."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape

__all__ = ["list_html", "picture_html", "table_html"]


def table_html(columns: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str = "") -> str:
    """Return a table.

    Args:
        columns: headings; no head if all are empty.
        rows: cells as text; the first column is aligned to the left, the others to the right.
        caption: above the table.
    """
    head = "".join(f"<th{_align(k)}>{escape(text)}</th>" for k, text in enumerate(columns))
    body = "".join(
        f"<tr>{''.join(f'<td{_align(k)}>{escape(text)}</td>' for k, text in enumerate(row))}</tr>" for row in rows
    )
    title = f'<caption style="text-align:left">{escape(caption)}</caption>' if caption else ""
    return f"<table>{title}{f'<thead><tr>{head}</tr></thead>' if any(columns) else ''}<tbody>{body}</tbody></table>"


def list_html(lines: Sequence[str]) -> str:
    """Return lines as a list; nothing for none."""
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>" if lines else ""


def picture_html(png: bytes, text: str) -> str:
    """Return a PNG file as a picture, with what it shows for screen readers."""
    data = b64encode(png).decode()
    return f'<img alt="{escape(text)}" style="max-width:100%" src="data:image/png;base64,{data}">'


def _align(column: int) -> str:
    return f' style="text-align:{"right" if column else "left"}"'
