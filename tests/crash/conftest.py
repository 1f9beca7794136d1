"""What the crash tests share, and the table that they print."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crash.cloud import Cloud
from crash.tally import Tally, as_property, gathered, table
from crash.world import Allowed, Reference, World, examine, spec_text
from crash.zygote import Zygote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crash.world import World as AWorld

TABLE = "CRASH_TABLE"
"""Environment variable: a file that gets the table, as JSON when it ends in .json, else as Markdown."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--crash-table", default=os.environ.get(TABLE), help="Write the table of the crash tests to this file.")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table, from all test processes."""
    reports = [report for some in terminalreporter.stats.values() for report in some]
    families = gathered(one for report in reports if getattr(report, "when", "") == "teardown" for one in report.user_properties)
    if not families:
        return
    terminalreporter.section("crash tests")
    terminalreporter.write(table(families))
    # The option is only known when pytest was given this folder.
    path = config.getoption("--crash-table", default=os.environ.get(TABLE))
    if path:
        text = table(families)
        if path.endswith(".json"):
            text = json.dumps({family: asdict(tally) for family, tally in families.items()}, indent=2) + "\n"
        Path(path).write_text(text, encoding="utf-8")


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """A folder in memory where there is such: these tests make many syncs and need none of them."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="crash-", dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def zygote(place: Path) -> Iterator[Zygote]:
    spec = place / "zygote.yaml"
    spec.write_text(spec_text("open"), encoding="utf-8")
    mother = Zygote(place / "zygote", spec)
    yield mother
    mother.close()


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    served = Cloud()
    yield served
    served.close()


@dataclass(kw_only=True)
class Lab:
    """Makes worlds, and keeps the count.

    Attributes:
        family: What the points of this test belong to.
        tally: Of this test.
        pace_s: How long each job takes on the device.
    """

    family: str
    place: Path
    zygote: Zygote
    cloud: Cloud
    references: dict[str, Reference]
    tally: Tally = field(default_factory=Tally)
    pace_s: float = 0.0

    def world(self, variant: str = "open", *, copy: Path | None = None, **options: object) -> World:
        """A new world, or one that goes on from a copy; the one before is thrown away."""
        folder = self.place / "world"
        self.cloud.shut()
        shutil.rmtree(folder, ignore_errors=True)
        if copy is not None:
            shutil.copytree(copy, folder)
        self.cloud.device.pace_s = self.pace_s
        return World(folder=folder, variant=variant, cloud=self.cloud, zygote=self.zygote, **options)  # type: ignore[arg-type]

    def reference(self, variant: str) -> Reference:
        """What an undisturbed run gives; it is looked at as closely as the others."""
        if variant not in self.references:
            world = self.world(variant)
            code = world.carry_out(world.command)
            assert code == 0, world.said()
            self.references[variant] = Reference.of(world)
            tally, found = examine(world, code, self.references[variant], Allowed())
            assert tally.clean, found
        return self.references[variant]

    def check(self, world: AWorld, code: int | None, point: str, allowed: Allowed | None = None) -> None:
        """Count a point, and fail at once when something is not right there."""
        tally, found = examine(world, code, self.references[world.variant], allowed or Allowed())
        self.tally.add(tally)
        assert tally.clean, f"{self.family}, {world.variant}, {point}: {found}"


@pytest.fixture(scope="session")
def references() -> dict[str, Reference]:
    return {}


@pytest.fixture
def lab(
    request: pytest.FixtureRequest, place: Path, zygote: Zygote, cloud: Cloud, references: dict[str, Reference]
) -> Iterator[Lab]:
    family = request.module.FAMILY
    made = Lab(family=family, place=place, zygote=zygote, cloud=cloud, references=references)
    yield made
    request.node.user_properties.append(as_property(family, made.tally))
    assert made.tally.points, "this test has tried nothing"
