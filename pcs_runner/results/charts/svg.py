"""SVG as text: escaped words, short numbers, elements, and a picture that a page or a file can hold."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pcs_runner.results.charts.theme import css, page_colour

if TYPE_CHECKING:
    from collections.abc import Iterable

_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufffe\uffff]"
)
"""What XML forbids, and marks that hide or turn text around."""

CHARACTER = 0.6
"""Width of a character by the size of its font; a little more than most have."""


def escaped(text: object) -> str:
    """Text for HTML and XML, in elements and in attributes; controls and invisible marks are replaced by U+FFFD."""
    return html.escape(_HIDDEN.sub("\ufffd", str(text)))


def short(value: float) -> str:
    """A coordinate to a hundredth of a pixel."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def element(name: str, *children: str, **attributes: object) -> str:
    """An element; `_` in names of attributes is `-`, a trailing one is dropped; None is left out.

    Args:
        name: The tag.
        children: Markup, already escaped.
        attributes: Floats are written as coordinates, everything else as escaped text.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{short(value) if isinstance(value, float) else escaped(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{''.join(children)}</{name}>" if children else f"<{name}{written}/>"


def text(x: float, y: float, content: str, *, anchor: str | None = None, class_: str | None = None, **attributes: object) -> str:
    """A line of text at its baseline; `content` is escaped here."""
    return element("text", escaped(content), x=float(x), y=float(y), text_anchor=anchor, class_=class_, **attributes)


def path(points: Iterable[tuple[float, float]], **attributes: object) -> str:
    """A polyline."""
    steps = [f"{short(x)} {short(y)}" for x, y in points]
    return element("path", d="M" + "L".join(steps) if steps else "M0 0", **attributes)


def text_width(content: str, size: float = 12) -> float:
    """About how wide a line of text is, in pixels."""
    return len(content) * size * CHARACTER


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A drawing of its own.

    Attributes:
        width: In pixels, at which text has its size.
        height: In pixels.
        body: Markup.
        title: What it is, one line of plain text.
        description: What is to be seen, for those who do not see it; plain text.
    """

    width: float
    height: float
    body: str
    title: str
    description: str

    def inline(self, name: str, class_: str = "") -> str:
        """For a page that has `theme.css`; `name` is unique on the page."""
        inner = element("title", escaped(self.title), id=f"{name}-t") + element("desc", escaped(self.description), id=f"{name}-d")
        return element(
            "svg",
            inner,
            self.body,
            viewBox=f"0 0 {short(self.width)} {short(self.height)}",
            style=f"max-width:{short(self.width * 1.35)}px",
            class_=f"chart {class_}".strip(),
            role="img",
            aria_labelledby=f"{name}-t {name}-d",
        )

    def file(self) -> str:
        """A whole SVG file with its colours and its background."""
        inner = element("title", escaped(self.title)) + element("desc", escaped(self.description))
        style = element("style", css())
        ground = element("rect", width="100%", height="100%", class_="ground", fill=page_colour())
        markup = element(
            "svg",
            inner,
            style,
            ground,
            self.body,
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {short(self.width)} {short(self.height)}",
            width=float(self.width),
            height=float(self.height),
            class_="chart",
            role="img",
        )
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{markup}\n'


def stacked(pictures: Iterable[Picture], *, title: str = "", gap: float = 24) -> Picture:
    """Pictures below each other, each under its title, with a margin; `title` is that of the whole."""
    body, y, width, words, heading = [], 8.0, 0.0, [], ""
    for picture in pictures:
        heading = heading or picture.title
        body.append(text(16, y + 16, picture.title, class_="h"))
        y += 28
        body.append(element("g", picture.body, transform=f"translate(16 {short(y)})"))
        y += picture.height + gap
        width = max(width, picture.width + 32, text_width(picture.title, 14) + 32)
        words.append(f"{picture.title}: {picture.description}")
    return Picture(width=width, height=y, body="".join(body), title=title or heading, description=" ".join(words))
