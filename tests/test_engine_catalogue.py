"""Engines by name: what there is, what is missing, which one `auto` means for a sequence, and that its name decides the draws."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pytest

from pcs_runner import api
from pcs_runner.cli import main
from pcs_runner.emulator.client import LocalClient
from pcs_runner.emulator.engines import EngineSettings, catalogue, sizes
from pcs_runner.emulator.engines.demands import read_demands
from pcs_runner.emulator.engines.pulser_backend import PulserBackendEngine
from pcs_runner.errors import SpecError
from pcs_runner.pcs import RefusedError
from test_emulator_client import request
from twin_sequences import PI_OMEGA, mappable, rabi, two_bases, typed

if TYPE_CHECKING:
    from pathlib import Path

    from pcs_runner.pcs import Batch

NOTHING = EngineSettings()
KNOWN = "Engines: auto, batched, emu-mps, emu-sv, qutip, or package.module:Class of a Pulser backend."


@lru_cache
def of_atoms(atoms: int, channel: str = "rydberg_global") -> str:
    import pulser

    register = pulser.Register.rectangle(1, atoms, spacing=7.0, prefix="q")
    sequence = pulser.Sequence(register, pulser.MockDevice)
    sequence.declare_channel("one", channel)
    sequence.add(pulser.Pulse.ConstantPulse(100, 1.0, 0, 0), "one")
    return str(sequence.to_abstract_repr())


def with_noise(**noise: Any) -> str:
    import pulser
    from pulser.backend import BitStrings, EmulationConfig

    model = pulser.NoiseModel(**noise)
    return str(EmulationConfig(observables=[BitStrings(num_shots=1)], noise_model=model).to_abstract_repr())


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without emu-sv and emu-mps."""
    monkeypatch.setattr(PulserBackendEngine, "is_installed", lambda self: False)


@pytest.mark.parametrize("name", ["auto", "batched", "qutip", "twin_backends:Coin"])
def test_what_there_is(name: str) -> None:
    assert catalogue.check_name(name) == name


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("abacus", "there is no engine 'abacus'", KNOWN),
        ("qutib", "there is no engine 'qutib'", f"Did you mean 'qutip'? {KNOWN}"),
        (7, "there is no engine 7", KNOWN),
        ("twin_backends:", "there is no engine 'twin_backends:'", KNOWN),
        ("no_such.module:Thing", "engine 'no_such.module:Thing': there is no package 'no_such'", None),
        ("emu-mps", "engine 'emu-mps' is not installed", "Install it: `pip install 'pcs-runner[emu]'`."),
    ],
)
@pytest.mark.usefixtures("missing")
def test_what_there_is_not_says_what_there_is_or_what_to_install(name: Any, message: str, hint: str | None) -> None:
    with pytest.raises(RefusedError) as caught:
        catalogue.check_name(name)
    assert caught.value.message == message
    assert hint is None or caught.value.hint == hint


def test_what_a_sequence_asks_for_is_read_without_pulser() -> None:
    assert read_demands(typed(), None).text() == "2 atoms, ground-rydberg, no noise"
    assert read_demands(two_bases(), None).levels == 3
    assert read_demands(mappable(), None).atoms == 2
    assert read_demands(of_atoms(4, "mw_global"), None).bases == ("XY",)
    noisy = read_demands(rabi(), with_noise(temperature=50.0, relaxation_rate=1.0))
    assert (noisy.noise, noisy.is_stochastic, noisy.is_dissipative) == (("doppler", "relaxation"), True, True)
    readout = read_demands(rabi(), with_noise(p_false_pos=0.1))
    assert (readout.noise, readout.is_stochastic, readout.is_dissipative) == (("SPAM",), False, False)
    assert read_demands(rabi(), with_noise(state_prep_error=0.1)).is_stochastic
    waist = read_demands(rabi(), with_noise(laser_waist=100.0))
    assert (waist.noise, waist.is_stochastic) == (("amplitude",), False)


def test_a_device_of_which_only_the_name_is_known_says_its_bases_by_its_channels() -> None:
    body = json.loads(of_atoms(3, "mw_global"))
    assert read_demands(json.dumps({**body, "device": "MockDevice"}), None).bases == ("XY",)


def test_a_device_may_bring_its_own_noise() -> None:
    body = json.loads(rabi())
    body["device"]["default_noise_model"] = json.loads(with_noise(temperature=50.0))["noise_model"]
    config = json.loads(with_noise())
    assert read_demands(json.dumps(body), json.dumps(config)).noise == ()
    assert read_demands(json.dumps(body), json.dumps({**config, "prefer_device_noise_model": True})).noise == ("doppler",)


@pytest.mark.parametrize(
    ("sequence", "config", "engine", "reason"),
    [
        (typed(), None, "batched", "2 atoms, ground-rydberg, no noise"),
        (two_bases(), None, "qutip", "batched does not take it: "),
        (of_atoms(4, "mw_global"), None, "qutip", "batched does not take it: "),
        (typed(), with_noise(relaxation_rate=1.0), "qutip", "batched does not take it: "),
        ("no JSON", None, "qutip", "the sequence cannot be read"),
    ],
)
def test_auto_goes_by_basis_and_noise(sequence: str, config: str | None, engine: str, reason: str) -> None:
    choice = catalogue.choose("auto", sequence, EngineSettings(config=config))
    assert choice.engine == engine
    assert choice.reason.startswith(reason)


def test_a_name_stands_for_itself() -> None:
    assert catalogue.choose("qutip", typed(), NOTHING) == catalogue.Choice(engine="qutip", reason="asked for")


