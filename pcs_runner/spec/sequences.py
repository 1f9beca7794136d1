"""The three forms of a sequence, and the register and device of an inline one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator
from typing_extensions import TypeAliasType

from pcs_runner.spec.operations import Basis, Operation
from pcs_runner.spec.values import Identifier, Model, Number, Value

CONSTRUCTORS = (
    "square",
    "rectangle",
    "rectangular_lattice",
    "triangular_lattice",
    "hexagon",
    "max_connectivity",
    "from_coordinates",
    "cubic",
    "cuboid",
    "define_register",
    "mappable",
)
ON_LAYOUT = frozenset({"define_register", "mappable"})
"""Constructors that are methods of a layout."""

LAYOUTS = ("square", "rectangular", "triangular", "coordinates")

Prefix = Annotated[str | None, Field(description="Atoms are named prefix0, prefix1, ...")]
Spacing = Annotated[Number, Field(description="Distance between neighbours (µm).")]


class SquareArguments(Model):
    """Arguments of Pulser's `Register.square`."""

    side: Number = Field(description="Atoms along a side.")
    spacing: Spacing = 4.0
    prefix: Prefix = "q"


class RectangleArguments(Model):
    """Arguments of Pulser's `Register.rectangle`."""

    rows: Number = Field(description="Number of rows.")
    columns: Number = Field(description="Number of columns.")
    spacing: Spacing = 4.0
    prefix: Prefix = "q"


class RectangularLatticeArguments(Model):
    """Arguments of Pulser's `Register.rectangular_lattice`."""

    rows: Number = Field(description="Number of rows.")
    columns: Number = Field(description="Number of columns.")
    row_spacing: Number = Field(4.0, description="Distance between rows (µm).")
    col_spacing: Number = Field(2.0, description="Distance between columns (µm).")
    prefix: Prefix = "q"


class TriangularLatticeArguments(Model):
    """Arguments of Pulser's `Register.triangular_lattice`."""

    rows: Number = Field(description="Number of rows.")
    atoms_per_row: Number = Field(description="Atoms in a row.")
    spacing: Spacing = 4.0
    prefix: Prefix = "q"


class HexagonArguments(Model):
    """Arguments of Pulser's `Register.hexagon`."""

    layers: Number = Field(description="Layers around the central atom.")
    spacing: Spacing = 4.0
    prefix: Prefix = "q"


class MaxConnectivityArguments(Model):
    """Arguments of Pulser's `Register.max_connectivity`; the device is the spec's."""

    n_qubits: Number = Field(description="Number of atoms.")
    spacing: Number | None = Field(None, description="Distance between neighbours (µm); default: the device's minimum.")
    prefix: Prefix = "q"


class FromCoordinatesArguments(Model):
    """Arguments of Pulser's `Register.from_coordinates`, which centres the atoms unless told otherwise."""

    coords: list[list[Number]] = Field(min_length=1, description="[x, y] or [x, y, z] of each atom (µm).")
    center: bool = Field(default=True, description="Move the centre of the atoms to the origin.")
    prefix: Prefix = "q"
    labels: list[str] | None = Field(None, description="Names of the atoms, instead of a prefix.")


class CubicArguments(Model):
    """Arguments of Pulser's `Register3D.cubic`."""

    side: Number = Field(description="Atoms along a side.")
    spacing: Spacing = 4.0
    prefix: Prefix = "q"


class CuboidArguments(Model):
    """Arguments of Pulser's `Register3D.cuboid`."""

    rows: Number = Field(description="Number of rows.")
    columns: Number = Field(description="Number of columns.")
    layers: Number = Field(description="Number of layers.")
    spacing: Spacing = 4.0
    prefix: Prefix = "q"


class DefineRegisterArguments(Model):
    """Arguments of Pulser's `RegisterLayout.define_register`: atoms on traps of the sequence's `layout`."""

    trap_ids: list[Number] = Field(min_length=1, description="Numbers of the traps, from 0, first atom first.")
    qubit_ids: list[str] | None = Field(None, description="Names of the atoms; default: q0, q1, ...")


class MappableArguments(Model):
    """Arguments of Pulser's `RegisterLayout.make_mappable_register`: the traps come with each point, as `qubits`."""

    n_qubits: Number = Field(description="Number of atoms.")
    prefix: Annotated[str, Field(description="Atoms are named prefix0, prefix1, ...")] = "q"


