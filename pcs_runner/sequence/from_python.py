"""A sequence made by a user's function: each distinct set of arguments gives a sequence, whose variables the jobs bind."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pcs_runner.sequence.fields import FieldError, evaluate
from pcs_runner.sequence.from_file import FileTemplate, device_name
from pcs_runner.sequence.mappable import QUBITS
from pcs_runner.sequence.python_code import PATH
from pcs_runner.spec.expressions import ExpressionError, float_text, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pcs_runner.sequence.devices import ResolvedDevice
    from pcs_runner.sequence.python_calls import Calls
    from pcs_runner.sequence.variables import SequenceVariable
    from pcs_runner.spec.document import Path
    from pcs_runner.spec.expressions import Expression, Value
    from pcs_runner.spec.sequences import PythonCall

KEPT = 256


def argument_uses(call: PythonCall) -> list[tuple[Path, Expression]]:
    """The expressions of a call's arguments, with their places.

    Raises:
        FieldError: One does not parse.
    """
    uses: list[tuple[Path, Expression]] = []
    for name, value in call.arguments.items():
        path: Path = (*PATH, "arguments", name)
        try:
            uses.append((path, read(value)))
        except ExpressionError as error:
            raise FieldError(path, error.message, error.hint, error.offset) from error
    return uses


def arguments_at(uses: list[tuple[Path, Expression]], env: Mapping[str, Value]) -> dict[str, Value]:
    """The arguments of the call at a point.

    Raises:
        FieldError: An expression fails there.
    """
    return {str(path[-1]): evaluate(expression, env, path) for path, expression in uses}


class PythonTemplate:
    """What `Template` is for an inline sequence.

    Args:
        calls: Sequences by arguments.
        uses: The expressions of the arguments.
        varying: Names that vary.
        env: All names at the first point.
        device: The device that the sequences are made for, as Pulser prints it.
        switch: Whether the target puts the sequences on another device.
        qubits_path: Where `qubits` is bound, for messages.

    Raises:
        FieldError: The function fails at the first point.
    """

    def __init__(
        self,
        calls: Calls,
        uses: list[tuple[Path, Expression]],
        varying: frozenset[str],
        env: Mapping[str, Value],
        *,
        device: Any,
        switch: bool = False,
        qubits_path: Path = (QUBITS,),
    ) -> None:
        self.calls = calls
        self.structural_names = frozenset(name for _, expression in uses for name in expression.names & varying)
        self._uses = uses
        self._template: Callable[[str], FileTemplate] = lru_cache(KEPT)(
            lambda text: FileTemplate(text, env, switch=switch, qubits_path=qubits_path, path=PATH)
        )
        self._device = device
        self.variables: tuple[SequenceVariable, ...] = ()
        self.variables = self._like_the_others(self._made(env), first=True).variables

    def key(self, env: Mapping[str, Value]) -> tuple[str, ...]:
        """The arguments at a point.

        Raises:
            FieldError: An expression fails there.
        """
        return tuple(f"{name}={float_text(value)}" for name, value in arguments_at(self._uses, env).items())

    def values(self, env: Mapping[str, Value]) -> dict[str, Any]:
        """The value of every variable at a point, and the `qubits` of a mappable register.

        Raises:
            FieldError: A value is not an integer where the sequence declares one, or has the wrong size.
        """
        return self._at(env).values(env)

    def check_values(self, env: Mapping[str, Value]) -> None:
        """Refuse an expression of the sequence without a finite value.

        Raises:
            FieldError: At the first one.
        """
        self._at(env).check_values(env)

    def clock_faults(self, env: Mapping[str, Value], periods: Mapping[str, int], *, once: bool) -> Iterator[FieldError]:  # noqa: ARG002
        """None: Pulser rounds such durations, and warns."""
        return iter(())

    def form(self, env: Mapping[str, Value]) -> dict[str, Any]:
        """The sequence without versions and without its device's spec, and the hash of the code.

        Raises:
            FieldError: The function fails at this point.
        """
        return {**self._at(env).form(env), "code": self.calls.code_hash}

    def text(self, env: Mapping[str, Value], device: ResolvedDevice, name: str) -> str:
        """The sequence in Pulser's abstract representation, on the target's device where it names another."""
        return self._at(env).text(env, device, name)

    def operation_path(self, number: int, env: Mapping[str, Value]) -> Path:  # noqa: ARG002
        """The code."""
        return PATH

    def _made(self, env: Mapping[str, Value]) -> FileTemplate:
        return self._template(self.calls.text(arguments_at(self._uses, env)))

    def _at(self, env: Mapping[str, Value]) -> FileTemplate:
        """The sequence at a point.

        Raises:
            FieldError: The function fails, or its sequence has other variables or another device than the first one.
        """
        return self._like_the_others(self._made(env))

    def _like_the_others(self, template: FileTemplate, *, first: bool = False) -> FileTemplate:
        if not first and template.variables != self.variables:
            ours, theirs = (", ".join(one.name for one in both) or "none" for both in (template.variables, self.variables))
            message = f"the sequence has other variables than at the first point: {ours}, not {theirs}"
            raise FieldError(
                PATH, message, "declare the same variables, with the same types and sizes, whatever the arguments are"
            )
        if template.body["device"] != self._device:
            ours, theirs = device_name(template.body), device_name({"device": self._device})
            message = f"the sequence is on {ours} here, and at the first point on {theirs}, or on another version of it"
            raise FieldError(PATH, message, "use one device in a run; a target names another one for all points")
        return template