@pytest.mark.parametrize(
    ("sequence", "config", "engine"),
    [
        (of_atoms(13), with_noise(relaxation_rate=1.0), "emu-mps"),
        (of_atoms(40, "mw_global"), None, "emu-mps"),
        (of_atoms(60), None, "emu-mps"),
    ],
)
def test_auto_goes_by_size(monkeypatch: pytest.MonkeyPatch, sequence: str, config: str | None, engine: str) -> None:
    monkeypatch.setattr(PulserBackendEngine, "is_installed", lambda self: True)
    catalogue._choose.cache_clear()
    choice = catalogue.choose("auto", sequence, EngineSettings(config=config))
    catalogue._choose.cache_clear()
    assert (choice.engine, choice.problem) == (engine, None)
    assert choice.reason.startswith("qutip needs ")


@pytest.mark.usefixtures("missing")
def test_what_is_too_large_for_all_that_is_installed_says_what_could() -> None:
    catalogue._choose.cache_clear()
    choice = catalogue.choose("auto", of_atoms(60), NOTHING)
    catalogue._choose.cache_clear()
    assert choice.problem is not None
    assert choice.problem.endswith("for 60 atoms, ground-rydberg, no noise; emu-mps could: `pip install 'pcs-runner[emu]'`")


def test_what_qutip_needs_grows_as_it_should() -> None:
    pure = [sizes.qutip_bytes(read_demands(of_atoms(n), None)) for n in (10, 11)]
    mixed = [sizes.qutip_bytes(read_demands(of_atoms(n), with_noise(relaxation_rate=1.0))) for n in (5, 6)]
    assert 2 < pure[1] / pure[0] < 2.2
    assert 4 < mixed[1] / mixed[0] < 4.5
    assert mixed[0] < pure[0] < 2**20 < pure[1]
    assert [sizes.bytes_text(n) for n in (12, 3 * 2**20, 5 * 2**40)] == ["12 B", "3 MiB", "5 TiB"]


def raw_of(batch: Batch) -> list[list[str]]:
    return [job.full_result["raw"] for job in batch.ordered_jobs]  # type: ignore[index, misc]


def test_auto_draws_as_the_engine_that_it_means(tmp_path: Path) -> None:
    drawn = {}
    with LocalClient(tmp_path, workers=1) as client:
        for engine in ("auto", "batched", "qutip"):
            asked = request(PI_OMEGA / 2, PI_OMEGA / 3, runs=40, open=False, configuration={"engine": engine, "seed": 3})
            drawn[engine] = raw_of(client.create_batch(asked).close(fetch_results=True))
    assert drawn["auto"] == drawn["batched"]
    assert drawn["auto"] != drawn["qutip"]


SPEC = """\
version: 1
name: engines
sequence:
  device: MockDevice
  register:
    rectangle: {{rows: 1, columns: {atoms}, spacing: 7, prefix: q}}
  channels: {{one: rydberg_global}}
  operations:
    - {{op: pulse, duration: 100, amplitude: omega, detuning: 0}}
jobs:
  runs: 10
  sweep: {{grid: {{omega: [1, 2]}}}}
targets:
  local: {{engine: {engine}}}
"""


def spec(folder: Path, *, engine: str = "auto", atoms: int = 2, more: str = "") -> Path:
    path = folder / "engines.yaml"
    path.write_text(SPEC.format(engine=engine, atoms=atoms) + more, encoding="utf-8")
    return path


def test_the_plan_says_which_engine_runs_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(spec(tmp_path))]) == 0
    assert "engine     batched  2 atoms, ground-rydberg, no noise\n" in capsys.readouterr().out
    assert main(["plan", "--json", str(spec(tmp_path, engine="qutip"))]) == 0
    assert json.loads(capsys.readouterr().out)["engines"] == [{"engine": "qutip", "reason": "asked for", "jobs": 2}]


@pytest.mark.usefixtures("missing")
@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ("qutib", "there is no engine 'qutib'"),
        ("emu-sv", "engine 'emu-sv' is not installed"),
        (
            "twin_backends:NoBackend",
            "engine twin_backends:NoBackend: TypeError: twin_backends:NoBackend is not a class that keeps ",
        ),
    ],
)
def test_a_wrong_engine_is_refused_at_its_line(tmp_path: Path, engine: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        api.plan(spec(tmp_path, engine=f'"{engine}"'))
    (problem,) = caught.value.problems
    assert (problem.line, problem.path) == (14, "targets.local.engine")
    assert problem.message.startswith(message)


@pytest.mark.usefixtures("missing")
def test_a_spec_for_another_machine_is_valid_here(tmp_path: Path) -> None:
    path = spec(tmp_path, more="  big: {engine: emu-mps, config: {max_bond_dim: 100}}\n")
    assert api.validate(path) == []
    assert [problem.message for problem in api.validate(path, "big")] == ["engine 'emu-mps' is not installed"]


def test_an_option_of_another_engine_is_refused(tmp_path: Path) -> None:
    path = spec(tmp_path, more="  other: {engine: qutip, config: {max_bond_dim: 100}}\n")
    with pytest.raises(SpecError, match="engine qutip: it has no option max_bond_dim"):
        api.plan(path, "other")


@pytest.mark.usefixtures("missing")
def test_a_register_that_is_too_large_is_refused_with_the_number(tmp_path: Path) -> None:
    catalogue._choose.cache_clear()
    with pytest.raises(SpecError, match=r"qutip needs .* TiB for 60 atoms, ground-rydberg, no noise; emu-mps could"):
        api.plan(spec(tmp_path, atoms=60))
    catalogue._choose.cache_clear()
