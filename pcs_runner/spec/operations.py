"""Waveforms and operations of a sequence, with the names and units of Pulser's abstract representation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, WithJsonSchema
from typing_extensions import TypeAliasType

from pcs_runner.spec.values import Identifier, IntParam, Model, Number, Param, ParamList

Protocol = Annotated[
    Literal["min-delay", "no-delay", "wait-for-all"],
    Field(description="How to deal with pulses of other channels on the same atoms."),
]
Basis = Literal["ground-rydberg", "digital", "XY"]


class ConstantWaveform(Model):
    """A waveform of constant value."""

    kind: Literal["constant"]
    duration: IntParam | None = Field(None, description="Duration in ns; default: the pulse's `duration`.")
    value: Param = Field(description="The value (rad/µs; a phase: rad).")


class RampWaveform(Model):
    """A linear ramp."""

    kind: Literal["ramp"]
    duration: IntParam | None = Field(None, description="Duration in ns; default: the pulse's `duration`.")
    start: Param = Field(description="Initial value (rad/µs; a phase: rad).")
    stop: Param = Field(description="Final value (rad/µs; a phase: rad).")


class BlackmanWaveform(Model):
    """A Blackman window of given duration and area."""

    kind: Literal["blackman"]
    duration: IntParam | None = Field(None, description="Duration in ns; default: the pulse's `duration`.")
    area: Param = Field(description="Integral of the waveform (rad); negative flips its sign.")


class BlackmanMaxWaveform(Model):
    """A Blackman window of given maximum and area."""

    kind: Literal["blackman_max"]
    max_val: Param = Field(description="Peak value (rad/µs).")
    area: Param = Field(description="Integral of the waveform (rad); negative flips its sign.")


class InterpolatedWaveform(Model):
    """A smooth curve through given values (pchip)."""

    kind: Literal["interpolated"]
    duration: IntParam | None = Field(None, description="Duration in ns; default: the pulse's `duration`.")
    values: ParamList = Field(description="Values to pass through (rad/µs; a phase: rad).")
    times: ParamList | None = Field(None, description="Fractions of the duration, 0 to 1; default: evenly spaced.")


class KaiserWaveform(Model):
    """A Kaiser window of given duration, area and beta."""

    kind: Literal["kaiser"]
    duration: IntParam | None = Field(None, description="Duration in ns; default: the pulse's `duration`.")
    area: Param = Field(description="Integral of the waveform (rad); negative flips its sign.")
    beta: Param = Field(14.0, description="Shape of the window; Pulser's default is 14.")


class KaiserMaxWaveform(Model):
    """A Kaiser window of given maximum, area and beta."""

    kind: Literal["kaiser_max"]
    max_val: Param = Field(description="Peak value (rad/µs).")
    area: Param = Field(description="Integral of the waveform (rad); negative flips its sign.")
    beta: Param = Field(14.0, description="Shape of the window; Pulser's default is 14.")


class CustomWaveform(Model):
    """A waveform given sample by sample, 1 ns each."""

    kind: Literal["custom"]
    samples: list[Number] = Field(description="One value for each ns (rad/µs; a phase: rad).")


class CompositeWaveform(Model):
    """Waveforms one after another."""

    kind: Literal["composite"]
    waveforms: list[WaveformObject] = Field(min_length=1, description="Each states its own duration.")


WaveformObject = TypeAliasType(
    "WaveformObject",
    Annotated[
        ConstantWaveform
        | RampWaveform
        | BlackmanWaveform
        | BlackmanMaxWaveform
        | InterpolatedWaveform
        | KaiserWaveform
        | KaiserMaxWaveform
        | CustomWaveform
        | CompositeWaveform,
        Field(discriminator="kind"),
    ],
)


def _waveform_kind(value: Any) -> str:
    return "waveform" if isinstance(value, (dict, Model)) else "number"


Waveform = TypeAliasType(
    "Waveform",
    Annotated[
        Annotated[int | float | str, Tag("number"), WithJsonSchema({"type": ["number", "string"]})]
        | Annotated[WaveformObject, Tag("waveform")],
        Discriminator(_waveform_kind),
    ],
)
"""A waveform, or a number or expression that stands for a constant one."""


Channel = Annotated[str | None, Field(description="A channel declared in `channels`; default: the only one.")]


class Pulse(Model):
    """A pulse on a channel."""

    op: Literal["pulse"]
    channel: Channel = None
    duration: IntParam | None = Field(None, description="Duration in ns of every waveform here that states none.")
    amplitude: Waveform = Field(description="Rabi frequency (rad/µs).")
    detuning: Waveform = Field(0, description="Detuning (rad/µs).")
    phase: Param = Field(0, description="Phase (rad).")
    post_phase_shift: Param = Field(0, description="Phase shift right after the pulse (rad).")
    protocol: Protocol = "min-delay"


class PulseArbitraryPhase(Model):
    """A pulse whose phase is a waveform; the detuning follows from it."""

    op: Literal["pulse_arbitrary_phase"]
    channel: Channel = None
    duration: IntParam | None = Field(None, description="Duration in ns of every waveform here that states none.")
    amplitude: Waveform = Field(description="Rabi frequency (rad/µs).")
    phase: Waveform = Field(description="Phase (rad).")
    post_phase_shift: Param = Field(0, description="Phase shift right after the pulse (rad).")
    protocol: Protocol = "min-delay"


class Delay(Model):
    """An idle time on a channel."""

    op: Literal["delay"]
    channel: Channel = None
    time: IntParam = Field(description="Duration in ns.")
    at_rest: bool = Field(default=False, description="Wait for the end of the previous pulse's modulated output first.")


class Align(Model):
    """Idle until all these channels have finished."""

    op: Literal["align"]
    channels: list[str] = Field(min_length=2, description="Channels declared in `channels`.")
    at_rest: bool = Field(default=True, description="Wait for the end of the modulated outputs.")


class Target(Model):
    """Point a local channel at other atoms."""

    op: Literal["target"]
    channel: Channel = None
    target: IntParam | list[IntParam] = Field(description="The atom by its name, or by its number from 0; or several.")


class PhaseShift(Model):
    """Shift the phase reference of atoms."""

    op: Literal["phase_shift"]
    phi: Param = Field(description="Phase shift (rad).")
    targets: list[IntParam] = Field(description="The atoms by their names, or by their numbers from 0.")
    basis: Basis = Field("digital", description="Basis whose phase reference is shifted; Pulser's default is digital.")


class EnableEom(Model):
    """Put a channel into EOM mode."""

    op: Literal["enable_eom_mode"]
    channel: Channel = None
    amp_on: Param = Field(description="Amplitude of the EOM pulses (rad/µs).")
    detuning_on: Param = Field(description="Detuning of the EOM pulses (rad/µs).")
    optimal_detuning_off: Param = Field(0, description="Wanted detuning between pulses (rad/µs); the nearest possible is taken.")
    correct_phase_drift: bool = Field(default=False, description="Correct the phase drift incurred while turning on.")


class ModifyEom(Model):
    """Change the set point of a channel in EOM mode."""

    op: Literal["modify_eom_setpoint"]
    channel: Channel = None
    amp_on: Param = Field(description="Amplitude of the EOM pulses (rad/µs).")
    detuning_on: Param = Field(description="Detuning of the EOM pulses (rad/µs).")
    optimal_detuning_off: Param = Field(0, description="Wanted detuning between pulses (rad/µs); the nearest possible is taken.")
    correct_phase_drift: bool = Field(default=False, description="Correct the phase drift incurred while changing.")


class EomPulse(Model):
    """A square pulse in EOM mode."""

    op: Literal["add_eom_pulse"]
    channel: Channel = None
    duration: IntParam = Field(description="Duration in ns.")
    phase: Param = Field(description="Phase (rad).")
    post_phase_shift: Param = Field(0, description="Phase shift right after the pulse (rad).")
    protocol: Protocol = "min-delay"
    correct_phase_drift: bool = Field(default=False, description="Correct the phase drift since the last pulse.")


class DisableEom(Model):
    """Take a channel out of EOM mode."""

    op: Literal["disable_eom_mode"]
    channel: Channel = None
    correct_phase_drift: bool = Field(default=False, description="Correct the phase drift since the last pulse.")


class ConfigSlmMask(Model):
    """Mask atoms during the first global pulse."""

    op: Literal["config_slm_mask"]
    qubits: list[str] = Field(description="Names of the masked atoms.")
    dmm_id: str = Field("dmm_0", description="The device's DMM that makes the mask.")


class WeightedTrap(Model):
    """A place and its weight."""

    x: Number = Field(description="µm")
    y: Number = Field(description="µm")
    weight: Number = Field(description="0 to 1")


class WeightedTraps(Model):
    """Weights of a detuning map, by trap coordinates."""

    traps: list[WeightedTrap] = Field(min_length=1, description="Places and their weights.")
    slug: str | None = Field(None, description="Name of the map.")


def _map_form(value: Any) -> str:
    return "traps" if isinstance(value, WeightedTraps) or isinstance(value.get("traps"), list) else "weights"


DetuningMap = TypeAliasType(
    "DetuningMap",
    Annotated[
        Annotated[dict[str, Number], Field(min_length=1, description="Atom: its weight, 0 to 1."), Tag("weights")]
        | Annotated[WeightedTraps, Tag("traps")],
        Discriminator(_map_form),
    ],
)
"""Weights by atom, or by trap coordinates as Pulser prints them."""


class ConfigDetuningMap(Model):
    """Give a DMM channel its detuning map."""

    op: Literal["config_detuning_map"]
    detuning_map: DetuningMap = Field(description="Weights: `{q0: 0.5, q3: 1}`, or by trap coordinates.")
    dmm_id: str = Field("dmm_0", description="The device's DMM.")


class AddDmmDetuning(Model):
    """Add a detuning waveform to a DMM."""

    op: Literal["add_dmm_detuning"]
    duration: IntParam | None = Field(None, description="Duration in ns of a waveform that states none.")
    waveform: Waveform = Field(description="Detuning of an atom of weight 1 (rad/µs, not positive).")
    dmm_name: str = Field("dmm_0", description="Name of the DMM channel in the sequence.")
    protocol: Protocol = "no-delay"


class Repeat(Model):
    """Operations so many times in a row; 0 times is not at all."""

    op: Literal["repeat"]
    repeats: Number = Field(description="How often; 0 or 1 makes a condition. Each value gives a sequence of its own.")
    index: Identifier | None = Field(None, description="A name that counts the passes from 0; known to expressions inside.")
    operations: list[Operation] = Field(description="What is repeated, in order; may hold further repeats.")


class Truncate(Model):
    """Cut the sequence at a time."""

    op: Literal["truncate"]
    duration: IntParam = Field(description="Duration in ns that is left.")


Operation = TypeAliasType(
    "Operation",
    Annotated[
        Pulse
        | PulseArbitraryPhase
        | Delay
        | Align
        | Target
        | PhaseShift
        | EnableEom
        | ModifyEom
        | EomPulse
        | DisableEom
        | ConfigSlmMask
        | ConfigDetuningMap
        | AddDmmDetuning
        | Truncate
        | Repeat,
        Field(discriminator="op"),
    ],
)
