"""Device specs of the day in plans and runs: fetched, cached, pinned, and never in the way."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import pcs_runner
from cloud_client import environment
from loopback import PAGE, Loopback, Reply, data
from pcs_runner.cli import main
from pcs_runner.errors import SpecError
from pcs_runner.plan import plan_from_run
from pcs_runner.run import cloud_devices, manifest
from pcs_runner.sequence.device_cache import cached_specs, spec_hash

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pcs_runner.plan import Plan

SPEC = """\
version: 1
name: devices
sequence:
  device: FRESNEL_X
  register: {from_coordinates: {coords: [[0, 0]]}, automatic_layout: true}
  channels: {ising: rydberg_global}
  operations: [{op: pulse, duration: 200, amplitude: 3.0}]
jobs: {runs: 100}
targets:
  local: {device: AnalogDevice}
  qpu: {backend: pcs, batch: {device_type: FRESNEL_X}}
  south: {backend: pcs, region: sa, runs: 50, batch: {device_type: FRESNEL_X}}
"""
PUBLIC = "/core/api/v1/devices/public-specs"


def spec(**changes: Any) -> str:
    """A device of the cloud: Pulser's AnalogDevice under another name."""
    import pulser

    return json.dumps({**json.loads(pulser.AnalogDevice.to_abstract_repr()), "name": "FRESNEL_X", **changes})


def specs(*bodies: str) -> Reply:
    return data([{"device_type": json.loads(body)["name"], "specs": body} for body in bodies])


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    with Loopback() as server:
        for name in [name for name in os.environ if name.startswith(("PASQAL_", "PCS_RUNNER_"))]:
            monkeypatch.delenv(name)
        home = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
        for name, value in {**environment(server, tmp_path, PASQAL_AUTH_TOKEN="token"), **home}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("pcs_runner.pcs.client.Wire.sleep", lambda *_: None)
        Path("devices.yaml").write_text(SPEC, encoding="utf-8")
        server.on("GET", PUBLIC, specs(spec()))
        yield server


def planned(target: str | None = "qpu") -> Plan:
    plan: Plan = pcs_runner.plan("devices.yaml", target)
    return plan


def test_a_plan_for_the_cloud_knows_the_devices_of_today(service: Loopback) -> None:
    """Nothing was pulled before; no token goes there."""
    assert cached_specs() == {}
    plan = planned()
    assert plan.notes == ()
    assert plan.device.name == "FRESNEL_X"
    assert list(cached_specs()) == ["FRESNEL_X"]
    (asked,) = service.calls("GET", PUBLIC)
    assert "authorization" not in asked.headers


def test_each_plan_asks_anew(service: Loopback) -> None:
    service.on("GET", PUBLIC, specs(spec(max_runs=2000)), specs(spec(max_runs=90)))
    planned()
    with pytest.raises(SpecError, match="90"):
        planned()


def test_without_the_service_the_cached_specs_are_used_and_the_plan_says_so(
    service: Loopback, capsys: pytest.CaptureFixture[str]
) -> None:
    planned()
    service.on("GET", PUBLIC, PAGE)
    plan = planned()
    assert len(plan.notes) == 1
    reason = f"the device specs of today are unknown: GET {PUBLIC.removeprefix('/core')} "
    assert plan.notes[0].startswith(reason)
    assert plan.device.name == "FRESNEL_X"
    assert main(["plan", "devices.yaml", "-t", "qpu"]) == 0
    lines = capsys.readouterr().out.splitlines()  # how often was asked within the limit may differ from the note's
    assert [line for line in lines if line.startswith(f"unknown    {reason}")]


def test_a_device_that_nobody_knows_is_refused_with_its_place(service: Loopback) -> None:
    service.on("GET", PUBLIC, PAGE)
    with pytest.raises(SpecError, match=r'devices\.yaml:4:11: sequence\.device: no device is called "FRESNEL_X"'):
        planned()


def test_a_cache_that_cannot_be_written_is_no_obstacle(service: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    planned()
    Path("cache").rename("elsewhere")
    Path("cache").write_text("a file in the way", encoding="utf-8")
    reason = cloud_devices.refresh("fr")
    assert reason.startswith("the device specs of today could not be kept: ")


def test_a_service_that_hangs_does_not_keep_a_plan(service: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_devices, "WITHIN_S", 0.3)
    service.on("GET", PUBLIC, Reply(wait_s=2.0))
    assert cloud_devices.refresh("fr").startswith("the device specs of today are unknown: ")


@pytest.mark.parametrize("target", [None, "local"])
def test_local_plans_and_validation_ask_nobody(service: Loopback, target: str | None) -> None:
    planned()
    assert len(service.received) == 1
    planned(target)
    assert pcs_runner.validate("devices.yaml", "south") == []
    assert pcs_runner.validate("devices.yaml") == []
    assert len(service.received) == 1


def test_the_manifest_pins_the_spec_with_its_hash(service: Loopback) -> None:
    from datetime import UTC, datetime

    plan = planned()
    body = manifest.build(plan, uuid="u", created=datetime(2026, 11, 1, tzinfo=UTC), overrides={}, workers=None)
    pinned = body["devices"]["FRESNEL_X"]
    assert pinned["spec"] == json.loads(spec())
    assert cached_specs()["FRESNEL_X"].hash == spec_hash(spec()) == spec_hash(json.dumps(pinned["spec"]))
    assert len(pinned["sha256"]) == 64


def test_a_run_goes_on_with_its_pinned_spec_and_the_change_is_known(service: Loopback, tmp_path: Path) -> None:
    plan = planned()
    changed = spec(max_runs=90)
    service.on("GET", PUBLIC, specs(changed))
    assert cloud_devices.refresh("fr") == ""
    assert cloud_devices.changed(plan.devices) == ("FRESNEL_X",)
    resumed = plan_from_run(SPEC.encode(), tmp_path, {"name": "qpu"}, plan.devices)
    resumed.check()
    assert (resumed.digest, resumed.device.max_runs) == (plan.digest, 2000)


def test_the_order_of_keys_is_no_change(service: Loopback) -> None:
    plan = planned()
    turned = json.dumps(dict(reversed(json.loads(spec()).items())), indent=1)
    service.on("GET", PUBLIC, specs(turned))
    cloud_devices.refresh("fr")
    assert cloud_devices.changed(plan.devices) == ()
    assert cloud_devices.changed({"Another": spec()}) == ()


def test_an_address_that_breaks_a_rule_is_told(service: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PCS_RUNNER_CORE_URL", "http://example.org/core")
    assert cloud_devices.refresh("fr").startswith("the device specs of today are unknown: PCS_RUNNER_CORE_URL is plain http")
