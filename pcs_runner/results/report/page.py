"""The page around everything: HTML without scripts or requests, styles for screens, dark screens, phones and paper."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from pcs_runner.results.charts.svg import escaped
from pcs_runner.results.charts.theme import css

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""Nothing is loaded and nothing runs, whatever a server's text holds."""


def page(title: str, body: Iterable[str]) -> str:
    """The whole document."""
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escaped(title)}</title>\n<style>\n{_style()}{css()}\n</style>\n</head>\n<body>\n<main>",
            *body,
            "</main>\n</body>\n</html>\n",
        ]
    )


def _style() -> str:
    return (files(__package__) / "style.css").read_text(encoding="utf-8")


def section(heading: str, *content: str) -> str:
    """A section of the page; nothing without content."""
    return f"<section>\n<h2>{escaped(heading)}</h2>\n{''.join(content)}\n</section>" if any(content) else ""


def paragraph(words: str, class_: str = "") -> str:
    """A paragraph of plain text; nothing without words."""
    attribute = f' class="{class_}"' if class_ else ""
    return f"<p{attribute}>{escaped(words)}</p>" if words else ""


def figure(pictures: str, caption: str = "") -> str:
    """Drawings with a caption."""
    return f"<figure>{pictures}{f'<figcaption>{escaped(caption)}</figcaption>' if caption else ''}</figure>"


def facts(entries: Sequence[tuple[str, str]]) -> str:
    """Names and short values as tiles."""
    tiles = "".join(f"<div><dt>{escaped(name)}</dt><dd>{escaped(value)}</dd></div>" for name, value in entries if value)
    return f'<dl class="facts">{tiles}</dl>'


def table(
    caption: str,
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    numbers: bool = False,
    wrap: bool = True,
    first_is_head: bool = False,
) -> str:
    """A table that scrolls by itself where it is too wide; `numbers` are right-aligned, and do not `wrap`."""
    class_ = ' class="n"' if numbers else ""
    head = "".join(f'<th scope="col"{class_}>{escaped(name)}</th>' for name in header)
    lines = []
    for row in rows:
        cells = [f"<td{class_}>{escaped(cell)}</td>" for cell in row]
        if first_is_head:
            cells[0] = f'<th scope="row">{escaped(row[0])}</th>'
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escaped(caption)}">'
        f'<table class="{"wrap" if wrap and not numbers else "lines"}"><caption>{escaped(caption)}</caption>'
        f"{f'<thead><tr>{head}</tr></thead>' if header else ''}<tbody>{''.join(lines)}</tbody></table></div>"
    )


def folded(summary: str, content: str) -> str:
    """Content that a reader opens."""
    return f"<details><summary>{escaped(summary)}</summary>{content}</details>"


def listing(words: str, label: str) -> str:
    """Text as it is, in a box that scrolls."""
    return f'<pre tabindex="0" role="region" aria-label="{escaped(label)}">{escaped(words)}</pre>'
