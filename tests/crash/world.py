"""One point: a folder, a cloud and a spec of its own; what runs there; and what must be true in the end."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crash.tally import Tally
from pcs_runner.emulator.workers import read_body
from pcs_runner.errors import PcsRunnerError
from pcs_runner.pcs.errors import RefusedError
from pcs_runner.pcs.protocol import TERMINAL
from pcs_runner.run.execute import open_run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from crash.cloud import Cloud
    from crash.zygote import Runner, Zygote

SPEC = """\
version: 1
name: crash
constants: {{omega: 6.0}}
sequence:
  device: AnalogDevice
  register: {{from_coordinates: {{coords: [[0, 0]]}}, automatic_layout: true}}
  channels: {{ising: rydberg_global}}
  operations: [{{op: pulse, duration: 200, amplitude: omega, detuning: 0}}]
jobs: {{runs: 20, sweep: {{grid: {{omega: [4, 4, 4, 4, 4, 9, 9, 9]}}}}}}
targets:
  twin:
    backend: pcs
    engine: qutip
    batch: {batch}
  local: {{engine: qutip}}
results: {{report: {report}}}
"""

TOTAL = 8
"""Jobs of the plan; neighbours are equal in content, so that the tail of a batch does not tell which of them it holds."""

VARIANTS: Mapping[str, str] = {
    "open": "{chunk: 3}",
    "closed": "{open: false}",
    "several": "{chunk: 2, max_jobs: 3}",
    "several_closed": "{open: false, max_jobs: 3}",
    "retries": "{chunk: 3, on_failure: {retries: 1}}",
}
REPORTED = "reported"
"""A variant like `open` that also writes its report in the end, which takes as long as the rest."""

BATCHES = {"several": 3, "several_closed": 3}
FAILING: Mapping[str, Mapping[float, int]] = {"retries": {4.0: 2, 9.0: 1}}
"""Value of omega -> how many of its first jobs fail: the first attempts of jobs 0, 1 and 5."""

POLL_S, SETTLE_S = "0.02", "0.05"

UNLIKE = ("batch_id", "job_id", "started_at", "ended_at")
"""What may differ between two runs of one plan."""

DEATH = -9


def spec_text(variant: str) -> str:
    """The spec of a variant."""
    return SPEC.format(batch=VARIANTS.get(variant, VARIANTS["open"]), report=str(variant == REPORTED).lower())


@dataclass(kw_only=True)
class World:
    """A place to die in.

    Attributes:
        folder: Everything of it is here.
        variant: One of `VARIANTS`, or `REPORTED`.
        own: Whether the run has a folder of its own (`-o`), or the default one.
        faults: Rules of `FaultLayer`.
    """

    folder: Path
    variant: str
    cloud: Cloud
    zygote: Zygote
    own: bool = True
    faults: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("home", "cloud", "bin"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.spec.write_text(spec_text(self.variant), encoding="utf-8")
        self.open()
        jobs = (job for batch in self.cloud.batches() for job in batch["jobs"])
        failed = Counter(job["variables"]["omega"] for job in jobs if job["status"] == "ERROR")
        self.cloud.device.failures = Counter(FAILING.get(self.variant, {})) - failed

    def open(self) -> None:
        """Serve this world's twin."""
        self.cloud.open(self.folder / "cloud", faults=self.faults)

    @property
    def spec(self) -> Path:
        return self.folder / "crash.yaml"

    @property
    def run(self) -> Path:
        """The run folder, once there is one."""
        if self.own:
            return self.folder / "run"
        return next((self.folder / "runs" / "crash").glob("2*"), self.folder / "runs" / "none")

    @property
    def command(self) -> list[str]:
        """`pcs-run SPEC`, the same each time."""
        return [str(self.spec), "-t", "twin", *(["-o", str(self.run)] if self.own else [])]

    def start(self, command: Sequence[str], *, name: str = "said", traced: bool = False) -> Runner:
        """Start a runner in this world."""
        home = str(self.folder / "home")
        environment = {
            **self.cloud.environment,
            "PATH": str(self.folder / "bin"),  # empty: no git
            "HOME": home,
            "XDG_CACHE_HOME": home,
            "XDG_CONFIG_HOME": home,
            "PASQAL_CONFIG_ROOT": home,
            "PCS_RUNNER_POLL_S": POLL_S,
            "PCS_RUNNER_SETTLE_S": SETTLE_S,
            "PCS_RUNNER_PATIENCE_S": "5",
            "NO_COLOR": "1",
        }
        return self.zygote.start(
            command, environment=environment, folder=self.folder, output=self.folder / f"{name}.txt", traced=traced
        )

    def carry_out(self, command: Sequence[str], *, name: str = "said") -> int | None:
        """Run a command to its end, whatever that is; None when it had to be killed."""
        runner = self.start(command, name=name)
        self.cloud.fuse.pid = runner.pid
        return runner.wait()

    def die(
        self,
        at: int,
        when: str,
        command: Sequence[str] | None = None,
        *,
        others: Sequence[int] = (),
        counts: Callable[[str], bool] = bool,
    ) -> bool:
        """Run until the n-th request; whether it came so far.

        Args:
            at: Which request, from 1.
            when: One of `cloud.MOMENTS`.
            command: What is run; `command` by default.
            others: Exit codes beside 0 of a run that did not come so far.
            counts: Which requests count, by their `METHOD path`.
        """
        self.cloud.fuse.set(at, when, counts)
        code = self.carry_out(command or self.command, name="killed")
        blown = self.cloud.fuse.blown
        self.cloud.fuse.set(0, when)
        assert code in ((DEATH,) if blown else (0, *others)), f"{code}: {(self.folder / 'killed.txt').read_text()}"
        return blown

    def resumption(self, number: int) -> list[str]:
        """The same command once more, or `pcs-run resume RUN` where there is a run and the number is odd."""
        is_run = (self.run / "manifest.json").exists() and not (self.run / ".incomplete").exists()
        return ["resume", str(self.run)] if is_run and number % 2 else self.command

    def go_on(self, number: int = 0) -> int | None:
        """Carry it to the end, whatever `resumption` says."""
        return self.carry_out(self.resumption(number))

    def said(self) -> str:
        """What the last runner printed."""
        return (self.folder / "said.txt").read_text(encoding="utf-8", errors="replace")

    def save(self, to: Path) -> None:
        """Copy everything of this world, and end it; nobody may be running in it."""
        self.cloud.shut()
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(self.folder, to)

    def lines(self) -> list[dict[str, Any]]:
        """The records."""
        path = self.run / "results.jsonl"
        return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []

    def content(self, name: str) -> bytes:
        """A file of the run; empty when it is not there."""
        path = self.run / name
        return path.read_bytes() if path.exists() else b""

    def stored(self) -> list[dict[str, Any]]:
        """The batches that hold jobs or could take some; an empty one that is over has cost nothing."""
        return [batch for batch in self.cloud.batches() if batch["jobs"] or batch["status"] not in TERMINAL]