class RegisterConstructor(Model):
    """A register by one of Pulser's constructors."""

    square: SquareArguments | None = Field(None, description="Pulser's `Register.square`.")
    rectangle: RectangleArguments | None = Field(None, description="Pulser's `Register.rectangle`.")
    rectangular_lattice: RectangularLatticeArguments | None = Field(None, description="Pulser's `Register.rectangular_lattice`.")
    triangular_lattice: TriangularLatticeArguments | None = Field(None, description="Pulser's `Register.triangular_lattice`.")
    hexagon: HexagonArguments | None = Field(None, description="Pulser's `Register.hexagon`.")
    max_connectivity: MaxConnectivityArguments | None = Field(None, description="Pulser's `Register.max_connectivity`.")
    from_coordinates: FromCoordinatesArguments | None = Field(
        None, description="Pulser's `from_coordinates`, which centres the atoms."
    )
    cubic: CubicArguments | None = Field(None, description="Pulser's `Register3D.cubic`.")
    cuboid: CuboidArguments | None = Field(None, description="Pulser's `Register3D.cuboid`.")
    define_register: DefineRegisterArguments | None = Field(None, description="Atoms on traps of the sequence's `layout`.")
    mappable: MappableArguments | None = Field(None, description="Atoms whose traps come with each point, as `qubits`.")
    automatic_layout: bool = Field(default=False, description="Put the atoms on a layout made for the device.")

    @model_validator(mode="after")
    def _one_constructor(self) -> RegisterConstructor:
        if len(self.model_fields_set & set(CONSTRUCTORS)) != 1:
            raise ValueError(f"a register has exactly one constructor of {', '.join(CONSTRUCTORS)}")
        return self

    @property
    def constructor(self) -> str:
        """The name of the constructor."""
        return next(name for name in CONSTRUCTORS if getattr(self, name) is not None)

    @property
    def arguments(self) -> Model:
        """The constructor's arguments."""
        arguments: Model = getattr(self, self.constructor)
        return arguments


class Atom(Model):
    """An atom as Pulser prints it."""

    name: str = Field(description="Name of the atom.")
    x: Number = Field(description="µm")
    y: Number = Field(description="µm")
    z: Number | None = Field(None, description="µm")


class MappableAtom(Model):
    """An atom of a mappable register as Pulser prints it; its trap comes with each point, as `qubits`."""

    qid: str = Field(description="Name of the atom.")
    default_trap: int | None = Field(None, description="A placeholder that Pulser prints; ignored.")


def _atom_form(value: Any) -> str:
    return "mappable" if isinstance(value, MappableAtom) or (isinstance(value, dict) and "qid" in value) else "placed"


PrintedAtom = Annotated[
    Annotated[Atom, Tag("placed")] | Annotated[MappableAtom, Tag("mappable")],
    Discriminator(_atom_form),
]


def _register_form(value: Any) -> str:
    if isinstance(value, RegisterConstructor):
        return "constructor"
    if isinstance(value, dict):
        return "constructor" if set(value) & {*CONSTRUCTORS, "automatic_layout"} else "coordinates"
    return "atoms"


Register = TypeAliasType(
    "Register",
    Annotated[
        Annotated[RegisterConstructor, Tag("constructor")]
        | Annotated[
            dict[str, Annotated[list[Number], Field(min_length=2, max_length=3, description="[x, y] or [x, y, z] in µm")]],
            Field(min_length=1),
            Tag("coordinates"),
        ]
        | Annotated[list[PrintedAtom], Field(min_length=1), Tag("atoms")],
        Discriminator(_register_form),
    ],
)
"""A Pulser constructor by name, coordinates by atom, or the list that Pulser prints."""


class SquareLayoutArguments(Model):
    """Arguments of Pulser's `SquareLatticeLayout`."""

    rows: Number = Field(description="Number of rows of traps.")
    columns: Number = Field(description="Number of columns of traps.")
    spacing: Number = Field(description="Distance between neighbouring traps (µm).")


class RectangularLayoutArguments(Model):
    """Arguments of Pulser's `RectangularLatticeLayout`."""

    rows: Number = Field(description="Number of rows of traps.")
    columns: Number = Field(description="Number of columns of traps.")
    col_spacing: Number = Field(description="Distance between columns (µm).")
    row_spacing: Number = Field(description="Distance between rows (µm).")


class TriangularLayoutArguments(Model):
    """Arguments of Pulser's `TriangularLatticeLayout`."""

    n_traps: Number = Field(description="Number of traps.")
    spacing: Number = Field(description="Distance between neighbouring traps (µm).")


class TrapLayout(Model):
    """Traps by one of Pulser's lattices, or by their coordinates."""

    square: SquareLayoutArguments | None = Field(None, description="Pulser's SquareLatticeLayout.")
    rectangular: RectangularLayoutArguments | None = Field(None, description="Pulser's RectangularLatticeLayout.")
    triangular: TriangularLayoutArguments | None = Field(None, description="Pulser's TriangularLatticeLayout.")
    coordinates: list[Annotated[list[Number], Field(min_length=2, max_length=3)]] | None = Field(
        None, min_length=1, description="[x, y] or [x, y, z] of each trap (µm)."
    )
    slug: str | None = Field(None, description="Name of a layout that is given by coordinates.")
    pulser_version: str | None = Field(None, description="Printed by Pulser; not needed.")

    @model_validator(mode="after")
    def _one_kind(self) -> TrapLayout:
        if len(self.model_fields_set & set(LAYOUTS)) != 1:
            raise ValueError(f"a layout has exactly one of {', '.join(LAYOUTS)}")
        return self

    @property
    def kind(self) -> str:
        """Which of them it is."""
        return next(name for name in LAYOUTS if getattr(self, name) is not None)


