"""YAML 1.2 core, strictly: text -> one tree of nodes that carry plain data and offsets, or everything wrong with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from pcs_runner.spec.scalars import RefusedScalarError, plain_value, tagged_value
from pcs_runner.spec.source import quoted, quoted_key
from pcs_runner.spec.syntax import syntax_problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pcs_runner.spec.source import SourceText

Path = tuple[str | int, ...]

MAX_DEPTH = 100
MAX_EXPANDED_NODES = 1_000_000

_CORE = "tag:yaml.org,2002:"
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ENDS_AT_COMMA = re.compile(r"\s*,")
_CALL = re.compile(r"[^\n\"{}]{0,80}?\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Something wrong, at an offset into the text."""

    index: int
    message: str
    hint: str = ""
    path: Path = ()


class Node:
    """A value with its place.

    Attributes:
        data: Plain data: dict, list, str, int, float, bool or None. An alias shares its anchor's node and data.
        start: Offset of its first code point in the text.
        children: Of a mapping: (offset of the key, node) by key; of a sequence: its nodes; else None.
        size: Nodes below and including this one, aliases expanded.
        depth: Collections from this one down to the deepest, aliases expanded; 0 for a scalar.
    """

    __slots__ = ("children", "data", "depth", "open", "size", "start")

    def __init__(self, data: Any, start: int, children: Any = None) -> None:
        self.data = data
        self.start = start
        self.children: dict[str, tuple[int, Node]] | list[Node] | None = children
        self.size = 1
        self.depth = 0 if children is None else 1
        self.open = False

    def child(self, step: str | int) -> tuple[int, Node] | None:
        """(Offset of the key or item, node) of one step of a path, or None where there is none."""
        if isinstance(self.children, dict):
            return self.children.get(step) if isinstance(step, str) else None
        if isinstance(self.children, list) and isinstance(step, int) and 0 <= step < len(self.children):
            item = self.children[step]
            return item.start, item
        return None


class _StopReadingError(Exception):
    """The rest of the file is not read: it would be unsafe or meaningless."""


@dataclass(slots=True)
class _Frame:
    """A collection that is still open.

    Attributes:
        key: The latest key of a mapping, None before it, and where it has been refused.
        key_start: Its offset; -1 while a key is awaited.
    """

    node: Node
    flow: bool
    key: str | None = None
    key_start: int = -1

    def step(self) -> str | int:
        """Where in the collection the reader stands."""
        return len(self.node.children or ()) if isinstance(self.node.data, list) else self.key or ""


def compose(source: SourceText) -> tuple[Node | None, list[Found]]:
    """The tree of the only document in a text, and everything wrong that was found on the way.

    Returns:
        The root, None when the text holds no document; problems in the order of the text. Where there are problems
        the tree is incomplete.
    """
    composer = _Composer(source)
    try:
        for event in _events(source.text):
            composer.take(event)
    except _StopReadingError:
        pass
    except yaml.YAMLError as error:
        index, message, hint = syntax_problem(error, source)
        composer.found.append(Found(index=index, message=message, hint=hint))
    return composer.root, composer.found


def _events(text: str) -> Iterator[Any]:
    loader = _Loader(text)
    try:
        while loader.check_event():
            yield loader.get_event()
    finally:
        loader.dispose()


