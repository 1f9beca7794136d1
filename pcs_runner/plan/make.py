"""Document + target -> Plan, in the order in which a spec is refused: schema, references, device, points."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from pcs_runner.errors import SpecError
from pcs_runner.plan.digest import Digest
from pcs_runner.plan.expansion import Expansion, plain_point
from pcs_runner.plan.findings import Findings, point_text
from pcs_runner.plan.plan import Plan
from pcs_runner.plan.target import Target, resolve_target
from pcs_runner.plan.user_code import UserFunctions, in_code
from pcs_runner.plan.variant import FILE_PATH, Source, Variant
from pcs_runner.sequence.choice import Choice
from pcs_runner.sequence.coefficients import C6_BY_LEVEL
from pcs_runner.sequence.devices import DeviceError, ResolvedDevice, resolve_device
from pcs_runner.sequence.emulation import ConfigError, backend_configuration
from pcs_runner.sequence.fields import FieldError
from pcs_runner.sequence.from_file import device_name, parse_sequence
from pcs_runner.spec.document import parse_document
from pcs_runner.spec.expressions import INTERACTION_COEFF
from pcs_runner.spec.names import check_parts
from pcs_runner.spec.observables import observable_problems
from pcs_runner.spec.overrides import override
from pcs_runner.spec.schema import validate
from pcs_runner.spec.sequences import DeviceFile
from pcs_runner.spec.tables import InputError, Inputs
from pcs_runner.spec.variants import constants_changed, variant_document
from pcs_runner.sweep import VARIANT, Group, SweepErrors

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pcs_runner.errors import Problem
    from pcs_runner.plan.expansion import PointError
    from pcs_runner.plan.user_code import Policy
    from pcs_runner.sequence.choice import SequenceTemplate
    from pcs_runner.spec.document import Document, Path
    from pcs_runner.spec.models import Spec

TRIED_POINTS = 100
WELL_KNOWN_DEVICES = ("AnalogDevice", "DigitalAnalogDevice", "MockDevice")
"""Taken for granted where Pulser need not be imported; any other name is looked up."""


def make_plan(
    document: Document, *, target: str | None = None, pinned: Mapping[str, str] | None = None, code: Policy = "refused"
) -> Plan:
    """Plan a spec on a target; reads files beside the spec, sends nothing, builds nothing with Pulser.

    Args:
        document: The spec.
        target: Name of a target; default `local`.
        pinned: Device name -> spec, of a run that is resumed.
        code: What is done with Python code that the spec names.

    Raises:
        SpecError: Everything wrong with the spec that can be said without building a sequence.
        UsageError: No such target.
    """
    spec = validate(document)
    return _Making(document, spec, resolve_target(spec, document, target), pinned or {}, code).plan()


def reference_problems(document: Document, spec: Spec) -> list[Problem]:
    """What is wrong between the parts of a spec, for the target `local`; Pulser is not imported."""
    try:
        making = _Making(document, spec, resolve_target(spec, document, None), {}, "unread")
        return making.references()
    except SpecError as error:
        return list(error.problems)


def plan_from_run(
    spec: bytes,
    inputs: pathlib.Path,
    target: Mapping[str, Any],
    devices: Mapping[str, str],
    overrides: Mapping[str, Any] | None = None,
) -> Plan:
    """The plan of a run folder, from what the folder keeps: the same jobs, whatever happened to the spec and its files since.

    Args:
        spec: The spec, byte for byte.
        inputs: Folder with the files that the spec read.
        target: The target as the manifest keeps it; its `name` counts.
        devices: Device name -> spec, as pinned in the manifest.
        overrides: What the command line changed in the spec, as the manifest keeps it.

    Raises:
        SpecError: The spec is not one for this version.
    """
    document = parse_document(spec, file=str(inputs.parent / "spec.yaml"), folder=inputs)
    document = override(document, overrides or {})
    return make_plan(document, target=str(target["name"]), pinned=devices, code="recorded")


@dataclass(slots=True, kw_only=True)
class _Count:
    """What one pass over the jobs finds."""

    jobs: int = 0
    runs: int = 0
    by_sequence: dict[str, int] = field(default_factory=dict)


class _Making:
    """The steps from a valid spec to a plan; each raises what it finds wrong, all at once."""

    def __init__(self, document: Document, spec: Spec, target: Target, pinned: Mapping[str, str], code: Policy) -> None:
        self.document = document
        self.spec = spec
        self.target = target
        self.pinned = pinned
        self.inputs = Inputs(document.folder)
        self.functions = UserFunctions(code, self.inputs, document.folder)
        self.sources = [Source(document=document, spec=spec)]

    def plan(self) -> Plan:
        self._read_sequence()
        self._call_code()
        self._check_references()
        configuration, devices = self._configuration(), self._devices()
        expansion = self._expansion(devices, {name: device.interaction_coeff for name, device in devices.items()})
        count, digest = self._survey(expansion)
        if any(self._recalibrated(device) for device in devices.values()):
            nominal = {name: device.nominal_interaction_coeff for name, device in devices.items()}
            digest = self._digest_of(self._expansion(devices, nominal))
        self._check_budget(count)
        return Plan(
            document=self.document,
            spec=self.spec,
            target=self.target,
            device=devices[""],
            variants={one.variant: Variant(spec=one.spec, device=devices[one.variant]) for one in self.sources},
            expansion=expansion,
            digest=digest,
            total_jobs=count.jobs,
            total_points=sum(group.total_points for group in expansion.groups),
            dropped_points=sum(group.count().dropped for group in expansion.groups),
            total_runs=count.runs,
            jobs_by_sequence=count.by_sequence,
            inputs={**self.inputs.contents, **self.functions.recorded()},
            backend_configuration=configuration,
            code_warnings=tuple(self.functions.warnings(self.document)),
        )

    # ---- references

    def _read_sequence(self) -> None:
        """Read the sequence of the spec and of each variant."""
        problems: list[Problem] = []
        for name in self.spec.variants:
            document = variant_document(self.document, name)
            try:
                self.sources.append(Source(document=document, spec=validate(document), variant=name))
            except SpecError as error:
                problems += error.problems
        for source in self.sources:
            try:
                source.read(self.inputs, self.functions)
            except InputError as error:
                problems.append(source.document.problem(FILE_PATH, error.message, hint=error.hint))
            except FieldError as error:
                problems.append(source.document.problem(error.path, error.message, hint=error.hint, offset=error.offset))
        self._raise(dict.fromkeys(problems))

    def _call_code(self) -> None:
        """Call the code of each source at its first point, once the names are known to be in order."""
        sources = {source.variant: source for source in self.sources if source.calls is not None}
        if not sources:
            return
        self._raise(self._names())
        guess = C6_BY_LEVEL[70] if self.target.device is None else self._devices()[""].interaction_coeff
        groups = self._groups({source.variant: guess for source in self.sources})  # the code itself says on which device it is
        faults: dict[str, list[tuple[FieldError, Mapping[str, Any]]]] = {name: [] for name in sources}
        unused = dict(sources)
        for group in groups:
            for point in group.points():
                waiting = {name for name, source in sources.items() if not source.file_text and len(faults[name]) < TRIED_POINTS}
                if not waiting:
                    break
                name = _variant(point.env)
                unused.pop(name, None)
                if name in waiting:
                    self._try_call(sources[name], point.env, plain_point(group, point), faults[name])
        called = next((source.file_text for source in sources.values() if source.file_text), "")
        if not called and not any(faults.values()):
            raise self._no_point()
        for source in unused.values():
            source.file_text = called  # no point asks for it: any sequence will do
        self._raise(
            self._first_fault(source.document, *faults[name][0])
            for name, source in sources.items()
            if faults[name] and not source.file_text
        )

    @staticmethod
    def _try_call(
        source: Source, env: Mapping[str, Any], point: Mapping[str, Any], faults: list[tuple[FieldError, Mapping[str, Any]]]
    ) -> None:
        try:
            source.call(env)
        except FieldError as fault:
            faults.append((fault, point))

    def _first_fault(self, document: Document, fault: FieldError, point: Mapping[str, Any]) -> Problem:
        message = fault.message + (f" at {point_text(point)}" if point else "")
        return in_code(document.problem(fault.path, message, hint=fault.hint, offset=fault.offset), fault)

    def references(self) -> list[Problem]:
        """Everything wrong between the parts that can be said without a device."""
        self._read_sequence()
        problems = self._names()
        return [*problems, *self._other_references({problem.path for problem in problems}, device=False)]

    def _check_references(self) -> None:
        problems = self._names()
        self._raise([*problems, *self._other_references({problem.path for problem in problems})] if problems else ())

    def _names(self) -> list[Problem]:
        faults = [
            source.document.problem(f.path, f.message, hint=f.hint, offset=f.offset)
            for source in self.sources
            for f in source.faults
        ]
        changed = frozenset(constants_changed(self.document.data))
        if any("device" in overlay.get("sequence", {}) for overlay in self.spec.variants.values()):
            changed |= {INTERACTION_COEFF}
        parts = [source.part(changed) for source in self.sources]
        observables = observable_problems(self.spec, self.document, self.inputs)
        return [*dict.fromkeys(faults), *observables, *check_parts(parts, inputs=self.inputs)]

    def _other_references(self, told: set[str], *, device: bool = True) -> Iterator[Problem]:
        """What would be found next, said now because something has been found: device and sweeps, but for what was told."""
        unsure = device and any(self._given_device(source)[0] not in WELL_KNOWN_DEVICES for source in self.sources)
        steps: list[Callable[[], object]] = [self._devices] if unsure else []
        steps.append(partial(self._groups, {source.variant: C6_BY_LEVEL[70] for source in self.sources}))
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

    def _given_device(self, source: Source) -> tuple[Any, Path]:
        """The device in use as the spec gives it, and where."""
        if self.target.device is not None:
            return self.target.device, ("targets", self.target.name, "device")
        return source.device, ("sequence", "device")

    def _devices(self) -> dict[str, ResolvedDevice]:
        """Variant -> its device."""
        devices: dict[str, ResolvedDevice] = {}
        problems: list[Problem] = []
        for source in self.sources:
            given, path = self._given_device(source)
            try:
                device = resolve_device(given, self.inputs, self.pinned)
                _ = device.pulser  # refused here, with a place, and not at the first job
            except DeviceError as error:
                problems.append(source.document.problem(path, error.message, hint=error.hint))
                continue
            except InputError as error:
                where = (*path, "file") if isinstance(given, DeviceFile) else path
                problems.append(source.document.problem(where, error.message, hint=error.hint))
                continue
            twin = next((one for one in devices.values() if one.name == device.name), device)
            if twin.spec != device.spec:
                message = f'this device and another variant\'s are both called "{device.name}", and they differ'
                problems.append(source.document.problem(path, message, hint="give one of them another name"))
            devices[source.variant] = twin
        self._raise(dict.fromkeys(problems))
        return devices

    # ---- jobs

    def _recalibrated(self, device: ResolvedDevice) -> bool:
        """Whether the device's coefficient is not the one that identities are computed with, and the spec uses it."""
        if device.interaction_coeff == device.nominal_interaction_coeff:
            return False
        return INTERACTION_COEFF in json.dumps([self.document.data.get(key) for key in ("constants", "sequence", "jobs")])

    def _groups(self, coefficients: Mapping[str, float]) -> list[Group]:
        listed = isinstance(self.spec.jobs, list)
        variants = {source.variant: source.names(coefficients[source.variant]) for source in self.sources if source.variant}
        groups, problems = [], []
        for number, group in enumerate(self.spec.groups):
            path: Path = ("jobs", number) if listed else ("jobs",)
            try:
                groups.append(
                    Group(
                        group,
                        number,
                        self.spec.constants,
                        {INTERACTION_COEFF: coefficients[""]},
                        seed=self.spec.seed,
                        inputs=self.inputs,
                        path=path,
                        runs_override=self.target.runs,
                        runs_path=None if self.target.runs is None else ("targets", self.target.name, "runs"),
                        variants=variants or None,
                    )
                )
            except SweepErrors as errors:
                problems += self._sweep_problems(errors)
        self._raise(problems)
        return groups

    def _sweep_problems(self, errors: SweepErrors) -> list[Problem]:
        return [self.document.problem(e.path, e.message, hint=e.hint, offset=e.offset) for e in errors.errors]

    def _expansion(self, devices: Mapping[str, ResolvedDevice], coefficients: Mapping[str, float]) -> Expansion:
        groups = self._groups(coefficients)
        try:
            template = self._first_template(groups)
        except SweepErrors as errors:
            raise SpecError(self._sweep_problems(errors)) from errors
        if template is None:
            raise self._no_point()
        return Expansion(groups, template, {name: device.name for name, device in devices.items()})

    def _no_point(self) -> SpecError:
        path: Path = ("jobs", 0, "where") if isinstance(self.spec.jobs, list) else ("jobs", "where")
        return SpecError([self.document.problem(path, "no point is left: where drops all of them", hint="loosen it")])

    def _first_template(self, groups: list[Group]) -> SequenceTemplate | None:
        """The sequence as the first point decides it; a few points are tried, so that one bad point is counted like any other."""
        first: tuple[FieldError, Mapping[str, Any]] | None = None
        points = ((group, point) for group in groups for point in group.points())
        for group, point in islice(points, TRIED_POINTS):
            try:
                return self._template(groups, point.env)
            except FieldError as error:
                first = first or (error, plain_point(group, point))
        if first is not None:
            self._raise([self._first_fault(self.document, *first)])
        return None

    def _template(self, groups: list[Group], env: Mapping[str, Any]) -> SequenceTemplate:
        made = {source.variant: partial(source.template, groups, switch=self._switches_device(source)) for source in self.sources}
        if len(made) == 1:
            return made[""](env)
        choice = Choice(lambda env: (_variant(env),), lambda env: made[_variant(env)](env), frozenset({VARIANT}))
        choice.chosen(env)
        return choice

    def _switches_device(self, source: Source) -> bool:
        """Whether the target puts a file's sequence on another device than its own."""
        return bool(source.file_text) and self.target.device not in (None, device_name(parse_sequence(source.file_text)))

    def _survey(self, expansion: Expansion) -> tuple[_Count, str]:
        """Count the jobs and hash them in one pass; every job that cannot be made is reported."""
        count, findings = _Count(), Findings()
        digest = Digest(self.target, expansion.device_names[""], expansion.hashes)

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
        digest = Digest(self.target, expansion.device_names[""], expansion.hashes)
        for job, _ in expansion.walk():
            digest.add(job)
        return digest.hexdigest()

    def _check_budget(self, count: _Count) -> None:
        limit = self.spec.budget.max_runs
        if limit is not None and count.runs > limit:
            message = f"the plan has {count.runs} runs in {count.jobs} jobs, the budget allows {limit}"
            self._raise([self.document.problem(("budget", "max_runs"), message, hint="lower runs or the number of points")])


def _variant(env: Mapping[str, Any]) -> str:
    return str(env.get(VARIANT, ""))