Layout = TypeAliasType(
    "Layout",
    Annotated[
        Annotated[str, Tag("name")] | Annotated[TrapLayout, Tag("traps")],
        Discriminator(lambda value: "name" if isinstance(value, str) else "traps"),
    ],
)
"""The name of one of the device's calibrated layouts, a lattice by Pulser's arguments, or trap coordinates."""


class DeviceFile(Model):
    """A device in a JSON file of its own."""

    file: str = Field(description="Device in Pulser's abstract representation, relative to the spec.")


def _device_form(value: Any) -> str:
    if isinstance(value, str):
        return "name"
    return "file" if isinstance(value, DeviceFile) or (isinstance(value, dict) and set(value) == {"file"}) else "mapping"


Device = TypeAliasType(
    "Device",
    Annotated[
        Annotated[str, Tag("name")] | Annotated[DeviceFile, Tag("file")] | Annotated[dict[str, Any], Tag("mapping")],
        Discriminator(_device_form),
    ],
)
"""A device's name, a file, or its abstract representation in full."""


class VariableDeclaration(Model):
    """How a name travels to Pulser."""

    type: Literal["int", "float"] = Field(description="Pulser's type.")
    size: int | None = Field(None, ge=1, description="Number of values; default: as the name's value.")
    value: list[int | float] | None = Field(None, description="A placeholder that Pulser prints; ignored.")


Variables = dict[
    str,
    Annotated[
        Annotated[Literal["int", "float"], Tag("type")] | Annotated[VariableDeclaration, Tag("declaration")],
        Discriminator(lambda value: "type" if isinstance(value, str) else "declaration"),
    ],
]


class InlineSequence(Model):
    """A sequence in the keys of Pulser's abstract representation, made writable by hand."""

    device: Device = Field(description="Name of a device, `{file: device.json}`, or the device in full.")
    register_: Register = Field(alias="register", description="The atoms: a Pulser constructor, or coordinates in µm.")
    layout: Layout | None = Field(
        None,
        description="The traps that the register lies on: a calibrated layout of the device by name, a lattice, or coordinates.",
    )
    channels: dict[str, str] = Field(description="Channel name: the device's channel id. Empty where only DMMs are used.")
    variables: Variables = Field(default_factory=dict, description="Names that must be Pulser variables; inferred when left out.")
    operations: list[Operation] = Field(description="What happens, in order.")
    measurement: Basis | None = Field("ground-rydberg", description="Basis that is measured at the end.")
    magnetic_field: Annotated[list[Number], Field(min_length=3, max_length=3)] | None = Field(
        None, description="x, y, z in Gauss."
    )
    slm_mask_targets: list[str] | None = Field(
        None, description="Names of the atoms that the SLM masks during the first global pulse."
    )
    clock: Literal["strict", "round"] = Field(
        "strict", description="`round` accepts Pulser's rounding of durations off the clock."
    )
    version: str | None = Field(None, description="Printed by Pulser; not needed.")
    name: str | None = Field(None, description="Printed by Pulser; not needed.")
    pulser_version: str | None = Field(None, description="Printed by Pulser; not needed.")
    metadata: dict[str, Any] | None = Field(None, description="Printed by Pulser; not needed.")
    schema_: str | None = Field(None, alias="$schema", description="Printed by Pulser; not needed.")


class FileSequence(Model):
    """A sequence in a file of its own."""

    file: str = Field(description="Sequence in Pulser's abstract representation, relative to the spec.")


class PythonCall(Model):
    """A function that returns a `pulser.Sequence`."""

    file: str = Field(description="Python file, relative to the spec.")
    function: Identifier = Field(description="Function in that file that returns a `pulser.Sequence`.")
    arguments: dict[Identifier, Value] = Field(default_factory=dict, description="Its arguments; expressions are allowed.")


class PythonSequence(Model):
    """A sequence made by Python code; refused without `--allow-code`."""

    python: PythonCall = Field(description="The function and its arguments.")


def _sequence_form(value: Any) -> str:
    if isinstance(value, dict):
        return "file" if "file" in value else "python" if "python" in value else "inline"
    return "file" if isinstance(value, FileSequence) else "python" if isinstance(value, PythonSequence) else "inline"


Sequence = Annotated[
    Annotated[InlineSequence, Tag("inline")] | Annotated[FileSequence, Tag("file")] | Annotated[PythonSequence, Tag("python")],
    Discriminator(_sequence_form),
]
