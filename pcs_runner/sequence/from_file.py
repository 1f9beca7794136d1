"""A sequence in a file of its own: Pulser's abstract representation, whose variables the jobs bind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pcs_runner.sequence.build import SwitchDeviceError, load_sequence
from pcs_runner.sequence.fields import FieldError
from pcs_runner.sequence.mappable import QUBITS, traps_of
from pcs_runner.sequence.variables import SequenceVariable
from pcs_runner.spec.expressions import ExpressionError, from_tree, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pcs_runner.sequence.devices import ResolvedDevice
    from pcs_runner.spec.document import Path
    from pcs_runner.spec.expressions import Expression, Value

PATH: Path = ("sequence", "file")
VERSIONS = frozenset({"pulser_version", "metadata", "$schema"})
"""What Pulser prints about itself: no part of a sequence's identity."""


class FileTemplate:
    """What `Template` is for an inline sequence: one sequence, its variables as the file declares them.

    Args:
        text: The file's content.
        switch: Whether the target puts it on another device.
        env: All names at the first point; decides whether a variable of size 1 travels as a number or as a list.
        qubits_path: Where `qubits` is bound, for messages.
        path: Where in the spec the sequence is named, for messages.

    Raises:
        FieldError: The file is not a sequence in abstract representation.
    """

    structural_names: frozenset[str] = frozenset()

    def __init__(
        self,
        text: str,
        env: Mapping[str, Value],
        *,
        switch: bool = False,
        qubits_path: Path = (QUBITS,),
        path: Path = PATH,
    ) -> None:
        self.file_text = text
        self.switch = switch
        self._qubits_path = qubits_path
        self._path = path
        self.body = parse_sequence(text)
        self.variables = tuple(
            SequenceVariable(
                name=name,
                type="int" if declared.get("type") == "int" else "float",
                size=_size(declared, env.get(name)),
                expression=read(name),
                path=path,
            )
            for name, declared in self.body["variables"].items()
        )
        self._expressions = tuple(expressions_in(self.body["operations"]))

    def key(self, env: Mapping[str, Value]) -> tuple[str, ...]:  # noqa: ARG002 - the interface of Template
        """Always the same: there is one sequence."""
        return ()

    def values(self, env: Mapping[str, Value]) -> dict[str, Any]:
        """The value of every variable at a point, and the `qubits` of a mappable register.

        Raises:
            FieldError: A value is not an integer where the file declares one, or has the wrong size.
        """
        values = {variable.name: variable.value(env) for variable in self.variables}
        if not is_mappable(self.body):
            return values
        names = [str(atom["qid"]) for atom in self.body["register"]]
        return {**values, QUBITS: traps_of(env[QUBITS], names, self._qubits_path)}

    def check_values(self, env: Mapping[str, Value]) -> None:
        """Refuse an expression of the file without a finite value: Pulser computes with NaN and infinity in silence.

        Raises:
            FieldError: At the first one.
        """
        for expression in self._expressions:
            try:
                expression.evaluate(env)
            except ExpressionError as error:
                raise FieldError(self._path, f'{error.message} in "{expression.text}"', error.hint) from error

    def clock_faults(self, env: Mapping[str, Value], periods: Mapping[str, int], *, once: bool) -> Iterator[FieldError]:  # noqa: ARG002
        """None: durations of file sequences are rounded by Pulser, which warns."""
        return iter(())

    def form(self, env: Mapping[str, Value]) -> dict[str, Any]:  # noqa: ARG002
        """The file's content without versions and without its device's spec."""
        return {key: _without_versions(value) for key, value in self.body.items() if key not in VERSIONS | {"device"}}

    def operation_path(self, number: int, env: Mapping[str, Value]) -> Path:  # noqa: ARG002
        """The file."""
        return self._path

    def text(self, env: Mapping[str, Value], device: ResolvedDevice, name: str) -> str:  # noqa: ARG002
        """The file's sequence, on the target's device where it names another (`with_new_device(strict=True)`)."""
        if not self.switch:
            return self.file_text
        try:
            switched = load_sequence(self.file_text).with_new_device(device.pulser, strict=True)
        except Exception as error:  # Pulser raises several unrelated types
            raise SwitchDeviceError(f"the sequence does not run on {device.name} as it is: {error}") from error
        return str(switched.to_abstract_repr(skip_validation=True))


def parse_sequence(text: str) -> dict[str, Any]:
    """Read a sequence file far enough to know its variables and device; Pulser reads the rest.

    Raises:
        FieldError: Not JSON, or not a sequence.
    """
    try:
        body: dict[str, Any] = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise FieldError(PATH, f"the file is not JSON: {error}", "write it with sequence.to_abstract_repr()") from error
    parts = {"operations": list, "register": list, "variables": dict, "channels": dict}
    if not isinstance(body, dict) or "device" not in body or any(not isinstance(body.get(k), kind) for k, kind in parts.items()):
        message = "the file is not a Pulser sequence in abstract representation"
        raise FieldError(PATH, message, "write it with sequence.to_abstract_repr(), not with serialize()")
    return body


def is_mappable(body: Mapping[str, Any]) -> bool:
    """Whether every point has to bring the traps of a sequence's atoms."""
    return any("qid" in atom for atom in body["register"])


def _refuse_constant(text: str) -> object:
    raise ValueError(f"{text} is not a number")


def device_name(body: Mapping[str, Any]) -> str:
    """The name of the device inside a sequence in abstract representation."""
    device = body["device"]
    return device if isinstance(device, str) else str(device.get("name", "device"))


def expressions_in(node: Any) -> Iterator[Expression]:
    """The topmost expression trees below a node of a sequence; one that we cannot read is left to Pulser."""
    if isinstance(node, dict) and "expression" in node:
        try:
            yield from_tree(node)
        except ExpressionError:
            return
    elif isinstance(node, dict | list):
        for value in node.values() if isinstance(node, dict) else node:
            yield from expressions_in(value)


def _size(declared: Mapping[str, Any], value: Value | None) -> int | None:
    size = len(declared.get("value") or [0])
    return size if size > 1 or isinstance(value, tuple) else None


def _without_versions(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_versions(value) for key, value in node.items() if key not in VERSIONS}
    if isinstance(node, list):
        return [_without_versions(value) for value in node]
    return node
