"""Reference problems of a spec that the schema refuses: what is left of it is mended and checked too; all come together."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pcs_runner.errors import SpecError
from pcs_runner.plan.make import reference_problems
from pcs_runner.spec.schema import validate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pcs_runner.errors import Problem
    from pcs_runner.spec.document import Document, Path
    from pcs_runner.spec.models import Spec

ROUNDS = 8
MAX_NODES = 20_000
"""Larger specs are not mended: each round copies and checks the whole."""

STAND_INS: dict[str, Any] = {
    "version": 1,
    "name": "mended",
    "device": "MockDevice",
    "register": {"mended": [0, 0]},
    "channels": {"mended": "mended"},
    "operations": [],
    "op": "delay",
    "kind": "constant",
    "runs": 1,
    "values": [0, 0],
    "samples": [0],
}
"""For a key that is missing; 0 for every other one. Without `sequence` or `jobs` there is nothing to check."""

BINDING = frozenset({"constants", "let", "sweep", "grid", "zip", "product", "concat", "points", "random", "variables", "file"})
"""Keys whose values bind names: without such a value nobody knows which."""

_STEP = re.compile(r'\.?([A-Za-z_$][\w$-]*)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]')
_WORD = re.compile(r"[A-Za-z_]\w*")
_NAMED = re.compile(r'"([A-Za-z_]\w*)"')
_UNBOUND = re.compile(r'unknown name "|nothing (?:binds|uses) |"\w+" is not bound in ')
"""How `spec.names` says that a name has no owner, or no use."""


def problems_beside(document: Document, refused: Iterable[Problem]) -> list[Problem]:
    """What is wrong between the parts of a spec, as far as that can be said beside what the schema refuses.

    Args:
        document: The spec.
        refused: What the schema refuses.

    Returns:
        Reference problems that are no consequence of the others; empty where too little of the spec is left.
    """
    if document.root.size > MAX_NODES:
        return []
    mending = _Mending(document)
    spec = mending.spec(refused)
    if spec is None:
        return []
    mended = replace(document, data=mending.data)
    return [problem for problem in reference_problems(mended, spec) if not mending.explains(problem)]


class _Mending:
    """Takes out what the schema refuses and puts stand-ins where something is missing, and remembers what it touched."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.data: Any = copy.deepcopy(document.data)
        self.words: set[str] = set()
        self.touched: set[Path] = set()

    def spec(self, problems: Iterable[Problem]) -> Spec | None:
        """The mended spec, None when it cannot be mended."""
        for _ in range(ROUNDS):
            for problem in problems:
                if not self._mend(problem):
                    return None
            try:
                return validate(replace(self.document, data=self.data))
            except SpecError as error:
                problems = error.problems
        return None

    def explains(self, problem: Problem) -> bool:
        """Whether a reference problem may follow from what was mended."""
        path = _steps(problem.path)
        near = any(path == one[:-1] or path[: len(one)] == one for one in self.touched)
        lost = any(one[-1] in BINDING for one in self.touched) and _UNBOUND.match(problem.message) is not None
        return near or lost or any(name in self.words for name in _NAMED.findall(problem.message))

    def _mend(self, problem: Problem) -> bool:
        path = _steps(problem.path)
        missing = re.fullmatch(r'missing key "(\w+)"', problem.message)
        if missing is not None:
            return self._fill(path, missing[1])
        return bool(path) and path[0] != "version" and self._take_out(path)

    def _fill(self, path: Path, key: str) -> bool:
        holder = _at(self.data, path)
        if not isinstance(holder, dict) or (not path and key in {"sequence", "jobs"}):
            return False
        holder[key] = copy.deepcopy(STAND_INS.get(key, 0))
        self.touched.add((*path, key))
        return True

    def _take_out(self, path: Path) -> bool:
        while path and isinstance(path[-1], int):  # the places of the other items must not change
            path = path[:-1]
        holder = _at(self.data, path[:-1])
        if not path or not isinstance(holder, dict) or path[-1] not in holder:
            return False
        self.words |= set(_words(path[-1])) | set(_words(holder.pop(path[-1])))
        self.touched.add(path)
        return True


def _steps(text: str) -> Path:
    """The path that `path_text` wrote."""
    return tuple(
        int(match[2]) if match[2] is not None else json.loads(match[3]) if match[3] is not None else match[1]
        for match in _STEP.finditer(text)
    )


def _at(data: Any, path: Path) -> Any:
    for step in path:
        inside = isinstance(step, str) and step in data if isinstance(data, dict) else isinstance(step, int) and step < len(data)
        if not isinstance(data, dict | list) or not inside:
            return None
        data = data[step]  # type: ignore[index]
    return data


def _words(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield from _WORD.findall(node)
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from _words(key)
            yield from _words(value)
    elif isinstance(node, list):
        for value in node:
            yield from _words(value)
