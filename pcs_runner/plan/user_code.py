"""Whether and how a plan runs Python code that its spec names: not at all, when allowed, or as a run has recorded it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pcs_runner.sequence.fields import FieldError
from pcs_runner.sequence.python_calls import LiveCalls, RecordedCalls, record_name
from pcs_runner.sequence.python_code import PATH, CodeError, UserCode
from pcs_runner.spec.tables import InputError

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator

    from pcs_runner.errors import Problem
    from pcs_runner.sequence.python_calls import Calls
    from pcs_runner.spec.document import Document
    from pcs_runner.spec.sequences import PythonCall
    from pcs_runner.spec.tables import Inputs

Policy = Literal["refused", "allowed", "recorded", "unread"]
"""`refused`: a problem; `allowed`: run; `recorded`: answered from the run folder; `unread`: left out of what is checked."""


class UserFunctions:
    """The functions that a spec and its variants name; each is opened once.

    Args:
        policy: What is done with them.
        inputs: Reads files beside the spec.
        folder: The spec's folder, to name files in problems.
    """

    def __init__(self, policy: Policy, inputs: Inputs, folder: pathlib.Path) -> None:
        self._policy = policy
        self._inputs = inputs
        self._folder = folder
        self._opened: dict[str, Calls] = {}

    def open(self, call: PythonCall) -> Calls | None:
        """The calls of a function, None where they are not to be read.

        Raises:
            FieldError: It is refused, or its file cannot be read.
        """
        if self._policy == "unread":
            return None
        if self._policy == "refused":
            message = f"this runs the code in {call.file}, which has not been allowed"
            raise FieldError(PATH, message, "read the file; where you trust it, say --allow-code (in Python: allow_code=True)")
        name = record_name(call.file, call.function)
        if name not in self._opened:
            self._opened[name] = self._calls(call, name)
        return self._opened[name]

    def _calls(self, call: PythonCall, name: str) -> Calls:
        try:
            if self._policy == "recorded":
                return RecordedCalls(self._inputs.read(name))
            return LiveCalls(UserCode(self._inputs.read(call.file), str(self._folder / call.file)), call.function)
        except InputError as error:
            raise FieldError((*PATH, "file"), error.message, error.hint) from error

    def recorded(self) -> dict[str, bytes]:
        """The calls that were made, as files of a run folder's inputs."""
        return {name: calls.recorded() for name, calls in self._opened.items() if isinstance(calls, LiveCalls)}

    def warnings(self, document: Document) -> Iterator[Problem]:
        """What Pulser warned of inside the calls, each with the arguments that it was first said for."""
        for calls in self._opened.values():
            for message, (arguments, count) in calls.warnings.items():
                text = " ".join(message.split()).rstrip(".")
                suffix = f" ({count} of {calls.count} calls, first: {arguments})" if arguments else ""
                yield document.problem(PATH, text + suffix, warning=True)


def in_code(problem: Problem, fault: FieldError | None) -> Problem:
    """The problem at the line of the user's code where the fault is in that code; else as it is."""
    if not isinstance(fault, CodeError):
        return problem
    return replace(problem, file=fault.file, line=fault.line, column=fault.column, source=fault.source)
