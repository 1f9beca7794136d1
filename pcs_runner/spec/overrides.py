"""Values of a spec changed from outside, by `-S path=value` and `--select`: recorded, and checked like the file itself."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pcs_runner.errors import UsageError
from pcs_runner.spec.document import path_text
from pcs_runner.spec.nodes import Node, compose
from pcs_runner.spec.source import SourceText

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pcs_runner.spec.document import Document, Path

OF_JOBS = frozenset({"runs", "sweep", "let", "where", "order"})
"""Keys of the one group of jobs that a path may begin with."""
_STEP = re.compile(r'\.?(?:([^.\[\]="]+)|\[(\d+)\]|\["([^"]*)"\])')


def read_settings(settings: Iterable[str]) -> dict[str, Any]:
    """`path=value` texts, each value YAML, as path -> plain data; the last one of a path counts.

    Raises:
        UsageError: A text of another form, or a value that is not YAML.
    """
    found: dict[str, Any] = {}
    for text in settings:
        path, equals, value = text.partition("=")
        if not equals or not path.strip():
            raise UsageError(f'-S takes path=value, this is "{text}"', hint="for example -S jobs.runs=100")
        root, problems = compose(SourceText(value))
        if problems:
            raise UsageError(f"-S {text}: {problems[0].message}", hint=problems[0].hint)
        found[path.strip()] = None if root is None else root.data
    return found


def override(document: Document, values: Mapping[str, Any]) -> Document:
    """A document with other values; missing mappings on the way are made.

    Args:
        document: The spec as it was written.
        values: Path, as problems show it, -> plain data. `sweep`, `let`, `where`, `runs` and `order` may leave out `jobs`.

    Raises:
        UsageError: A path that leads through a value, or beyond the end of a list.
    """
    changed = dict(document.overrides)
    root = document.root
    for text, value in values.items():
        path = _path(document, text)
        root = _with(root, path, value, ())
        changed = {known: old for known, old in changed.items() if _steps(known)[: len(path)] != path}
        changed[path_text(path)] = value
    return replace(document, root=root, data=root.data, overrides=changed)


def select(document: Document, condition: str) -> Document:
    """A document whose groups keep only the points for which a condition holds too, by their `where`.

    Raises:
        UsageError: The spec has no jobs.
    """
    jobs = document.data.get("jobs")
    groups = {("jobs", number): group for number, group in enumerate(jobs)} if isinstance(jobs, list) else {("jobs",): jobs}
    values = {}
    for path, group in groups.items():
        if not isinstance(group, dict):
            raise UsageError("--select: the spec has no jobs to select from")
        where = group.get("where")
        values[path_text((*path, "where"))] = condition if where is None else f"({where}) and ({condition})"
    return override(document, values)


def _path(document: Document, text: str) -> Path:
    path = _steps(text)
    if path[0] in OF_JOBS and isinstance(document.data.get("jobs"), dict):
        return ("jobs", *path)
    return path


def _steps(text: str) -> Path:
    """The steps of a path as `path_text` writes it."""
    steps: list[str | int] = []
    place = 0
    while place < len(text):
        found = _STEP.match(text, place)
        if found is None:
            raise UsageError(f'-S: "{text}" is not a path', hint="for example jobs.runs or sequence.operations[2].duration")
        steps.append(int(found[2]) if found[2] is not None else found[3] if found[3] is not None else found[1])
        place = found.end()
    return tuple(steps)


def _with(node: Node, path: Path, value: Any, done: Path) -> Node:
    """A node with another value at a path below it; the nodes beside the path are shared."""
    if not path:
        return _node(value, node.start)
    step, rest = path[0], path[1:]
    here = path_text(done) or "the spec"
    if isinstance(node.children, list) and isinstance(step, int):
        if step >= len(node.children):
            raise UsageError(f"-S: {here} has {len(node.children)} items, there is no [{step}]")
        items = list(node.children)
        items[step] = _with(items[step], rest, value, (*done, step))
        return _collection(items, node.start)
    if isinstance(node.children, dict) and isinstance(step, str):
        start, child = node.children.get(step, (node.start, Node({}, node.start, {})))
        return _collection({**node.children, step: (start, _with(child, rest, value, (*done, step)))}, node.start)
    what = "a list" if isinstance(node.children, list) else "a mapping" if isinstance(node.children, dict) else "a value"
    raise UsageError(f"-S: {here} is {what}, it has no {path_text((step,))}")


def _node(value: Any, start: int) -> Node:
    """Plain data as a node; all of it stands where the old value stood."""
    if isinstance(value, dict):
        return _collection({str(key): (start, _node(one, start)) for key, one in value.items()}, start)
    if isinstance(value, list):
        return _collection([_node(one, start) for one in value], start)
    return Node(value, start)


def _collection(children: dict[str, tuple[int, Node]] | list[Node], start: int) -> Node:
    inside = [one for _, one in children.values()] if isinstance(children, dict) else children
    data: Any = (
        {key: one.data for key, (_, one) in children.items()} if isinstance(children, dict) else [c.data for c in children]
    )
    node = Node(data, start, children)
    node.size = 1 + sum(one.size for one in inside)
    node.depth = 1 + max((one.depth for one in inside), default=0)
    return node
