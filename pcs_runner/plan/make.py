"""Document + target -> Plan, in the order in which a spec is refused: schema, references, device, points."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from pcs_runner.errors import SpecError
from pcs_runner.plan.check import Findings, point_text
from pcs_runner.plan.digest import Digest
from pcs_runner.plan.expansion import Expansion, SequenceTemplate, plain_point
from pcs_runner.plan.plan import Plan
from pcs_runner.plan.target import Target, resolve_target
from pcs_runner.sequence.coefficients import C6_BY_LEVEL
from pcs_runner.sequence.devices import DeviceError, ResolvedDevice, resolve_device
from pcs_runner.sequence.emulation import ConfigError, backend_configuration
from pcs_runner.sequence.from_file import FileTemplate, device_name, parse_sequence
from pcs_runner.sequence.lower import Lowered, lower
from pcs_runner.sequence.template import FieldError, Template
from pcs_runner.spec.document import parse_document
from pcs_runner.spec.expressions import INTERACTION_COEFF
from pcs_runner.spec.names import AXIS_ONLY, check_names
from pcs_runner.spec.schema import validate
from pcs_runner.spec.sequences import DeviceFile, FileSequence, InlineSequence
from pcs_runner.spec.tables import InputError, Inputs
from pcs_runner.sweep import Group, SweepErrors

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pcs_runner.errors import Problem
    from pcs_runner.plan.expansion import PointError
    from pcs_runner.spec.document import Document, Path
    from pcs_runner.spec.models import Spec
    from pcs_runner.spec.sequences import VariableDeclaration

TRIED_POINTS = 100
WELL_KNOWN_DEVICES = ("AnalogDevice", "DigitalAnalogDevice", "MockDevice")
"""Taken for granted where Pulser need not be imported; any other name is looked up."""


def make_plan(document: Document, *, target: str | None = None, pinned: Mapping[str, str] | None = None) -> Plan:
    """Plan a spec on a target; reads files beside the spec, sends nothing, builds nothing with Pulser.

    Args:
        document: The spec.
        target: Name of a target; default `local`.
        pinned: Device name -> spec, of a run that is resumed.

    Raises:
        SpecError: Everything wrong with the spec that can be said without building a sequence.
        UsageError: No such target.
    """
    spec = validate(document)
    return _Making(document, spec, resolve_target(spec, document, target), pinned or {}).plan()


def reference_problems(document: Document, spec: Spec) -> list[Problem]:
    """What is wrong between the parts of a spec, for the target `local`; Pulser is not imported."""
    try:
        making = _Making(document, spec, resolve_target(spec, document, None), {})
        return making.references()
    except SpecError as error:
        return list(error.problems)


def plan_from_run(spec: bytes, inputs: pathlib.Path, target: Mapping[str, Any], devices: Mapping[str, str]) -> Plan:
    """The plan of a run folder, from what the folder keeps: the same jobs, whatever happened to the spec and its files since.

    Args:
        spec: The spec, byte for byte.
        inputs: Folder with the files that the spec read.
        target: The target as the manifest keeps it; its `name` counts.
        devices: Device name -> spec, as pinned in the manifest.

    Raises:
        SpecError: The spec is not one for this version.
    """
    document = parse_document(spec, file=str(inputs.parent / "spec.yaml"), folder=inputs)
    return make_plan(document, target=str(target["name"]), pinned=devices)


@dataclass(slots=True, kw_only=True)
class _Count:
    """What one pass over the jobs finds."""

    jobs: int = 0
    runs: int = 0
    by_sequence: dict[str, int] = field(default_factory=dict)


class _Making:
    """The steps from a valid spec to a plan; each raises what it finds wrong, all at once."""

    def __init__(self, document: Document, spec: Spec, target: Target, pinned: Mapping[str, str]) -> None:
        self.document = document
        self.spec = spec
        self.target = target
        self.pinned = pinned
        self.inputs = Inputs(document.folder)
        self.lowered = Lowered()
        self.file_text = ""

    def plan(self) -> Plan:
        self._refuse_unknown_features()
        self._read_sequence()
        self._check_references()
        configuration, device = self._configuration(), self._device()
        expansion = self._expansion(device.name, device.interaction_coeff)
        count, digest = self._survey(expansion)
        if self._recalibrated(device):
            digest = self._digest_of(self._expansion(device.name, device.nominal_interaction_coeff))
        self._check_budget(count)
        return Plan(
            document=self.document,
            spec=self.spec,
            target=self.target,
            device=device,
            expansion=expansion,
            digest=digest,
            total_jobs=count.jobs,
            total_points=sum(group.total_points for group in expansion.groups),
            dropped_points=sum(group.count().dropped for group in expansion.groups),
            total_runs=count.runs,
            jobs_by_sequence=count.by_sequence,
            inputs=dict(self.inputs.contents),
            backend_configuration=configuration,
        )

    # ---- references

    def _refuse_unknown_features(self) -> None:
        """What the language has and this version does not carry out is refused, not ignored."""
        spec = self.spec
        found: list[tuple[Path, str]] = []
        if spec.variants:
            found.append((("variants",), "variants"))
        if spec.reuse:
            found.append((("reuse",), "reuse of earlier runs"))
        if spec.results.observables:
            found.append((("results", "observables"), "observables over counts"))
        if not isinstance(spec.sequence, InlineSequence | FileSequence):
            found.append((("sequence", "python"), "sequences made by Python code"))
        found += [
            (("results", "formats", number), f"the format {name}")
            for number, name in enumerate(spec.results.formats)
            if name not in {"jsonl", "csv"}
        ]
        self._raise(
            self.document.problem(path, f"this version of pcs-runner does not have {what}", hint="take it out")
            for path, what in found
        )

    def _read_sequence(self) -> None:
        section = self.spec.sequence
        if isinstance(section, InlineSequence):
            self.lowered = lower(section)
            return
        assert isinstance(section, FileSequence)
        path: Path = ("sequence", "file")
        try:
            self.file_text = self.inputs.read(section.file).decode("utf-8", "replace")
            parse_sequence(self.file_text)
        except InputError as error:
            self._raise([self.document.problem(path, error.message, hint=error.hint)])
        except FieldError as error:
            self._raise([self.document.problem(error.path, error.message, hint=error.hint)])

    def references(self) -> list[Problem]:
        """Everything wrong between the parts that can be said without a device."""
        self._read_sequence()
        problems = self._names()
        return [*problems, *self._other_references({problem.path for problem in problems}, device=False)]

    def _check_references(self) -> None:
        problems = self._names()
        self._raise([*problems, *self._other_references({problem.path for problem in problems})] if problems else ())

    def _names(self) -> list[Problem]:
        uses = [(slot.path, slot.expression) for slot in self.lowered.slots()]
        binds = None if not self.file_text else parse_sequence(self.file_text)["variables"]
        problems = [self.document.problem(f.path, f.message, hint=f.hint, offset=f.offset) for f in self.lowered.faults]
        return [*problems, *check_names(self.spec, self.document, uses, binds, inputs=self.inputs)]

    def _other_references(self, told: set[str], *, device: bool = True) -> Iterator[Problem]:
        """What would be found next, said now because something has been found: device and sweeps, but for what was told."""
        unsure = device and self._given_device()[0] not in WELL_KNOWN_DEVICES
        steps: list[Callable[[], object]] = [self._device] if unsure else []
        steps.append(partial(self._groups, C6_BY_LEVEL[70]))
        for step in steps:
            try:
                step()
            except SpecError as error:
                yield from (problem for problem in error.problems if problem.path not in told)

    def _raise(self, problems: Iterable[Problem]) -> None:
        found = list(problems)
        if found:
            raise SpecError(found)

    # ---- device and configuration

    def _configuration(self) -> str | None:
        try:
            chosen = self.target.backend == "local" and self.target.engine != "auto"
            return backend_configuration(self.target.config, own_options=chosen)
        except ConfigError as error:
            overlaid = self.target.name in self.spec.targets and error.key in self.spec.targets[self.target.name].config
            path: Path = ("targets", self.target.name, "config") if overlaid else ("config",)
            path = (*path, error.key) if error.key else path
            raise SpecError([self.document.problem(path, error.message, hint=error.hint)]) from error

    def _given_device(self) -> tuple[Any, Path]:
        """The device in use as the spec gives it, and where."""
        if self.target.device is not None:
            return self.target.device, ("targets", self.target.name, "device")
        section = self.spec.sequence
        given = section.device if isinstance(section, InlineSequence) else parse_sequence(self.file_text)["device"]
        return given, ("sequence", "device")

    def _device(self) -> ResolvedDevice:
        given, path = self._given_device()
        try:
            device = resolve_device(given, self.inputs, self.pinned)
            _ = device.pulser  # refused here, with a place, and not at the first job
        except DeviceError as error:
            raise SpecError([self.document.problem(path, error.message, hint=error.hint)]) from error
        except InputError as error:
            where = (*path, "file") if isinstance(given, DeviceFile) else path
            raise SpecError([self.document.problem(where, error.message, hint=error.hint)]) from error
        return device

    # ---- jobs

    def _recalibrated(self, device: ResolvedDevice) -> bool:
        """Whether the device's coefficient is not the one that identities are computed with, and the spec uses it."""
        if device.interaction_coeff == device.nominal_interaction_coeff:
            return False
        return INTERACTION_COEFF in json.dumps([self.document.data.get(key) for key in ("constants", "sequence", "jobs")])

    def _groups(self, coefficient: float) -> list[Group]:
        listed = isinstance(self.spec.jobs, list)
        groups, problems = [], []
        for number, group in enumerate(self.spec.groups):
            path: Path = ("jobs", number) if listed else ("jobs",)
            try:
                groups.append(
                    Group(
                        group,
                        number,
                        self.spec.constants,
                        {INTERACTION_COEFF: coefficient},
                        seed=self.spec.seed,
                        inputs=self.inputs,
                        path=path,
                        runs_override=self.target.runs,
                        runs_path=None if self.target.runs is None else ("targets", self.target.name, "runs"),
                    )
                )
            except SweepErrors as errors:
                problems += self._sweep_problems(errors)
                continue
            message = 'this version of pcs-runner does not have the axis "{}"'
            problems += [
                self.document.problem((*path, "sweep"), message.format(name), hint="take it out")
                for name in AXIS_ONLY
                if name in groups[-1].names
            ]
        self._raise(problems)
        return groups

    def _sweep_problems(self, errors: SweepErrors) -> list[Problem]:
        return [self.document.problem(e.path, e.message, hint=e.hint, offset=e.offset) for e in errors.errors]

    def _expansion(self, device: str, coefficient: float) -> Expansion:
        groups = self._groups(coefficient)
        try:
            template = self._first_template(groups)
        except SweepErrors as errors:
            raise SpecError(self._sweep_problems(errors)) from errors
        if template is None:
            path: Path = ("jobs", 0, "where") if isinstance(self.spec.jobs, list) else ("jobs", "where")
            raise SpecError([self.document.problem(path, "no point is left: where drops all of them", hint="loosen it")])
        return Expansion(groups, template, device)

    def _first_template(self, groups: list[Group]) -> SequenceTemplate | None:
        """The sequence as the first point decides it; a few points are tried, so that one bad point is counted like any other."""
        first: tuple[FieldError, str] | None = None
        points = ((group, point) for group in groups for point in group.points())
        for group, point in islice(points, TRIED_POINTS):
            try:
                return self._template(groups, point.env)
            except FieldError as error:
                first = first or (error, point_text(plain_point(group, point)))
        if first is not None:
            fault, where = first
            message = fault.message + (f" at {where}" if where else "")
            self._raise([self.document.problem(fault.path, message, hint=fault.hint, offset=fault.offset)])
        return None

    def _template(self, groups: list[Group], env: Mapping[str, Any]) -> SequenceTemplate:
        section = self.spec.sequence
        if not isinstance(section, InlineSequence):
            return FileTemplate(self.file_text, env, switch=self._switches_device())
        varying = frozenset(name for group in groups for name in group.varying)
        computed = frozenset(name for group in groups for name in group.let_names) - varying
        declared = {name: _declaration(kind) for name, kind in section.variables.items()}
        return Template(self.lowered, declared, varying, computed, env)

    def _switches_device(self) -> bool:
        """Whether the target puts a file's sequence on another device than its own."""
        return self.target.device is not None and device_name(parse_sequence(self.file_text)) != self.target.device

    def _survey(self, expansion: Expansion) -> tuple[_Count, str]:
        """Count the jobs and hash them in one pass; every job that cannot be made is reported."""
        count, findings = _Count(), Findings()
        digest = Digest(self.target, expansion.device_name, expansion.hashes)

        def refuse(error: PointError) -> None:
            findings.add_field(error.fault, error.point)

        try:
            for job, _ in expansion.walk(refuse):
                digest.add(job)
                count.jobs += 1
                count.runs += job.runs
                count.by_sequence[job.sequence] = count.by_sequence.get(job.sequence, 0) + 1
        except SweepErrors as errors:
            raise SpecError(self._sweep_problems(errors)) from errors
        refused = sum(finding.count for finding in findings.found.values())
        self._raise(findings.problems(self.document, count.jobs + refused))
        return count, digest.hexdigest()

    def _digest_of(self, expansion: Expansion) -> str:
        digest = Digest(self.target, expansion.device_name, expansion.hashes)
        for job, _ in expansion.walk():
            digest.add(job)
        return digest.hexdigest()

    def _check_budget(self, count: _Count) -> None:
        limit = self.spec.budget.max_runs
        if limit is not None and count.runs > limit:
            message = f"the plan has {count.runs} runs in {count.jobs} jobs, the budget allows {limit}"
            self._raise([self.document.problem(("budget", "max_runs"), message, hint="lower runs or the number of points")])


def _declaration(declared: Literal["int", "float"] | VariableDeclaration) -> tuple[Literal["int", "float"], int | None]:
    """Type and size of a declared variable; a placeholder with several values says the size too."""
    if isinstance(declared, str):
        return declared, None
    placeholders = len(declared.value or ())
    return declared.type, declared.size or (placeholders if placeholders > 1 else None)
