"""The text of a file -> a sequence that Pulser has read, or one clear refusal."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pcs_runner.errors import UsageError
from pcs_runner.sequence.build import load_sequence
from pcs_runner.sequence.fields import FieldError
from pcs_runner.sequence.from_file import VERSIONS, parse_sequence
from pcs_runner.spec.document import path_text
from pcs_runner.spec.name_owners import unusable_name

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 8 * 1024 * 1024
MAX_DEPTH = 400
WRITE_IT = "write it with sequence.to_abstract_repr()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A sequence as Pulser prints it.

    Attributes:
        sequence: The `pulser.Sequence`.
        body: What Pulser prints for it, with every field, as plain data.
        given: Variable -> the values that the file gives as placeholders, where they are not all zero.
        traps: Atom -> the default trap that the file gives, for a mappable register.
        name: The name in the file.
        notes: What was renamed, one sentence each.
    """

    sequence: Any
    body: dict[str, Any]
    given: dict[str, list[float]]
    traps: dict[str, int]
    name: str
    notes: tuple[str, ...] = ()


def read_source(data: bytes, file: str) -> Source:
    """Read a sequence in Pulser's abstract representation.

    Args:
        data: The file.
        file: Its name, for messages.

    Raises:
        UsageError: It is too large, no JSON, no such sequence, or Pulser refuses it.
    """
    text = _decoded(data, file)
    try:
        raw = parse_sequence(text)
    except FieldError as error:
        message, hint = error.message.replace("the file is", "it is", 1), WRITE_IT
        if '"__module__"' in text and '"_build"' in text:
            message, hint = "it is in the legacy format of Pulser's serialize()", f"read it with Pulser, and {WRITE_IT}"
        raise UsageError(f"{file}: {message}", hint=hint) from error
    if _depth(raw) > MAX_DEPTH:
        raise UsageError(f"{file}: it nests deeper than {MAX_DEPTH} levels", hint="compute parts of its expressions beforehand")
    raw, notes = _renamed(raw)
    try:
        sequence = load_sequence(json.dumps(raw))
        body = printed(sequence)
    except Exception as error:  # Pulser raises several unrelated types
        raise UsageError(f"{file}: Pulser refuses the sequence: {_reason(error)}", hint=WRITE_IT) from error
    return Source(
        sequence=sequence,
        body=body,
        given={name: one["value"] for name, one in raw["variables"].items() if any(one.get("value") or ())},
        traps={row["qid"]: int(row["default_trap"]) for row in raw["register"] if "default_trap" in row},
        name=str(raw.get("name", "")),
        notes=notes,
    )


def printed(sequence: Any) -> dict[str, Any]:
    """What Pulser prints for a sequence, as plain data without its name and without versions: equal for equal sequences."""
    body: dict[str, Any] = without_versions(json.loads(sequence.to_abstract_repr(skip_validation=True)))
    body.pop("name", None)
    return body


def without_versions(node: Any) -> Any:
    """The data without what Pulser prints about itself."""
    if isinstance(node, dict):
        return {key: without_versions(value) for key, value in node.items() if key not in VERSIONS}
    return [without_versions(value) for value in node] if isinstance(node, list) else node


def _renamed(raw: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The sequence with names for its variables that the language takes, and what was renamed."""
    names: dict[str, str] = {}
    for name in filter(unusable_name, raw["variables"]):
        new = re.sub(r"\W", "_", name, flags=re.ASCII)
        new = f"{new}_" if re.match("[A-Za-z_]", new) else f"v{new}"
        while new in raw["variables"] or new in names.values():
            new += "_"
        names[name] = new
    if not names:
        return raw, ()
    variables = {names.get(name, name): one for name, one in raw["variables"].items()}
    notes = tuple(f'the variable "{old}" is called "{new}" here, because a spec takes no such name' for old, new in names.items())
    return {**raw, "variables": variables, "operations": _with_names(raw["operations"], names)}, notes


def _with_names(node: Any, names: dict[str, str]) -> Any:
    if isinstance(node, dict):
        return {
            key: names.get(value, value) if key == "variable" and isinstance(value, str) else _with_names(value, names)
            for key, value in node.items()
        }
    return [_with_names(value, names) for value in node] if isinstance(node, list) else node


def _decoded(data: bytes, file: str) -> str:
    if len(data) > MAX_BYTES:
        hint = "name it in a spec instead: `sequence: {file: ...}`"
        raise UsageError(f"{file}: it is larger than {MAX_BYTES // 1024**2} MB", hint=hint)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: it is not UTF-8: {error.reason} at byte {error.start}", hint=WRITE_IT) from error


def _depth(root: Any) -> int:
    deepest, pending = 0, [(root, 1)]
    while pending:
        node, level = pending.pop()
        deepest = max(deepest, level)
        pending.extend((child, level + 1) for child in _children(node))
    return deepest


def _children(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        yield from node.values()
    elif isinstance(node, list):
        yield from node


def _reason(error: Exception) -> str:
    """The reason in a line: of an error of Pulser's schema the deepest one, with its place; else Pulser's words."""
    if hasattr(error, "absolute_path"):
        deepest: Any = error
        while deepest.context:
            deepest = _meant(deepest.context)
        place = path_text(tuple(deepest.absolute_path))
        message = f"{deepest.instance!r} is not known" if deepest.validator == "const" else deepest.message
        return _short(f"{place}: {message}" if place else message)
    chain = error.__cause__ if str(error).endswith("failed.") and error.__cause__ else error
    return _short(str(chain) or type(error).__name__)


def _meant(errors: list[Any]) -> Any:
    """The deepest error of the branch that was meant: one whose `op` or `kind` is right, if there is one."""
    wrong = {one.relative_schema_path[0] for one in errors if one.validator == "const"}
    meant = [one for one in errors if one.relative_schema_path[0] not in wrong]
    return max(meant or [one for one in errors if one.validator == "const"], key=lambda one: len(one.absolute_path))


def _short(text: str, limit: int = 300) -> str:
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= limit else f"{line[: limit - 3]}..."
