"""The calls of a user's function: made when they are asked for, each once; or as a run has recorded them, without any code."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any, Protocol

from pcs_runner.sequence.fields import FieldError
from pcs_runner.sequence.python_code import PATH
from pcs_runner.spec.expressions import float_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pcs_runner.sequence.python_code import UserCode
    from pcs_runner.spec.expressions import Value


class Calls(Protocol):
    """Sequences by the arguments that they are made from.

    Attributes:
        code_hash: SHA-256 of the file's content.
        warnings: What Pulser warned of -> the arguments of the first call, and the number of calls.
    """

    code_hash: str
    warnings: dict[str, tuple[str, int]]

    @property
    def count(self) -> int:
        """Number of distinct calls."""

    def text(self, arguments: Mapping[str, Value]) -> str:
        """The sequence for some arguments, in Pulser's abstract representation (a JSON string)."""


def record_name(file: str, function: str) -> str:
    """Where a run keeps the calls of a function, beside its copy of the file."""
    return f"{file}.{function}.jsonl"


def arguments_text(arguments: Mapping[str, Value]) -> str:
    """Arguments to 12 significant digits: what tells one call from another, on every machine."""
    return ", ".join(f"{name}={float_text(value)}" for name, value in sorted(arguments.items()))


class LiveCalls:
    """Calls the function, and remembers what it returned; packed, about 1 KB a sequence.

    Args:
        code: The file.
        function: Name of the function in it.
    """

    def __init__(self, code: UserCode, function: str) -> None:
        self.code_hash = code.hash
        self.warnings: dict[str, tuple[str, int]] = {}
        self._code = code
        self._function = function
        self._made: dict[str, bytes] = {}

    @property
    def count(self) -> int:
        """Number of distinct calls."""
        return len(self._made)

    def text(self, arguments: Mapping[str, Value]) -> str:
        """The sequence for some arguments.

        Raises:
            FieldError: The code fails (`CodeError`), or does not take these arguments.
        """
        key = arguments_text(arguments)
        if key not in self._made:
            plain = {name: list(value) if isinstance(value, tuple) else value for name, value in arguments.items()}
            text, warnings = self._code.call(self._function, plain)
            self._made[key] = zlib.compress(text.encode())
            built = not json.loads(text)["variables"]  # the others warn when they are built
            for warning in warnings if built else ():
                first, count = self.warnings.get(warning, (key, 0))
                self.warnings[warning] = (first, count + 1)
        return zlib.decompress(self._made[key]).decode()

    def recorded(self) -> bytes:
        """Every call in a line of JSON, for `RecordedCalls`."""
        rows = (
            {"code": self.code_hash, "arguments": key, "sequence": zlib.decompress(packed).decode()}
            for key, packed in self._made.items()
        )
        return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode()


class RecordedCalls:
    """Answers from what `LiveCalls.recorded` wrote; runs no code.

    Args:
        content: Lines of JSON.

    Raises:
        FieldError: It is damaged.
    """

    def __init__(self, content: bytes) -> None:
        self.warnings: dict[str, tuple[str, int]] = {}
        try:
            rows: list[dict[str, Any]] = [json.loads(line) for line in content.splitlines()]
            self._made = {row["arguments"]: zlib.compress(row["sequence"].encode()) for row in rows}
            self.code_hash = str(rows[0]["code"])
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise FieldError(PATH, "the recorded calls of the run are damaged", "restore inputs/ of the run folder") from error

    @property
    def count(self) -> int:
        """Number of distinct calls."""
        return len(self._made)

    def text(self, arguments: Mapping[str, Value]) -> str:
        """The sequence that was recorded for some arguments.

        Raises:
            FieldError: There was no such call.
        """
        key = arguments_text(arguments)
        if key not in self._made:
            message = f"the run has recorded no call with {key or 'no arguments'}"
            raise FieldError(PATH, message, "restore inputs/ of the run folder")
        return zlib.decompress(self._made[key]).decode()
