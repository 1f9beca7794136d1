"""Device specs of the cloud are fetched without login, kept with their time, and found by name when a spec is planned."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from cloud_client import Time
from loopback import PAGE, Loopback, data
from pcs_runner.errors import ServiceError
from pcs_runner.pcs import device_cache
from pcs_runner.pcs.calls import Caller
from pcs_runner.pcs.client import Wire
from pcs_runner.sequence.device_cache import CORES, cache_file, cached_specs, read_cache, spec_hash
from pcs_runner.sequence.devices import DeviceError, bundled_names, resolve_device
from pcs_runner.spec.tables import Inputs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATH = "/core/api/v1/devices/public-specs"


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as loopback:
        yield loopback


@pytest.fixture
def caller() -> Caller:
    return Caller(Wire(), effects=Time().effects)


def specs(**devices: int) -> object:
    return [{"device_type": name, "specs": json.dumps({"name": name, "max_runs": runs})} for name, runs in devices.items()]


def test_what_is_pulled_is_kept_with_its_time_and_what_changed_is_said(server: Loopback, caller: Caller, tmp_path: Path) -> None:
    server.on("GET", PATH, data(specs(A=1, B=1)), data(specs(B=2, C=1)))
    core = f"{server.url}/core"
    first = device_cache.pull(caller, core, folder=tmp_path, effects=Time().effects)
    assert (first.added, first.changed, first.gone) == (("A", "B"), (), ())
    second = device_cache.pull(caller, core, folder=tmp_path, effects=Time().effects)
    assert (second.added, second.changed, second.gone) == (("C",), ("B",), ("A",))
    kept = cached_specs(tmp_path, environ={"PCS_RUNNER_CORE_URL": f"{core}/"})
    assert kept == second.devices
    assert kept["B"].fetched_at == datetime(2026, 11, 1, 12, tzinfo=UTC)
    assert kept["B"].source == core
    assert kept["B"].hash == spec_hash('{"max_runs":2, "name":"B"}')
    assert cached_specs(tmp_path, environ={}) == {}
    assert "authorization" not in server.received[0].headers


def test_a_fetch_that_fails_leaves_what_is_there(server: Loopback, caller: Caller, tmp_path: Path) -> None:
    server.on("GET", PATH, data(specs(A=1)), PAGE)
    core = f"{server.url}/core"
    before = device_cache.pull(caller, core, folder=tmp_path).devices
    with pytest.raises(ServiceError):
        device_cache.pull(caller, core, folder=tmp_path)
    assert read_cache(core, tmp_path) == before


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"fetched_at": 7, "devices": {}}', '{"fetched_at": "2026-01-01", "devices": {"A": "no json"}}', "null"],
)
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    cache_file(CORES[0], tmp_path).write_text(content)
    assert cached_specs(tmp_path, environ={}) == {}


def keep(folder: Path, core: str, name: str, spec: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    body = {"fetched_at": "2026-11-01T12:00:00+00:00", "devices": {name: spec}}
    cache_file(core, folder).write_text(json.dumps(body))


def test_the_first_region_wins_and_an_override_stands_alone(tmp_path: Path) -> None:
    keep(tmp_path, CORES[0], "FRESNEL", '{"name": "fr"}')
    keep(tmp_path, CORES[1], "FRESNEL", '{"name": "sa"}')
    keep(tmp_path, "http://127.0.0.1:1/core", "FRESNEL", '{"name": "twin"}')
    assert cached_specs(tmp_path, environ={})["FRESNEL"].spec == '{"name": "fr"}'
    override = {"PCS_RUNNER_CORE_URL": "http://127.0.0.1:1/core"}
    assert cached_specs(tmp_path, environ=override)["FRESNEL"].spec == '{"name": "twin"}'


def test_a_spec_can_name_a_device_that_was_pulled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("PCS_RUNNER_CORE_URL", raising=False)
    inputs = Inputs(tmp_path)
    with pytest.raises(DeviceError) as caught:
        resolve_device("FRESNEL_CAN1", inputs, {})
    assert caught.value.message == 'no device is called "FRESNEL_CAN1"'
    assert caught.value.hint == (
        f"known: {', '.join(bundled_names())}, {{file: device.json}}, the device in full, "
        "or one of the cloud's after `pcs-run devices pull`"
    )
    spec = '{"name": "FRESNEL_CAN1", "max_runs": 1000}'
    keep(tmp_path / "pcs-runner" / "devices", CORES[0], "FRESNEL_CAN1", spec)
    found = resolve_device("FRESNEL_CAN1", inputs, {})
    assert (found.name, found.spec, found.max_runs) == ("FRESNEL_CAN1", spec, 1000)
    assert resolve_device("FRESNEL_CAN1", inputs, {"FRESNEL_CAN1": "{}"}).spec == "{}"
    with pytest.raises(DeviceError) as caught:
        resolve_device("FRESNEL_CAN", inputs, {})
    assert caught.value.hint.startswith('did you mean "FRESNEL_CAN1"? ')
