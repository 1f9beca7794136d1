"""What the service accepts and refuses, and which status follows which. Pure: payloads in, values or `RefusedError` out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from pcs_runner.emulator.declared import read_declared, variables_problem
from pcs_runner.emulator.engines import catalogue
from pcs_runner.pcs.errors import RefusedError
from pcs_runner.pcs.protocol import TERMINAL

LARGEST_DRAW = 2**63
"""Draws are below this: they are kept as SQLite's integers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job that was accepted.

    Attributes:
        runs: Repetitions.
        variables: Values by name as a JSON string, or None.
        sequence: Its own sequence, or None.
        parent_id: Job that it repeats, or None.
        draw: Which draw of the seed it gets, or None: by its position in the batch.
    """

    runs: int
    variables: str | None
    sequence: str | None
    parent_id: str | None = None
    draw: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBatch:
    """A batch that was accepted; fields as in the API."""

    sequence_builder: str | None
    jobs: Sequence[NewJob]
    open: bool
    device_type: str
    tags: Sequence[str]
    webhook: str | None
    configuration: Mapping[str, Any] | None
    backend_configuration: str | None
    parent_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinConfiguration:
    """What a twin reads in a batch's `configuration`; other keys are for others.

    Attributes:
        seed: Of the run.
        first_index: Index in the run of the batch's first job.
        engine: Name of an engine; `auto` is resolved for each sequence.
        accuracy: Allowed infidelity of a point, or None for the engine's default.
    """

    seed: int = 0
    first_index: int = 0
    engine: str = catalogue.AUTO
    accuracy: float | None = None


def refuse(message: str, *, code: str, hint: str = "") -> NoReturn:
    """Say no.

    Raises:
        RefusedError: Always, with status 400.
    """
    raise RefusedError(message, status=400, code=code, description=message, hint=hint)


def new_batch(body: Mapping[str, Any]) -> NewBatch:
    """Check the body of `POST /api/v1/batches`.

    Raises:
        RefusedError: It breaks a rule.
    """
    sequence = body.get("sequence_builder") or None
    is_open = _is_open(body)
    if sequence is not None:
        if not isinstance(sequence, str):
            refuse("sequence_builder is not a JSON string", code="INVALID_SEQUENCE", hint="Send Sequence.to_abstract_repr().")
        read_declared(sequence)
    backend_configuration = _backend_configuration(body.get("backend_configuration"))
    jobs = new_jobs(body.get("jobs") or [], sequence, backend_configuration)
    if not jobs and not is_open:
        refuse("a closed batch needs at least one job", code="NO_JOBS", hint="Send jobs, or create the batch open.")
    configuration = body.get("configuration")
    read_configuration(configuration)
    return NewBatch(
        sequence_builder=sequence,
        jobs=jobs,
        open=is_open,
        device_type=_device_type(body, sequence),
        tags=new_tags(body.get("tags") or []),
        webhook=_webhook(body.get("webhook")),
        configuration=configuration,
        backend_configuration=backend_configuration,
    )


def _is_open(body: Mapping[str, Any]) -> bool:
    """Whether jobs may follow; `complete` is the old opposite of `open`. Closed when nothing is said."""
    given = body.get("open")
    if given is None:
        return body.get("complete") is False
    if not isinstance(given, bool):
        refuse(f"open is {given!r:.50}, it must be true or false", code="INVALID_BATCH")
    return given


def _device_type(body: Mapping[str, Any], sequence: str | None) -> str:
    """Where to run: as asked (`emulator` is the old name), else on the device that the sequence names."""
    given = body.get("device_type") or body.get("emulator")
    if given is not None and not isinstance(given, str):
        refuse(f"device_type is {given!r:.50}, it must be a string", code="INVALID_BATCH")
    return given or (read_declared(sequence).device_name if sequence is not None else "EMU_FREE")


def _webhook(url: Any) -> str | None:
    if url is not None and not isinstance(url, str):
        refuse(f"webhook is {url!r:.50}, it must be a URL", code="INVALID_BATCH")
    return url or None


def repeated_batch(row: Any) -> NewBatch:
    """A closed batch like one of the store's, without jobs and tags: which tags a repeated batch has is not known."""
    return NewBatch(
        sequence_builder=row["sequence_builder"],
        jobs=(),
        open=False,
        device_type=row["device_type"],
        tags=(),
        webhook=row["webhook"],
        configuration=None if row["configuration"] is None else json.loads(row["configuration"]),
        backend_configuration=row["backend_configuration"],
        parent_id=row["id"],
    )


def new_jobs(jobs: Any, batch_sequence: str | None, backend_configuration: str | None = None) -> list[NewJob]:
    """Check the jobs of a request; the first problem refuses all of them.

    Args:
        jobs: As they came.
        batch_sequence: What jobs without their own sequence run, or None.
        backend_configuration: Says the runs of a job that does not (Pulser's remote emulators leave them out).

    Raises:
        RefusedError: A job breaks a rule; the message says which, counted from 0 in this request.
    """
    if isinstance(jobs, str | bytes) or not isinstance(jobs, Sequence):
        refuse("jobs is not a list", code="INVALID_JOBS")
    default_runs = configured_runs(backend_configuration)
    return [_new_job(number, job, batch_sequence, default_runs) for number, job in enumerate(jobs)]


