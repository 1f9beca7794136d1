"""A sequence's form + a device -> Pulser's abstract representation and `pulser.Sequence`. No physics check of our own."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pcs_runner.sequence.devices import ResolvedDevice

THREE_D = frozenset({"cubic", "cuboid"})


class RegisterError(Exception):
    """Pulser refuses the register; the message is Pulser's."""


class SwitchDeviceError(Exception):
    """The sequence does not run on the target's device; the message is Pulser's."""


def abstract_representation(form: Mapping[str, Any], device: ResolvedDevice, name: str) -> str:
    """Pulser's abstract representation of a form on a device.

    Args:
        form: `register`, `fields`, `variables`, `operations`, as `Template.form` gives them.
        device: Whose spec is put into the sequence.
        name: Name of the sequence.

    Returns:
        A JSON string that `pulser.Sequence.from_abstract_repr` reads.

    Raises:
        RegisterError: Pulser refuses the register.
    """
    from pulser import __version__

    fields = {key: value for key, value in form["fields"].items() if value is not None or key == "measurement"}
    body = {
        "version": "1",
        "name": name,
        **fields,
        **_register(form["register"], device),
        "variables": form["variables"],
        "operations": form["operations"],
        "pulser_version": __version__,
        "device": device.body,
    }
    if "layout" in fields:
        body["layout"] = fields["layout"]
    return json.dumps(body, ensure_ascii=False)


def load_sequence(text: str) -> Any:
    """The `pulser.Sequence` of an abstract representation; Pulser's warnings are left to the builds."""
    from pulser import Sequence

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Sequence.from_abstract_repr(text)


def build(sequence: Any, variables: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """Build a sequence at a point.

    Returns:
        The built `pulser.Sequence`, and what Pulser warned of.
    """
    if not sequence.declared_variables:
        return sequence, []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        built = sequence.build(**variables)
    return built, [str(warning.message) for warning in caught]


def built_text(sequence: Any) -> str:
    """A built sequence in abstract representation (a JSON string)."""
    return str(sequence.to_abstract_repr(skip_validation=True))


def _register(register: Mapping[str, Any], device: ResolvedDevice) -> dict[str, Any]:
    """`register` and, with an automatic layout, `layout`."""
    if "atoms" in register:
        rows = register["atoms"]
        return {"register": [{"name": name, **dict(zip("xyz", position, strict=False))} for name, position in rows]}
    made: Any = None
    try:
        made = _construct(register["constructor"], dict(register["arguments"]), device)
        if register["automatic_layout"]:
            made = made.with_automatic_layout(device.pulser)
    except (ValueError, TypeError, NotImplementedError, RuntimeError) as error:
        raise RegisterError(_too_many(made, device) or str(error)) from error
    body: dict[str, Any] = json.loads(made.to_abstract_repr())
    return {key: body[key] for key in ("register", "layout") if key in body}


def _too_many(register: Any, device: ResolvedDevice) -> str:
    """Why no layout was found, where the number of atoms is the reason: Pulser speaks of sites."""
    limit = device.body.get("max_atom_num")
    count = 0 if register is None else len(register.qubit_ids)
    return f"{count} atoms, {device.name} allows {limit}" if limit is not None and count > limit else ""


def _construct(name: str, arguments: dict[str, Any], device: ResolvedDevice) -> Any:
    from pulser import Register, Register3D

    if name == "max_connectivity":
        return Register.max_connectivity(device=device.pulser, **{k: v for k, v in arguments.items() if v is not None})
    if name == "from_coordinates":
        arguments = {k: v for k, v in arguments.items() if v is not None}
        if "labels" in arguments:
            arguments.pop("prefix", None)
        cls = Register3D if len(arguments["coords"][0]) == 3 else Register
        return cls.from_coordinates(**arguments)
    return getattr(Register3D if name in THREE_D else Register, name)(**arguments)
