"""The Python API: load, plan and validate as the README shows them."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import pcs_runner
from pcs_runner import LoadedSpec, load, plan, validate
from pcs_runner.errors import SpecError, UsageError
from pcs_runner.plan import Plan
from spec_text import spec_text

ROOT = Path(__file__).resolve().parent.parent
TEXT = spec_text(
    "{op: pulse, duration: t, amplitude: 5}",
    device="AnalogDevice",
    jobs="{runs: 10, sweep: {grid: {t: [100, 200]}}}",
    top="targets:\n  hot: {runs: 5000}\n  tagged: {batch: {tags: [x]}}\n  cloud: {backend: pcs, device: FRESNEL_CAN1}\n",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_load_gives_the_content_and_the_text(path: Path) -> None:
    for given in (path, str(path)):
        loaded = load(given)
        assert isinstance(loaded, LoadedSpec)
        assert loaded.spec.name == "a"
        assert loaded.document.data_bytes == TEXT.encode()


def test_load_refuses_with_every_problem(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("version: 1\nname: A\nseq: 1\n", encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        load(path)
    assert [str(problem).removeprefix(str(path)) for problem in caught.value.problems] == [
        ':1:1: missing key "jobs"',
        ':1:1: missing key "sequence"',
        ':2:7: name: "A" cannot name a run: 1 to 63 of a-z, 0-9, _ and -, not beginning with _ or -',
        ':3:1: seq: unknown key "seq"',
    ]
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    assert caught.value.exit_code == 2


def test_plan_takes_a_path_a_text_or_a_loaded_spec(path: Path) -> None:
    digests = {plan(one).digest for one in (path, str(path), load(path))} | {load(path).plan().digest}
    assert len(digests) == 1


def test_plan_can_leave_out_the_check_and_tells_its_progress(path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    assert plan(path, on_progress=lambda done, total: told.append((done, total))).durations_ns == (100, 200)
    assert told == [(2, 2)]
    assert plan(path, check=False).durations_ns is None


def test_an_unknown_target_is_refused_with_the_nearest(path: Path) -> None:
    for call in (plan, validate):
        with pytest.raises(UsageError) as caught:
            call(path, "taged")
        assert caught.value.message == f'{path} has no target "taged"'
        assert caught.value.hint == 'did you mean "tagged"? its targets: cloud, hot, local, tagged'


def test_validate_looks_at_every_target_whose_device_is_known_here(path: Path) -> None:
    hot = f"{path}:12:15: targets.hot.runs: 5000 runs, AnalogDevice allows 2000 (2 of 2 points, first: t=100)"
    assert [str(problem) for problem in validate(path)] == [hot]
    assert [str(problem) for problem in validate(path, "hot")] == [hot]
    assert validate(path, "local") == []
    assert [str(problem) for problem in validate(path, "cloud")] == [
        f'{path}:14:33: targets.cloud.device: no device is called "FRESNEL_CAN1"'
    ]


def test_plan_and_run_are_callable_after_their_packages_were_imported(path: Path) -> None:
    importlib.import_module("pcs_runner.plan.make")
    importlib.import_module("pcs_runner.run.execute")
    from pcs_runner import plan as plan_again
    from pcs_runner import run as run_again

    assert callable(run_again)
    assert isinstance(plan_again(path, check=False), Plan)
    assert isinstance(pcs_runner.plan(path, check=False), Plan)


def test_plan_and_run_are_callable_whatever_is_imported_first(path: Path) -> None:
    """In a fresh interpreter: the package first, the functions first, and nothing but the top level."""
    for first in ("import pcs_runner.plan, pcs_runner.run.execute", "from pcs_runner import plan, run", "pass"):
        planning = f"assert pcs_runner.plan({str(path)!r}, check=False).total_jobs == 2"
        code = f"{first}\nimport pcs_runner\n{planning}\nassert callable(pcs_runner.run)"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_help_and_schema_errors_do_not_import_pulser(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("version: 1\n", encoding="utf-8")
    code = (
        "import sys, pcs_runner\n"
        "assert 'pydantic' not in sys.modules and 'yaml' not in sys.modules\n"
        f"assert pcs_runner.validate({str(tmp_path / 'a.yaml')!r})\n"
        "assert 'pulser' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_api_names_what_it_has_and_nothing_else() -> None:
    for name in pcs_runner.__all__:
        assert getattr(pcs_runner, name) is not None
    with pytest.raises(AttributeError, match="module 'pcs_runner' has no attribute 'nothing'"):
        _ = pcs_runner.nothing