def _new_job(number: int, job: Any, batch_sequence: str | None, default_runs: int | None) -> NewJob:
    if not isinstance(job, Mapping):
        refuse(f"job {number} is not a mapping", code="INVALID_JOB")
    own, variables, runs = job.get("sequence"), job.get("variables"), job.get("runs")
    if own is not None and variables:
        refuse(f"job {number} has variables and its own sequence: it can have one of them", code="INVALID_JOB")
    if own is None and batch_sequence is None:
        refuse(f"job {number} has no sequence, and the batch has none", code="INVALID_JOB")
    if own is not None and not isinstance(own, str):
        refuse(f"job {number}: its sequence is not a JSON string", code="INVALID_SEQUENCE")
    runs = default_runs if runs is None else runs
    if isinstance(runs, bool) or not isinstance(runs, int) or runs < 1:
        refuse(f"job {number}: runs is {runs!r:.50}, it must be an integer of at least 1", code="INVALID_RUNS")
    if variables is not None and not isinstance(variables, Mapping):
        refuse(f"job {number}: variables is not a mapping", code="INVALID_VARIABLES")
    declared = read_declared(own if own is not None else str(batch_sequence))
    if declared.max_runs is not None and runs > declared.max_runs:
        refuse(
            f"job {number}: runs is {runs}, above max_runs {declared.max_runs} of {declared.device_name}",
            code="INVALID_RUNS",
            hint="Ask for fewer runs, or split the job.",
        )
    if problem := variables_problem(declared, variables or {}):
        refuse(f"job {number}: {problem}", code="INVALID_VARIABLES")
    draw = job.get("draw")
    if draw is not None and (isinstance(draw, bool) or not isinstance(draw, int) or not 0 <= draw < LARGEST_DRAW):
        refuse(f"job {number}: draw is {draw!r:.50}, it must be an integer of at least 0", code="INVALID_JOB")
    text = None if own is not None else _variables_text(number, variables or {})
    return NewJob(runs=runs, variables=text, sequence=own, draw=draw)


def _variables_text(number: int, variables: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(variables), allow_nan=False)
    except (TypeError, ValueError) as error:
        refuse(f"job {number}: variables cannot be written as JSON ({error})", code="INVALID_VARIABLES")


def new_tags(tags: Any) -> list[str]:
    """Check tags: a list of strings, each kept once.

    Raises:
        RefusedError: It is something else.
    """
    if isinstance(tags, str) or not isinstance(tags, Sequence) or not all(isinstance(tag, str) for tag in tags):
        refuse("tags is not a list of strings", code="INVALID_TAGS")
    return list(dict.fromkeys(tags))


def _backend_configuration(text: Any) -> str | None:
    if text is None:
        return None
    try:
        if isinstance(json.loads(text), dict):
            return str(text)
    except (TypeError, ValueError):
        pass
    refuse(
        "backend_configuration is not a JSON object in a string",
        code="INVALID_CONFIGURATION",
        hint="Send EmulationConfig.to_abstract_repr().",
    )


def configured_runs(text: str | None) -> int | None:
    """How many bitstrings an `EmulationConfig` (abstract representation) draws at the end; None when it does not say."""
    if text is None:
        return None
    body = json.loads(text)
    observables = body.get("observables")
    for observable in observables if isinstance(observables, list) else ():
        if isinstance(observable, Mapping) and observable.get("observable") == "bitstrings" and observable.get("num_shots"):
            return int(observable["num_shots"])
    shots = body.get("default_num_shots")
    return shots if isinstance(shots, int) else None


def read_configuration(configuration: Any) -> TwinConfiguration:
    """Read what a twin needs of a batch's `configuration`.

    Raises:
        RefusedError: A value of ours is not what it must be, or there is no such engine.
    """
    if configuration is None:
        configuration = {}
    if not isinstance(configuration, Mapping):
        refuse("configuration is not a mapping", code="INVALID_CONFIGURATION")
    values = {name: configuration.get(name, 0) for name in ("seed", "first_index")}
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            refuse(f"configuration: {name} is {value!r:.50}, it must be an integer of at least 0", code="INVALID_CONFIGURATION")
    accuracy = configuration.get("accuracy")
    if accuracy is not None and (isinstance(accuracy, bool) or not isinstance(accuracy, int | float) or not 0 < accuracy < 1):
        refuse(f"configuration: accuracy is {accuracy!r:.50}, it must be between 0 and 1", code="INVALID_CONFIGURATION")
    return TwinConfiguration(
        **values, engine=catalogue.check_name(configuration.get("engine", catalogue.AUTO)), accuracy=accuracy
    )


def check_engine(batch: NewBatch, *, own_classes: bool) -> None:
    """Whether a batch's engine may be loaded.

    Raises:
        RefusedError: It is a class of the user's own, and the twin is not the user's own.
    """
    engine = read_configuration(batch.configuration).engine
    if ":" in engine and not own_classes:
        refuse(f"this twin does not load {engine!r:.80}", code="UNKNOWN_ENGINE", hint="Name one of its engines.")


def check_accepts_jobs(batch_id: str, *, is_open: bool, status: str) -> None:
    """Whether jobs may be added.

    Raises:
        RefusedError: The batch is closed or ended.
    """
    if status in TERMINAL:
        refuse(f"batch {batch_id} is {status}: it takes no more jobs", code="BATCH_ENDED", hint="Create a new batch.")
    if not is_open:
        refuse(f"batch {batch_id} is closed: it takes no more jobs", code="BATCH_CLOSED", hint="Create a new batch.")


def check_cancels_batch(batch_id: str, status: str) -> None:
    """Whether a batch can be cancelled; one that is CANCELED already can.

    Raises:
        RefusedError: It ended otherwise.
    """
    if status in TERMINAL and status != "CANCELED":
        refuse(f"batch {batch_id} is {status}: there is nothing to cancel", code="BATCH_ENDED")


def job_cancel_problem(job_id: str, status: str) -> str | None:
    """Why a job cannot be cancelled, or None."""
    return None if status == "PENDING" else f"job {job_id} is {status}: only a PENDING job can be cancelled"
