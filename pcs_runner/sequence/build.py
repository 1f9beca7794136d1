"""A sequence's form + a device -> Pulser's abstract representation and `pulser.Sequence`. No physics check of our own."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

from pcs_runner.spec.expressions import from_tree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pcs_runner.sequence.devices import ResolvedDevice

THREE_D = frozenset({"cubic", "cuboid"})
REFUSALS = (ValueError, TypeError, NotImplementedError, RuntimeError)
"""What Pulser raises for registers and layouts that it does not take."""


class RegisterError(Exception):
    """Pulser refuses the register or the layout.

    Args:
        message: Pulser's.
        path: Where below `sequence`.
        hint: What to do.
    """

    def __init__(self, message: str, path: tuple[str, ...] = ("register",), hint: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.hint = hint


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
    placed = _placed(form["register"], fields.pop("layout", None), device)
    body = {
        "version": "1",
        "name": name,
        **fields,
        **placed,
        "variables": form["variables"],
        "operations": [_with_map(operation, placed["register"]) for operation in form["operations"]],
        "pulser_version": __version__,
    }
    return f'{json.dumps(body, ensure_ascii=False)[:-1]}, "device": {device.text}}}'


def _with_map(operation: dict[str, Any], atoms: list[dict[str, Any]]) -> dict[str, Any]:
    """An operation whose detuning map has the places of the atoms that its weights name (`define_detuning_map`)."""
    weights = operation.get("detuning_map", {}).get("weights")
    if weights is None:
        return operation
    places = {atom["name"]: atom for atom in atoms}
    missing = [name for name in weights if name not in places]
    if missing:
        raise RegisterError(f"the detuning map has a weight for {missing[0]}, and the register has no such atom")
    traps = [{"x": places[name]["x"], "y": places[name]["y"], "weight": weight} for name, weight in weights.items()]
    return {**operation, "detuning_map": {"traps": traps}}


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
    if not sequence.declared_variables and not sequence.is_register_mappable():
        return sequence, []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        built = sequence.build(**variables)
    return built, [str(warning.message) for warning in caught]


def built_text(built: Any, text: str = "", variables: Mapping[str, Any] | None = None) -> str:
    """A built sequence in abstract representation (a JSON string).

    Args:
        built: The built `pulser.Sequence`.
        text: The sequence that it was built from, in abstract representation; needed where variables choose targets.
        variables: The variables that it was built with.
    """
    try:
        return str(built.to_abstract_repr(skip_validation=True))
    except TypeError:  # Pulser 1.9 cannot print a target that an element of a variable has chosen
        if not text:
            raise
        literal, _ = build(load_sequence(_with_targets(text, variables or {})), variables or {})
        return str(literal.to_abstract_repr(skip_validation=True))


def _with_targets(text: str, variables: Mapping[str, Any]) -> str:
    """A sequence with numbers for the targets that variables choose."""
    env = {name: tuple(value) if isinstance(value, list) else value for name, value in variables.items()}
    body = json.loads(text)
    for operation in body["operations"]:
        if operation["op"] == "target" and isinstance(operation["target"], dict):
            value = from_tree(operation["target"]).evaluate(env)
            operation["target"] = list(map(int, value)) if isinstance(value, tuple) else int(value)
    return json.dumps(body)


def _placed(register: Mapping[str, Any], layout: Any, device: ResolvedDevice) -> dict[str, Any]:
    """`register` and, where there is one, `layout`."""
    try:
        traps = None if layout is None else _layout(layout, device)
    except REFUSALS as error:
        raise RegisterError(str(error), ("layout",)) from error
    if "atoms" in register:
        rows = [{"name": name, **dict(zip("xyz", position, strict=False))} for name, position in register["atoms"]]
        return {"register": rows} if traps is None else {"register": rows, "layout": _printed(traps)}
    if "mappable" in register:
        return {"register": [{"qid": name} for name in register["mappable"]], "layout": _printed(traps)}
    if register["automatic_layout"]:
        _check_makes_layouts(device)
    made: Any = None
    try:
        made = _construct(register["constructor"], dict(register["arguments"]), device, traps)
        if register["automatic_layout"]:
            made = made.with_automatic_layout(device.pulser)
    except REFUSALS as error:
        raise RegisterError(_too_many(made, device) or str(error)) from error
    if register["constructor"] == "mappable":
        return {"register": [{"qid": name} for name in made.qubit_ids], "layout": _printed(traps)}
    rows = [{"name": str(name), **dict(zip("xyz", at.as_array().tolist(), strict=False))} for name, at in made.qubits.items()]
    layout = made.layout if traps is None else traps
    return {"register": rows} if layout is None else {"register": rows, "layout": _printed(layout)}


def _check_makes_layouts(device: ResolvedDevice) -> None:
    """`Register.with_automatic_layout` takes a `Device`; what is no `Device` sets no rules for layouts."""
    from pulser.devices import Device

    if not isinstance(device.pulser, Device):
        message = f"{device.name} is a virtual device and has no layouts"
        hint = f"remove automatic_layout, which {device.name} does not need, or name a real device"
        raise RegisterError(message, ("register", "automatic_layout"), hint)


def _printed(layout: Any) -> dict[str, Any]:
    """As `to_abstract_repr` prints it; that would validate what Pulser itself has made, as slowly as it was made."""
    body = {"coordinates": layout.coords.tolist()}
    return body if layout.slug is None else {**body, "slug": layout.slug}


def _layout(layout: Any, device: ResolvedDevice) -> Any:
    """The `pulser.register.RegisterLayout` of a name, a lattice or coordinates."""
    from pulser.register import RegisterLayout, special_layouts

    if isinstance(layout, str):
        known = getattr(device.pulser, "calibrated_register_layouts", {})
        if layout not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise ValueError(f'{device.name} has no calibrated layout "{layout}": {has}')
        return known[layout]
    if "coordinates" in layout:
        return RegisterLayout(layout["coordinates"], slug=layout.get("slug"))
    (kind, arguments), *_ = layout.items()
    return getattr(special_layouts, f"{kind.capitalize()}LatticeLayout")(**arguments)


def _too_many(register: Any, device: ResolvedDevice) -> str:
    """Why no layout was found, where the number of atoms is the reason: Pulser speaks of sites."""
    limit = device.body.get("max_atom_num")
    count = 0 if register is None else len(register.qubit_ids)
    return f"{count} atoms, {device.name} allows {limit}" if limit is not None and count > limit else ""


def _construct(name: str, arguments: dict[str, Any], device: ResolvedDevice, layout: Any) -> Any:
    from pulser import Register, Register3D

    if name == "define_register":
        return layout.define_register(*arguments["trap_ids"], qubit_ids=arguments["qubit_ids"])
    if name == "mappable":
        return layout.make_mappable_register(**arguments)
    if name == "max_connectivity":
        return Register.max_connectivity(device=device.pulser, **{k: v for k, v in arguments.items() if v is not None})
    if name == "from_coordinates":
        arguments = {k: v for k, v in arguments.items() if v is not None}
        if "labels" in arguments:
            arguments.pop("prefix", None)
        cls = Register3D if len(arguments["coords"][0]) == 3 else Register
        return cls.from_coordinates(**arguments)
    return getattr(Register3D if name in THREE_D else Register, name)(**arguments)
