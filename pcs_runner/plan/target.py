"""Where a plan runs: the spec's defaults with one target laid over them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pcs_runner.errors import SpecError, UsageError
from pcs_runner.spec.models import BatchOptions, TargetOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pcs_runner.spec.document import Document
    from pcs_runner.spec.models import Spec
    from pcs_runner.spec.sequences import DeviceFile

LOCAL = "local"
DEFAULT_DEVICE_TYPE = "EMU_FREE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a plan runs.

    Attributes:
        name: As the user named it; `local` by default.
        backend: `local` or `pcs`.
        batch: Batch options after the overlay.
        config: Fields of Pulser's `EmulationConfig` after the overlay.
        device: Replaces the sequence's device, or None.
        runs: Replaces the runs of every group, or None.
        seed: Seed of the local engines.
        engine: Name of the local engine.
        accuracy: Allowed infidelity of a point, or None.
        workers: Worker processes, or None for the machine's cores. Not part of the digest.
        region: PCS region.
        provider: Who sells the access.
        reuse: Whether points that earlier runs have are taken from there. Not part of the digest.
    """

    name: str
    backend: str
    batch: BatchOptions
    config: Mapping[str, Any] = field(default_factory=dict)
    device: str | DeviceFile | Mapping[str, Any] | None = None
    runs: int | float | str | None = None
    seed: int = 0
    engine: str = "auto"
    accuracy: float | None = None
    workers: int | None = None
    region: str = "fr"
    provider: str = "pasqal"
    reuse: bool = False

    @property
    def device_type(self) -> str:
        """PCS device type."""
        return self.batch.device_type or DEFAULT_DEVICE_TYPE

    @property
    def spends(self) -> bool:
        """Whether running costs QPU time."""
        return self.backend == "pcs" and not self.device_type.startswith("EMU")


def resolve_target(spec: Spec, document: Document, name: str | None) -> Target:
    """Lay a target over the spec's defaults. `local` always exists and is the default.

    Raises:
        UsageError: No target of that name.
        SpecError: The merged batch options do not fit the language.
    """
    name = name or LOCAL
    if name != LOCAL and name not in spec.targets:
        known = sorted({*spec.targets, LOCAL})
        near = get_close_matches(name, known, 1)
        raise UsageError(
            f'{document.file} has no target "{name}"',
            hint=(f'did you mean "{near[0]}"? ' if near else "") + f"its targets: {', '.join(known)}",
        )
    overlay = spec.targets.get(name, TargetOptions())
    batch = _batch(spec, overlay, document, name)
    if overlay.provider == "ovh":
        batch = batch.model_copy(update={"open": False})  # OVH has no open batches
    target = Target(
        name=name,
        backend=overlay.backend or "local",
        batch=batch,
        config=_merge(spec.config, overlay.config),
        device=overlay.device,
        runs=overlay.runs,
        seed=spec.seed if overlay.seed is None else overlay.seed,
        engine=overlay.engine or "auto",
        accuracy=overlay.accuracy,
        workers=overlay.workers,
        region=overlay.region or "fr",
        provider=overlay.provider or "pasqal",
    )
    return replace(target, reuse=(spec.reuse and not target.spends) if overlay.reuse is None else overlay.reuse)


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings merge by key, everything else is replaced."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _batch(spec: Spec, overlay: TargetOptions, document: Document, name: str) -> BatchOptions:
    merged = _merge(spec.batch.model_dump(exclude_unset=True), overlay.batch)
    try:
        return BatchOptions.model_validate(merged)
    except ValidationError as error:
        problems = []
        for one in error.errors():
            unknown = one["type"] == "extra_forbidden"
            path = ("targets", name, "batch", *one["loc"])
            message = f'unknown key "{one["loc"][-1]}"' if unknown else one["msg"]
            problems.append(document.problem(path, message, key=unknown))
        raise SpecError(problems) from error