class _Composer:
    """Builds the tree from PyYAML's events: no recursion, so that depth and aliases are checked before they hurt."""

    def __init__(self, source: SourceText) -> None:
        self.source = source
        self.root: Node | None = None
        self.found: list[Found] = []
        self._stack: list[_Frame] = []
        self._anchors: dict[str, Node] = {}
        self._documents = 0
        self._nodes = 0
        self._aliased = False

    def take(self, event: Any) -> None:
        """Add one event to the tree."""
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self._place(self._scalar(event), event)
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            self._open(event, mapping=kind is yaml.MappingStartEvent)
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            node = self._stack.pop().node
            node.open = False
            self._place(node, None)
        elif kind is yaml.AliasEvent:
            self._place(self._alias(event), event)
        elif kind is yaml.DocumentStartEvent:
            self._documents += 1
            if self._documents > 1:
                hint = "keep one document in a file; several job groups can be a list under `jobs`"
                self._report(event.start_mark.index, "a second document begins here; a spec is one document", hint)
                raise _StopReadingError

    def _report(self, index: int, message: str, hint: str = "", *steps: str | int) -> None:
        path = (*(frame.step() for frame in self._stack), *steps)
        self.found.append(Found(index=index, message=message, hint=hint, path=tuple(step for step in path if step != "")))

    def _too_deep(self, event: Any) -> NoReturn:
        message = f"nested more than {MAX_DEPTH} levels deep"
        hint = "check the brackets; no spec nests so deep"
        self.found.append(Found(index=event.start_mark.index, message=message, hint=hint))
        raise _StopReadingError

    def _open(self, event: Any, *, mapping: bool) -> None:
        if len(self._stack) >= MAX_DEPTH:
            self._too_deep(event)
        if event.tag not in (None, _CORE + ("map" if mapping else "seq")):
            self._refuse_tag(event)
        self._nodes += 1
        node = Node({}, event.start_mark.index, {}) if mapping else Node([], event.start_mark.index, [])
        node.open = True
        if event.anchor:
            self._anchors[event.anchor] = node
        self._stack.append(_Frame(node, bool(event.flow_style)))

    def _scalar(self, event: Any) -> Node:
        self._nodes += 1
        start = event.start_mark.index
        data: Any = event.value
        try:
            if event.tag is not None:
                data = tagged_value(event.tag, event.value)
            elif event.implicit[0]:
                data = plain_value(event.value)
        except RefusedScalarError as error:
            self._report(start, str(error), error.hint)
        if "(" in event.value:
            self._check_cut_call(event, data)
        node = Node(data, start)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _check_cut_call(self, event: Any, data: Any) -> None:
        """`{amplitude: max(a, b)}` is valid YAML, but means `{amplitude: "max(a", "b)": null}`."""
        if not (event.implicit[0] and self._stack and self._stack[-1].flow and data.count("(") > data.count(")")):
            return
        start, end = event.start_mark.index, event.end_mark.index
        if _ENDS_AT_COMMA.match(self.source.text, end):
            call = _CALL.match(self.source.text, start)
            shown = call and not self.source.holds_secret(event.start_mark.line + 1)
            hint = f"quote the expression: {quoted(call[0], 90)}" if call and shown else "quote the expression"
            self._report(start, "inside { } or [ ] a comma ends the text, here in the middle of a parenthesis", hint)

    def _refuse_tag(self, event: Any) -> None:
        self._report(
            event.start_mark.index, "a tag (`!...`) is refused here", "remove the tag, or quote the text if `!` is part of it"
        )

    def _alias(self, event: Any) -> Node:
        node = self._anchors.get(event.anchor)
        index = event.start_mark.index
        name = "this alias" if self.source.holds_secret(event.start_mark.line + 1) else f"alias {quoted('*' + event.anchor)}"
        if node is None:
            self._report(index, f"{name} has no anchor before it", 'text that begins with "*" needs quotes')
        elif node.open:
            self._report(index, f"{name} contains itself", "write the value out")
        else:
            if len(self._stack) + node.depth > MAX_DEPTH:
                self._too_deep(event)
            self._aliased = True
            return node
        return Node(None, index)

    def _place(self, node: Node, event: Any) -> None:
        """Put a complete node where it belongs: key, value, item or root."""
        if not self._stack:
            self.root = node
            return
        frame = self._stack[-1]
        parent = frame.node
        parent.size += node.size
        parent.depth = max(parent.depth, node.depth + 1)
        if self._aliased and parent.size > MAX_EXPANDED_NODES and parent.size > self._nodes:
            index = event.start_mark.index if event else node.start
            self._report(index, f"aliases expand to more than {MAX_EXPANDED_NODES:,} values", "use fewer aliases, or a CSV file")
            raise _StopReadingError
        if isinstance(parent.children, list):
            parent.children.append(node)
            parent.data.append(node.data)
        elif frame.key_start < 0:
            frame.key_start = event.start_mark.index if event else node.start
            frame.key = self._key(frame, node, event)
        else:
            if frame.key is not None and isinstance(parent.children, dict):
                parent.children[frame.key] = (frame.key_start, node)
                parent.data[frame.key] = node.data
            frame.key, frame.key_start = None, -1

    def _key(self, frame: _Frame, node: Node, event: Any) -> str | None:
        """The key as text, None when it is refused."""
        key, index = node.data, frame.key_start
        if not isinstance(key, str):
            shown = _written(self.source.text, event)
            kind = {dict: "a mapping", list: "a list", type(None): "null", bool: "a boolean"}.get(type(key), "a number")
            hint = f'quote it: "{shown}"' if shown else "a key is text"
            self._report(index, f"a key must be text, this one is {kind}", hint)
            return None
        if key == "<<" and getattr(event, "implicit", (True,))[0]:
            self._report(index, "merge keys (`<<`) are refused", "write the keys out, or give the whole value by an alias")
            return None
        if isinstance(frame.node.children, dict) and key in frame.node.children:
            line, column = self.source.place(frame.node.children[key][0])
            message = f"duplicate key {quoted_key(key)}; the first is at line {line}, column {column}"
            self._report(index, message, "keep one of the two", key)
            return None
        return key


def _written(text: str, event: Any) -> str:
    """A short scalar key as it stands in the text, else empty."""
    if not isinstance(event, yaml.ScalarEvent) or event.start_mark is None or event.end_mark is None:
        return ""
    written = text[event.start_mark.index : event.end_mark.index]
    return written if 0 < len(written) <= 20 and written.isascii() and written.isprintable() else ""
