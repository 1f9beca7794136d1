"""A spec's YAML as plain data that remembers where everything stands."""

from __future__ import annotations

import difflib
import pathlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pcs_runner.errors import Problem, SpecError
from pcs_runner.spec.nodes import Found, Node, Path, compose
from pcs_runner.spec.source import SourceText, is_secret, quoted, quoted_key

__all__ = ["MAX_BYTES", "Document", "Path", "load_document", "parse_document", "path_text"]

MAX_BYTES = 8 * 1024 * 1024

_PLAIN_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")
# What libyaml refuses, and the three that it takes for line ends and YAML 1.2 does not (U+0085, U+2028, U+2029).
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def path_text(path: Path) -> str:
    """A path for people, `sequence.operations[2].amplitude`; keys that are not plain words as `["a b"]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{quoted_key(step)}]"
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A spec as it was written.

    Attributes:
        file: The spec as the user named it.
        folder: The folder that relative paths in the spec are relative to.
        data_bytes: The file, byte for byte.
        data: Plain dict, list, str, int, float, bool and None. Values given by an alias are shared: do not change them.
        root: The same as nodes with offsets.
        source: The text.
        overrides: Path -> value of what `-S` and `--select` have changed in `data` and `root` (`spec.overrides`).
    """

    file: str
    folder: pathlib.Path
    data_bytes: bytes = field(repr=False)
    data: Any
    root: Node = field(repr=False)
    source: SourceText = field(repr=False)
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def position(self, path: Path, *, key: bool = False) -> tuple[int, int]:
        """Where a value stands, or its key; of the nearest ancestor that exists where the path does not.

        Returns:
            1-based line and column, in code points.
        """
        start, _, _ = self._find(path, key=key)
        return self.source.place(start)

    def problem(
        self, path: Path, message: str, *, hint: str = "", key: bool = False, offset: int = 0, warning: bool = False
    ) -> Problem:
        """A problem at a path, with its position and source line.

        Args:
            path: Where in the data.
            message: What is wrong.
            hint: What to do now.
            key: Whether the key is wrong rather than its value.
            offset: Code points into a scalar on one line, for an error inside text.
            warning: Whether nothing is refused because of it.
        """
        changed = next((one for one in self.overrides if (path_text(path) + ".").startswith((f"{one}.", f"{one}["))), None)
        if changed is not None:
            setting = f"-S {changed}={'***' if is_secret(changed.rpartition('.')[2]) else self.overrides[changed]}"
            return Problem(message=message, file=setting, path=path_text(path), hint=hint, warning=warning)
        start, node, exact = self._find(path, key=key)
        if offset and exact and not key and isinstance(node.data, str):
            start += self._offset_in_text(start, node.data, offset)
        line, column = self.source.place(start)
        return Problem(
            message=message,
            file=self.file,
            line=line,
            column=column,
            path=path_text(path),
            hint=hint,
            source=self.source.excerpt(line, column),
            warning=warning,
        )

    def _find(self, path: Path, *, key: bool) -> tuple[int, Node, bool]:
        """Offset, node, and whether the path was followed to its end."""
        node, start = self.root, self.root.start
        for depth, step in enumerate(path, start=1):
            child = node.child(step)
            if child is None:
                return start, node, False
            key_start, node = child
            start = key_start if key and depth == len(path) else node.start
        return start, node, True

    def _offset_in_text(self, start: int, value: str, offset: int) -> int:
        """Code points from a scalar's start to `offset` inside it; 0 where the text is not written as it reads."""
        quote = 1 if self.source.text[start : start + 1] in ('"', "'") else 0
        return offset + quote if self.source.text.startswith(value, start + quote) else 0


def load_document(path: pathlib.Path, *, file: str | None = None, folder: pathlib.Path | None = None) -> Document:
    """Read and parse a spec.

    Args:
        path: The file.
        file: How to name it in problems; default: the path.
        folder: What relative paths in it are relative to; default: its folder.

    Raises:
        SpecError: The file cannot be read, or is not a strict YAML mapping.
    """
    name = file or str(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _refused(name, "no such file", _nearest_file(path)) from None
    except IsADirectoryError:
        raise _refused(name, "this is a folder, not a file", "name the YAML file in it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _refused(name, f"the file cannot be read: {reason}", "check its permissions") from None
    return parse_document(data, file=name, folder=folder or path.parent)


def parse_document(data: bytes, *, file: str, folder: pathlib.Path) -> Document:
    """Parse the bytes of a spec.

    Raises:
        SpecError: All that is wrong with them as strict YAML 1.2.
    """
    if len(data) > MAX_BYTES:
        hint = "put many points into a CSV file: `sweep: {file: points.csv}`"
        raise _refused(file, f"the file is larger than {MAX_BYTES // 1024**2} MB", hint)
    source = SourceText(_decode(data, file))
    found = _forbidden(source)
    root = None
    if not found:
        root, found = compose(source)
        found = found or _not_a_mapping(root, source)
    if found or root is None:
        raise SpecError(_problem(one, source, file) for one in found)
    return Document(file=file, folder=folder, data_bytes=data, data=root.data, root=root, source=source)


def _decode(data: bytes, file: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # utf-8-sig counts from after the byte order mark
        body = data.removeprefix(b"\xef\xbb\xbf")
        source = SourceText(body.decode("utf-8", errors="replace"))
        index = len(body[: error.start].decode("utf-8", errors="replace"))
        line, column = source.place(index)
        message = f"not UTF-8: byte 0x{body[error.start]:02x}"
        problem = Problem(
            message=message,
            file=file,
            line=line,
            column=column,
            hint="save the file as UTF-8",
            source=source.excerpt(line, column),
        )
        raise SpecError([problem]) from None


def _forbidden(source: SourceText) -> list[Found]:
    match = _FORBIDDEN.search(source.text)
    if match is None:
        return []
    message = f"the invisible character U+{ord(match[0]):04X} is not allowed"
    return [Found(index=match.start(), message=message, hint="remove it, or write it as an escape in double quotes")]


def _not_a_mapping(root: Node | None, source: SourceText) -> list[Found]:
    if root is None or root.data is None:
        return [Found(index=0, message="the file is empty", hint="`pcs-run init` writes a first spec")]
    if isinstance(root.data, dict):
        return []
    kind = "a list" if isinstance(root.data, list) else "a single value"
    unspaced = re.match(r"[A-Za-z_]\w*:\S", source.text[root.start : root.start + 100])
    hint = "write a space after each colon" if unspaced else "begin with `version: 1`"
    return [Found(index=root.start, message=f"a spec is a mapping, this is {kind}", hint=hint)]


def _problem(found: Found, source: SourceText, file: str) -> Problem:
    line, column = source.place(found.index)
    return Problem(
        message=found.message,
        file=file,
        line=line,
        column=column,
        path=path_text(found.path),
        hint=found.hint,
        source=source.excerpt(line, column),
    )


def _refused(file: str, message: str, hint: str) -> SpecError:
    return SpecError([Problem(message=message, file=file, hint=hint)])


def _nearest_file(path: pathlib.Path) -> str:
    try:
        names = [item.name for item in path.parent.iterdir() if item.suffix in {".yaml", ".yml"}]
    except OSError:
        names = []
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean {quoted(str(path.with_name(near[0])), 200)}?" if near else "`pcs-run init` writes a first spec"
