"""A run folder -> what its tables and datasets are made from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pcs_runner.errors import PcsRunnerError, UsageError
from pcs_runner.results.source import REPETITION, Grid, Source, grid_axes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pcs_runner.run.directory import RunFolder
    from pcs_runner.spec.document import Document
    from pcs_runner.spec.models import Spec

MAX_SPEC_ATTRIBUTE = 32_000
"""Characters of a spec that is put into the attributes whole."""


def source_of(folder: RunFolder, group: str | None = None) -> Source:
    """The records of a run with all that labels them.

    Args:
        folder: The run folder.
        group: One job group by its name, None for all.

    Raises:
        UsageError: No group has that name.
        StorageError: The manifest is missing or damaged.
    """
    atoms, manifest = folder.atoms(), folder.read_manifest()
    attributes = _attributes(manifest)
    read = _read_spec(folder)
    if read is None:
        return Source(results=folder.results, atoms=atoms, group=group, attributes=attributes)
    document, spec = read
    names = [one.name or str(number) for number, one in enumerate(spec.groups)]
    if group is not None and group not in names:
        raise UsageError(f"the run has no group {group!r}", hint=f"Its groups are {', '.join(names)}.")
    chosen = names.index(group) if group is not None else 0 if len(names) == 1 else None
    text = document.data_bytes.decode("utf-8", "replace")
    if len(text) <= MAX_SPEC_ATTRIBUTE:
        attributes["spec"] = text
    attributes |= {f"observable_{name}": expression for name, expression in spec.results.observables.items()}
    return Source(
        results=folder.results,
        atoms=atoms,
        group=group,
        grid=None if chosen is None else _grid(folder, document, spec, chosen),
        units=_units(folder, document, spec),
        attributes=attributes,
    )


def _attributes(manifest: Mapping[str, Any]) -> dict[str, str | int]:
    """Provenance as texts and integers: what a netCDF attribute can hold."""
    target, times = manifest.get("target", {}), manifest.get("times", {})
    spec, git = manifest.get("spec") or {}, manifest.get("git") or {}
    told: dict[str, Any] = {
        "title": manifest.get("name"),
        "description": manifest.get("description"),
        "run": manifest.get("run"),
        "plan_digest": manifest.get("digest"),
        "spec_file": spec.get("file"),
        "spec_sha256": spec.get("sha256"),
        "target": target.get("name"),
        "backend": target.get("backend"),
        "target_settings": target,
        "devices": ", ".join(manifest.get("devices", {})),
        "device_sha256": ", ".join(str(one.get("sha256")) for one in manifest.get("devices", {}).values()),
        "seed": manifest.get("seed"),
        "bit_order": manifest.get("bit_order"),
        "one_means": manifest.get("one_means"),
        "git_commit": git.get("commit"),
        "git_dirty": git.get("dirty"),
        "pcs_runner": manifest.get("runner"),
        "python": manifest.get("python"),
        "packages": manifest.get("packages"),
        "created": times.get("created"),
        "started": times.get("started"),
    }
    return {name: _attribute(value) for name, value in told.items() if value is not None and value != ""}


def _attribute(value: Any) -> str | int:
    if isinstance(value, bool | int):
        return int(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _read_spec(folder: RunFolder) -> tuple[Document, Spec] | None:
    """The spec of the run; None when this version cannot read it, as the records can still be used."""
    from pcs_runner.spec.document import parse_document
    from pcs_runner.spec.schema import validate

    try:
        document = parse_document(folder.spec_bytes, file="spec.yaml", folder=folder.inputs)
        return document, validate(document)
    except PcsRunnerError:
        return None


def _grid(folder: RunFolder, document: Document, spec: Spec, number: int) -> Grid | None:
    """The grid that the points of a group form."""
    from pcs_runner.spec.expressions import INTERACTION_COEFF
    from pcs_runner.spec.tables import Inputs
    from pcs_runner.sweep_axes import SweepErrors
    from pcs_runner.sweep_points import compile_points
    from pcs_runner.sweep_steps import constants_of

    group = spec.groups[number]
    coefficient = _coefficient(folder) if INTERACTION_COEFF in json.dumps(document.data) else 0.0
    values, _ = constants_of(spec.constants, {INTERACTION_COEFF: coefficient})
    try:
        points = compile_points(group.sweep, values, seed=spec.seed, inputs=Inputs(document.folder), path=("jobs", "sweep"))
    except SweepErrors:
        return None
    axes = grid_axes(points)
    if axes is None or REPETITION in axes:
        return None
    if group.repeat > 1:
        axes = {REPETITION: tuple(range(group.repeat)), **axes}
    return Grid(axes=axes, shuffled=group.order is not None)


def _coefficient(folder: RunFolder) -> float:
    """C6/ħ of the device of the run, in rad/µs·µm⁶."""
    from pcs_runner.sequence.devices import ResolvedDevice

    name, spec = next(iter(folder.devices().items()))
    return ResolvedDevice(name, spec).interaction_coeff


def _units(folder: RunFolder, document: Document, spec: Spec) -> dict[str, str]:
    from pcs_runner.spec.sequences import FileSequence
    from pcs_runner.spec.units import units_of

    data = document.data
    sequences = [data.get("sequence"), *(overlay.get("sequence") for overlay in spec.variants.values())]
    if isinstance(spec.sequence, FileSequence):
        sequences.append(json.loads((folder.inputs / spec.sequence.file).read_text(encoding="utf-8")))
    return units_of(sequences, [*(group.let for group in spec.groups), spec.constants])