def without(lines: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Records without what may differ."""
    return [{name: value for name, value in line.items() if name not in names} for line in lines]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What an undisturbed run of a variant gave.

    Attributes:
        lines: Its records.
        tables: Its CSV files, by name.
        requests: Number of requests that it made.
    """

    lines: Sequence[Mapping[str, Any]]
    tables: Mapping[str, bytes]
    requests: int

    @classmethod
    def of(cls, world: World) -> Reference:
        return cls(
            lines=world.lines(),
            tables={name: (world.run / name).read_bytes() for name in ("results.csv", "counts.csv")},
            requests=world.cloud.fuse.count,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What may be in the end because the service itself did it.

    Attributes:
        repeated: It may have batches and jobs beyond the plan.
        moved: It ended batches or jobs, which were done again elsewhere: only what was measured counts.
        parted: It kept a part of the jobs that came with a closed batch; the others have one of their own.
    """

    repeated: bool = False
    moved: bool = False
    parted: bool = False


def examine(world: World, code: int | None, reference: Reference, allowed: Allowed) -> tuple[Tally, str]:
    """Look at everything after a run has ended: the service, the results, the journal.

    Args:
        world: Where it ended.
        code: Its exit code.
        reference: What it should have given.
        allowed: What is not its fault.

    Returns:
        The counts of this one point, and what was found, for people.
    """
    tally, found = Tally(points=1), list[str]()
    world.cloud.quiet()
    batches = world.stored()
    beyond = _examine_service(world, batches, reference, tally, found, allowed)
    _examine_end(world, code, tally, found, beyond)
    _examine_records(world, batches, reference, tally, found, exact=not (allowed.repeated or allowed.moved))
    return tally, "; ".join(found)


def _examine_end(world: World, code: int | None, tally: Tally, found: list[str], beyond: int) -> None:
    """The run has ended and says so; nothing is left open; what is beyond it is told by id, and makes the exit code 1."""
    if code != (1 if beyond else 0):
        tally.stuck += 1
        found.append(f"exit code {code}, after:\n{world.said()}")
    batches = world.cloud.batches()
    open_ones = [batch["id"] for batch in batches if batch["open"] or batch["status"] not in TERMINAL]
    if open_ones:
        tally.stuck += 1
        found.append(f"batches that are open: {open_ones}")
    try:
        run = open_run(world.run)
    except PcsRunnerError as error:
        tally.stuck += 1
        found.append(f"the run cannot be read: {error}")
        return
    extra = {batch["id"] for batch in batches} - set(run.batch_ids)
    if beyond:
        ours = {line["job_id"] for line in world.lines()}
        extra |= {job["id"] for batch in batches if batch["id"] not in extra for job in batch["jobs"]} - ours
    if run.state != "finished" or run.counts != {"DONE": TOTAL} or {one[0] for one in run.strangers} != extra:
        tally.stuck += 1
        found.append(f"the journal says {run.state}, {run.counts}, {run.strangers}, and the extra ones are {extra}")


def _examine_service(
    world: World,
    batches: Sequence[Mapping[str, Any]],
    reference: Reference,
    tally: Tally,
    found: list[str],
    allowed: Allowed,
) -> int:
    """Each job of the plan was sent once, and once more for each failure; in order; in as few batches as there should be.

    Returns:
        Number of jobs and batches beyond that.
    """
    planned = [(line["variables"]["omega"], line["runs"]) for line in reference.lines]
    again = [(omega, planned[0][1]) for omega in Counter(FAILING.get(world.variant, {})).elements()]
    jobs = [job for batch in batches for job in batch["jobs"] if not allowed.moved or job["status"] == "DONE"]
    there = [(job["variables"]["omega"], job["runs"]) for job in jobs]
    lacking, beyond = Counter([*planned, *again]) - Counter(there), Counter(there) - Counter([*planned, *again])
    if lacking:
        tally.lost += lacking.total()
        found.append(f"the service lacks {dict(lacking)}")
    second = _second_ones(world.cloud.batches())
    extra = beyond.total() + second
    if allowed.repeated:
        return extra
    if extra:
        tally.duplicated += extra
        found.append(f"the service has beyond the plan {dict(beyond)}, and {second} batches for which there is another")
    if allowed.moved:
        return extra
    if len(batches) > BATCHES.get(world.variant, 1) + allowed.parted:
        tally.duplicated += 1
        found.append(f"the service has {len(batches)} batches")
    if not again and not lacking and not beyond and there != planned:
        tally.wrong += 1
        found.append(f"the service has the jobs in another order: {there}")
    return extra


def _second_ones(batches: Sequence[Mapping[str, Any]]) -> int:
    """How many batches there are beside one for each number that the run gave, empty ones too."""
    numbers = [tag for batch in batches for tag in batch["tags"] if tag.count(":") == 2]
    return len(numbers) - len(set(numbers))


def _examine_records(
    world: World, batches: Sequence[Mapping[str, Any]], reference: Reference, tally: Tally, found: list[str], *, exact: bool
) -> None:
    """Every job has one record, at its place, with what the service measured in its own job, as in an undisturbed run.

    The shots of a job follow from its position in its batch: where others come before it, `exact` is not to be had.
    """
    lines = world.lines()
    if len(lines) < TOTAL:
        tally.lost += TOTAL - len(lines)
        found.append(f"{len(lines)} records")
    doubles = len(lines) - len({line["job_id"] for line in lines})
    if doubles or len(lines) > TOTAL:
        tally.duplicated += max(doubles, len(lines) - TOTAL)
        found.append(f"{doubles} records of a job that has another, {len(lines)} in all")
    jobs = {job["id"]: job for batch in batches for job in batch["jobs"]}
    wrong = [line["index"] for line in lines if not _is_of(world, line, jobs.get(line["job_id"]))]
    exact = exact and world.variant not in FAILING
    unlike = UNLIKE if exact else (*UNLIKE, "counts", "attempt")
    pairs = zip(without(lines, unlike), without(reference.lines, unlike), strict=False)
    wrong += [mine["index"] for mine, other in pairs if mine != other]
    if wrong:
        tally.wrong += len(wrong)
        found.append(f"records {wrong} are not what they should be: {[lines[i] for i in wrong[:2] if i < len(lines)]}")
    tables = [name for name, content in reference.tables.items() if exact and world.content(name) != content]
    if tables:
        tally.wrong += len(tables)
        found.append(f"{tables} differ")


def _is_of(world: World, line: Mapping[str, Any], job: Mapping[str, Any] | None) -> bool:
    """Whether a record is that of its job on the service."""
    if job is None or line["status"] != "DONE":
        return False
    assert world.cloud.twin is not None
    try:
        body = read_body(world.cloud.twin.results(job["id"]))
    except RefusedError:
        return False
    same = (job["variables"], job["runs"], job["batch_id"]) == (line["variables"], line["runs"], line["batch_id"])
    return same and body["counter"] == line["counts"]
