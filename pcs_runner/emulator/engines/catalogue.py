"""Engines by name, and which one `auto` means for a sequence; each is imported when it first runs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pcs_runner.emulator.engines import EngineSettings
from pcs_runner.emulator.engines.demands import read_demands, takes_jumps
from pcs_runner.emulator.engines.pulser_backend import EMU_MPS, EMU_SV, PulserBackendEngine
from pcs_runner.emulator.engines.sizes import bytes_text, qutip_bytes
from pcs_runner.pcs.errors import RefusedError

if TYPE_CHECKING:
    from pcs_runner.emulator.engines import Engine
    from pcs_runner.emulator.engines.demands import Demands

AUTO = "auto"
"""Stands for the engine that fits each sequence best."""

BUILT_IN = {
    "batched": "pcs_runner.emulator.engines.batched:BatchedEngine",
    "qutip": "pcs_runner.emulator.engines.qutip:QutipEngine",
}
"""Name -> where the class is. The reference is `qutip`."""

BACKENDS = {"emu-mps": EMU_MPS, "emu-sv": EMU_SV}
"""Name -> the Pulser backend of an optional package, wrapped."""

ENGINES = (*BUILT_IN, *BACKENDS)
"""Every engine that has a name of its own."""

BUILT_IN_OPTIONS = {"batched": frozenset[str](), "qutip": frozenset({"sampling_rate", "solver"})}
"""Options of `config` that belong to one engine; for `qutip` those of `pulser_simulation.QutipConfig`."""

EMULATION_FIELDS = frozenset(
    {
        "callbacks",
        "observables",
        "default_evaluation_times",
        "initial_state",
        "with_modulation",
        "interaction_matrix",
        "prefer_device_noise_model",
        "noise_model",
        "n_trajectories",
        "default_num_shots",
    }
)
"""What every emulator takes (`pulser.backend.EmulationConfig`, 1.9)."""

NOT_INSTALLED = "ENGINE_NOT_INSTALLED"
"""Code of the refusal of an engine that another machine may have."""

QUTIP_BYTES = 8 * 2**30
"""What `auto` lets QuTiP have. A constant and not the machine's memory: the same spec runs on the same engine everywhere."""

STATE_VECTOR_ATOMS = 24
"""The most that `auto` gives to emu-sv: 256 MiB a state, a few dozen of them."""

EMU_BASES: frozenset[tuple[str, ...]] = frozenset({("ground-rydberg",), ("XY",)})
"""What emu-mps simulates; emu-sv the first of them only."""

