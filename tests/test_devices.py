"""A device by its name, from a file, in full, or as a run pinned it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pulser
import pytest
from pulser.devices import AnalogDevice, DigitalAnalogDevice

from pcs_runner.sequence.coefficients import C6_BY_LEVEL
from pcs_runner.sequence.devices import DeviceError, ResolvedDevice, bundled_names, resolve_device
from pcs_runner.spec.sequences import DeviceFile
from pcs_runner.spec.tables import InputError, Inputs

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_pulled_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def body_of(device: Any, **changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(device.to_abstract_repr())
    return body | changes


def test_a_name_is_a_device_that_comes_with_pulser(tmp_path: Path) -> None:
    for name in bundled_names():
        found = resolve_device(name, Inputs(tmp_path), {})
        assert (found.name, found.pulser.name) == (name, name)
    assert {"AnalogDevice", "DigitalAnalogDevice", "MockDevice"} <= set(bundled_names())


@pytest.mark.parametrize(("name", "meant"), [("AnalogDevise", "AnalogDevice"), ("Mockdevice", "MockDevice"), ("FRESNEL", None)])
def test_an_unknown_name_is_refused_with_the_nearest_and_all_of_them(tmp_path: Path, name: str, meant: str | None) -> None:
    with pytest.raises(DeviceError) as caught:
        resolve_device(name, Inputs(tmp_path), {})
    assert caught.value.message == f'no device is called "{name}"'
    others = "{file: device.json}, the device in full, or one of the cloud's after `pcs-run devices pull`"
    known = f"known: {', '.join(bundled_names())}, {others}"
    assert caught.value.hint == (f'did you mean "{meant}"? {known}' if meant else known)


def test_a_device_in_a_file_and_one_in_full_have_their_own_name(tmp_path: Path) -> None:
    body = body_of(AnalogDevice, name="Ours")
    (tmp_path / "ours.json").write_text(json.dumps(body), encoding="utf-8")
    inputs = Inputs(tmp_path)
    from_file = resolve_device(DeviceFile(file="ours.json"), inputs, {})
    in_full = resolve_device(body, inputs, {})
    assert from_file.name == in_full.name == "Ours"
    assert from_file.pulser == in_full.pulser
    assert list(inputs.contents) == ["ours.json"]


def test_a_pinned_device_is_preferred_over_what_the_name_means_now(tmp_path: Path) -> None:
    pinned = json.dumps(body_of(AnalogDevice, max_runs=7))
    assert resolve_device("AnalogDevice", Inputs(tmp_path), {"AnalogDevice": pinned}).max_runs == 7
    assert resolve_device(body_of(AnalogDevice), Inputs(tmp_path), {"AnalogDevice": pinned}).max_runs == 7
    assert resolve_device("AnalogDevice", Inputs(tmp_path), {}).max_runs == 2000


def test_what_is_no_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeviceError) as caught:
        resolve_device({"channels": []}, Inputs(tmp_path), {})
    assert caught.value.message == "this is not a device in Pulser's abstract representation: it has no name"
    with pytest.raises(InputError, match=r"none\.json: no such file"):
        resolve_device(DeviceFile(file="none.json"), Inputs(tmp_path), {})
    with pytest.raises(DeviceError, match="Pulser refuses the device mine: "):
        _ = resolve_device({"name": "mine"}, Inputs(tmp_path), {}).pulser


def test_clock_periods_are_those_of_the_channels_and_of_the_dmm(tmp_path: Path) -> None:
    device = resolve_device("DigitalAnalogDevice", Inputs(tmp_path), {})
    channel = DigitalAnalogDevice.channels["raman_local"]
    periods = device.clock_periods({"raman": "raman_local", "unknown": "none"})
    assert periods["raman"] == channel.clock_period
    assert periods["unknown"] == 1
    assert periods["dmm_0"] == DigitalAnalogDevice.dmm_channels["dmm_0"].clock_period


def test_the_coefficients_that_identities_are_made_of_are_pulsers_and_stay_when_a_device_is_recalibrated() -> None:
    spec = json.dumps(body_of(AnalogDevice))
    device = ResolvedDevice("AnalogDevice", spec)
    assert device.interaction_coeff == pytest.approx(AnalogDevice.interaction_coeff)
    assert device.nominal_interaction_coeff == device.interaction_coeff
    from pulser.devices.interaction_coefficients import c6_dict

    assert pulser.__version__.startswith("1.")
    assert c6_dict == C6_BY_LEVEL
