"""The whole spec as a pydantic model: the one source of the JSON Schema in `schemas/` and of what the rest reads."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from pcs_runner.spec.jobs import JobGroup, Jobs
from pcs_runner.spec.sequences import Device, Sequence
from pcs_runner.spec.values import Identifier, Model, Number, Value

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"


class OnFailure(Model):
    """What a failed job means for the others."""

    policy: Literal["continue", "stop"] = Field("continue", description="`stop`: send nothing more after a failure.")
    retries: int = Field(0, ge=0, le=100, description="How often a failed job is sent again.")


class BatchOptions(Model):
    """How the jobs travel."""

    device_type: str | None = Field(None, min_length=1, description="PCS device type; default EMU_FREE.")
    open: bool = Field(default=True, description="Stream the jobs into an open batch.")
    chunk: int = Field(100, ge=1, le=10_000, description="Jobs in a request.")
    max_jobs: int | None = Field(None, ge=1, description="Jobs in a batch; more make several.")
    split: Literal["sequence"] | None = Field(None, description="`sequence`: a batch of its own for each sequence.")
    tags: list[str] = Field(default_factory=list, description="Added to the runner's own.")
    webhook: str | None = Field(None, description="Where PCS posts results.")
    configuration: dict[str, Any] | None = Field(None, description="Legacy emulator settings, passed through.")
    on_failure: OnFailure = Field(default=OnFailure(), description="What a failed job means for the others.")


class TargetOptions(Model):
    """Where a spec runs, and what is different there."""

    backend: Literal["local", "pcs"] | None = Field(None, description="`local`: this machine (default); `pcs`: Pasqal Cloud.")
    batch: dict[str, Any] = Field(default_factory=dict, description="Merged over the spec's `batch`.")
    config: dict[str, Any] = Field(default_factory=dict, description="Merged over the spec's `config`.")
    device: Device | None = Field(None, description="Replaces the sequence's device.")
    runs: Number | None = Field(None, description="Replaces the runs of every group.")
    seed: int | None = Field(None, ge=0, description="Replaces the spec's `seed`.")
    region: Literal["fr", "sa"] | None = Field(None, description="pcs: region of the cloud; default fr.")
    provider: Literal["pasqal", "ovh"] | None = Field(None, description="pcs: who sells the access; default pasqal.")
    engine: str | None = Field(None, min_length=1, description="local: auto, qutip, or another engine.")
    accuracy: float | None = Field(None, gt=0, lt=1, description="local: allowed infidelity of a point.")
    workers: int | None = Field(None, ge=1, le=1024, description="local: worker processes; default: the machine's cores.")
    reuse: bool | None = Field(None, description="Replaces the spec's `reuse`; on a QPU only this counts, since days differ.")


class ResultOptions(Model):
    """What is written."""

    directory: str = Field("runs", min_length=1, description="Relative to the current directory.")
    formats: list[Literal["jsonl", "csv", "parquet", "netcdf"]] = Field(
        default=["jsonl", "csv"], description="Files that are written."
    )
    raw: bool = Field(default=False, description="Keep the shots in order.")
    report: bool = Field(default=True, description="Write report.html.")
    observables: dict[Identifier, str] = Field(
        default_factory=dict,
        description="Name: expression of n_mean, occupation, occupation[i], correlation[i, j], staggered_magnetization and "
        "probability['0101'], each a mean over the shots of a job; atoms count from 0.",
    )


class Budget(Model):
    """A plan above this is refused."""

    max_runs: int | None = Field(None, ge=0, description="Most repetitions, over all jobs.")
    max_credits: float | None = Field(None, ge=0, description="Most credits.")


class Spec(Model):
    """One experiment: a pulse sequence, the jobs that sweep its variables, and how they are batched."""

    version: Literal[1] = Field(description="Version of this language.")
    name: str = Field(pattern=NAME_PATTERN, description="Names the run folder and the batch tag.")
    description: str = Field("", description="What the experiment is, in a sentence.")
    constants: dict[Identifier, Value] = Field(default_factory=dict, description="Names and their values, in order.")
    sequence: Sequence = Field(description="The pulse sequence: written here, `{file: ...}`, or `{python: ...}`.")
    variants: dict[Identifier, dict[str, Any]] = Field(
        default_factory=dict, description="Named overlays of `sequence` and `constants`."
    )
    jobs: Jobs = Field(description="A group of jobs with its sweep, or a list of groups.")
    batch: BatchOptions = Field(default=BatchOptions(), description="How the jobs travel.")
    config: dict[str, Any] = Field(default_factory=dict, description="Fields of Pulser's EmulationConfig.")
    targets: dict[str, TargetOptions] = Field(default_factory=dict, description="Where the spec runs, by name.")
    results: ResultOptions = Field(default=ResultOptions(), description="What is written, and where.")
    budget: Budget = Field(default=Budget(), description="A plan above this is refused.")
    reuse: bool = Field(default=False, description="Take over what earlier runs measured at the same points.")
    seed: int = Field(0, ge=0, description="Seed of the local engines and of random sweeps.")

    @property
    def groups(self) -> tuple[JobGroup, ...]:
        """The job groups in order."""
        return tuple(self.jobs) if isinstance(self.jobs, list) else (self.jobs,)
