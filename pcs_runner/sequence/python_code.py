"""A user's Python function, called for a sequence. What it raises is said at its own line; what it prints goes to the log."""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import sys
import traceback
import types
import warnings
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pcs_runner.sequence.fields import FieldError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pcs_runner.spec.document import Path

PATH: Path = ("sequence", "python")
_LOG = logging.getLogger(__name__)


class CodeError(FieldError):
    """Something wrong in the user's code.

    Args:
        message: What.
        file: The file, as problems show it.
        line: The line there, 1-based, or 0 when unknown.
        source: That line.
        hint: What to do.
    """

    def __init__(self, message: str, *, file: str, line: int = 0, source: str = "", hint: str = "") -> None:
        super().__init__(PATH, message, hint)
        self.file = file
        self.line = line
        self.source = source

    @property
    def column(self) -> int:
        """Where the source line's text begins, 1-based; 0 when there is none."""
        return len(self.source) - len(self.source.lstrip()) + 1 if self.source.strip() else 0


class UserCode:
    """A Python file whose functions can be called; it is run once, at the first call.

    Nothing beside the file can be imported from its folder: a run keeps this file alone.

    Args:
        content: The file, byte for byte.
        shown: Its name in problems.
    """

    def __init__(self, content: bytes, shown: str) -> None:
        self.hash = sha256(content).hexdigest()
        self._content = content
        self._shown = shown
        self._module: types.ModuleType | None = None

    def call(self, function: str, arguments: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
        """The sequence that a function returns.

        Args:
            function: Its name.
            arguments: By name: numbers, and lists for arrays.

        Returns:
            Pulser's abstract representation (a JSON string), and what Pulser warned of, each text once.

        Raises:
            CodeError: The code fails, or returns something else than a `pulser.Sequence`.
            FieldError: It does not take these arguments.
        """
        target = self._function(function)
        try:
            inspect.signature(target).bind(**arguments)
        except (TypeError, ValueError) as error:
            given = ", ".join(arguments) or "none"
            message = f"{function}{_signature(target)} does not take these arguments: {error}"
            raise FieldError((*PATH, "arguments"), message, f"given: {given}") from error
        first = target.__code__.co_firstlineno if hasattr(target, "__code__") else 0
        with self._guarded(first), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            text = self._text(target(**arguments), function, first)
        told = dict.fromkeys(str(one.message) for one in caught if one.category is UserWarning)
        return text, tuple(told)

    def _text(self, made: Any, function: str, line: int) -> str:
        from pulser import Sequence

        if not isinstance(made, Sequence):
            raise self._error(f"{function} returns a {type(made).__name__}, not a pulser.Sequence", line, "return the sequence")
        return str(made.to_abstract_repr(skip_validation=True))

    def _function(self, name: str) -> Callable[..., Any]:
        if self._module is None:
            module = types.ModuleType(f"pcs_run_{self.hash[:12]}")
            module.__file__ = self._shown
            with self._guarded(0):
                code = compile(self._content, self._shown, "exec", dont_inherit=True)
                sys.modules[module.__name__] = module  # dataclasses and pickle look a class's module up
                exec(code, module.__dict__)  # noqa: S102  what `--allow-code` allows
            self._module = module
        found = getattr(self._module, name, None)
        if not callable(found):
            there = [key for key, one in vars(self._module).items() if inspect.isfunction(one) and not key.startswith("_")]
            hint = f"it has {', '.join(there)}" if there else "define it there"
            raise FieldError((*PATH, "function"), f'{self._shown} has no function "{name}"', hint)
        function: Callable[..., Any] = found
        return function

    @contextlib.contextmanager
    def _guarded(self, line: int) -> Iterator[None]:
        """Turn whatever the code raises into a `CodeError` at its innermost line in this file, else at `line`."""
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                yield
        except (FieldError, KeyboardInterrupt):
            raise
        except BaseException as error:  # SystemExit too: the user's code does not end the runner
            place, text = self._place(error, line)
            hint = _hint(error)
            raise self._error(text, place, hint) from error
        finally:
            for said in printed.getvalue().splitlines():
                _LOG.info("%s printed: %s", self._shown, said)

    def _place(self, error: BaseException, line: int) -> tuple[int, str]:
        if isinstance(error, SyntaxError) and error.filename == self._shown:
            return error.lineno or 0, f"{type(error).__name__}: {error.msg}"
        lines = [frame.lineno or 0 for frame in traceback.extract_tb(error.__traceback__) if frame.filename == self._shown]
        said = " ".join(str(error).split())
        said = said if len(said) <= 300 else f"{said[:297]}..."
        return (lines or [line])[-1], f"{type(error).__name__}: {said}" if said else type(error).__name__

    def _error(self, message: str, line: int, hint: str = "") -> CodeError:
        lines = self._content.decode("utf-8", "replace").splitlines()
        source = lines[line - 1] if 0 < line <= len(lines) else ""
        return CodeError(message, file=self._shown, line=line, source=source, hint=hint)


def _hint(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        return "install the module, or put its code into this file: a run keeps this file alone"
    return ""


def _signature(function: Callable[..., Any]) -> str:
    try:
        return str(inspect.signature(function))
    except ValueError:
        return "(...)"
