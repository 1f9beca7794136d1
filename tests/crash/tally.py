"""What the crash tests covered and found: points, jobs lost, jobs duplicated, runs stuck, results wrong."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PROPERTY = "crash"


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts of one family.

    Attributes:
        points: Ways to die, or faults, that were tried, each followed by a resume and a look at everything.
        lost: Jobs of the plan that the service or the results lack.
        duplicated: Jobs, batches or records beyond those of the plan.
        stuck: Runs that did not end, batches that stayed open, exit codes that DESIGN does not have there.
        wrong: Records that differ from an undisturbed run's, or stand at the wrong place.
    """

    points: int = 0
    lost: int = 0
    duplicated: int = 0
    stuck: int = 0
    wrong: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not (self.lost or self.duplicated or self.stuck or self.wrong)

    def add(self, other: Tally) -> None:
        """Add the counts of another."""
        for name in COLUMNS:
            setattr(self, name, getattr(self, name) + getattr(other, name))


COLUMNS = tuple(field.name for field in fields(Tally))


def gathered(properties: Iterable[tuple[str, Any]]) -> dict[str, Tally]:
    """The tallies in the properties of test reports, by family."""
    families: dict[str, Tally] = {}
    for name, value in properties:
        if name == PROPERTY:
            families.setdefault(value["family"], Tally()).add(Tally(**value["tally"]))
    return dict(sorted(families.items()))


def as_property(family: str, tally: Tally) -> tuple[str, Any]:
    """A tally as a property of a test report; plain values, so that it travels between test processes."""
    return PROPERTY, {"family": family, "tally": asdict(tally)}


def table(families: Mapping[str, Tally]) -> str:
    """A Markdown table, with the sum in its last line."""
    total = Tally()
    lines = [f"| family | {' | '.join(COLUMNS)} |", f"|---|{'---:|' * len(COLUMNS)}"]
    for family, tally in families.items():
        total.add(tally)
        lines.append(_line(family, tally))
    return "\n".join([*lines, _line("all", total), ""])


def _line(family: str, tally: Tally) -> str:
    return f"| {family} | {' | '.join(str(getattr(tally, name)) for name in COLUMNS)} |"