OWN_CLASS = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which engine runs a sequence.

    Attributes:
        engine: A name that `load` knows.
        reason: Why, for people.
        problem: Why it cannot run it after all, or None.
    """

    engine: str
    reason: str
    problem: str | None = None


def check_name(name: Any) -> str:
    """The name itself, when it is `auto`, an engine that is installed, or `package.module:Class` of a package that is.

    Raises:
        RefusedError: It is none of these; the hint says what there is or what to install.
    """
    if isinstance(name, str) and OWN_CLASS.fullmatch(name):
        package = name.split(".")[0].split(":")[0]
        if find_spec(package) is None:
            _refuse(
                f"engine {name!r:.80}: there is no package {package!r}", "Install it, or name it in PYTHONPATH.", NOT_INSTALLED
            )
        return name
    if name not in {AUTO, *ENGINES}:
        known = f"Engines: {', '.join([AUTO, *sorted(ENGINES)])}, or package.module:Class of a Pulser backend."
        near = get_close_matches(str(name), [AUTO, *ENGINES], 1)
        _refuse(f"there is no engine {name!r:.80}", f"Did you mean {near[0]!r}? {known}" if near else known)
    if name in BACKENDS and not BACKENDS[name].is_installed():
        _refuse(f"engine {name!r} is not installed", "Install it: `pip install 'pcs-runner[emu]'`.", NOT_INSTALLED)
    return str(name)


def _refuse(message: str, hint: str, code: str = "UNKNOWN_ENGINE") -> None:
    raise RefusedError(message, status=400, code=code, hint=hint)


def config_problem(name: str, config: str | None) -> str | None:
    """What an engine that was asked for by name says of a config, None when it takes it.

    A class of the user's own is imported; emu-sv and emu-mps only for options that are not every emulator's.

    Args:
        name: As `check_name` gave it.
        config: `EmulationConfig` in abstract representation (a JSON string), or None.
    """
    if name == AUTO or (name not in BUILT_IN and ":" not in name and not own_options(config)):
        return None
    if name in BUILT_IN:
        foreign = sorted(own_options(config) - BUILT_IN_OPTIONS[name])
        return f"it has no option {', '.join(foreign)}" if foreign else None
    engine = load(name)
    assert isinstance(engine, PulserBackendEngine)
    return engine.config_problem(config)


def own_options(config: str | None) -> set[str]:
    """Fields of a config that `EmulationConfig` itself does not have: options of one engine."""
    return set() if config is None else set(json.loads(config)) - EMULATION_FIELDS


def choose(name: str, sequence: str, settings: EngineSettings) -> Choice:
    """The engine that runs a sequence: the one that was asked for, or the best that takes it.

    Args:
        name: As `check_name` gave it.
        sequence: In abstract representation (a JSON string).
        settings: Config and accuracy count.
    """
    if name != AUTO:
        return Choice(engine=name, reason="asked for", problem=_asked_for_too_much(name, sequence, settings))
    return _choose(sequence, settings)


def _asked_for_too_much(name: str, sequence: str, settings: EngineSettings) -> str | None:
    """Why a reference simulation does not fit into this machine, or None."""
    if name != "qutip":
        return None
    from pcs_runner.emulator.engines.qutip import too_large

    return too_large(sequence, settings.config)


@lru_cache(maxsize=256)
def _choose(sequence: str, settings: EngineSettings) -> Choice:
    """Does not look at what is installed unless nothing that always is can do it."""
    try:
        demands = read_demands(sequence, settings.config)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return Choice(engine="qutip", reason="the sequence cannot be read", problem=f"{type(error).__name__}: {error}")
    uncovered = _batched_problem(sequence, settings)
    if uncovered is None:
        return Choice(engine="batched", reason=demands.text())
    needed = qutip_bytes(demands, jumps=takes_jumps(settings.config))
    if needed <= QUTIP_BYTES:
        return Choice(engine="qutip", reason=f"batched does not take it: {uncovered}")
    return _too_large_for_qutip(demands, f"qutip needs {bytes_text(needed)} for {demands.text()}")


def _too_large_for_qutip(demands: Demands, reason: str) -> Choice:
    if demands.bases not in EMU_BASES:
        hint = "no other engine has these bases"
        return Choice(engine="qutip", reason=reason, problem=f"{reason}; {hint}")
    exact = demands.bases == ("ground-rydberg",) and demands.levels == 2 and not demands.is_dissipative
    name = "emu-sv" if exact and demands.atoms <= STATE_VECTOR_ATOMS else "emu-mps"
    if BACKENDS[name].is_installed():
        return Choice(engine=name, reason=reason)
    return Choice(engine="qutip", reason=reason, problem=f"{reason}; {name} could: `pip install 'pcs-runner[emu]'`")


def _batched_problem(sequence: str, settings: EngineSettings) -> str | None:
    """Why `batched` does not take a sequence, or None."""
    from pcs_runner.emulator.engines.batched.coverage import covers

    try:
        return covers(sequence, settings)
    except Exception as error:  # noqa: BLE001 - qutip says what is wrong, job by job
        return f"it cannot read the sequence ({type(error).__name__}: {error})"


@lru_cache(maxsize=32)
def load(name: str) -> Engine:
    """The engine of a name that `choose` gave."""
    if name in BACKENDS:
        return BACKENDS[name]
    if name not in BUILT_IN:
        return PulserBackendEngine(name=name, where=name)
    module, _, attribute = BUILT_IN[name].partition(":")
    engine: Engine = getattr(import_module(module), attribute)()
    return engine
